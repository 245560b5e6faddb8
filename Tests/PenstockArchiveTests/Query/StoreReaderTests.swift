import PenstockArchive
import PenstockCore
import Testing

@Suite struct StoreReaderTests {
  private func time(_ second: Int64) -> Timestamp {
    Timestamp(seconds: 1_763_000_000 + second, nanoseconds: 0)
  }

  @Test(arguments: 0..<25)
  func `a read gives every event once, in order, both ways`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let (store, expected) = try TestStore.random(&random)
    var query = Query()
    #expect(try store.read(query).events == expected, "seed \(seed)")
    query.direction = .reverse
    #expect(try store.read(query).events == expected.reversed(), "seed \(seed)")
    for limit in [0, 1, 7, expected.count, expected.count + 1] {
      query.limit = limit
      query.direction = .forward
      #expect(try store.read(query).events == Array(expected.prefix(limit)), "seed \(seed)")
      query.direction = .reverse
      #expect(
        try store.read(query).events == Array(expected.reversed().prefix(limit)), "seed \(seed)")
    }
  }

  @Test(arguments: 0..<25)
  func `a selection gives what a plain filter gives`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let (store, all) = try TestStore.random(&random)
    for _ in 0..<20 {
      var selection = Selection()
      var keep: [(TestEvent) -> Bool] = []
      if random.chance(40) {
        selection.streams = [try Glob("syslog/*"), try Glob("odd name")]
        keep.append { $0.line.contains(" syslog/") || $0.line.contains(" odd\\sname ") }
      }
      if random.chance(40) {
        let isPlain = random.chance(50)
        selection.require(type: isPlain ? "" : "sshd")
        keep.append { isPlain ? $0.line.contains(" -") : $0.line.contains(" sshd") }
      }
      if random.chance(30) {
        selection.attributes = [Selection.Attribute(key: "severity", value: "err")]
        keep.append { $0.line.contains(" severity=err ") }
      }
      if random.chance(30) {
        selection.require(contains: "load 7")
        keep.append { $0.line.contains("\tpayload 7") }
      }
      if random.chance(50) {
        let since = time(Int64.random(in: 0...400, using: &random))
        selection.since = since
        keep.append { $0.key.time >= since }
      }
      if random.chance(50) {
        let until = time(Int64.random(in: 0...400, using: &random))
        selection.until = until
        keep.append { $0.key.time < until }
      }
      let expected = all.filter { event in keep.allSatisfy { $0(event) } }
      #expect(try store.read(Query(selection)).events == expected, "seed \(seed)")
    }
  }

  @Test func `what is not proved durable is shown as provisional and kept out of exports`() throws {
    let store = try TestStore()
    let log = store.log(0)
    try log.append(["\(time(1).text) a -\tproved"])
    try log.append(["\(time(2).text) a -\tnot proved", "\(time(3).text) a -\tnor this"])
    var query = Query()
    let shown = try store.read(query)
    #expect(
      shown.events.map { $0.line.split(separator: "\t").last } == [
        "proved", "not proved", "nor this",
      ])
    #expect(shown.report.provisionalCount == 2)
    query.leavesProvisionalOut = true
    let exported = try store.read(query)
    #expect(exported.events.count == 1)
    #expect(exported.report.provisionalCount == 2)
    try log.prove()
    #expect(try store.read(query).events.count == 3)
    #expect(try store.read(query).report.provisionalCount == 0)
  }

  @Test func `beside a running shard the frontier cuts`() throws {
    let store = try TestStore()
    let log = store.log(0)
    for second in 1...3 { try log.append(["\(time(Int64(second)).text) a -\t\(second)"]) }
    try store.publish(0, 3)
    #expect(try store.read().events.count == 3)
    #expect(try store.read().report.provisionalCount == 0)
    // Two batches are proved by what stands in the third; the third waits for the frontier.
    try store.publish(0, 2)
    #expect(try store.read().events.count == 2)
    #expect(try store.read().report.provisionalCount == 0)
  }

  @Test func `a frontier of another lease or of a dead process is not a running shard's`() throws {
    let store = try TestStore()
    let log = store.log(0)
    for second in 1...3 { try log.append(["\(time(Int64(second)).text) a -\t\(second)"]) }
    try store.publish(0, 3, epoch: 7)
    try store.hold(0, epoch: 8)
    #expect(try store.read().report.provisionalCount == 1)
    // The same lease: what the dead process published stays true.
    try store.hold(0, epoch: 7, process: 0)
    #expect(try store.read().report.provisionalCount == 0)
    #expect(try store.read().events.count == 3)
    try store.publish(0, 2, epoch: 7)
    try store.hold(0, epoch: 7, process: 0)
    #expect(try store.read().report.provisionalCount == 1)
  }

  @Test func `equal events with an id come out once`() throws {
    let store = try TestStore()
    let log = store.log(0)
    let line = "\(time(1).text) a - _id=0000002a k=v\tpayload"
    try log.append([line, line, "\(time(1).text) a - _id=0000002b\tpayload"])
    try log.append([line, "\(time(2).text) a - _id=0000002a\tpayload"])
    try store.log(1).append([line, "\(time(1).text) b - _id=0000002a\tpayload"])
    let plain = "\(time(3).text) a -\twithout id"
    let journal = "\(time(4).text) /j - _id=00000001\tjournal"
    try log.append([plain, plain, journal, journal])
    let lines = try store.read().events.map(\.line)
    #expect(lines.filter { $0 == line }.count == 1)
    #expect(lines.filter { $0 == plain }.count == 2)
    #expect(lines.filter { $0 == journal }.count == 2)
    #expect(lines.count == 8)
  }

  @Test func `rot is left out and named`() throws {
    let store = try TestStore()
    let log = store.log(0)
    for second in 1...3 { try log.append(["\(time(Int64(second)).text) a -\tevent \(second)"]) }
    try store.overwrite(log.path(1), at: 8192 + BatchLine.textByteCount + 40, with: "X")
    let result = try store.read()
    #expect(result.events.map { $0.line.suffix(1) } == ["1", "3"])
    #expect(result.report.damageCount == 1)
    #expect(result.report.damage.first?.contains("live/00-0000000000000001.log") == true)
  }

  @Test func `a folder that is no store is refused with what to do`() throws {
    let folder = try TestFolder()
    let error = #expect(throws: ReadError.self) {
      try StoreReader(LinuxFileSystem(), StoreLayout(root: folder.path))
    }
    #expect(error?.description.contains("--data") == true)
  }

  @Test func `a lost description does not keep the store from being read`() throws {
    let store = try TestStore()
    try store.log(0).append(["\(time(1).text) a -\tx"])
    try store.files.unlink(store.layout.description)
    #expect(try store.read().events.count == 1)
  }
}
