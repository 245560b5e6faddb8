import PenstockArchive
import PenstockCore
import Testing

@Suite struct SegmentCursorTests {
  /// One log of `count` events a segment, times shuffled within `spread` places.
  private func store(_ random: inout TestRandom, spread: Int, segments: Int, count: Int) throws -> (
    TestStore, [TestEvent]
  ) {
    let store = try TestStore()
    let log = store.log(0)
    var events: [TestEvent] = []
    for segment in 0..<segments {
      try log.startSegment()
      for batch in 0..<(count / 100) {
        let lines = (0..<100).map { index in
          let place = segment * count + batch * 100 + index
          let moved = place + Int.random(in: -spread...spread, using: &random)
          let key = EventKey(
            time: Timestamp(seconds: 1_763_000_000 + Int64(moved / 7), nanoseconds: 0),
            log: log.log, sequence: log.sequence.advanced(by: UInt64(index + 1)))
          let event = TestEvent(key, stream: "s\(index % 3)", payload: "event \(place)")
          events.append(event)
          return event.line
        }
        try log.append(lines)
      }
    }
    try log.prove()
    return (store, events.sorted { $0.key < $1.key })
  }

  @Test(arguments: [0, 5, 300, 5000])
  func `with little memory a read gives the same events`(spread: Int) throws {
    var random = TestRandom(seed: UInt64(spread))
    let (store, expected) = try store(&random, spread: spread, segments: 3, count: 4000)
    for entryCount in [0, 3000, 1 << 20] {
      for direction in [ReadDirection.forward, .reverse] {
        var query = Query()
        query.direction = direction
        let events = try store.read(query, indexEntryCountMax: entryCount).events
        #expect(events == (direction == .forward ? expected : expected.reversed()))
      }
    }
  }

  @Test func `with a limit only so many entries are held`() throws {
    var random = TestRandom(seed: 1)
    let (store, expected) = try store(&random, spread: 2000, segments: 3, count: 4000)
    var query = Query()
    query.direction = .reverse
    query.limit = 10
    query.selection.streams = [try Glob("s1")]
    let wanted = expected.reversed().filter { $0.line.contains(" s1 ") }.prefix(10)
    #expect(try store.read(query, indexEntryCountMax: 50).events == Array(wanted))
  }

  @Test func `lines far apart and lines longer than a window are read`() throws {
    let store = try TestStore()
    let log = store.log(0)
    var expected: [TestEvent] = []
    for index in 0..<40 {
      let backward = 40 - index % 2 * index
      let key = EventKey(
        time: Timestamp(seconds: 1_763_000_000 + Int64(backward), nanoseconds: 0), log: log.log,
        sequence: log.sequence.advanced(by: 1))
      let size = index % 5 == 0 ? 200_000 : 500
      let event = TestEvent(
        key, stream: "s", payload: String(repeating: "\(index % 10)", count: size))
      expected.append(event)
      if log.room < 300_000 { try log.startSegment() }
      try log.append([event.line])
    }
    try log.prove()
    expected.sort { $0.key < $1.key }
    var query = Query()
    #expect(try store.read(query).events == expected)
    query.direction = .reverse
    #expect(try store.read(query).events == expected.reversed())
  }

  @Test func `a line that rots between survey and read is left out and named`() throws {
    let store = try TestStore()
    let log = store.log(0)
    let time = Timestamp(seconds: 1_763_000_000, nanoseconds: 0)
    for index in 0..<200 { try log.append(["\(time.text) s -\tevent \(index)"]) }
    try log.prove()
    var cursor = try store.reader().read(Query())
    var event = StoredEvent()
    #expect(try next(&cursor, &event))
    let target = 4096 + 150 * 4096 + BatchLine.textByteCount + 40
    try store.overwrite(log.path(1), at: target, with: "X")
    var count = 1
    while try cursor.next(&event) { count += 1 }
    let report = cursor.report
    #expect(count == 199)
    #expect(report.damageCount == 1)
    #expect(report.damage.first?.contains("live/00-0000000000000001.log") == true)
  }

  private func next(
    _ cursor: inout StoreCursor<LinuxFileSystem>, _ event: inout StoredEvent
  ) throws -> Bool {
    try cursor.next(&event)
  }
}
