import PenstockCore
import Testing

struct SegmentCatalogTests {
  private func name(_ log: UInt8, _ number: UInt64) -> SegmentName {
    SegmentName(log: LogNumber(log), number: SegmentNumber(number))
  }

  @Test func `a listing is sorted into logs, segments and foreign files`() throws {
    let log = TestLog()
    for file in [
      "01-0000000000000002.log", "00-000000000000000a.log", "00-0000000000000009.log", "00.lock",
      "ff.lock", "notes.txt", "00-0000000000000009.log.bak", "00-000000000000000A.log",
      "00-0000000000000000.log", "00-ffffffffffffffff.log", "lock", "xx.lock",
    ] { log.files.put(log.layout.live + "/" + file, []) }
    let catalog = try SegmentCatalog(log.files, log.layout)
    #expect(catalog.segments == [name(0, 9), name(0, 10), name(1, 2)])
    #expect(catalog.logs == [LogNumber(0), LogNumber(1)])
    #expect(catalog.segments(of: LogNumber(0), after: SegmentNumber(9)) == [name(0, 10)])
    #expect(
      catalog.foreignFiles == [
        "00-0000000000000000.log", "00-0000000000000009.log.bak", "00-000000000000000A.log",
        "00-ffffffffffffffff.log", "lock", "notes.txt", "xx.lock",
      ])
  }

  @Test func `the next number is behind what exists and what is archived`() throws {
    let log = TestLog()
    log.put(9, [])
    let catalog = try SegmentCatalog(log.files, log.layout)
    #expect(catalog.nextNumber(of: LogNumber(0), after: .none) == SegmentNumber(10))
    #expect(catalog.nextNumber(of: LogNumber(0), after: SegmentNumber(20)) == SegmentNumber(21))
    #expect(catalog.nextNumber(of: LogNumber(1), after: .none) == SegmentNumber(1))
  }

  @Test func `foreign files are reported by recovery and readers, and ignored`() throws {
    let small = SmallLog()
    small.log.files.put(small.log.layout.live + "/core", [1])
    #expect(try small.log.view().damage.map(\.kind) == [.foreign])
    let recovered = try small.log.recover()
    #expect(recovered.damage.map(\.file) == ["core"])
    #expect(try small.log.events() == SmallLog.events)
  }
}
