import PenstockArchive
import PenstockCore
import Testing

@Suite struct BucketTests {
  private func time(_ text: String) throws -> Timestamp {
    try TimeText.parse(text, now: .earliest)
  }

  private func length(_ nanoseconds: Int64) throws -> BucketLength {
    try #require(BucketLength(nanoseconds: nanoseconds))
  }

  @Test func `a bucket holds the instants from its start up to its end`() throws {
    for nanoseconds: Int64 in [
      1_000_000_000, 1_500_000_001, 3_600_000_000_000, 86_400_000_000_000, 604_800_000_000_000,
    ] {
      let length = try length(nanoseconds)
      for text in ["1969-12-31T23:59:59.999999999Z", "2026-11-21T03:47:52.5Z", "0001-01-01"] {
        let time = try time(text)
        let number = length.number(of: time)
        #expect(length.start(of: number) <= time && time < length.end(of: number))
        #expect(length.number(of: length.start(of: number)) == number)
        #expect(length.number(of: length.end(of: number)) == number + 1)
      }
    }
    #expect(BucketLength(nanoseconds: 999_999_999) == nil)
    #expect(BucketLength(nanoseconds: .max) == nil)
  }

  @Test func `a folder is named by the first instant of its bucket`() throws {
    let time = try time("2026-11-21T03:47:52.75Z")
    func folder(_ nanoseconds: Int64) throws -> String {
      let length = try length(nanoseconds)
      return length.folder(length.number(of: time))
    }
    #expect(try folder(86_400_000_000_000) == "2026-11-21")
    #expect(try folder(3_600_000_000_000) == "2026-11-21T030000")
    #expect(try folder(1_000_000_000) == "2026-11-21T034752")
    #expect(try folder(1_500_000_000) == "2026-11-21T034752-500000000")
  }

  @Test func `an event is late when its bucket was closed as it came`() throws {
    let day = BucketLength.day
    let grace: Int64 = 60_000_000_000
    let before = try time("2026-11-21T00:00:59Z")
    let behind = try time("2026-11-21T00:01:00Z")
    #expect(day.lateBefore(receivedAt: before, grace: grace) == (try time("2026-11-20")))
    #expect(day.lateBefore(receivedAt: behind, grace: grace) == (try time("2026-11-21")))
  }

  @Test func `late events lie in tables of their bucket and are counted`() throws {
    let store = try MemoryStore()
    store.now = try time("2026-11-21T00:00:30Z")
    let lines = ["2026-11-20T23:59:59.9Z", "2026-11-19T12:00:00Z", "2026-11-21T00:00:01Z"]
    try store.append(
      lines.map { Array("\(try time($0).text) s -\tpayload".utf8) }, to: 0)
    store.now = try time("2026-11-21T00:02:00Z")
    try store.append(
      lines.map { Array("\(try time($0).text) s -\tlater".utf8) }, to: 0)
    try store.sealAll()
    try store.archive(store.files)
    let tables = try Manifest.read(store.files, store.layout).tables
    #expect(
      tables.map { "\($0.name.prefix(10)) \($0.eventCount) \($0.lateCount)" } == [
        "2026-11-19 2 2", "2026-11-20 2 1", "2026-11-21 2 0",
      ])
    #expect(tables.allSatisfy { $0.written == store.now })
    #expect(try store.read(store.files) == store.sorted)
  }

  @Test func `an hour's bucket has its own folder, and garbage in it goes`() throws {
    let store = try MemoryStore()
    var settings = ArchiveSettings()
    settings.bucket = try length(3_600_000_000_000)
    try store.append([Array("2026-11-21T03:47:52.000000000Z s -\tp".utf8)], to: 0)
    try store.sealAll()
    let folder = store.layout.archive + "/2026-11-21T040000"
    try store.files.makeDirectory(folder)
    store.files.put(folder + "/00000000000000ff.table", [1, 2, 3])
    try store.archive(store.files, settings)
    let tables = try Manifest.read(store.files, store.layout).tables
    #expect(tables.map { String($0.name.prefix(18)) } == ["2026-11-21T030000/"])
    #expect(store.files.bytes(folder + "/00000000000000ff.table") == nil)
  }
}
