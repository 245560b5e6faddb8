// A read-only view of one log's live segments: what recovery would keep, found without a daemon or
// beside one.
//
//     list → no hole in the numbers → scan from the newest segment to the oldest → walk
//
// Beside a running shard the files change while they are read. Three rules make the view one that
// existed:
//  - Segments are read from the newest to the oldest. What a newer segment presupposes is then
//    already in the older ones.
//  - Something proved that seems to be missing is looked for once more: its proof was read before,
//    so a batch that is really there is there now. The second look judges by the first one's proof;
//    what is newer than that may still be on its way, and ends the view.
//  - A hole in the segment numbers means that the archiver was faster: `.changed`. The caller reads
//    the manifest again; when it still says the same, the segment is lost, and `acceptsHoles` reads
//    past it.
//
// What is not proved durable is provisional. A tail beside a running shard is writes on their way.

/// Why a log could not be read.
package enum LogError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Segments were archived meanwhile: read the manifest again and start over.
  case changed
  /// A batch is not, or no longer, what its checksum says.
  case damaged(SegmentName, offset: Int)
  /// A file verb failed.
  case file(FileError)

  package var description: String {
    switch self {
    case .changed: "segments were archived while they were read: read again"
    case .damaged(let segment, let offset):
      "live/\(segment.fileName): the batch at byte \(offset) was damaged after it had been read"
    case .file(let error): error.description
    }
  }
}

/// One segment of a log, and the batches in it that count.
package struct LogSegment: Sendable, Equatable {
  package var name: SegmentName
  package var path: String
  /// Size of the file, in bytes.
  package var byteCount: Int
  /// Bytes between possible starts of batches.
  package var alignment: Int
  /// The batches that count, in order.
  package var batches: [BatchExtent]
  /// Whether a later segment holds a batch: nothing will be written here any more.
  package var isSealed: Bool
  /// False for a segment of a newer version or of somewhere else: it is left alone, also by the
  /// archiver, which stops before it.
  package var isOurs: Bool

  /// Whether nothing about the segment can change any more.
  package var isSettled: Bool { isSealed && isOurs && batches.last?.isProved ?? true }
}

/// A log's live segments as they stand.
package struct LogView: Sendable {
  /// The segments behind what is archived, in order.
  package var segments: [LogSegment]
  package var damage: [Damage]
  /// The last event that is proved durable; `none` when no live batch is.
  package var lastProved: SequenceNumber
  /// The last batch that counts, provisional or not.
  package var lastBatch: BatchNumber

  /// How much filler ends a segment when a view is refreshed, in bytes: more than the batches in
  /// flight can leave out. A full read never stops early.
  fileprivate static let refreshFillerByteCount = 4 << 20

  /// The logs that have segments, in order.
  package static func logs<Files: FileSystem>(in files: Files, _ layout: StoreLayout)
    throws(LogError) -> [LogNumber]
  {
    do throws(FileError) {
      return try SegmentCatalog(files, layout).logs
    } catch {
      throw .file(error)
    }
  }

  /// Reads the segments of `log` behind `archived`.
  /// - Parameters:
  ///   - coveredThrough: the last event that is archived, by the manifest.
  ///   - frontier: events up to this one are durable: a running shard's page says so.
  ///   - store: segments of another store do not count; nil asks the store's description.
  ///   - acceptsHoles: report missing segments instead of throwing `.changed`.
  ///   - segmentCountMax: read the first so many segments as if there were no more.
  ///   - previous: an earlier view of the same log, to read only what is new since.
  ///   - readsPastCache: for who reads a log only once.
  package static func read<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, log: LogNumber, after archived: SegmentNumber,
    coveredThrough: SequenceNumber = .none, frontier: SequenceNumber?,
    store: StoreIdentifier? = nil, acceptsHoles: Bool = false, segmentCountMax: Int = .max,
    refreshing previous: LogView? = nil, readsPastCache: Bool = false
  ) throws(LogError) -> LogView {
    let catalog: SegmentCatalog
    do throws(FileError) {
      catalog = try SegmentCatalog(files, layout)
    } catch {
      throw .file(error)
    }
    let names = Array(catalog.segments(of: log, after: archived).prefix(segmentCountMax))
    let holes = LogView.holes(in: names, after: archived)
    guard holes.isEmpty || acceptsHoles else { throw .changed }
    let known = store ?? (try? StoreDescription.read(files, layout))?.store
    let start: LogStart =
      archived == .none
      ? .beginning : .settled(through: coveredThrough == .none ? nil : coveredThrough)
    var reader = LogReader(
      files, layout, store: known, names, previous, start, readsPastCache: readsPastCache)
    do throws(FileError) {
      let reading = try reader.read(frontier)
      return LogView(layout, reader.kept, reader.keptDamage, reader.scans, reading)
        .reporting(holes, catalog.foreignFiles)
    } catch {
      throw error.code == System.notFound ? .changed : .file(error)
    }
  }

  /// Numbers that are missing between `archived` and the last of `names`, at most 16.
  package static func holes(in names: [SegmentName], after archived: SegmentNumber)
    -> [SegmentName]
  {
    var holes: [SegmentName] = []
    var expected = archived.next
    for name in names {
      while expected < name.number, holes.count < 16 {
        holes.append(SegmentName(log: name.log, number: expected))
        expected = expected.next
      }
      expected = name.number.next
    }
    return holes
  }

  fileprivate init(
    _ layout: StoreLayout, _ kept: [LogSegment], _ keptDamage: [Damage], _ scans: [SegmentScan],
    _ reading: LogReading
  ) {
    segments = kept
    damage = keptDamage + reading.damage
    lastProved = reading.lastServed?.line.lastSequence ?? .none
    lastBatch = reading.lastAccepted?.line.number ?? .none
    let lastUsed = reading.accepted.lastIndex { !$0.isEmpty } ?? -1
    for (index, scan) in scans.enumerated() {
      segments.append(
        LogSegment(
          name: scan.name, path: layout.segment(scan.name), byteCount: scan.byteCount,
          alignment: scan.alignment, batches: reading.accepted[index], isSealed: index < lastUsed,
          isOurs: scan.verdict != .leave && scan.verdict != .misplaced))
    }
  }

  private consuming func reporting(_ holes: [SegmentName], _ foreignFiles: [String]) -> LogView {
    damage += holes.map { Damage(.missingSegment, $0) }
    damage += foreignFiles.map { Damage(foreign: $0) }
    return self
  }

  /// The segments at the front of the view that cannot change any more and lie behind `archived`,
  /// what was found wrong with them, and the last batch in them.
  fileprivate func settled(in names: [SegmentName]) -> (
    segments: [LogSegment], damage: [Damage], last: BatchExtent?
  ) {
    let kept = segments.prefix { $0.isSettled }.filter { segment in
      names.first.map { segment.name >= $0 } ?? false
    }
    let keptNames = Set(kept.map(\.name))
    let keptDamage = damage.filter { $0.segment.map(keptNames.contains) ?? false }
    return (Array(kept), keptDamage, kept.last { !$0.batches.isEmpty }?.batches.last)
  }

  /// The batches of `name` known to be durable, when nothing is wrong with the segment: reading
  /// it again can begin behind them.
  fileprivate func proved(in name: SegmentName) -> [BatchExtent] {
    guard let segment = segments.first(where: { $0.name == name }),
      !damage.contains(where: { $0.segment == name && !$0.isTail })
    else { return [] }
    return Array(segment.batches.prefix { $0.isProved })
  }
}

/// Scans a log's segments for a view.
private struct LogReader<Files: FileSystem>: ~Copyable {
  let kept: [LogSegment]
  let keptDamage: [Damage]
  private let start: LogStart
  /// Batches up to this one are proved by what was read before.
  private let proof: BatchNumber
  private let names: [SegmentName]
  private let previous: LogView?
  private var scanner: SegmentScanner<Files>
  private(set) var scans: [SegmentScan] = []

  init(
    _ files: Files, _ layout: StoreLayout, store: StoreIdentifier?, _ names: [SegmentName],
    _ previous: LogView?, _ start: LogStart, readsPastCache: Bool
  ) {
    let settled = previous?.settled(in: names) ?? (segments: [], damage: [], last: nil)
    kept = settled.segments
    keptDamage = settled.damage
    self.start = settled.last.map { .behind($0) } ?? start
    proof = settled.last?.line.number ?? .none
    let lastKept = kept.last?.name
    self.names = names.filter { name in lastKept.map { name > $0 } ?? true }
    self.previous = previous
    scanner = SegmentScanner(
      files, layout, store: store, readsPastCache: readsPastCache, keepsEvery: true,
      fillerMax: previous == nil ? Int.max : LogView.refreshFillerByteCount)
  }

  mutating func read(_ frontier: SequenceNumber?) throws(FileError) -> LogReading {
    for name in names.reversed() {
      scans.append(try scanner.scan(name, behind: previous?.proved(in: name) ?? []))
    }
    scans.reverse()
    let proof = max(LookBack(scans).proof, proof)
    let reading = LogWalk.read(scans, proof: proof, frontier: frontier, from: start)
    guard !reading.rotten.isEmpty else { return reading }
    for index in scans.indices.reversed()
    where reading.rotten.contains(where: { $0.contains(index) }) {
      scans[index] = try scanner.scan(scans[index].name)
    }
    return LogWalk.read(scans, proof: proof, frontier: frontier, from: start)
  }
}
