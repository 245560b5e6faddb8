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

  /// Were the recovery batch dropped with the tail, what it ended would come back.
  @Test func `what a recovery batch ended stays ended when batches before it are missing`() throws {
    let recovery = batch(3 << 20, first: 10, durable: 3, lines: [end(1, 8192)])
    try expect(
      ["1", "3", "9", "\(3 << 20)"],
      of: log([
        [batch(1, durable: 0), batch(2, durable: 1)],
        [batch(3, durable: 1), batch(9, durable: 1)], [recovery],
      ]))
  }

  @Test func `a recovery batch that contradicts what stands before it ends the same segments`()
    throws
  {
    var recovery = batch(2, first: 3, durable: 1, lines: [end(1, 8192)])
    recovery.previous = 99
    try expect(
      ["1", "2"],
      of: log([[batch(1, durable: 0), batch(2, durable: 0), batch(3, durable: 0)], [recovery]]))
  }

  @Test func `a proved batch behind others proves them, and each event is there once`() throws {
    try expect(
      ["1", "2", "3", "4", "1"],
      of: log([
        [
          batch(1, durable: 0), batch(2, durable: 0), batch(3, durable: 1), batch(4, durable: 2),
          batch(1, first: 5, durable: 0),
        ]
      ]))
  }

  @Test func `a batch the frontier proves, behind others, proves them`() throws {
    try expect(
      ["1", "2", "3"],
      of: log([
        [
          batch(1, first: 1, durable: 0), batch(2, first: 9, durable: 0),
          batch(3, first: 3, durable: 0),
        ]
      ]), frontier: 3)
  }

  @Test func `behind a batch that is copied no frontier makes up for a gap`() throws {
    try expect(
      ["1", "2"],
      of: log([
        [
          batch(1, durable: 0), batch(2, first: 10, durable: 1),
          batch(4, first: 10, durable: 1),
        ]
      ]), frontier: 9)
  }

  @Test(arguments: [1, 2] as [UInt64])
  func `an end of its own segment or a newer one is not copied, and ends nothing`(_ number: UInt64)
    throws
  {
    let log = log([
      [
        batch(1, durable: 0), batch(2, durable: 1, lines: [end(number, 4096)]),
        batch(3, durable: 1, lines: ["#end of nothing\n"]),
      ]
    ])
    try expect(["1", "2", "3"], of: log)
    let copy = String(decoding: log.bytes(2), as: UTF8.self)
    #expect(!copy.contains(end(number, 4096)))
    #expect(copy.contains("#end of nothing\n"))
  }

  @Test func `an end of another log is not copied`() throws {
    var writer = TestSegmentWriter()
    writer.log = LogNumber(1)
    let foreign = EndLine(name: writer.name(1), offset: 4096).text
    let log = log([[batch(1, durable: 0, lines: [foreign]), batch(2, durable: 0)]])
    try expect(["1", "2"], of: log)
    #expect(!String(decoding: log.bytes(2), as: UTF8.self).contains(foreign))
  }

  @Test func `what a recovery batch ended is ended by the batch that holds its copy`() throws {
    let small = SmallLog()
    try small.log.recover()
    try small.log.recover()
    let text = String(decoding: small.log.bytes(4)[4096..<8192], as: UTF8.self)
    for ended in [end(1, 16384), end(2, 4096), end(3, 4096)] {
      #expect(text.components(of: ended) == 1)
    }
    #expect(try small.log.events() == SmallLog.events)
  }

  @Test func `what older segments state proves nothing that recovery would not see`() throws {
    try expect(
      ["1000", "5", "6"],
      of: log([[batch(1000, first: 1, durable: 0)], [batch(5, durable: 4), batch(6, durable: 5)]]))
    try expect(
      ["100", "5", "6"],
      of: log([
        [batch(100, first: 1, durable: 99)],
        [batch(5, durable: 4), batch(6, durable: 5), batch(8, durable: 5)],
      ]))
  }

  /// Their sum would not be a count any more: no reason not to start.
  @Test func `a batch that counts more events than it has room for is damaged bytes`() throws {
    var planted = [batch(2, durable: 1), batch(3, first: UInt64(UInt32.max), durable: 1)]
    for index in planted.indices { planted[index].eventCount = .max }
    try expect(["1"], of: log([[batch(1, durable: 0)] + planted]))
  }

  /// Going back to an older version and on again must not cost what the newer one wrote.
  @Test func `a segment of a newer version is not ended`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    let bytes = writer.segment(1, [batch(1, durable: 0)])
    var line = "#penstock segment=0000000000000001 log=00 version=2 shape=other"
    line +=
      " crc=" + Hexadecimal.text(UInt64(Array(line.utf8).rawSpan.checksum()), digits: 8) + "\n"
    let newer = Array(line.utf8) + bytes[line.utf8.count...]
    log.put(1, newer)
    try log.recover()
    #expect(try log.events().isEmpty)
    log.put(1, bytes)
    #expect(try log.events().map(\.payload) == ["1"])
  }
}

extension String {
  /// How often `part` occurs.
  fileprivate func components(of part: String) -> Int {
    var count = 0
    var rest = self[...]
    while let range = rest.firstRange(of: part) {
      count += 1
      rest = rest[range.upperBound...]
    }
    return count
  }
}
