// How quickly recovery reads open segments: a log whose one segment is filled with batches that no
// later batch proves but the last, so that all of it has to be scanned past the page cache.
//
// The segment is the largest a shard uses at full rate, 64 MiB, or as large as asked for; each round
// recovers a fresh copy of the same log, so that what a round leaves behind is not in the next.

internal import CShims
internal import PenstockCore

/// Recoveries of one log, timed.
package struct RecoverySuite {
  package struct Round {
    package let nanoseconds: Int64
    package let eventCount: Int
    /// Resident memory at its highest so far, in bytes.
    package let peakByteCount: Int64
  }

  private let files = LinuxFileSystem()
  private let layout: StoreLayout
  private let log = LogNumber(0)
  private let store = StoreIdentifier(high: 1, low: 2)
  package let segmentByteCount: Int
  package private(set) var rounds: [Round] = []

  /// Content of one batch, in bytes: what a shard at full rate closes.
  private static let batchByteCount = 500 << 10
  /// Size of the segment recovery makes, in bytes: a shard's.
  private static let freshByteCount = 4 << 20

  /// - Parameter folder: an empty folder on the file system to measure.
  package init(folder: String, segmentByteCount: Int) throws {
    layout = StoreLayout(root: folder)
    self.segmentByteCount = segmentByteCount
    for path in [layout.live, layout.quarantine] { try files.makeFolderIfMissing(path) }
  }

  /// Writes the log anew and recovers it.
  package mutating func runRound() throws {
    for name in try files.list(layout.live) { try files.unlink(layout.live + "/" + name) }
    let eventCount = try write()
    let recovered = try Recovery.run(
      files, layout, store: store, log: log, archivedThrough: .none,
      segmentByteCount: RecoverySuite.freshByteCount)
    guard recovered.damage.isEmpty else {
      throw BenchFailure("recovery found damage: \(recovered.damage[0])")
    }
    rounds.append(
      Round(
        nanoseconds: recovered.durationNanoseconds, eventCount: eventCount,
        peakByteCount: penstock_resident_bytes(System.processIdentifier, true)))
  }

  /// One segment full of batches; the number of its events.
  private func write() throws -> Int {
    let header = try SegmentPreparation.prepare(
      files, layout, name: SegmentName(log: log, number: SegmentNumber(1)), store: store,
      byteCount: segmentByteCount, isFilled: true)
    let file = try files.open(layout.segment(header.name), .write)
    defer { files.close(file) }
    let padding = String(repeating: "x", count: 130)
    let event = Array(
      "2026-11-21T03:47:52.123456789Z syslog/web-1 sshd severity=info\t\(padding)\n".utf8)
    let count = RecoverySuite.batchByteCount / event.count
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
    return Int(batch) * count
  }

  /// One line: speed over all rounds, and memory.
  package var text: String {
    let speeds = rounds.map { Double(segmentByteCount) / Double($0.nanoseconds) }.sorted()
    guard let least = speeds.first, let most = speeds.last, let last = rounds.last else {
      return "no rounds\n"
    }
    let middle = speeds[speeds.count / 2]
    func number(_ value: Double) -> String { Decimal.text(value, digits: 2) }
    return "recovery     \(number(middle)) GB/s of open segments (\(number(least)) to "
      + "\(number(most)) in \(rounds.count) rounds), \(segmentByteCount >> 20) MiB and "
      + "\(last.eventCount) events a round, \(last.nanoseconds / 1_000_000) ms, peak memory "
      + "\(last.peakByteCount >> 20) MiB\n"
  }
}
