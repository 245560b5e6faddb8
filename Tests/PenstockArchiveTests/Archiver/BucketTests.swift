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

  @Test func `events of a stream are grouped by an attribute, journals are not`() throws {
    let store = try MemoryStore()
    var settings = ArchiveSettings()
    settings.group = "host"
    let lines = [
      "s - host=b\t1", "s - x=1 host=a\t2", "s -\t3", "s - host=b\t4", "s t host=a y=2\t5",
      "/j - host=b\t6", "/j - host=a\t7", "s-2 - host=c\t8", "s - host=\t9",
    ]
    for (index, line) in lines.enumerated() {
      let time = Timestamp(seconds: 1_763_000_000 + Int64(index), nanoseconds: 0)
      try store.append([Array("\(time.text) \(line)".utf8)], to: 0)
    }
    try store.sealAll()
    try store.archive(store.files, settings)
    let entry = try #require(try Manifest.read(store.files, store.layout).tables.first)
    let table = try TableReader(store.files, path: store.layout.archive + "/" + entry.name)
    #expect(try table.verify().isEmpty)
    var groups: [String] = []
    _ = try table.forEachStream { stream in
      let group = stream.group.map { String(decoding: $0, as: UTF8.self) } ?? "none"
      groups.append(
        "\(String(decoding: stream.name, as: UTF8.self)) \(group) \(stream.eventCount)")
    }
    #expect(groups == ["/j none 2", "s none 1", "s  1", "s a 2", "s b 2", "s-2 c 1"])
    #expect(try table.groups(ofStream: Array("s".utf8)).map(\.eventCount) == [1, 1, 2, 2])
    #expect(try store.read(store.files) == store.sorted)
    #expect(try store.read(store.files, .reverse) == store.sorted.reversed())
    let summary = try StoreReader(store.files, store.layout).streams(Selection())
    #expect(
      summary.streams.map { "\(String(decoding: $0.name, as: UTF8.self)) \($0.eventCount)" }
        == ["/j 2", "s 6", "s-2 1"])
  }
}
