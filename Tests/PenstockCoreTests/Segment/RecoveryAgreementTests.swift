// Batches no shard writes, in logs that contradict themselves: recovery still keeps what a reader
// without a daemon shows, every event once, and finds nothing more to change when it is run again.

import PenstockCore
import Testing

struct RecoveryAgreementTests {
  private func end(_ number: UInt64, _ offset: Int) -> String {
    EndLine(name: TestSegmentWriter().name(number), offset: offset).text
  }

  /// A batch of one event, named after the batch's number.
  private func batch(_ number: UInt64, first: UInt64? = nil, durable: UInt64, lines: [String] = [])
    -> TestBatch
  {
    TestBatch(
      number: number, first: first ?? number, durable: durable, payloads: ["\(number)"],
      lines: lines)
  }

  private func log(_ segments: [[TestBatch]]) -> TestLog {
    let log = TestLog()
    var writer = TestSegmentWriter()
    for (index, batches) in segments.enumerated() {
      log.put(UInt64(index + 1), writer.segment(UInt64(index + 1), batches))
    }
    return log
  }

  /// What a reader shows of `log` before it is recovered, and after that, again and again.
  private func expect(
    _ payloads: [String], of log: TestLog, frontier: UInt64? = nil,
    _ location: SourceLocation = #_sourceLocation
  ) throws {
    let before = try log.events(frontier: frontier)
    #expect(before.map(\.payload) == payloads, sourceLocation: location)
    try log.recover(frontier: frontier)
    #expect(try log.events() == before, sourceLocation: location)
    for _ in 1...3 {
      try log.recover()
      #expect(try log.events() == before, sourceLocation: location)
    }
  }

  /// Their sum would not be a count any more: no reason not to start.
  @Test func `a batch that counts more events than it has room for is damaged bytes`() throws {
    var planted = [batch(2, durable: 1), batch(3, first: UInt64(UInt32.max), durable: 1)]
    for index in planted.indices { planted[index].eventCount = .max }
    try expect(["1"], of: log([[batch(1, durable: 0)] + planted]))
  }
}
