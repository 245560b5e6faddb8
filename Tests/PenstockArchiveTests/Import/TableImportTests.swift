import PenstockArchive
import PenstockCore
import Testing

/// Tables of imports: sorted in little memory, all or none, whatever happens.
@Suite struct TableImportTests {
  private static func line(_ index: Int, _ second: Int) -> String {
    let time = Timestamp(seconds: 1_763_000_000 + Int64(second), nanoseconds: 0)
    return "\(time.text) event \(index)"
  }

  /// Lines of text at random times over `days` days.
  private func lines(_ count: Int, days: Int, seed: UInt64) -> [String] {
    var random = TestRandom(seed: seed)
    return (0..<count).map { Self.line($0, Int.random(in: 0..<(days * 86_400), using: &random)) }
  }

  /// What the lines are as events, in order of time and then as they came.
  private func expected(_ lines: [String], stream: String = "s") -> [String] {
    lines.enumerated().sorted { left, right in
      (left.element.prefix(30), left.offset) < (right.element.prefix(30), right.offset)
    }.map { "\($0.element.prefix(30)) \(stream) -\t\($0.element)" }
  }

  @Test func `any order of times comes out in order, over several runs and buckets`() throws {
    let store = try ImportedStore()
    let lines = lines(20_000, days: 5, seed: 1)
    let report = try store.run(
      [store.file(lines: lines)], .text("s", time: "rfc3339"), runByteCountMax: 256 << 10)
    #expect(report.tables.eventCount == 20_000)
    #expect(try store.lines() == expected(lines))
    #expect(try store.problems().isEmpty)
    // Each bucket has one table, and nothing else is there.
    #expect(report.tables.tableCount == 6)
    #expect(try store.tableFiles() == store.namedTables())
    #expect(try store.namedTables().count == 6)
    let keys = try store.events().map(\.key)
    #expect(Set(keys.map(\.sequence.value)) == Set(1...20_000))
    #expect(keys.allSatisfy { $0.log == .imported })
  }

  @Test func `more buckets than a run has tables are mixed, and split by an archiver`() throws {
    let store = try ImportedStore()
    let lines = lines(6000, days: 100, seed: 2)
    let report = try store.run(
      [store.file(lines: lines)], .text("s", time: "rfc3339"), runByteCountMax: 256 << 10)
    #expect(report.tables.tableCount > 32)
    #expect(try store.namedTables().contains { $0.hasPrefix("mixed/") })
    #expect(try store.lines() == expected(lines))
    #expect(try store.problems().isEmpty)
    var archiver = try Archiver(LinuxFileSystem(), store.layout, store: store.store)
    while try archiver.merge(now: .latest) != .nothing {}
    #expect(try store.lines() == expected(lines))
    #expect(try store.problems().isEmpty)
  }

  @Test func `more tables than a name has serials take the numbers of edits before`() throws {
    let store = try ImportedStore()
    var settings = ArchiveSettings()
    settings.bucket = try #require(BucketLength(nanoseconds: 1_000_000_000))
    // So many events a bucket that a run has fewer of these than it may have tables.
    let lines = (0..<6000).map { Self.line($0, $0 / 20) }
    let report = try store.run(
      [store.file(lines: lines)], .text("s0", time: "rfc3339"), settings: settings,
      runByteCountMax: 64 << 10)
    #expect(report.tables.tableCount > 256)
    #expect(try store.namedTables() == store.tableFiles())
    let few = Array(lines.prefix(50))
    try store.run([store.file(lines: few)], .text("s1", time: "rfc3339"), settings: settings)
    #expect(try store.namedTables() == store.tableFiles())
    let manifest = try Manifest.read(LinuxFileSystem(), store.layout)
    // An edit for its number alone, the import's, and one behind it; of the second two.
    #expect(manifest.nextNumber == 6)
    #expect(Set(manifest.tables.map { $0.name.suffix(22) }).count == manifest.tables.count)
    #expect(
      try store.lines()
        == (expected(lines, stream: "s0") + expected(few, stream: "s1")).sorted {
          $0.prefix(30) < $1.prefix(30)
        })
    #expect(try store.problems().isEmpty)
  }

  @Test func `a second import goes on in the positions, beside live logs and their archive`() throws
  {
    let store = try TestStore()
    try store.log(0).append(["\(Timestamp(seconds: 1, nanoseconds: 0).text) live -\tone"])
    try store.sealAll()
    try store.archive()
    try store.log(0).append(["\(Timestamp(seconds: 9, nanoseconds: 0).text) live -\ttwo"])
    for part in 0..<3 {
      let tables = try TableImport(store.files, store.layout, store: store.store)
      let line = "\(Timestamp(seconds: Int64(part + 2), nanoseconds: 0).text) in -\t\(part)\n"
      try tables.append(Array(line.utf8).rawSpan, count: 1)
      #expect(try tables.finish().through == SequenceNumber(UInt64(part + 1)))
      try store.sealAll()
      try store.archive()
    }
    let events = try store.read().events
    #expect(events.map { $0.line.suffix(3) } == ["one", "-\t0", "-\t1", "-\t2", "two"])
    #expect(events[2].key.log == .imported && events[2].key.sequence == SequenceNumber(2))
    #expect(try store.reader().verify { _ in }.problems.isEmpty)
    // A log without live segments: status shows no shard of it, a follower has nothing to follow.
    let status = try StoreStatus(store.files, store.layout, store.store)
    #expect(status.shards.map(\.log) == [LogNumber(0)])
    #expect(status.archivedEventCount == 5)
    let cursor = try store.reader().read(Query())
    let follower = Follower(try store.reader(), Selection(), from: cursor.places)
    try follower.poll { _ in Issue.record("nothing is new") }
    // A live file of its number is none of ours.
    try store.write("x", to: store.layout.live + "/ff-0000000000000001.log")
    #expect(
      try SegmentCatalog(store.files, store.layout).foreignFiles == ["ff-0000000000000001.log"])
  }

  @Test func `equal events with an id become one, also of different runs`() throws {
    let store = try ImportedStore()
    let records = ["t,i"] + (0..<9000).map { "2026-11-21T00:00:\(10 + $0 % 50)Z,\($0 % 3000)" }
    var options = ImportOptions.csv("s", time: "t")
    options.id = "i"
    let report = try store.run(
      [store.file(lines: records)], options, runByteCountMax: 256 << 10)
    #expect(report.tables.eventCount == 9000 && report.tables.duplicateCount == 6000)
    #expect(try store.lines().count == 3000)
    #expect(try store.problems().isEmpty)
  }

  @Test func `events of a stream are grouped where that is asked for`() throws {
    let store = try ImportedStore()
    let lines = (0..<2000).map { "{\"ts\":\(1_763_000_000 + $0),\"h\":\"web-\($0 % 3)\"}" }
    var options = ImportOptions.ndjson("s")
    options.group = "h"
    try store.run([store.file(lines: lines)], options, runByteCountMax: 64 << 10)
    #expect(try store.lines().map { String($0.split(separator: "\t")[1]) } == lines)
    var query = Query()
    query.selection.attributes = [Selection.Attribute(key: "h", value: "web-1")]
    #expect(try store.lines(query).count == 667)
    #expect(try store.problems().isEmpty)
  }

  @Test func `nothing is left of an import that was refused, and nothing of an empty one`() throws {
    let store = try ImportedStore()
    let lines = lines(3000, days: 3, seed: 3) + ["no time"]
    #expect(throws: ImportError.self) {
      try store.run(
        [store.file(lines: lines)], .text("s", time: "rfc3339"), runByteCountMax: 64 << 10)
    }
    #expect(try store.tableFiles().isEmpty)
    #expect(try Manifest.read(LinuxFileSystem(), store.layout).nextNumber == 1)
    let empty = try store.run([store.file("")], .text("s", time: "now"))
    #expect(empty.tables == TableImportResult())
    #expect(try Manifest.read(LinuxFileSystem(), store.layout).nextNumber == 1)
  }

  // MARK: - Failures

  @Test(arguments: [
    Fault(code: 5, isLasting: false), Fault(code: 5, isLasting: false, effect: .done),
    Fault(code: System.noSpace, isLasting: true),
  ])
  func `whichever operation fails, all of it is there or nothing`(_ fault: Fault) throws {
    let before = ["2026-11-21T00:00:00Z before"]
    let lines = lines(600, days: 2, seed: 4)
    let none = ["2026-11-21T00:00:00.000000000Z s -\t" + before[0]]
    let all = (expected(lines) + none).sorted { $0.prefix(30) < $1.prefix(30) }
    var failed = 0
    for number in 1..<1000 {
      let store = try ImportedStore()
      try store.run([store.file(lines: before)], .text("s", time: "rfc3339"))
      let files = FaultyFiles(at: number, fault)
      var isDone = false
      do {
        try store.run(
          files, [store.file(lines: lines)], .text("s", time: "rfc3339"),
          runByteCountMax: 32 << 10)
        isDone = true
      } catch {
        failed += 1
      }
      #expect(files.openCount == 0, "operation \(number): every file is closed")
      // The next start of an archiver.
      _ = try Archiver(LinuxFileSystem(), store.layout, store: store.store)
      let found = try store.lines()
      #expect(found == none || found == all, "operation \(number): \(found.count) events")
      if isDone { #expect(found == all, "operation \(number)") }
      #expect(try store.tableFiles() == store.namedTables(), "operation \(number)")
      #expect(try store.problems().isEmpty, "operation \(number)")
      // And the next import is as good as any.
      if found == none {
        try store.run([store.file(lines: lines)], .text("s", time: "rfc3339"))
        #expect(try store.lines() == all, "operation \(number)")
      }
      if files.injected.isEmpty { break }
    }
    #expect(failed > 20)
  }

  @Test func `after a power cut at any operation all of it is there or nothing`() throws {
    let content = (0..<400).map { "\(Self.line($0, $0 * 700).prefix(30)) s -\t\($0)\n" }.joined()
    for number in 1..<1000 {
      let start = try MemoryStore()
      let files = start.files.restarted()
      files.fail(.from(number), code: 5)
      var isDone = false
      do throws(ArchiveError) {
        let tables = try TableImport(
          files, start.layout, store: start.store, runByteCountMax: 16 << 10)
        try tables.append(Array(content.utf8).rawSpan, count: 400)
        isDone = try tables.finish().eventCount == 400
      } catch {
        isDone = false
      }
      let reached = files.operationCount
      files.fail(.never)
      for cut in [MemoryFileSystem.PowerCut.dropsAll, .random(seed: UInt64(number)), .keepsAll] {
        let after = files.restarted(cut)
        _ = try Archiver(after, start.layout, store: start.store)
        let manifest = try Manifest.read(after, start.layout)
        let count = manifest.tables.reduce(0) { $0 + $1.eventCount }
        #expect(count == 0 || count == 400, "operation \(number)")
        if isDone { #expect(count == 400, "operation \(number)") }
        let tables = after.paths.filter { $0.hasSuffix(".table") || $0.hasSuffix(".merging") }
        #expect(
          tables == manifest.tables.map { start.layout.archive + "/" + $0.name }.sorted(),
          "operation \(number)")
      }
      if reached < number { return }
    }
    Issue.record("the import never ends")
  }
}
