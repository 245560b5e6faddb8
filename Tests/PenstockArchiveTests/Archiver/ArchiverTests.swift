import PenstockArchive
import PenstockCore
import Testing

@Suite struct ArchiverTests {
  private func line(_ seconds: Int64, _ rest: String = "s -\tpayload") -> [UInt8] {
    Array("\(Timestamp(seconds: seconds, nanoseconds: 0).text) \(rest)".utf8)
  }

  private func tables(_ store: MemoryStore, _ files: MemoryFileSystem) throws -> [TableEntry] {
    try Manifest.read(files, store.layout).tables
  }

  @Test(arguments: 0..<12)
  func `archived events are those that came, byte for byte`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let store = try MemoryStore()
    try store.fill(ModelShape.random(&random), &random)
    // Little memory: a pass makes several runs.
    try store.archive(store.files, runByteCountMax: random.chance(50) ? 128 << 10 : 8 << 20)
    #expect(try store.read(store.files) == store.sorted, "seed \(seed)")
    #expect(try store.read(store.files, .reverse) == store.sorted.reversed(), "seed \(seed)")
    let entries = try tables(store, store.files)
    let events = entries.reduce(0) { $0 + Int($1.eventCount) }
    #expect(events == store.events.count, "seed \(seed)")
    for entry in entries {
      let table = try TableReader(store.files, path: store.layout.archive + "/" + entry.name)
      #expect(try table.verify().isEmpty)
      #expect(table.hash == entry.hash && table.eventCount == entry.eventCount)
    }
    // What is left is one segment a log, and nothing is open.
    #expect(store.files.paths.count { $0.hasSuffix(".log") } <= 3)
    #expect(store.files.openCount == 0)
  }

  @Test func `a device with random times makes 31 tables and one of mixed time`() throws {
    let store = try MemoryStore()
    var lines: [[UInt8]] = []
    for day in 0..<100 {
      // The first forty days have more events than the others.
      for _ in 0..<(day < 40 ? 3 : 1) { lines.append(line(1_700_000_000 + Int64(day) * 86_400)) }
    }
    try store.append(lines, to: 0)
    try store.sealAll()
    try store.archive(store.files)
    let entries = try tables(store, store.files)
    #expect(entries.count == 32)
    #expect(entries.count { $0.name.hasPrefix("mixed/") } == 1)
    for entry in entries where !entry.name.hasPrefix("mixed/") {
      #expect(entry.earliest.text.prefix(10) == entry.name.prefix(10))
      #expect(entry.latest.text.prefix(10) == entry.name.prefix(10))
      #expect(entry.eventCount == 3)
    }
    #expect(try store.read(store.files) == store.sorted)
  }

  @Test func `segments without events leave a line in the manifest and no table`() throws {
    let store = try MemoryStore()
    for _ in 0..<4 { store.startSegment(0) }
    try store.sealAll()
    try store.archive(store.files)
    let manifest = try Manifest.read(store.files, store.layout)
    #expect(manifest.tables.isEmpty)
    #expect(manifest.archivedThrough(LogNumber(0)) == SegmentNumber(4))
    #expect(store.files.paths.count { $0.hasSuffix(".log") } == 1)
  }

  @Test func `a line that is no event line is kept aside before its segment goes`() throws {
    let store = try MemoryStore()
    try store.append([line(1), Array("not an event line".utf8), line(2)], to: 0)
    try store.sealAll()
    var archiver = try Archiver(
      store.files, store.layout, store: store.store, runByteCountMax: 1 << 20)
    let pass = try archiver.pass()
    #expect(pass.unreadableCount == 1 && pass.eventCount == 2)
    let kept = try #require(
      store.files.paths.first { $0.hasPrefix(store.layout.quarantine) && $0.hasSuffix(".bytes") })
    let text = String(decoding: store.files.bytes(kept) ?? [], as: UTF8.self)
    #expect(text.contains("not an event line"))
    #expect(try store.read(store.files).count == 2)
  }

  @Test func `a damaged batch is kept aside before its segment goes`() throws {
    let store = try MemoryStore()
    for second in 1...3 { try store.append([line(Int64(second))], to: 0) }
    try store.sealAll()
    let path = store.layout.segment(SegmentName(log: LogNumber(0), number: SegmentNumber(1)))
    var bytes = try #require(store.files.bytes(path))
    bytes[2 * 4096 + 220] ^= 1
    store.files.put(path, bytes)
    try store.archive(store.files)
    #expect(store.files.bytes(path) == nil)
    let kept = try #require(
      store.files.paths.first { $0.hasPrefix(store.layout.quarantine) && $0.hasSuffix(".bytes") })
    let copy = try #require(store.files.bytes(kept))
    #expect(copy.count >= 220 && bytes[8192...].starts(with: copy.prefix(220)))
    #expect(try store.read(store.files).count == 2)
    let notes = try StoreReader(store.files, store.layout).verify { _ in }.notes
    let name = String(kept.dropFirst(store.layout.quarantine.utf8.count + 1))
    #expect(notes.contains { $0.contains("quarantine/\(name): \(copy.count) damaged bytes") })
  }

  @Test func `a full quarantine takes no more copies, and the finding says so`() throws {
    let store = try MemoryStore()
    try store.append([line(1)], to: 0)
    let name = SegmentName(log: LogNumber(0), number: SegmentNumber(1))
    let first = Damage(.rot, name, range: 4096..<5000, hasBytes: true)
    let copied = try Quarantine.copy(store.files, store.layout, first, limit: 1000)
    #expect(copied.copy != nil && !copied.isQuarantineFull)
    // It is there already.
    #expect(try Quarantine.copy(store.files, store.layout, first, limit: 1000).copy != nil)
    let second = Damage(.rot, name, range: 0..<100, hasBytes: true)
    let refused = try Quarantine.copy(store.files, store.layout, second, limit: 1000)
    #expect(refused.copy == nil && refused.description.contains("quarantine/ is full"))
    #expect(store.files.paths.count { $0.hasPrefix(store.layout.quarantine + "/") } == 1)
  }

  @Test func `tables the manifest does not name are removed`() throws {
    let store = try MemoryStore()
    try store.append([line(1)], to: 0)
    try store.sealAll()
    let folder = store.layout.archive + "/mixed"
    try store.files.makeDirectory(folder)
    store.files.put(folder + "/00000000000000ff.table", [1, 2, 3])
    store.files.put(folder + "/notes.txt", [1])
    try store.archive(store.files)
    #expect(store.files.bytes(folder + "/00000000000000ff.table") == nil)
    #expect(store.files.bytes(folder + "/notes.txt") != nil)
  }

  @Test func `when the last line rots its tables are named again, not removed`() throws {
    let store = try MemoryStore()
    for round in 1...3 {
      try store.append([line(Int64(round)), line(Int64(round) * 1_000_000)], to: 0)
      try store.sealAll()
      try store.archive(store.files)
    }
    let before = try tables(store, store.files)
    var bytes = try #require(store.files.bytes(store.layout.manifest))
    bytes[bytes.count - 40] ^= 1
    store.files.put(store.layout.manifest, bytes)
    #expect(try tables(store, store.files).count < before.count)
    try store.archive(store.files)
    #expect(Set(try tables(store, store.files).map(\.name)) == Set(before.map(\.name)))
    #expect(try store.read(store.files) == store.sorted)
  }

  @Test func `every log is archived when one has more than a pass takes`() throws {
    let store = try MemoryStore()
    for log: UInt8 in 0...2 {
      for _ in 0..<3 {
        try store.append([line(1)], to: log)
        store.startSegment(log)
      }
    }
    try store.sealAll()
    var archiver = try Archiver(
      store.files, store.layout, store: store.store, runByteCountMax: 1 << 20)
    _ = try archiver.pass()
    #expect(archiver.waitingCount >= 3)
    for log: UInt8 in 0...2 {
      #expect(archiver.manifest.archivedThrough(LogNumber(log)) > .none)
    }
  }

  /// A store whose log has `count` segments with an event each.
  private func segments(_ count: Int) throws -> MemoryStore {
    let store = try MemoryStore()
    for _ in 0..<count {
      try store.append([line(1)], to: 0)
      store.startSegment(0)
    }
    try store.sealAll()
    return store
  }

  private func archiver(_ store: MemoryStore, passByteCountMax: Int) throws
    -> Archiver<MemoryFileSystem>
  {
    try Archiver(
      store.files, store.layout, store: store.store, runByteCountMax: 1 << 20,
      passByteCountMax: passByteCountMax)
  }

  @Test func `what waits behind a pass is left alone`() throws {
    var operations: [Int] = []
    for count in [6, 24] {
      let store = try segments(count)
      var archiver = try archiver(store, passByteCountMax: 1)
      store.files.fail(.never)
      #expect(try archiver.pass().segmentCount == 1)
      operations.append(store.files.operationCount)
    }
    #expect(operations[0] == operations[1])
  }

  @Test func `a pass takes its worth of small segments`() throws {
    let store = try segments(40)
    var archiver = try archiver(store, passByteCountMax: 64 << 20)
    #expect(try archiver.pass().segmentCount >= 40)
    #expect(try store.read(store.files) == store.sorted)
  }

  @Test func `an archiver is behind when more waits than the file system has left`() throws {
    let store = try segments(12)
    var archiver = try archiver(store, passByteCountMax: 1)
    _ = try archiver.pass()
    #expect(archiver.waitingCount > 0)
    #expect(try !archiver.isBehind(wasBehind: false))
    store.files.setFreeByteCount(1)
    #expect(try archiver.isBehind(wasBehind: false))
  }
}
