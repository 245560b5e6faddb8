import PenstockCore
import Testing

struct LogWalkTests {
  private func name(_ number: UInt64) -> SegmentName {
    SegmentName(log: LogNumber(0), number: SegmentNumber(number))
  }

  private func end(_ number: UInt64, _ offset: Int) -> EndLine {
    EndLine(name: name(number), offset: offset)
  }

  /// A scan with recovery-like batches at `offsets`, each with its end lines.
  private func scan(_ number: UInt64, _ ends: [(offset: Int, lines: [EndLine])]) -> SegmentScan {
    var scan = SegmentScan(name: name(number), verdict: .use)
    for (offset, lines) in ends {
      scan.ends += lines.map { FoundEnd(line: $0, batchOffset: offset) }
    }
    return scan
  }

  @Test func `an end line in a batch that is itself ended does not count`() {
    let scans = [
      scan(1, []), scan(2, [(4096, [end(1, 8192)]), (12288, [end(1, 4096)])]),
      scan(3, [(4096, [end(2, 12288)])]),
    ]
    #expect(LogWalk.ends(of: scans) == [SegmentNumber(1): 8192, SegmentNumber(2): 12288])
  }

  @Test func `ends reach through several recoveries`() {
    let scans = [
      scan(1, []), scan(2, [(4096, [end(1, 4096)])]), scan(3, [(4096, [end(2, 4096)])]),
      scan(4, [(4096, [end(3, 4096), end(1, 20480)])]),
    ]
    // The batch in 3 is ended, so its end of 2 does not count, so the end of 1 in 2 does.
    #expect(
      LogWalk.ends(of: scans)
        == [
          SegmentNumber(1): 4096, SegmentNumber(2): Int.max, SegmentNumber(3): 4096,
        ].filter { $0.value != Int.max })
  }

  @Test func `of several ends of one segment the nearest counts`() {
    let scans = [
      scan(1, []), scan(2, [(4096, [end(1, 12288)])]), scan(3, [(4096, [end(1, 8192)])]),
    ]
    #expect(LogWalk.ends(of: scans)[SegmentNumber(1)] == 8192)
  }

  @Test func `a misplaced file neither proves nor ends anything`() {
    var misplaced = scan(3, [(4096, [end(1, 4096)])])
    misplaced.verdict = .misplaced
    misplaced.durable = BatchNumber(99)
    #expect(LogWalk.ends(of: [scan(1, []), misplaced]).isEmpty)
    #expect(LogWalk.proof(of: [scan(1, []), misplaced]) == .none)
  }

  @Test
  func `a chain of recoveries that lost their end lines to rot still serves every event once`()
    throws
  {
    // Recovery copies batch 4 out of segment 2; then the recovery batch rots, and what a later
    // batch proved is found where it was copied from.
    let small = SmallLog()
    let recovered = try small.log.recover(segmentByteCount: 64 << 10)
    var writer = TestSegmentWriter()
    writer.checksum = recovered.lastChecksum
    var bytes = small.log.bytes(3)
    let next = writer.bytes(
      TestBatch(
        number: recovered.lastBatch.value + 1, first: recovered.nextSequence.value,
        durable: recovered.lastBatch.value, payloads: ["later"]), salt: recovered.header.salt)
    bytes.replaceSubrange(recovered.nextOffset..<(recovered.nextOffset + next.count), with: next)
    bytes[4096 + 300] ^= 1
    small.log.put(3, bytes)
    let view = try small.log.view()
    #expect(view.damage.map(\.kind) == [.rot])
    let events = try small.log.events(in: view)
    #expect(events.map(\.payload) == SmallLog.events.map(\.payload) + ["later"])
    try small.log.recover()
    #expect(try small.log.events() == events)
  }

  @Test func `batches that do not follow on in sequence are not copied into one`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    log.put(
      1,
      writer.segment(
        1,
        [
          TestBatch(number: 1, first: 1, durable: 0, payloads: ["a"]),
          TestBatch(number: 2, first: 9, durable: 0, payloads: ["b"]),
        ]))
    let recovered = try log.recover()
    #expect(recovered.damage.map(\.kind) == [.tailPossiblyAcknowledged])
    #expect(try log.events() == [TestEvent(sequence: 1, payload: "a")])
  }
}
