import PenstockCore
import Testing

struct LookBackTests {
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
    #expect(LookBack(scans).ends == [SegmentNumber(1): 8192, SegmentNumber(2): 12288])
  }

  @Test func `ends reach through several recoveries`() {
    let scans = [
      scan(1, []), scan(2, [(4096, [end(1, 4096)])]), scan(3, [(4096, [end(2, 4096)])]),
      scan(4, [(4096, [end(3, 4096), end(1, 20480)])]),
    ]
    // The batch in 3 is ended, so its end of 2 does not count, so the end of 1 in 2 does.
    #expect(
      LookBack(scans).ends
        == [
          SegmentNumber(1): 4096, SegmentNumber(2): Int.max, SegmentNumber(3): 4096,
        ].filter { $0.value != Int.max })
  }

  @Test func `of several ends of one segment the nearest counts`() {
    let scans = [
      scan(1, []), scan(2, [(4096, [end(1, 12288)])]), scan(3, [(4096, [end(1, 8192)])]),
    ]
    #expect(LookBack(scans).ends[SegmentNumber(1)] == 8192)
  }

  @Test func `a misplaced file neither proves nor ends anything`() {
    var misplaced = scan(3, [(4096, [end(1, 4096)])])
    misplaced.verdict = .misplaced
    misplaced.durable = BatchNumber(99)
    #expect(LookBack([scan(1, []), misplaced]).ends.isEmpty)
    #expect(LookBack([scan(1, []), misplaced]).proof == .none)
  }

  @Test func `older segments than one with a proved batch have no say in what is proved`() {
    var scans = [scan(1, []), scan(2, []), scan(3, [])]
    let line = BatchLine(
      number: BatchNumber(5), firstSequence: SequenceNumber(9), eventCount: 1, byteCount: 0,
      at: TestSegmentWriter.at, durable: BatchNumber(4), previousChecksum: 0, salt: 0)
    scans[0].durable = BatchNumber(90)
    scans[1].items = [.batch(BatchExtent(line: line, offset: 4096), isChained: false)]
    scans[1].durable = BatchNumber(4)
    scans[2].durable = BatchNumber(5)
    let look = LookBack(scans)
    #expect(look.isSettled)
    #expect(look.proof == BatchNumber(5))
    // Where the segment with the batch is ended in front of it, the look goes on.
    scans[2] = scan(3, [(4096, [end(2, 4096)])])
    #expect(LookBack(scans).proof == BatchNumber(90))
    #expect(!LookBack(scans).isSettled)
  }
}
