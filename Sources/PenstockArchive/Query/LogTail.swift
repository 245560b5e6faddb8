// The end of one log: reads batches as they become durable, a few microseconds behind the shard.
//
//     batch at the place reached?        give it out, go behind it
//     none, but in the next segment      the shard switched: go on there
//     neither                            unknown: the caller catches up by a snapshot
//
// Only what the frontier covers is looked at, so a batch is complete when it is looked for, and
// numbers follow on within one lease. Anything that does not fit (a new lease, a recovery, a
// segment archived and gone) is not guessed at.

internal import PenstockCore

/// A batch as a tail meets it.
struct TailBatch {
  var segment: SegmentName
  var line: BatchLine
  /// Where it begins in the segment.
  var offset: Int
  var alignment: Int

  /// Where its content begins in the segment.
  var contentOffset: Int { offset + BatchLine.textByteCount }
  var end: Int { contentOffset + Int(line.byteCount) }
}

/// Reads batches behind a place of a log.
struct LogTail<Files: FileSystem>: ~Copyable {
  private let files: Files
  private let layout: StoreLayout
  private(set) var place: LogPlace
  private var file: File?
  private var salt: UInt64 = 0
  private var fileByteCount = 0
  private var memory: AlignedBuffer
  /// Where in the segment `memory` begins, and how much of it is held.
  private var heldStart = 0
  private var heldByteCount = 0

  /// Read at once, in bytes: most batches are smaller, a larger one is read again whole.
  private static var readByteCount: Int { 64 << 10 }

  init(_ files: Files, _ layout: StoreLayout, _ place: LogPlace) {
    self.files = files
    self.layout = layout
    self.place = place
    memory = AlignedBuffer(byteCount: LogTail.readByteCount)
  }

  deinit {
    if let file { files.close(file) }
  }

  /// Goes on from another place.
  mutating func move(to other: LogPlace) {
    if place.segment != other.segment { leaveSegment() }
    heldByteCount = 0
    place = other
  }

  /// Calls `body` with each batch behind the place up to `frontier`, and its content. Returns whether
  /// everything was found.
  mutating func advance(
    to frontier: SequenceNumber, batches body: (TailBatch, RawSpan) throws -> Void
  ) throws -> Bool {
    // What was held behind the place is from before the shard wrote there.
    heldByteCount = 0
    while let line = try nextBatch(upTo: frontier) {
      guard let segment = place.segment else { return false }
      let batch = TailBatch(
        segment: segment, line: line, offset: place.offset, alignment: place.alignment)
      let start = place.offset - heldStart + BatchLine.textByteCount
      try body(batch, memory.bytes(start..<(start + Int(line.byteCount))))
      pass(line)
    }
    return place.sequence >= frontier
  }

  /// The batch behind the place, in this segment or the next; nil when all are passed, or when it
  /// cannot be told.
  private mutating func nextBatch(upTo frontier: SequenceNumber) throws -> BatchLine? {
    while place.sequence < frontier {
      guard try openSegment() else { return nil }
      if let line = try batch(), line.number == place.batch.advanced(by: 1) {
        return line.lastSequence <= frontier ? line : nil
      }
      guard try enterNextSegment() else { return nil }
    }
    return nil
  }

  /// Goes behind a batch.
  private mutating func pass(_ line: BatchLine) {
    let end = place.offset + BatchLine.textByteCount + Int(line.byteCount)
    place.offset = (end + place.alignment - 1) / place.alignment * place.alignment
    place.batch = line.number
    place.sequence = max(place.sequence, line.lastSequence)
  }

  /// The valid batch at the place, held whole in memory; nil when there is none.
  private mutating func batch() throws(FileError) -> BatchLine? {
    guard place.offset + BatchLine.textByteCount <= fileByteCount else { return nil }
    if let line = try lookForBatch() { return line }
    // The page cache may hold what stood here before the shard wrote past it.
    if let file { files.dropCache(file) }
    heldByteCount = 0
    return try lookForBatch()
  }

  private mutating func lookForBatch() throws(FileError) -> BatchLine? {
    try hold(BatchLine.textByteCount)
    let offset = place.offset - heldStart
    guard let line = BatchLine(memory.bytes(0..<heldByteCount), at: offset), line.salt == salt,
      place.offset + BatchLine.textByteCount + Int(line.byteCount) <= fileByteCount
    else { return nil }
    try hold(BatchLine.textByteCount + Int(line.byteCount))
    let start = place.offset - heldStart
    return line.isIntact(in: memory.bytes(0..<heldByteCount), at: start) ? line : nil
  }

  /// Makes `count` bytes at the place held.
  private mutating func hold(_ count: Int) throws(FileError) {
    if place.offset >= heldStart, place.offset + count <= heldStart + heldByteCount { return }
    guard let file else { return }
    let wanted = max(count, LogTail.readByteCount)
    if memory.byteCount < wanted { memory = AlignedBuffer(byteCount: wanted) }
    heldByteCount = 0
    heldByteCount = try files.read(file, into: &memory, 0..<wanted, at: place.offset)
    heldStart = place.offset
  }

  /// Opens the segment of the place; false when there is none, or it is gone.
  private mutating func openSegment() throws(FileError) -> Bool {
    if file != nil { return true }
    guard let name = place.segment else { return false }
    guard let opened = try open(name) else { return false }
    file = opened.file
    salt = opened.header.salt
    fileByteCount = opened.byteCount
    heldByteCount = 0
    return true
  }

  /// Goes to the segment after this one when its first batch is the next of the log.
  private mutating func enterNextSegment() throws(FileError) -> Bool {
    guard let current = place.segment else { return false }
    let name = SegmentName(log: current.log, number: current.number.next)
    guard let opened = try open(name) else { return false }
    leaveSegment()
    file = opened.file
    salt = opened.header.salt
    fileByteCount = opened.byteCount
    place.segment = name
    place.alignment = opened.header.alignment
    place.offset = opened.header.alignment
    return try batch()?.number == place.batch.advanced(by: 1)
  }

  private mutating func leaveSegment() {
    if let file { files.close(file) }
    file = nil
    heldByteCount = 0
  }

  private mutating func open(_ name: SegmentName) throws(FileError) -> (
    file: File, header: SegmentHeader, byteCount: Int
  )? {
    let opened: File
    do throws(FileError) {
      opened = try files.open(layout.segment(name), .read)
    } catch {
      if error.code == System.notFound { return nil }
      throw error
    }
    var block = AlignedBuffer(byteCount: SegmentHeader.alignmentMin)
    do throws(FileError) {
      let count = try files.read(opened, into: &block, 0..<block.byteCount, at: 0)
      if case .header(let header) = SegmentHeader.read(block.bytes(0..<count)), header.name == name
      {
        return (opened, header, try files.byteCount(opened))
      }
    } catch {
      files.close(opened)
      throw error
    }
    files.close(opened)
    return nil
  }
}
