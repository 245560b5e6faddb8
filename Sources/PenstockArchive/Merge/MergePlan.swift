// Which tables are joined next.
//
//     bucket        tables                                    joined
//     any           4 of like size, each below half a table   up to 8 of them, oldest first
//     closed,       more than the size limit asks for         the smallest, as many as make fewer
//       settled
//     closed,       a single one as its run left it             written anew, thoroughly compressed
//       settled
//     of no single  4 of like size, or settled and as the     split: own tables for the fullest
//       bucket        archiver's run left them                  buckets, one for the rest
//
// Sizes are alike within a factor of four. So an event is written once by its run, once for each
// factor of four between a run's table and the largest, and once more when its bucket settles:
// from runs of 16 MiB to tables of 1 GiB at most five times. Late events form small tables of
// their own, which are joined with each other before they are joined with what is there.

internal import PenstockCore

/// Tables that become fewer.
struct MergePlan: Equatable {
  enum Target: Equatable {
    /// All are of this bucket.
    case bucket(Int64)
    /// They hold events of several buckets.
    case mixed
  }

  var target: Target
  var inputs: [TableEntry]

  /// Tables of like size that are joined without need.
  static let likeCountMin = 4
  /// Tables joined at once before a bucket settles, and when it does: each takes about a megabyte
  /// of memory while they are.
  static let inputCountMax = 8
  static let settledInputCountMax = 16
  /// Sizes below this are alike, in bytes.
  private static let smallByteCount = 256 << 10

  /// A single table below this size is not worth writing anew, in bytes.
  private static let rewrittenByteCountMin = 64 << 10

  /// Bytes of the inputs.
  var byteCount: Int { inputs.reduce(0) { $0 + $1.byteCount } }

  /// The next tables to join; nil when all is as it should be.
  /// - Parameter refused: tables that cannot be joined.
  static func next(
    _ tables: [TableEntry], _ settings: ArchiveSettings, now: Timestamp, refused: Set<String>
  ) -> MergePlan? {
    var mixed: [TableEntry] = []
    var buckets: [Int64: [TableEntry]] = [:]
    for table in tables where !refused.contains(table.name) {
      let first = settings.bucket.number(of: table.earliest)
      if first == settings.bucket.number(of: table.latest) {
        buckets[first, default: []].append(table)
      } else {
        mixed.append(table)
      }
    }
    for (bucket, tables) in buckets.sorted(by: { $0.key < $1.key }) {
      if let inputs = like(tables, settings) ?? settled(bucket, tables, settings, now: now) {
        return MergePlan(target: .bucket(bucket), inputs: inputs)
      }
    }
    guard let inputs = like(mixed, settings) ?? unsplit(mixed, settings, now: now) else {
      return nil
    }
    return MergePlan(target: .mixed, inputs: inputs)
  }

  /// Tables of like size, the oldest first.
  private static func like(_ tables: [TableEntry], _ settings: ArchiveSettings) -> [TableEntry]? {
    var classes: [Int: [TableEntry]] = [:]
    for table in tables where table.byteCount <= settings.tableByteCountMax / 2 {
      classes[sizeClass(table.byteCount), default: []].append(table)
    }
    for (_, tables) in classes.sorted(by: { $0.key < $1.key }) {
      let inputs = fitting(tables, settings, countMax: inputCountMax)
      if inputs.count >= min(likeCountMin, tables.count), inputs.count >= 2,
        tables.count >= likeCountMin
      {
        return inputs
      }
    }
    return nil
  }

  /// 0 for small tables, then one more for each factor of four.
  private static func sizeClass(_ byteCount: Int) -> Int {
    let times = max(1, byteCount / smallByteCount)
    return (Int.bitWidth - 1 - times.leadingZeroBitCount) / 2
  }

  /// The first tables that together are no larger than one may be.
  private static func fitting(
    _ tables: [TableEntry], _ settings: ArchiveSettings, countMax: Int
  ) -> [TableEntry] {
    var room = settings.tableByteCountMax
    return Array(
      tables.prefix(countMax).prefix { table in
        room -= table.byteCount
        return room >= 0
      })
  }

  /// The smallest tables of a bucket that nothing comes to any more, when they can be fewer.
  private static func settled(
    _ bucket: Int64, _ tables: [TableEntry], _ settings: ArchiveSettings, now: Timestamp
  ) -> [TableEntry]? {
    let closed =
      settings.bucket.end(of: bucket).nanosecondsSince1970
      + Int128(settings.graceNanoseconds)
    guard closed <= now.nanosecondsSince1970,
      tables.allSatisfy({ isSettled($0, settings, now: now) })
    else { return nil }
    if tables.count == 1 {
      return tables[0].mergeCount == 0 && tables[0].byteCount >= rewrittenByteCountMin
        ? tables : nil
    }
    let smallest = tables.sorted { ($0.byteCount, $0.name) < ($1.byteCount, $1.name) }
      .prefix(settledInputCountMax)
    var total = 0
    var best = 0
    for (index, table) in smallest.enumerated() {
      total += table.byteCount
      let needed = (total + settings.tableByteCountMax - 1) / settings.tableByteCountMax
      if needed < index + 1 { best = index + 1 }
    }
    return best > 0 ? Array(smallest.prefix(best)) : nil
  }

  private static func isSettled(
    _ table: TableEntry, _ settings: ArchiveSettings, now: Timestamp
  ) -> Bool {
    guard let written = table.written else { return true }
    return written.nanosecondsSince1970 + Int128(settings.settleNanoseconds)
      <= now.nanosecondsSince1970
  }

  /// Mixed tables as runs left them, once nothing comes to them any more.
  private static func unsplit(
    _ tables: [TableEntry], _ settings: ArchiveSettings, now: Timestamp
  ) -> [TableEntry]? {
    let inputs = fitting(
      tables.filter { $0.mergeCount == 0 && isSettled($0, settings, now: now) }, settings,
      countMax: inputCountMax)
    return inputs.isEmpty ? nil : inputs
  }
}
