import PenstockCore
import Testing

struct LogWalkTests {
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
