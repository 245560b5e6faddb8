// The events of one archiver run, in memory: their lines in one piece, and an index to sort.
//
// The piece is as large as the segments of a run; the index takes 40 bytes an event. Stream names
// are looked up in an open table keyed by their checksum, so a line costs no allocation.

internal import PenstockCore

/// Events collected for tables.
struct ArchiveRun: ~Copyable {
  /// One event: where its line is, and what it is sorted by.
  struct Row {
    var seconds: Int64
    var sequence: UInt64
    var nanoseconds: UInt32
    var stream: UInt32
    var offset: UInt32
    var byteCount: UInt32
    var log: UInt8
    var bucket: UInt16 = 0
  }

  /// Rows that go to one table.
  struct Bucket {
    var folder: String
    var rows: Range<Int>
  }

  static let mixedFolder = "mixed"

  private var lines: AlignedBuffer
  private var lineByteCount = 0
  private var rows: [Row] = []
  private(set) var buckets: [Bucket] = []
  private var streams = StreamNames()

  init(capacity: Int) { lines = AlignedBuffer(byteCount: capacity) }

  var count: Int { rows.count }

  mutating func removeAll() {
    lineByteCount = 0
    rows.removeAll(keepingCapacity: true)
    buckets.removeAll()
    streams.removeAll()
  }

  /// Takes the event lines of a batch.
  mutating func append(_ content: RawSpan, firstSequence: SequenceNumber, log: LogNumber) {
    if lineByteCount + content.byteCount > lines.byteCount {
      // Only a segment larger than a run gets here: it is a unit.
      var larger = AlignedBuffer(byteCount: lineByteCount + 2 * content.byteCount)
      larger.copy(lines.bytes(0..<lineByteCount), to: 0)
      lines = larger
    }
    let base = lineByteCount
    lines.copy(content, to: base)
    lineByteCount += content.byteCount
    var walk = BatchContent(firstSequence: firstSequence)
    while let (sequence, range) = walk.next(in: content) {
      guard let (time, stream) = ArchiveRun.key(content, range) else { continue }
      rows.append(
        Row(
          seconds: time.seconds, sequence: sequence.value, nanoseconds: time.nanoseconds,
          stream: streams.index(of: content.extracting(stream)),
          offset: UInt32(base + range.lowerBound), byteCount: UInt32(range.count),
          log: log.value))
    }
  }

  /// Time and stream of a line; nil for one no shard writes.
  @inline(__always)
  private static func key(_ span: RawSpan, _ range: ByteRange) -> (Timestamp, ByteRange)? {
    guard range.count > Timestamp.textByteCount,
      let time = Timestamp(journalText: span, at: range.lowerBound)
    else { return nil }
    let start = range.lowerBound + Timestamp.textByteCount + 1
    let end = span.nearIndex(of: Byte.space, from: start, to: range.upperBound)
    return end > start ? (time, start..<end) : nil
  }

  // MARK: - Order

  /// Sorts the rows for tables: by bucket, stream, time, position.
  mutating func sort(bucketSeconds: Int64, bucketCountMax: Int) {
    buckets.removeAll()
    guard !rows.isEmpty else { return }
    let ranks = streams.ranks()
    var days: [Int64: Int] = [:]
    for row in rows { days[ArchiveRun.day(row, bucketSeconds), default: 0] += 1 }
    // The fullest buckets get tables of their own.
    let own = days.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(bucketCountMax)
      .map(\.key).sorted()
    var numbers: [Int64: UInt16] = [:]
    for (index, day) in own.enumerated() { numbers[day] = UInt16(index) }
    let mixed = UInt16(own.count)
    for index in rows.indices {
      rows[index].bucket = numbers[ArchiveRun.day(rows[index], bucketSeconds)] ?? mixed
      rows[index].stream = ranks[Int(rows[index].stream)]
    }
    rows.sort { ArchiveRun.precedes($0, $1) }
    streams.sort()
    var start = 0
    for index in 1...rows.count
    where index == rows.count || rows[index].bucket != rows[start].bucket {
      let number = Int(rows[start].bucket)
      buckets.append(
        Bucket(
          folder: number < own.count
            ? ArchiveRun.folder(own[number], bucketSeconds) : ArchiveRun.mixedFolder,
          rows: start..<index))
      start = index
    }
  }

  @inline(__always)
  private static func day(_ row: Row, _ bucketSeconds: Int64) -> Int64 {
    let quotient = row.seconds / bucketSeconds
    return row.seconds % bucketSeconds < 0 ? quotient - 1 : quotient
  }

  @inline(__always)
  private static func precedes(_ left: Row, _ right: Row) -> Bool {
    if left.bucket != right.bucket { return left.bucket < right.bucket }
    if left.stream != right.stream { return left.stream < right.stream }
    if left.seconds != right.seconds { return left.seconds < right.seconds }
    if left.nanoseconds != right.nanoseconds { return left.nanoseconds < right.nanoseconds }
    if left.log != right.log { return left.log < right.log }
    return left.sequence < right.sequence
  }

  /// "2026-11-21".
  private static func folder(_ day: Int64, _ bucketSeconds: Int64) -> String {
    String(Timestamp(seconds: day * bucketSeconds, nanoseconds: 0).text.prefix(10))
  }

  // MARK: - Writing

  /// Writes the rows of a bucket as a table.
  borrowing func write<Files: FileSystem>(
    _ bucket: Bucket, _ files: Files, path: String, store: StoreIdentifier
  ) throws(FileError) -> TableSummary {
    var writer = try TableWriter(files, path: path, store: store)
    var stream = UInt32.max
    var hash: UInt64 = 0
    for index in bucket.rows {
      let row = rows[index]
      if row.stream != stream {
        stream = row.stream
        writer.begin(stream: streams.name(Int(stream)).rawSpan)
      }
      let line = lines.bytes(Int(row.offset)..<(Int(row.offset) + Int(row.byteCount)))
      let sequence = SequenceNumber(row.sequence)
      let log = LogNumber(row.log)
      hash &+= EventHash.of(line, log, sequence)
      try writer.add(
        ArchiveRun.fields(
          line, Timestamp(seconds: row.seconds, nanoseconds: row.nanoseconds), log, sequence),
        line)
    }
    return try writer.finish(hash: hash)
  }

  private static func fields(
    _ line: RawSpan, _ time: Timestamp, _ log: LogNumber, _ sequence: SequenceNumber
  ) -> TableRow {
    let end = line.byteCount
    let tab = line.firstIndex(of: Byte.tab, from: Timestamp.textByteCount, to: end)
    let streamEnd = line.nearIndex(of: Byte.space, from: Timestamp.textByteCount + 1, to: tab)
    let typeStart = min(streamEnd + 1, tab)
    let typeEnd = line.nearIndex(of: Byte.space, from: typeStart, to: tab)
    return TableRow(
      time: time, log: log, sequence: sequence, type: typeStart..<typeEnd,
      attributes: min(typeEnd + 1, tab)..<tab, payload: min(tab + 1, end)..<end)
  }
}

/// The stream names of a run, each with a number.
struct StreamNames: ~Copyable {
  private var names: [[UInt8]] = []
  /// Number + 1 by hash, 0 for free; a power of two, at most half full.
  private var slots = [UInt32](repeating: 0, count: 1024)
  private var hashes: [UInt32] = []
  private var lastIndex: UInt32?

  mutating func removeAll() {
    names.removeAll()
    hashes.removeAll()
    slots = [UInt32](repeating: 0, count: 1024)
    lastIndex = nil
  }

  /// The number of `name`, which is given one when it is new.
  mutating func index(of name: RawSpan) -> UInt32 {
    // Neighbours in a log are often of one stream.
    if let lastIndex, isName(lastIndex, name) { return lastIndex }
    let hash = name.checksum()
    var slot = Int(hash) & (slots.count - 1)
    while slots[slot] != 0 {
      let index = slots[slot] - 1
      if hashes[Int(index)] == hash, isName(index, name) {
        lastIndex = index
        return index
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    let index = UInt32(names.count)
    names.append(name.array())
    hashes.append(hash)
    slots[slot] = index + 1
    lastIndex = index
    if names.count * 2 > slots.count { grow() }
    return index
  }

  @inline(__always)
  private func isName(_ index: UInt32, _ name: RawSpan) -> Bool {
    let known = names[Int(index)]
    return known.rawSpan.equals(name)
  }

  private mutating func grow() {
    slots = [UInt32](repeating: 0, count: slots.count * 2)
    for (index, hash) in hashes.enumerated() {
      var slot = Int(hash) & (slots.count - 1)
      while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = UInt32(index) + 1
    }
  }

  /// For each number, its place in the order of the names.
  func ranks() -> [UInt32] {
    let order = names.indices.sorted { names[$0].lexicographicallyPrecedes(names[$1]) }
    var ranks = [UInt32](repeating: 0, count: names.count)
    for (rank, index) in order.enumerated() { ranks[index] = UInt32(rank) }
    return ranks
  }

  /// Puts the names in order: from here on a number is a rank.
  mutating func sort() {
    names.sort { $0.lexicographicallyPrecedes($1) }
    lastIndex = nil
  }

  func name(_ rank: Int) -> [UInt8] { names[rank] }
}
