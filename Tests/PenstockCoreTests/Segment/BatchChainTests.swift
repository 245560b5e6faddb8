import PenstockCore
import Testing

struct BatchChainTests {
  private func extent(
    _ number: UInt64, durable: UInt64 = 0, previous: UInt32 = 0, checksum: UInt32 = 0,
    isRecovery: Bool = false
  ) -> BatchExtent {
    BatchExtent(
      line: BatchLine(
        number: BatchNumber(number), firstSequence: SequenceNumber(1), eventCount: 2,
        byteCount: 100, at: TestSegmentWriter.at, durable: BatchNumber(durable),
        previousChecksum: previous, salt: 1, checksum: checksum), offset: 4096,
      isRecovery: isRecovery)
  }

  @Test func `an ordinary batch follows the one numbered before it, by its checksum`() {
    let last = extent(7, checksum: 5)
    #expect(BatchLink(from: last, to: extent(8, previous: 5)) == .follows)
    #expect(BatchLink(from: last, to: extent(8, previous: 6)) == .contradicts)
    #expect(
      BatchLink(from: last, to: extent(9, previous: 5))
        == .missing(BatchNumber(8)...BatchNumber(8)))
    #expect(
      BatchLink(from: last, to: extent(20, previous: 5))
        == .missing(BatchNumber(8)...BatchNumber(19)))
    #expect(BatchLink(from: last, to: extent(7, previous: 5)) == .contradicts)
    #expect(BatchLink(from: last, to: extent(3, previous: 5)) == .contradicts)
  }

  @Test func `a recovery batch follows the batch its durable names, however far it jumps`() {
    let last = extent(7, checksum: 5)
    #expect(
      BatchLink(from: last, to: extent(500, durable: 7, previous: 5, isRecovery: true))
        == .follows)
    #expect(
      BatchLink(from: last, to: extent(500, durable: 9, previous: 5, isRecovery: true))
        == .missing(BatchNumber(8)...BatchNumber(9)))
    #expect(
      BatchLink(from: last, to: extent(500, durable: 6, previous: 5, isRecovery: true))
        == .contradicts)
    #expect(
      BatchLink(from: last, to: extent(500, durable: 7, previous: 6, isRecovery: true))
        == .contradicts)
  }

  @Test func `an extent knows its parts`() {
    let extent = extent(1)
    #expect(extent.byteCount == 293)
    #expect(extent.end == 4096 + 293)
    #expect(extent.content == (4096 + 193)..<(4096 + 293))
    #expect(extent.line.lastSequence == SequenceNumber(2))
  }
}
