import PenstockArchive
import PenstockCore
import Testing

@Suite struct VerificationTests {
  private let line = "2026-11-21T03:47:52.500000000Z s -\tsome payload"

  private func verify(_ store: TestStore) throws -> Verification {
    try store.reader().verify { _ in }
  }

  @Test func `a sound store has no problem and is counted`() throws {
    let store = try TestStore()
    try store.log(0).append([line, line])
    try store.log(0).startSegment()
    try store.log(0).append([line])
    try store.log(1).append([line])
    let result = try verify(store)
    #expect(result.problems.isEmpty)
    #expect(result.segmentCount == 3)
    #expect(result.batchCount == 3)
    #expect(result.liveEventCount == 4)
  }

  @Test func `one flipped bit anywhere in a proved batch is a problem that names the place`() throws
  {
    for offset in [0, 14, 100, BatchLine.textByteCount - 2, BatchLine.textByteCount + 20] {
      let store = try TestStore()
      let log = store.log(0)
      for _ in 0..<3 { try log.append([line]) }
      try store.overwrite(log.path(1), at: 8192 + offset, with: "\u{1}")
      let result = try verify(store)
      #expect(result.problems.count == 1, "offset \(offset)")
      #expect(result.problems.first?.contains("live/00-0000000000000001.log, bytes 8192") == true)
      #expect(result.batchCount == 2)
    }
  }

  @Test func `the torn end of a crash is a note`() throws {
    let store = try TestStore()
    let log = store.log(0)
    for _ in 0..<3 { try log.append([line]) }
    try store.overwrite(log.path(1), at: 12_288 + BatchLine.textByteCount, with: "\u{1}")
    let result = try verify(store)
    #expect(result.problems.isEmpty)
    #expect(result.notes.count == 1)
  }

  @Test func `a lost segment is a problem, a foreign file a note`() throws {
    let store = try TestStore()
    let log = store.log(0)
    for _ in 0..<3 {
      try log.startSegment()
      try log.append([line])
    }
    try store.files.unlink(log.path(2))
    try store.write("x", to: store.layout.live + "/notes.txt")
    let result = try verify(store)
    #expect(result.problems.contains { $0.contains("live/00-0000000000000002.log") })
    #expect(result.notes.contains { $0.contains("notes.txt") })
    #expect(try store.read().report.damageCount >= 1)
  }

  @Test func `a batch that does not hold what it says is a problem`() throws {
    let store = try TestStore()
    try store.log(0).append(["not an event line"])
    let result = try verify(store)
    #expect(result.problems.count == 1)
    #expect(result.problems.first?.contains("not event lines") == true)
  }

  @Test func `streams are counted over all logs, and names are plain`() throws {
    let store = try TestStore()
    func at(_ second: Int, _ stream: String) -> String {
      "2026-11-21T03:47:\(second).000000000Z \(stream) -\tx"
    }
    try store.log(0).append([at(30, "a"), at(10, "b\\sc"), at(20, "a")])
    try store.log(1).append([at(40, "a"), at(50, "syslog/web-1"), at(51, "syslog/web-2")])
    let (streams, report) = try store.reader().streams(Selection())
    #expect(
      streams.map { String(decoding: $0.name, as: UTF8.self) } == [
        "a", "b c", "syslog/web-1", "syslog/web-2",
      ])
    #expect(streams.map(\.eventCount) == [3, 1, 1, 1])
    #expect(streams.first?.earliest.text == "2026-11-21T03:47:20.000000000Z")
    #expect(streams.first?.latest.text == "2026-11-21T03:47:40.000000000Z")
    #expect(report.provisionalCount == 6)
    var selection = Selection()
    selection.streams = [try Glob("syslog/*")]
    #expect(try store.reader().streams(selection).streams.count == 2)
  }
}
