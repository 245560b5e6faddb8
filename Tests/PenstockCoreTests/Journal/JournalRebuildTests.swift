import Foundation
import PenstockCore
import Testing

/// What a shard knows of its journals after a restart.
@Suite struct JournalRebuildTests {
  private func seal(_ shard: TestShard) {
    let before = shard.counter(.seals)
    shard.send("S")
    shard.wait("the segment is sealed") { shard.counter(.seals) > before }
  }

  @Test("a restart remembers what the live segments hold", arguments: Backend.available)
  func restart(_ backend: Backend) throws {
    let folder = try TestFolder()
    var times: [String] = []
    for round in 0..<3 {
      let shard = try TestShard(backend, folder: folder)
      let client = CommitTests.Client(shard)
      if round > 0 {
        #expect(
          client.commit("- /a A\t\n", "since=0").contains(" journal=/a type=A"), "round \(round)")
        #expect(client.commit("- /a B\t\n", "since=0").contains(" journal=/a type=B"))
        #expect(client.commit("- /a T\(round)\t\n", "if-none=X@0 since=0").hasPrefix("OK "))
        #expect(client.ask("EXISTS /none").contains("exists=0"), "nothing was forgotten")
        #expect(client.ask("HEAD /none").contains("head=0 "))
      }
      #expect(client.commit("- /a A\t\(round)\n- /a B\t\n").hasPrefix("OK "))
      seal(shard)
      #expect(client.commit("- /b/\(round) C\t\n", "if-unchanged@0").hasPrefix("OK "))
      shard.stop()
      times = try shard.lines().map { String($0.text.prefix(30)) }
    }
    #expect(times == times.sorted())
  }

  @Test("without a live segment that says so, what was before is not known")
  func archivedAway() throws {
    let folder = try TestFolder()
    let shard = try TestShard(.poll, folder: folder)
    let client = CommitTests.Client(shard)
    for number in 0..<10 { #expect(client.commit("- /a\(number) T\t\n").hasPrefix("OK ")) }
    seal(shard)
    #expect(client.commit("- /b T\t\n").hasPrefix("OK "))
    shard.stop()
    // As if the archiver had taken the sealed segments: all that came before is gone.
    let files = LinuxFileSystem()
    let names = try SegmentCatalog(files, shard.layout).segments(of: LogNumber(0))
    for name in names.dropLast() where try !holds("/b", shard.layout.segment(name)) {
      try files.unlink(shard.layout.segment(name))
    }
    let key: UInt64 = 0x1234_5677
    let rebuilt = JournalRebuild.run(
      files, shard.layout, log: LogNumber(0), after: .none, newest: names[names.count - 1].number,
      nextSequence: SequenceNumber(12), key: key)
    // The segment that is left says that event 10 was the last of a journal before it.
    #expect(rebuilt.memory.floor == 10)
    let name = Array("/b".utf8)
    #expect(rebuilt.memory.last(JournalKey.journal(name.rawSpan, key: key)) == .at(11))
    #expect(rebuilt.state.last == 11)
  }

  @Test("the events of a segment that is missing between others are not taken for forgotten ones")
  func missingBetween() throws {
    let folder = try TestFolder()
    let shard = try TestShard(.poll, folder: folder)
    let client = CommitTests.Client(shard)
    for name in ["/a", "/b", "/c"] {
      #expect(client.commit("- \(name) T\t\n").hasPrefix("OK "))
      seal(shard)
    }
    shard.stop()
    let files = LinuxFileSystem()
    let names = try SegmentCatalog(files, shard.layout).segments(of: LogNumber(0))
    let missing = try #require(names.first { try holds("/b T", shard.layout.segment($0)) })
    try files.unlink(shard.layout.segment(missing))
    let key: UInt64 = 0x1234_5677
    let rebuilt = JournalRebuild.run(
      files, shard.layout, log: LogNumber(0), after: .none,
      newest: names[names.count - 1].number, nextSequence: SequenceNumber(4), key: key)
    // Event 2 was in it: a commit that asks about what came behind event 1 must not be taken.
    #expect(rebuilt.memory.floor == 2)
  }

  private func holds(_ text: String, _ path: String) throws -> Bool {
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    return bytes.range(of: Data(text.utf8)) != nil
  }
}
