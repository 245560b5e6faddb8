import PenstockArchive
import PenstockCore
import Testing

@Suite struct TableIndexTests {
  private static let path = "/table"

  /// Events of one stream a millisecond apart, with payloads of 100 bytes.
  private func events(_ count: Int, _ attributes: (Int) -> String) throws -> [ModelEvent] {
    try (0..<count).map { number in
      let time = Timestamp(
        seconds: 1_763_000_000 + Int64(number / 1000),
        nanoseconds: UInt32(number % 1000) * 1_000_000)
      let payload = String(repeating: "x", count: 94) + String(100_000 + number)
      return try ModelEvent(
        EventKey(time: time, log: LogNumber(0), sequence: SequenceNumber(UInt64(number + 1))),
        Array("\(time.text) s t\(number % 3) \(attributes(number))\t\(payload)".utf8))
    }
  }

  private func table(_ events: [ModelEvent], _ files: MemoryFileSystem, indexes: [String]) throws
    -> TableReader<MemoryFileSystem>
  {
    _ = try ModelEvent.write(events, files, path: Self.path, indexes: indexes)
    let table = try TableReader(files, path: Self.path)
    #expect(try table.verify().isEmpty)
    return table
  }

  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test func `an index knows every block of a value, and how many events are in it`() throws {
    // Entries at every block offset: 200, 333, 444, 667 and 2000 a value.
    for each in [200, 333, 444, 667, 2000] {
      let events = try events(20_000) { "user=u\($0 / each)" }
      let table = try table(events, MemoryFileSystem(), indexes: ["user", "type"])
      for value in 0..<(20_000 / each) {
        #expect(
          try table.eventCount(key: bytes("user"), value: bytes("u\(value)")) == each)
      }
      #expect(try table.eventCount(key: bytes("type"), value: bytes("t0")) == 6667)
      #expect(try table.eventCount(key: bytes("user"), value: bytes("nobody")) == 0)
      #expect(try table.eventCount(key: bytes("host"), value: bytes("web")) == nil)
      let postings = try #require(try table.postings(key: bytes("user"), value: bytes("u7")))
      var block = TableBlock()
      var found = 0
      for posting in postings {
        try table.load(posting.block, into: &block)
        for row in 0..<block.rowCount {
          let sequence = Int(block.key(row).sequence.value)
          if (sequence - 1) / each == 7 { found += 1 }
        }
      }
      #expect(found == each)
    }
  }

  @Test func `a search by an index reads only the blocks that hold the value`() throws {
    let events = try events(50_000) { $0 % 25_000 == 0 ? "user=rare" : "user=usual" }
    let files = MemoryFileSystem()
    let layout = StoreLayout(root: "/store")
    let name = "mixed/0000000000000100.table"
    let path = layout.archive + "/" + name
    let summary = try ModelEvent.write(events, files, path: path, indexes: ["user"])
    for direction in [ReadDirection.forward, .reverse] {
      var selection = Selection()
      selection.attributes = [Selection.Attribute(key: "user", value: "rare")]
      let source = TableSource(
        files, layout, TableEntry(name, summary), selection, direction, DamageLog(),
        WindowBudget())
      #expect(try readAll(source).count == 2)
      #expect(summary.blockCount > 20 && source.decodedBlockCount == 2)
    }
  }

  @Test func `an index too large for memory is written in sections`() throws {
    let events = try events(150_000) { "user=\(String(repeating: "u", count: 40))\($0)" }
    let table = try table(events, MemoryFileSystem(), indexes: ["user"])
    for number in [0, 1, 74_999, 75_000, 149_999] {
      let value = bytes(String(repeating: "u", count: 40) + String(number))
      #expect(try table.eventCount(key: bytes("user"), value: value) == 1)
    }
  }

  @Test func `repeated keys count an event once for each value`() throws {
    let events = try events(10) { $0 == 3 ? "k=a k=b k=a" : "k=a" }
    let table = try table(events, MemoryFileSystem(), indexes: ["k"])
    #expect(try table.eventCount(key: bytes("k"), value: bytes("a")) == 10)
    #expect(try table.eventCount(key: bytes("k"), value: bytes("b")) == 1)
  }

  @Test func `values too long for an index are found without it`() throws {
    let long = String(repeating: "v", count: 1025)
    let events = try events(10) { $0 == 3 ? "k=\(long)" : "k=a" }
    let table = try table(events, MemoryFileSystem(), indexes: ["k"])
    #expect(try table.postings(key: bytes("k"), value: bytes(long)) == nil)
    var selection = Selection()
    selection.attributes = [Selection.Attribute(key: "k", value: long)]
    #expect(try table.candidates(selection) == [0])
  }

  @Test func `a damaged index page is reported and costs no event`() throws {
    let files = MemoryFileSystem()
    let events = try events(100) { "k=a\($0)" }
    _ = try ModelEvent.write(events, files, path: Self.path, indexes: ["k"])
    var bytes = try #require(files.bytes(Self.path))
    let magic = Array("idx1".utf8)
    let place = try #require(
      bytes.indices.dropLast(4).first { Array(bytes[$0..<($0 + 4)]) == magic })
    bytes[place + 40] ^= 1
    files.put(Self.path, bytes)
    let table = try TableReader(files, path: Self.path)
    let problems = try table.verify()
    #expect(problems.map(\.isLoss) == [false])
    #expect(problems.first?.description.contains("index page") == true)
    var selection = Selection()
    selection.attributes = [Selection.Attribute(key: "k", value: "a7")]
    #expect(try table.candidates(selection) == [0])
  }

  @Test func `an index agrees with its events, however values are strewn`() throws {
    // Most values in few blocks, some in all, some many times in one: varints and bits.
    for seed in 1...6 as ClosedRange<UInt64> {
      var random = TestRandom(seed: seed)
      let valueCount = [3, 40, 700, 4000, 20_000, 100_000][Int(seed) - 1]
      let users = (0..<20_000).map { number in
        random.chance(25) ? number / 3000 : Int.random(in: 0..<valueCount, using: &random)
      }
      let events = try events(20_000) { "user=u\(users[$0])" }
      let table = try table(events, MemoryFileSystem(), indexes: ["user"])
      var counts: [Int: Int] = [:]
      for user in users { counts[user, default: 0] += 1 }
      for (user, count) in counts where user % 50 < 3 {
        let found = try table.eventCount(key: bytes("user"), value: bytes("u\(user)"))
        #expect(found == count, "seed \(seed), user \(user)")
      }
      #expect(try table.eventCount(key: bytes("user"), value: bytes("u-")) == 0)
    }
  }

  @Test func `a posting costs less than a byte, with the text of its value`() throws {
    // Values in every block, and values of twenty events strewn over all of them.
    for valueCount in [1000, 5000] {
      var random = TestRandom(seed: 11)
      let plain = try events(100_000) { _ in
        "user=u\(Int.random(in: 0..<valueCount, using: &random))"
      }
      let files = MemoryFileSystem()
      let without = try ModelEvent.write(plain, files, path: "/without-\(valueCount)")
      let with = try ModelEvent.write(plain, files, path: "/with-\(valueCount)", indexes: ["user"])
      let growth = Double(with.byteCount - without.byteCount) / 100_000
      #expect(growth < (valueCount == 1000 ? 0.75 : 0.9), "\(valueCount) values: \(growth)")
    }
  }
}
