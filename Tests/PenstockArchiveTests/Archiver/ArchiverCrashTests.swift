import PenstockArchive
import PenstockCore
import Testing

/// One pass of the archiver fails at every operation in turn; whatever is on the disk then, tables
/// and live segments together hold every event exactly once.
@Suite struct ArchiverCrashTests {
  private func store(_ seed: UInt64) throws -> MemoryStore {
    var random = TestRandom(seed: seed)
    let store = try MemoryStore()
    var shape = ModelShape()
    shape.eventCount = 60
    shape.payloadByteCountMax = 40
    // Three days.
    shape.span = 3 * 86_400 * 1_000_000_000
    try store.fill(shape, &random)
    return store
  }

  /// Tries every operation until one pass needs fewer.
  private func forEachFailure(
    _ failing: (Int) -> MemoryFileSystem.Failing, code: Int32, seed: UInt64,
    _ check: (MemoryStore, MemoryFileSystem, Int, Bool) throws -> Void
  ) throws {
    let start = try store(seed)
    for number in 1..<5000 {
      let files = start.files.restarted()
      files.fail(failing(number), code: code)
      let isDone: Bool
      do throws(ArchiveError) {
        try start.archive(files, runByteCountMax: 64 << 10)
        isDone = true
      } catch {
        isDone = false
      }
      let reached = files.operationCount
      files.fail(.never)
      #expect(files.openCount == 0, "operation \(number)")
      try check(start, files, number, isDone)
      if reached < number { return }
    }
    Issue.record("the pass never ends")
  }

  private func checkWhole(_ store: MemoryStore, _ files: MemoryFileSystem, _ what: String) throws {
    #expect(try store.read(files) == store.sorted, "\(what)")
  }

  @Test(arguments: [5, 28] as [Int32])
  func `after an operation that fails once, nothing is lost or doubled`(code: Int32) throws {
    try forEachFailure({ .once($0) }, code: code, seed: 1) { store, files, number, _ in
      try checkWhole(store, files, "operation \(number)")
      try store.archive(files)
      try checkWhole(store, files, "operation \(number), archived again")
      #expect(files.paths.count { $0.hasSuffix(".log") } == 3)
      // What the second try took for done had to be on the disk.
      for seed: UInt64 in 0..<4 {
        try checkWhole(
          store, files.restarted(.random(seed: seed)), "operation \(number), power cut \(seed)")
      }
    }
  }

  @Test func `after a disk that stays broken, nothing is lost or doubled`() throws {
    try forEachFailure({ .from($0) }, code: 5, seed: 2) { store, files, number, _ in
      try checkWhole(store, files, "operation \(number)")
      try store.archive(files)
      try checkWhole(store, files, "operation \(number), archived again")
    }
  }

  @Test func `after a power cut at any operation, nothing is lost or doubled`() throws {
    try forEachFailure({ .from($0) }, code: 5, seed: 3) { store, files, number, isDone in
      let seeds = (0..<3).map { UInt64(number * 3 + $0) }
      for cut in [MemoryFileSystem.PowerCut.dropsAll] + seeds.map({ .random(seed: $0) }) {
        let after = files.restarted(cut)
        // The archiver comes first, as on a start: what it finds may be half a hand-over.
        try store.archive(after)
        try checkWhole(store, after, "operation \(number)")
      }
    }
  }
}
