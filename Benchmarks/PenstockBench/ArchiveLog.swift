// A log as a shard leaves it, written for the archiver alone: segments of batches of log lines, each
// proved by the next.
//
//     appendSegment ─▶ prepared, filled with batches ─▶ settled by an empty batch in the next one

internal import PenstockCore

/// Writes the segments of one log.
struct ArchiveLog {
  private let layout: StoreLayout
  private let store: StoreIdentifier
  private let segmentByteCount: Int
  private let files = UnsyncedFiles()
  private var segment: UInt64 = 0
  private var batch: UInt64 = 0
  private var sequence: UInt64 = 0
  private var checksum: UInt32 = 0
  private var offset = 0
  private var header: SegmentHeader?

  static let log = LogNumber(0)
  /// Content of one batch, in bytes, at most.
  private static let batchByteCount = 64 << 10

  init(_ layout: StoreLayout, _ store: StoreIdentifier, segmentByteCount: Int) {
    precondition(segmentByteCount >= 4 * ArchiveLog.batchByteCount)
    self.layout = layout
    self.store = store
    self.segmentByteCount = segmentByteCount
  }

  /// Fills a segment with lines, and settles it.
  /// - Parameter line: the next event line with its LF, and when it was received.
  mutating func appendSegment(_ line: () -> (text: [UInt8], at: Timestamp)) throws {
    if header == nil { try begin() }
    let room = SegmentHeader.alignmentMin + BatchLine.textByteCount + ArchiveLog.batchByteCount
    while offset + room <= segmentByteCount {
      var content: [UInt8] = []
      var count: UInt32 = 0
      var at = Timestamp.earliest
      while content.count < ArchiveLog.batchByteCount - 1024 {
        let next = line()
        content += next.text
        at = next.at
        count += 1
      }
      try append(content, count: count, at: at)
    }
    let last = System.now()
    try begin()
    try append([], count: 0, at: last)
  }

  private mutating func begin() throws {
    segment += 1
    let made = try SegmentPreparation.prepare(
      files, layout, name: SegmentName(log: ArchiveLog.log, number: SegmentNumber(segment)),
      store: store, byteCount: segmentByteCount, isFilled: true)
    header = made
    offset = made.alignment
  }

  private mutating func append(_ content: [UInt8], count: UInt32, at: Timestamp) throws {
    guard let header else { return }
    let byteCount = BatchLine.textByteCount + content.count
    batch += 1
    let line = BatchLine(
      number: BatchNumber(batch), firstSequence: SequenceNumber(sequence + 1), eventCount: count,
      byteCount: UInt32(content.count), at: at, durable: BatchNumber(batch - 1),
      previousChecksum: checksum, salt: header.salt)
    var memory = AlignedBuffer(byteCount: byteCount)
    memory.copy(content.rawSpan, to: BatchLine.textByteCount)
    checksum = line.seal(in: &memory, at: 0)
    let file = try files.open(layout.segment(header.name), .write)
    defer { files.close(file) }
    try files.write(file, from: memory, 0..<byteCount, at: offset)
    offset += (byteCount + header.alignment - 1) / header.alignment * header.alignment
    sequence += UInt64(count)
  }
}
