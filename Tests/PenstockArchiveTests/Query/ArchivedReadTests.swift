import PenstockArchive
import PenstockCore
import Testing

@Suite struct ArchivedReadTests {
  private func read<Files: FileSystem>(_ files: Files, _ store: TestStore, _ query: Query) throws
    -> [TestEvent]
  {
    let reader = try StoreReader(files, store.layout)
    reader.indexEntryCountMax = 0
    var cursor = try reader.read(query)
    var events: [TestEvent] = []
    var event = StoredEvent()
    while try cursor.next(&event) { events.append(TestEvent(event)) }
    #expect(cursor.report.damageCount == 0)
    return events
  }

  @Test(arguments: 0..<10)
  func `the answer is the same before and after archiving`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let (store, expected) = try TestStore.random(&random)
    try store.archive()
    var query = Query()
    #expect(try store.read(query).events == expected, "seed \(seed), partly archived")
    query.direction = .reverse
    #expect(try store.read(query).events == expected.reversed(), "seed \(seed), partly archived")
    try store.sealAll()
    try store.archive()
    #expect(try store.read(query).events == expected.reversed(), "seed \(seed), archived")
    query.direction = .forward
    #expect(try store.read(query).events == expected, "seed \(seed), archived")
    for limit in [1, 5, expected.count - 1] where limit >= 0 {
      query.limit = limit
      #expect(try store.read(query).events == Array(expected.prefix(limit)), "seed \(seed)")
    }
    query.limit = nil
    query.selection.streams = [try Glob("syslog/*")]
    query.selection.require(type: "sshd")
    query.selection.since = Timestamp(seconds: 1_763_000_100, nanoseconds: 0)
    let some = expected.filter {
      $0.line.contains(" syslog/") && $0.line.contains(" sshd")
        && $0.key.time >= Timestamp(seconds: 1_763_000_100, nanoseconds: 0)
    }
    #expect(try store.read(query).events == some, "seed \(seed)")
    #expect(try store.reader().verify { _ in }.problems.isEmpty)
    let counted = try store.reader().streams(Selection()).streams
    #expect(counted.reduce(0) { $0 + $1.eventCount } == expected.count)
  }

  @Test(arguments: 0..<3)
  func `archiving at any moment of a read leaves each event once`(seed: UInt64) throws {
    for direction in [ReadDirection.forward, .reverse] {
      var opens = 1
      while true {
        var random = TestRandom(seed: seed)
        let (store, expected) = try TestStore.random(&random, batchCountMax: 15)
        try store.sealAll()
        let before = try store.files.list(store.layout.live).count
        var query = Query()
        query.direction = direction
        let events = try read(archivingFiles(store, atOpen: opens), store, query)
        #expect(
          events == (direction == .forward ? expected : expected.reversed()),
          "seed \(seed), at open \(opens)")
        // Once the read ends before its turn comes, every moment was tried.
        if try store.files.list(store.layout.live).count == before { break }
        opens += opens < 12 ? 1 : 7
      }
      #expect(opens > 3)
    }
  }

  @Test func `a follower that fell behind what is archived misses nothing`() throws {
    let store = try TestStore()
    let log = store.log(0)
    func line(_ index: Int) -> String {
      "\(Timestamp(seconds: 1_763_000_000 + Int64(index), nanoseconds: 0).text) s -\t\(index)"
    }
    try log.append([line(0)])
    try store.publish(0, 1)
    let reader = try store.reader()
    let places = try reader.read(Query()).places
    let follower = Follower(reader, Selection(), from: places)
    for index in 1..<10 {
      try log.append([line(index)])
      if index % 3 == 0 { try log.startSegment() }
    }
    try log.prove()
    try store.publish(0, 10)
    try store.archive()
    #expect(try store.files.list(store.layout.live).filter { $0.hasSuffix(".log") }.count == 1)
    var lines: [String] = []
    func poll() throws {
      try follower.poll { event in lines.append(String(decoding: event.bytes, as: UTF8.self)) }
    }
    try poll()
    #expect(lines == (1..<10).map(line))
    try log.append([line(10)])
    try store.publish(0, 11)
    try poll()
    #expect(lines == (1..<11).map(line))
  }

  @Test func `a lost table is named, and the rest is answered`() throws {
    var random = TestRandom(seed: 1)
    let (store, expected) = try TestStore.random(&random)
    try store.sealAll()
    try store.archive()
    try store.log(0).append(["2026-01-01T00:00:00.000000000Z s -\tlive"])
    try store.log(0).prove()
    let table = try #require(try Manifest.read(store.files, store.layout).tables.first)
    try store.files.unlink(store.layout.archive + "/" + table.name)
    let result = try store.read()
    #expect(result.report.damageCount == 1)
    #expect(result.report.damage.first?.contains(table.name) == true)
    #expect(result.events.count == expected.count + 1 - Int(table.eventCount))
    let verification = try store.reader().verify { _ in }
    #expect(verification.problems.contains { $0.contains(table.name) })
  }

  @Test func `a damaged block is named, and the rest is answered`() throws {
    var random = TestRandom(seed: 2)
    let (store, expected) = try TestStore.random(&random)
    try store.sealAll()
    try store.archive()
    let table = try #require(try Manifest.read(store.files, store.layout).tables.first)
    try store.overwrite(store.layout.archive + "/" + table.name, at: 200, with: "XYZ")
    let result = try store.read()
    #expect(result.report.damageCount == 1)
    #expect(result.report.damage.first?.contains(table.name) == true)
    #expect(result.events.count < expected.count)
    #expect(try store.reader().verify { _ in }.problems.count >= 1)
  }

  @Test(arguments: [false, true])
  func `a verb that fails ends the read or is told, and never just shortens it`(isLasting: Bool)
    throws
  {
    var random = TestRandom(seed: 3)
    let (store, expected) = try TestStore.random(&random, batchCountMax: 12)
    try store.archive()
    var failing = 1
    while true {
      let files = FailingFiles(at: failing, isLasting: isLasting)
      do {
        let reader = try StoreReader(files, store.layout)
        reader.indexEntryCountMax = 0
        var cursor = try reader.read(Query())
        var events: [TestEvent] = []
        var event = StoredEvent()
        while try cursor.next(&event) { events.append(TestEvent(event)) }
        #expect(events == expected || cursor.report.damageCount > 0, "verb \(failing)")
      } catch {
        #expect(!error.description.isEmpty)
      }
      if !files.hasFailed { break }
      failing += 1
    }
    #expect(failing > 10)
  }
}
