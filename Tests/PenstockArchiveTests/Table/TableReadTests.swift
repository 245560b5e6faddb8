import PenstockArchive
import PenstockCore
import Testing

@Suite struct TableReadTests {
  private static let layout = StoreLayout(root: "/store")
  private static let name = "mixed/0000000000000100.table"
  private static var path: String { layout.archive + "/" + name }

  private struct Answer {
    var events: [ModelEvent]
    var decodedBlockCount: Int
    var damage: [String]
  }

  private func read(
    _ files: MemoryFileSystem, _ summary: TableSummary, _ selection: Selection,
    _ direction: ReadDirection, limit: Int = .max, budget: Int = 96 << 20
  ) throws -> Answer {
    let damage = DamageLog()
    let source = TableSource(
      files, Self.layout, TableEntry(Self.name, summary), selection, direction, limit: limit,
      damage, WindowBudget(byteCount: budget))
    let events = try readAll(source)
    return Answer(
      events: events, decodedBlockCount: source.decodedBlockCount, damage: damage.notes)
  }

  @Test(arguments: 0..<24)
  func `every answer is the model's, both ways`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let shape = ModelShape.random(&random)
    let events = try ModelEvent.random(shape, &random)
    let files = MemoryFileSystem()
    let summary = try ModelEvent.write(
      events, files, path: Self.path, indexes: seed % 2 == 0 ? ["type", "key1"] : [],
      effort: seed % 3 == 0 ? .thorough : .fast)
    let sorted = events.sorted { $0.key < $1.key }
    #expect(summary.eventCount == UInt64(events.count), "seed \(seed)")
    #expect(try TableReader(files, path: Self.path).verify().isEmpty, "seed \(seed)")
    for _ in 0..<5 {
      var selection = Selection()
      var expected = sorted
      if random.chance(50), let one = events.randomElement(using: &random) {
        let name = String(decoding: Escape.decode(one.stream.rawSpan) ?? [], as: UTF8.self)
        let isLiteral = random.chance(50)
        selection.streams = [try Glob(isLiteral ? name : "syslog/*")]
        expected = expected.filter {
          isLiteral ? $0.stream == one.stream : $0.stream.starts(with: Array("syslog/".utf8))
        }
      }
      if random.chance(50), let one = events.randomElement(using: &random) {
        selection.since = one.key.time
        expected = expected.filter { !($0.key.time < one.key.time) }
      }
      if random.chance(50), let one = events.randomElement(using: &random) {
        selection.until = one.key.time
        expected = expected.filter { $0.key.time < one.key.time }
      }
      if random.chance(30), let value = events.randomElement(using: &random)?.attribute("key1") {
        selection.attributes = [Selection.Attribute(key: "key1", value: value)]
        expected = expected.filter { $0.attribute("key1") == value }
      }
      if random.chance(30) {
        selection.require(type: "sshd")
        expected = expected.filter { $0.line[$0.fields.type] == ArraySlice("sshd".utf8) }
      }
      // Little memory: windows are cut and filled again.
      let budget = random.chance(50) ? 96 << 20 : 0
      let limit = random.chance(50) ? Int.max : Int.random(in: 1...50, using: &random)
      let up = try read(files, summary, selection, .forward, limit: limit, budget: budget)
      #expect(up.events == expected, "seed \(seed), forward")
      let down = try read(files, summary, selection, .reverse, limit: limit, budget: budget)
      #expect(down.events == Array(expected.reversed()), "seed \(seed), reverse")
      #expect(up.damage.isEmpty && down.damage.isEmpty)
    }
    #expect(files.openCount == 0)
  }

  @Test func `the last events of a long stream touch only their blocks`() throws {
    var random = TestRandom(seed: 7)
    var shape = ModelShape()
    shape.eventCount = 20_000
    shape.streamCount = 1
    let events = try ModelEvent.random(shape, &random)
    let files = MemoryFileSystem()
    let summary = try ModelEvent.write(events, files, path: Self.path)
    let sorted = events.sorted { $0.key < $1.key }
    #expect(summary.blockCount > 8)
    var selection = Selection()
    selection.since = sorted[sorted.count - 200].key.time
    let late = try read(files, summary, selection, .reverse)
    #expect(late.events.count >= 200)
    #expect(late.decodedBlockCount <= 2)
    selection.streams = [try Glob("nobody/*")]
    #expect(try read(files, summary, selection, .forward).decodedBlockCount == 0)
  }

  @Test func `one stream of many touches its block alone`() throws {
    var random = TestRandom(seed: 8)
    var shape = ModelShape()
    shape.eventCount = 20_000
    shape.streamCount = 5000
    let events = try ModelEvent.random(shape, &random)
    let files = MemoryFileSystem()
    let summary = try ModelEvent.write(events, files, path: Self.path)
    let table = try TableReader(files, path: Self.path)
    #expect(summary.blockCount > 8)
    var names: [[UInt8]] = []
    #expect(try table.forEachStream { names.append($0.name) })
    #expect(names == Set(events.map(\.stream)).sorted { $0.lexicographicallyPrecedes($1) })
    for name in stride(from: 0, to: names.count, by: 97).map({ names[$0] }) {
      let own = events.filter { $0.stream == name }.sorted { $0.key < $1.key }
      let stream = try #require(try table.groups(ofStream: name).first)
      #expect(stream.eventCount == UInt64(own.count))
      #expect(stream.earliest == own.first?.key.time && stream.latest == own.last?.key.time)
      var selection = Selection()
      let plain = String(decoding: Escape.decode(name.rawSpan) ?? [], as: UTF8.self)
      selection.streams = [try Glob(plain)]
      let answer = try read(files, summary, selection, .forward)
      #expect(answer.events == own)
      #expect(answer.decodedBlockCount <= stream.blocks.count)
    }
    #expect(try table.groups(ofStream: Array("nobody".utf8)).isEmpty)
  }

  @Test func `the largest event is read in the smallest window`() throws {
    let time = Timestamp(seconds: 1_763_000_000, nanoseconds: 5)
    let events = try (1...6).map { number in
      try ModelEvent(
        EventKey(time: time, log: LogNumber(0), sequence: SequenceNumber(UInt64(number))),
        Array("\(time.text) s\(number) -\t".utf8)
          + [UInt8](repeating: UInt8(number) + 64, count: 1_200_000))
    }
    let files = MemoryFileSystem()
    let summary = try ModelEvent.write(events, files, path: Self.path)
    let answer = try read(files, summary, Selection(), .forward, budget: 0)
    #expect(answer.events == events)
  }
}
