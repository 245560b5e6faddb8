// A log as a kill leaves it: one segment filled with batches that no later batch proves but the
// last, so that all of it has to be scanned, and behind it segments that were prepared and not used.

internal import PenstockCore

/// Writes the log that is recovered.
struct RecoveryLog {
  let layout: StoreLayout
  let store: StoreIdentifier
  private let files = LinuxFileSystem()

  static let log = LogNumber(0)
  /// Content of one batch, in bytes: what a shard at full rate closes.
  private static let batchByteCount = 500 << 10

  init(_ layout: StoreLayout, _ store: StoreIdentifier) {
    self.layout = layout
    self.store = store
  }

  /// Writes the log anew, and drops it from the page cache.
  /// - Returns: the number of its events.
  func write(segmentByteCount: Int, preparedCount: Int = 0) throws -> Int {
    for name in try files.list(layout.live) where name.hasSuffix(".log") {
      try files.unlink(layout.live + "/" + name)
    }
    let header = try prepare(1, segmentByteCount)
    let eventCount = try fill(header)
    for number in 0..<preparedCount { _ = try prepare(UInt64(2 + number), segmentByteCount) }
    return eventCount
  }

  private func prepare(_ number: UInt64, _ byteCount: Int) throws -> SegmentHeader {
    try SegmentPreparation.prepare(
      files, layout, name: SegmentName(log: RecoveryLog.log, number: SegmentNumber(number)),
      store: store, byteCount: byteCount, isFilled: true)
  }

  private func fill(_ header: SegmentHeader) throws -> Int {
    let file = try files.open(layout.segment(header.name), .write)
    defer { files.close(file) }
    let padding = String(repeating: "x", count: 130)
    let event = Array(
      "2026-11-21T03:47:52.123456789Z syslog/web-1 sshd severity=info\t\(padding)\n".utf8)
    let count = RecoveryLog.batchByteCount / event.count
    let byteCount = BatchLine.textByteCount + count * event.count
    let padded = (byteCount + header.alignment - 1) / header.alignment * header.alignment
    var memory = AlignedBuffer(byteCount: padded)
    memory.fill(0..<padded, with: Byte.lineFeed)
    for index in 0..<count {
      memory.copy(event.rawSpan, to: BatchLine.textByteCount + index * event.count)
    }
    var batch: UInt64 = 0
    var checksum: UInt32 = 0
    var offset = header.alignment
    while offset + padded <= header.byteCount {
      let line = BatchLine(
        number: BatchNumber(batch + 1), firstSequence: SequenceNumber(batch * UInt64(count) + 1),
        eventCount: UInt32(count), byteCount: UInt32(count * event.count), at: System.now(),
        durable: BatchNumber(batch), previousChecksum: checksum, salt: header.salt)
      checksum = line.seal(in: &memory, at: 0)
      try files.write(file, from: memory, 0..<padded, at: offset)
      offset += padded
      batch += 1
    }
    try files.syncFile(file)
    files.dropCache(file)
    return Int(batch) * count
  }
}
