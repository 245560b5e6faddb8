import PenstockArchive
import PenstockCore
import Testing

@Suite struct TableBuilderTests {
  private let store = StoreIdentifier(high: 1, low: 2)

  /// Lines in random order.
  private func lines(_ count: Int, seed: UInt64) -> [(time: Int64, text: String)] {
    var random = TestRandom(seed: seed)
    return (0..<count).map { number in
      let time = Int64.random(in: 0..<10_000, using: &random)
      let text =
        "\(Timestamp(seconds: time, nanoseconds: 0).text) space-\(number % 3) t\(number % 2) "
        + "host=web\(number % 5) user=u\(number % 7)\tpayload \(number)"
      return (time, text)
    }
  }

  private func build(
    _ lines: [(time: Int64, text: String)], _ files: MemoryFileSystem, memory: Int
  ) throws -> TableReader<MemoryFileSystem> {
    try files.makeDirectory("/tables")
    var builder = TableBuilder(
      files, path: "/tables/a", store: store, group: Array("host".utf8),
      indexes: [Array("user".utf8)], memoryByteCount: memory)
    for line in lines {
      let bytes = Array((line.text + "\n").utf8)
      let isTaken = try builder.add(bytes.rawSpan)
      #expect(isTaken)
    }
    let isRefused = try !builder.add(Array("no line\n".utf8).rawSpan)
    #expect(isRefused)
    let count = try builder.finish()
    #expect(count == lines.count)
    return try TableReader(files, path: "/tables/a")
  }

  @Test(arguments: [128 << 10, 8 << 20])
  func `events in any order become a sorted table, within fixed memory`(memory: Int) throws {
    let files = MemoryFileSystem()
    let lines = lines(8000, seed: 1)
    let table = try build(lines, files, memory: memory)
    #expect(try table.verify().isEmpty)
    #expect(files.paths.filter { $0.hasPrefix("/tables/") } == ["/tables/a"])
    #expect(files.openCount == 1)
    for direction in [ReadDirection.forward, .reverse] {
      for host in ["web0", "web3"] {
        let stream = try #require(
          try table.groups(ofStream: Array("space-1".utf8)).first {
            $0.group == Array(host.utf8)
          })
        var scan = TableScan(
          table, stream, direction, since: Timestamp(seconds: 100, nanoseconds: 0),
          until: Timestamp(seconds: 9000, nanoseconds: 0))
        var times: [Int64] = []
        while let row = try scan.next() { times.append(scan.block.time(row).seconds) }
        let wanted = lines.filter {
          $0.text.contains(" space-1 ") && $0.text.contains("host=\(host) ")
            && (100..<9000).contains($0.time)
        }.map(\.time).sorted()
        #expect(times == (direction == .forward ? wanted : wanted.reversed()))
      }
    }
    let users = try table.eventCount(key: Array("user".utf8), value: Array("u3".utf8))
    #expect(users == lines.count { $0.text.contains("user=u3\t") })
  }

  @Test func `a table of nothing can be read`() throws {
    let table = try build([], MemoryFileSystem(), memory: 1 << 20)
    #expect(try table.verify().isEmpty && table.eventCount == 0)
  }

  @Test func `a build that fails leaves nothing behind`() throws {
    for number in [3, 20, 60, 100] {
      let files = MemoryFileSystem()
      files.fail(.from(number), code: 28)
      #expect(throws: (any Error).self) {
        try build(lines(8000, seed: 2), files, memory: 128 << 10)
      }
      #expect(files.openCount == 0)
      #expect(files.paths.count { $0 == "/tables/a" } == 0)
    }
  }
}
