import PenstockCore
import Testing

struct ReserveTests {
  private func size(_ log: TestLog) -> Int { log.files.bytes(log.layout.reserve)?.count ?? 0 }

  @Test func `it is as large as the file system is worth, and at least one step`() {
    #expect(Reserve.byteCount(total: 48 << 20) == Reserve.stepByteCount)
    #expect(Reserve.byteCount(total: 1 << 30) == 32 << 20)
    #expect(Reserve.byteCount(total: 252 << 30) == 128 << 20)
  }

  @Test func `it is held as far as there is room, and given back in steps`() throws {
    let log = TestLog()
    log.files.setFreeByteCount(Reserve.slackByteCount + 10 << 20)
    try Reserve.hold(log.files, log.layout)
    let held = size(log)
    #expect(held >= Reserve.stepByteCount)
    #expect(Reserve.take(log.files, log.layout) == Reserve.stepByteCount)
    #expect(size(log) == held - Reserve.stepByteCount)
    #expect(Reserve.take(log.files, log.layout, byteCount: Int.max) == held - Reserve.stepByteCount)
    #expect(Reserve.take(log.files, log.layout) == 0)
    #expect(log.files.openCount == 0)
  }

  @Test func `without room nothing is held, and nothing is taken where there is none`() throws {
    let log = TestLog()
    #expect(Reserve.take(log.files, log.layout) == 0)
    log.files.setFreeByteCount(Reserve.slackByteCount)
    try Reserve.hold(log.files, log.layout)
    #expect(size(log) == 0)
  }

  @Test func `a full disk is recovered from the reserve`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    let batch = TestBatch(number: 1, first: 1, durable: 0, payloads: ["provisional"])
    log.put(1, writer.segment(1, [batch]))
    log.files.setFreeByteCount(64 << 20)
    try Reserve.hold(log.files, log.layout)
    log.files.setFreeByteCount(0)
    let recovered = try log.recover(segmentByteCount: 4 << 20)
    #expect(recovered.eventsRecovered == 1)
    #expect(recovered.header.byteCount < 4 << 20)
    #expect(try log.events() == [TestEvent(sequence: 1, payload: "provisional")])
  }
}
