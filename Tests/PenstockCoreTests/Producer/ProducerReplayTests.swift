import Testing

@testable import PenstockCore

/// What recovery knows of producers: what counts, no more, and never less without saying so.
@Suite struct ProducerReplayTests {
  private func produced(_ counter: UInt64, first: UInt64, name: String = "a") -> String {
    "#produced epoch=5 counter=\(String(counter, radix: 16)) first=\(String(first, radix: 16))"
      + " count=1 name=\(name)\n"
  }

  private static let table = "#producers floor=3 count=1\n#producer epoch=5 name=a 1:1:1 below=0\n"

  private func recovered(
    _ log: TestLog, archivedThrough: UInt64 = 0, frontier: UInt64? = nil
  ) throws -> String {
    let recovered = try log.recover(archivedThrough: archivedThrough, frontier: frontier)
    let text = String(decoding: recovered.producers, as: UTF8.self)
    // What it told the shard is what stands in its batch, and is found there again, however often.
    var again = log.restarted()
    for _ in 0..<2 {
      let next = try again.recover(archivedThrough: archivedThrough)
      #expect(String(decoding: next.producers, as: UTF8.self) == text)
      again = again.restarted()
    }
    return text
  }

  private var epochMax: UInt64 { Producers.epochMax(at: System.now()) }

  /// Everything is forgotten, and everybody told.
  private func isRaised(_ text: String) -> Bool {
    var producers = Producers(countMax: 4)
    producers.take(table: Array(text.utf8))
    return producers.count == 0 && producers.floor + 60_000 > epochMax
  }

  @Test("a log that is all there needs no table")
  func fromTheBeginning() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    log.put(
      1,
      writer.segment(
        1,
        [
          TestBatch(
            number: 1, first: 1, durable: 0, payloads: ["x"], lines: [produced(1, first: 1)]),
          TestBatch(
            number: 2, first: 2, durable: 1, payloads: ["y"], lines: [produced(2, first: 2)]),
        ]))
    let wanted = "#producers floor=0 count=1\n#producer epoch=5 name=a 2:2:1 1:1:1 below=0\n"
    #expect(try recovered(log) == wanted)
  }

  @Test("the newest table counts, with what was stored behind it; older segments are not needed")
  func fromTable() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    _ = writer.segment(
      1,
      [TestBatch(number: 1, first: 1, durable: 0, payloads: ["x"], lines: [produced(1, first: 1)])])
    log.put(
      2,
      writer.segment(
        2,
        [
          TestBatch(
            number: 2, first: 2, durable: 1, payloads: ["y"], lines: [ProducerReplayTests.table]),
          TestBatch(
            number: 3, first: 3, durable: 2, payloads: ["z"], lines: [produced(3, first: 3)]),
          TestBatch(
            number: 4, first: 4, durable: 3, payloads: ["z"], lines: [produced(2, first: 4)]),
        ]))
    let wanted =
      "#producers floor=3 count=1\n#producer epoch=5 name=a 3:3:1 1:-1:1 1:3:1 below=0\n"
    #expect(try recovered(log, archivedThrough: 1) == wanted)
  }

  @Test("what a dropped batch told is not believed")
  func droppedBatch() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    var bytes = writer.segment(
      1,
      [
        TestBatch(number: 1, first: 1, durable: 0, payloads: ["x"], lines: [produced(1, first: 1)]),
        TestBatch(number: 2, first: 2, durable: 0, payloads: ["y"], lines: [produced(2, first: 2)]),
        TestBatch(number: 3, first: 3, durable: 0, payloads: ["z"], lines: [produced(3, first: 3)]),
      ])
    // The second was torn by the power cut that the third survived.
    bytes[2 * 4096 + 200] ^= 1
    log.put(1, bytes)
    let wanted = "#producers floor=0 count=1\n#producer epoch=5 name=a 1:1:1 below=0\n"
    #expect(try recovered(log) == wanted)
  }

  @Test("a long run of batches is read to its last line", arguments: [3, 200])
  func longRun(count: Int) throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    let batches: [TestBatch] = (1...UInt64(count)).map { number in
      let lines: [String] = [produced(number, first: number)]
      return TestBatch(
        number: number, first: number, durable: number - 1, payloads: ["x"], lines: lines)
    }
    log.put(1, writer.segment(1, batches))
    let text = try recovered(log)
    var producers = Producers(countMax: 4)
    producers.take(table: Array(text.utf8))
    #expect(producers.windowCount(0) == min(count, 64))
    #expect(producers.judge("a", 5, UInt64(count)) == .repeated(first: UInt64(count), count: 1))
    #expect(producers.judge("a", 5, UInt64(count) + 1) == .new)
  }

  @Test("a lost batch, a lost table or a lost end raises the floor")
  func lost() throws {
    var writer = TestSegmentWriter()
    _ = writer.segment(1, [TestBatch(number: 1, first: 1, durable: 0, payloads: ["x"])])
    let whole = writer.segment(
      2,
      [
        TestBatch(
          number: 2, first: 2, durable: 1, payloads: ["y"], lines: [ProducerReplayTests.table]),
        TestBatch(number: 3, first: 3, durable: 2, payloads: ["z"], lines: [produced(3, first: 3)]),
        TestBatch(number: 4, first: 4, durable: 3, payloads: ["z"]),
      ])
    for block in 1...2 {
      let log = TestLog()
      var bytes = whole
      bytes[block * 4096 + 200] ^= 1
      log.put(2, bytes)
      #expect(try isRaised(recovered(log, archivedThrough: 1)), "block \(block)")
    }
    // The last one is known to have been served.
    let log = TestLog()
    var bytes = whole
    bytes[3 * 4096 + 200] ^= 1
    log.put(2, bytes)
    #expect(try !isRaised(recovered(log, archivedThrough: 1)))
    let served = TestLog()
    served.put(2, bytes)
    #expect(try isRaised(recovered(served, archivedThrough: 1, frontier: 4)))
    // Nothing is left but the archive.
    #expect(try isRaised(recovered(TestLog(), archivedThrough: 1)))
  }
}
