import PenstockArchive
import PenstockCore
import Testing

/// A join of tables fails at every operation in turn; whatever is on the disk then, the archive
/// holds every event exactly once, and the join can be done again.
@Suite struct MergeCrashTests {
  /// Four tables of one day and some of others, and equal events with an id.
  private func store(_ seed: UInt64) throws -> MemoryStore {
    var random = TestRandom(seed: seed)
    let store = try MemoryStore()
    for _ in 0..<4 {
      var shape = ModelShape()
      shape.eventCount = 12
      shape.payloadByteCountMax = 40
      shape.start = Timestamp(seconds: 1_762_992_000, nanoseconds: 0)
      shape.span = 2 * 86_400 * 1_000_000_000
      try store.fill(shape, &random)
      try store.archive(store.files)
    }
    return store
  }

  private func join(
    _ store: MemoryStore, _ files: MemoryFileSystem, days: Int64
  ) throws(ArchiveError) {
    var archiver = try Archiver(
      files, store.layout, store: store.store, runByteCountMax: 64 << 10)
    while try archiver.merge(now: store.now.adding(seconds: days * 86_400)) != .nothing {}
  }

  private func check(_ store: MemoryStore, _ files: MemoryFileSystem, _ what: String) throws {
    #expect(try store.read(files) == store.sorted, "\(what)")
  }

  private func checkDone(_ store: MemoryStore, _ files: MemoryFileSystem, _ what: String) throws {
    try check(store, files, what)
    let tables = try Manifest.read(files, store.layout).tables
    let days = Set(tables.map { BucketLength.day.number(of: $0.earliest) })
    #expect(days.count == tables.count, "\(what)")
    let named = Set(tables.map { store.layout.archive + "/" + $0.name })
    let there = files.paths.filter { $0.hasSuffix(".table") || $0.hasSuffix(".merging") }
    #expect(Set(there) == named, "\(what)")
    #expect(files.openCount == 0, "\(what)")
  }

  private func forEachFailure(
    _ failing: (Int) -> MemoryFileSystem.Failing, code: Int32,
    _ body: (MemoryStore, MemoryFileSystem, Int) throws -> Void
  ) throws {
    let start = try store(UInt64(code))
    for number in 1..<5000 {
      let files = start.files.restarted()
      files.fail(failing(number), code: code)
      try? join(start, files, days: 10)
      let reached = files.operationCount
      files.fail(.never)
      #expect(files.openCount == 0, "operation \(number)")
      try body(start, files, number)
      if reached < number {
        #expect(number > 40)
        return
      }
    }
    Issue.record("the join never ends")
  }

  @Test(arguments: [5, 28] as [Int32])
  func `after an operation that fails once, nothing is lost or doubled`(code: Int32) throws {
    try forEachFailure({ .once($0) }, code: code) { store, files, number in
      try check(store, files, "operation \(number)")
      // What a damaged input kept apart, and settled meanwhile, is joined now.
      try join(store, files, days: 20)
      try checkDone(store, files, "operation \(number), joined again")
      for seed: UInt64 in 0..<3 {
        try check(
          store, files.restarted(.random(seed: seed)), "operation \(number), power cut \(seed)")
      }
    }
  }

  @Test func `after a power cut at any operation, nothing is lost or doubled`() throws {
    try forEachFailure({ .from($0) }, code: 5) { store, files, number in
      let seeds = (0..<3).map { UInt64(number * 3 + $0) }
      for cut in [MemoryFileSystem.PowerCut.dropsAll] + seeds.map({ .random(seed: $0) }) {
        let after = files.restarted(cut)
        try join(store, after, days: 20)
        try checkDone(store, after, "operation \(number)")
      }
    }
  }
}
