import PenstockArchive
import PenstockCore
import Testing

@Suite struct TableGoldenTests {
  private static let path = "/table"
  private static let store = StoreIdentifier(
    high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff)

  private func event(_ log: UInt8, _ sequence: UInt64, _ line: String) throws -> ModelEvent {
    let bytes = Array(line.utf8)
    let parsed = Timestamp(journalText: bytes.rawSpan, at: 0)
    let time = try #require(parsed)
    return try ModelEvent(
      EventKey(time: time, log: LogNumber(log), sequence: SequenceNumber(sequence)), bytes)
  }

  /// So short that no column is worth compressing: the bytes do not depend on the LZ4 library.
  private func fewEvents() throws -> [ModelEvent] {
    [
      try event(0, 7, "2026-11-21T03:47:52.123456789Z a b k=v\tqwertyuiop"),
      try event(1, 0x0123_4567_89ab_cdef, "0000-01-01T00:00:00.000000000Z a -\t"),
      try event(0, 9, "9999-12-31T23:59:59.999999999Z z\\sz t\t\u{e9}"),
    ]
  }

  /// Several streams, a late event, equal times, payloads that are taken apart.
  private func manyEvents() throws -> [ModelEvent] {
    try (1...60).map { number in
      let second = number == 50 ? 10 : number / 2
      let time = Timestamp(seconds: 1_795_232_872 + Int64(second), nanoseconds: 500)
      return try event(
        UInt8(number % 2), UInt64(number),
        "\(time.text) syslog/web-\(number % 3) sshd facility=auth _id=0000ab\(number + 20)\t"
          + "Failed password for root from 10.0.0.\(number % 7) port \(number * 991) "
          + "key a1b\(number)c2")
    }
  }

  private func read(_ bytes: [UInt8]) throws -> [ModelEvent] {
    let layout = StoreLayout(root: "/store")
    let files = MemoryFileSystem()
    files.put(layout.archive + "/t", bytes)
    let table = try TableReader(files, path: layout.archive + "/t")
    #expect(try table.verify().isEmpty)
    #expect(table.store == Self.store)
    #expect(
      table.covered == [TableCoverage(log: LogNumber(0), sequences: 1...9, segments: 1...2)])
    let entry = TableEntry(
      name: "t", eventCount: table.eventCount, byteCount: bytes.count, hash: table.hash,
      earliest: .earliest, latest: .latest)
    return try readAll(
      TableSource(
        files, layout, entry, Selection(), .forward, DamageLog(), WindowBudget()))
  }

  @Test func `a table without compression is the golden one, byte for byte`() throws {
    let files = MemoryFileSystem()
    _ = try ModelEvent.write(try fewEvents(), files, path: Self.path, store: Self.store)
    let bytes = try #require(files.bytes(Self.path))
    #expect(bytes == (try golden("table-v3.raw.table")))
    #expect(try read(bytes) == fewEvents().sorted { $0.key < $1.key })
    #expect(try read(golden("table-v2.raw.table")) == fewEvents().sorted { $0.key < $1.key })
  }

  /// 3,000 events a millisecond apart in several blocks, of 37 users in no simple order.
  @Test(arguments: ["table-v2.index.table", "table-v3.index.table"])
  func `golden tables with an index read`(name: String) throws {
    let files = MemoryFileSystem()
    files.put(Self.path, try golden(name))
    let table = try TableReader(files, path: Self.path)
    #expect(try table.verify().isEmpty)
    #expect(table.eventCount == 3000 && table.blocks.count > 1)
    for user in 0..<37 {
      let postings = try table.postings(key: Array("user".utf8), value: Array("u\(user)".utf8))
      let count = (0..<3000).count { $0 * $0 % 37 == user }
      #expect(try #require(postings).reduce(0) { $0 + $1.eventCount } == count)
    }
  }

  @Test(arguments: [0, 1, 4, UInt32.max])
  func `a table of a version this program does not read is refused`(version: UInt32) throws {
    var bytes = try golden("table-v3.raw.table")
    func put(_ value: UInt32, _ offset: Int) {
      for index in 0..<4 {
        bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index))
      }
    }
    put(version, 16)
    put(Array(bytes[..<60]).rawSpan.checksum(), 60)
    let files = MemoryFileSystem()
    files.put(Self.path, bytes)
    let error = #expect(throws: TableError.self) { _ = try TableReader(files, path: Self.path) }
    #expect(error?.fault == .otherVersion(version))
    #expect(error?.description.contains("reads versions 2 to 3") == true)
  }

  @Test func `the golden table with compressed columns reads`() throws {
    let bytes = try golden("table-v2.table")
    #expect(try read(bytes) == manyEvents().sorted { $0.key < $1.key })
    let files = MemoryFileSystem()
    let summary = try ModelEvent.write(
      try manyEvents(), files, path: Self.path, store: Self.store, effort: .thorough)
    #expect(summary.eventCount == 60 && summary.streamCount == 3)
  }
}
