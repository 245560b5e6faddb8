import PenstockArchive
import PenstockCore
import Testing

@Suite struct MergeTests {
  private let day: Int128 = 86_400_000_000_000

  private func settings(tableByteCountMax: Int = 1 << 30) -> ArchiveSettings {
    var settings = ArchiveSettings()
    settings.tableByteCountMax = tableByteCountMax
    return settings
  }

  private func tables(_ store: MemoryStore) throws -> [TableEntry] {
    try Manifest.read(store.files, store.layout).tables
  }

  private func line(_ time: Timestamp, _ rest: String) -> [UInt8] {
    Array("\(time.text) \(rest)".utf8)
  }

  /// Joins until nothing is left to be joined.
  @discardableResult
  private func join(_ store: MemoryStore, _ settings: ArchiveSettings) throws -> [MergeResult] {
    var archiver = try Archiver(
      store.files, store.layout, store: store.store, settings: settings, runByteCountMax: 8 << 20)
    var results: [MergeResult] = []
    while true {
      switch try archiver.merge(now: store.now) {
      case .nothing: return results
      case .joined(let result): results.append(result)
      case .working: continue
      case .refused(let why): Issue.record("\(why)")
      }
    }
  }

  private func checkFiles(_ store: MemoryStore) throws {
    let named = Set(try tables(store).map { store.layout.archive + "/" + $0.name })
    let there = store.files.paths.filter {
      $0.hasSuffix(".table") || $0.hasSuffix(".merging")
    }
    #expect(Set(there) == named)
    #expect(store.files.openCount == 0)
    for path in named {
      #expect(try TableReader(store.files, path: path).verify().isEmpty)
    }
  }

  @Test(arguments: 0..<8)
  func `joined tables hold what the inputs held, byte for byte`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let store = try MemoryStore()
    var settings = settings()
    if random.chance(50) { settings.group = "key1" }
    for _ in 0..<6 {
      var shape = ModelShape()
      shape.eventCount = 60
      shape.span = 3 * day
      shape.start = Timestamp(seconds: 1_762_900_000, nanoseconds: 0)
      try store.fill(shape, &random)
      try store.archive(store.files, settings)
    }
    store.now = store.now.adding(seconds: 30 * 86_400)
    let results = try join(store, settings)
    #expect(!results.isEmpty)
    let entries = try tables(store)
    #expect(Set(entries.map { settings.bucket.number(of: $0.earliest) }).count == entries.count)
    #expect(try store.read(store.files) == store.sorted, "seed \(seed)")
    #expect(try store.read(store.files, .reverse) == store.sorted.reversed(), "seed \(seed)")
    try checkFiles(store)
  }

  @Test func `four tables of like size are joined before their bucket is closed`() throws {
    let store = try MemoryStore()
    for count in 1...4 {
      try store.append([line(store.now, "s -\tpayload \(count)")], to: 0)
      try store.sealAll()
      try store.archive(store.files, settings())
      #expect(try join(store, settings()).count == (count == 4 ? 1 : 0))
    }
    let entry = try #require(try tables(store).first)
    #expect(try tables(store).count == 1)
    #expect(entry.mergeCount == 1 && entry.eventCount == 4)
    try checkFiles(store)
  }

  @Test func `a closed bucket is brought to as few tables as the size limit asks`() throws {
    let store = try MemoryStore()
    var random = TestRandom(seed: 1)
    for index in 0..<3 {
      let lines = (0..<10).map { number in
        line(store.now, "s\(number) -\t")
          + random.bytes(60_000, from: Array(UInt8(33)...126))
      }
      try store.append(lines + [line(store.now, "s -\tx \(index)")], to: 0)
      try store.sealAll()
      try store.archive(store.files, settings())
    }
    let limit = settings(tableByteCountMax: 1_200_000)
    #expect(try join(store, limit).isEmpty)
    store.now = store.now.adding(seconds: 2 * 86_400)
    let before = try tables(store).reduce(0) { $0 + $1.byteCount }
    #expect(before > 1_200_000 && before < 2 * 1_200_000)
    try join(store, limit)
    #expect(try tables(store).count == 2)
    #expect(try store.read(store.files) == store.sorted)
    #expect(try join(store, limit).isEmpty)
    try checkFiles(store)
  }

  @Test func `a single table of a settled bucket is written anew once, and becomes smaller`() throws
  {
    let store = try MemoryStore()
    var random = TestRandom(seed: 3)
    let lines = (0..<6000).map { number in
      let user = Int.random(in: 0..<1_000_000, using: &random)
      return line(
        store.now.adding(seconds: Int64(number / 100)),
        "s -\tuser \(user) logged in from 10.0.\(user % 7).\(user % 251) port \(40_000 + user % 999)"
      )
    }
    for start in stride(from: 0, to: lines.count, by: 500) {
      try store.append(Array(lines[start..<(start + 500)]), to: 0)
    }
    try store.sealAll()
    try store.archive(store.files, settings())
    let before = try #require(try tables(store).first).byteCount
    #expect(before > 64 << 10)
    #expect(try join(store, settings()).isEmpty)
    store.now = store.now.adding(seconds: 2 * 86_400)
    #expect(try join(store, settings()).count == 1)
    #expect(try #require(try tables(store).first).byteCount < before * 3 / 4)
    store.now = store.now.adding(seconds: 2 * 86_400)
    #expect(try join(store, settings()).isEmpty)
    #expect(try store.read(store.files) == store.sorted)
    try checkFiles(store)
  }

  @Test func `stragglers wait until their bucket settles, and are joined once`() throws {
    let store = try MemoryStore()
    let old = store.now
    store.now = store.now.adding(seconds: 2 * 86_400)
    for index in 0..<3 {
      try store.append([line(old, "s -\tlate \(index)")], to: 0)
      try store.sealAll()
      try store.archive(store.files, settings())
      #expect(try join(store, settings()).isEmpty)
    }
    store.now = store.now.adding(seconds: 601)
    let results = try join(store, settings())
    #expect(results.map(\.inputCount) == [3])
    #expect(try tables(store).map(\.lateCount) == [3])
  }

  @Test func `events with an id are kept once, others as often as they came`() throws {
    let store = try MemoryStore()
    let lines = [
      "s - _id=00000001\tsame", "s - _id=00000002\tsame", "s -\tsame", "s - _id=00000001\tother",
      "s-2 - _id=00000001\tsame", "/j - _id=00000001\tsame",
    ]
    for _ in 0..<2 {
      try store.append(lines.map { line(store.now, $0) }, to: 0)
      try store.sealAll()
      try store.archive(store.files, settings())
    }
    store.now = store.now.adding(seconds: 3 * 86_400)
    let result = try #require(try join(store, settings()).first)
    #expect(result.duplicateCount == 4 && result.eventCount == 8)
    let read = try store.read(store.files)
    #expect(read.count == 8)
    #expect(read.count { $0.stream == Array("/j".utf8) } == 2)
    try checkFiles(store)
  }

  @Test func `a mixed table is split into the buckets that are worth a table`() throws {
    let store = try MemoryStore()
    var lines: [[UInt8]] = []
    for index in 0..<40 {
      // Two days have many events, the others one.
      let count = index < 2 ? 1200 : 1
      for number in 0..<count {
        let time = Timestamp(
          seconds: 1_600_000_000 + Int64(index) * 86_400, nanoseconds: UInt32(number))
        lines.append(line(time, "s -\t\(number)"))
      }
    }
    // In 35 days one run makes own tables for the fullest and one for the rest.
    try store.append(lines, to: 0)
    try store.sealAll()
    try store.archive(store.files, settings())
    #expect(try tables(store).count == 32)
    store.now = store.now.adding(seconds: 86_400)
    try join(store, settings())
    #expect(try store.read(store.files) == store.sorted)
    let mixed = try tables(store).filter { $0.name.hasPrefix("mixed/") }
    #expect(mixed.count == 1 && mixed[0].mergeCount == 1)
    try checkFiles(store)

    // A bucket length of a week makes every week's tables one, and the mixed one is split.
    var weeks = settings()
    weeks.bucket = try #require(BucketLength(nanoseconds: Int64(7 * day)))
    try join(store, weeks)
    #expect(try store.read(store.files) == store.sorted)
    try checkFiles(store)
  }

  @Test func `a damaged table is not joined, and its neighbours are`() throws {
    let store = try MemoryStore()
    for index in 0..<3 {
      try store.append([line(store.now, "s -\tpayload \(index)")], to: 0)
      try store.sealAll()
      try store.archive(store.files, settings())
    }
    let broken = store.layout.archive + "/" + (try tables(store)[1].name)
    var bytes = try #require(store.files.bytes(broken))
    bytes[100] ^= 1
    store.files.put(broken, bytes)
    store.now = store.now.adding(seconds: 3 * 86_400)
    var archiver = try Archiver(store.files, store.layout, store: store.store)
    var told: [String] = []
    loop: while true {
      switch try archiver.merge(now: store.now) {
      case .nothing: break loop
      case .refused(let why): told.append(why)
      case .working, .joined: continue
      }
    }
    #expect(told.count == 1 && told[0].contains(broken))
    #expect(try tables(store).count == 2)
    #expect(try store.read(store.files).count == 2)
  }

  @Test func `a table that is lost is told once, and its neighbours are joined`() throws {
    let store = try MemoryStore()
    for index in 0..<3 {
      try store.append([line(store.now, "s -\tpayload \(index)")], to: 0)
      try store.sealAll()
      try store.archive(store.files, settings())
    }
    try store.files.unlink(store.layout.archive + "/" + (try tables(store)[1].name))
    store.now = store.now.adding(seconds: 3 * 86_400)
    var archiver = try Archiver(store.files, store.layout, store: store.store)
    var told = 0
    while true {
      let progress = try archiver.merge(now: store.now)
      if progress == .nothing { break }
      if case .refused = progress { told += 1 }
    }
    #expect(told == 1)
    #expect(try tables(store).count == 2)
  }

  @Test func `a join by a clock that was set forward makes nothing older`() throws {
    let store = try MemoryStore()
    for index in 0..<2 {
      try store.append([line(store.now, "s -\tpayload \(index)")], to: 0)
      try store.sealAll()
      try store.archive(store.files, settings())
    }
    let received = store.now
    store.now = store.now.adding(seconds: 1000 * 86_400)
    #expect(try join(store, settings()).count == 1)
    #expect(try tables(store).map(\.received) == [received])
    #expect(try tables(store).map(\.written) == [store.now])
    #expect(try Manifest.read(store.files, store.layout).newest == received)
  }

  @Test func `when the last line rots after a join, its tables are named again`() throws {
    let store = try MemoryStore()
    for index in 0..<4 {
      try store.append([line(store.now, "s -\tpayload \(index)")], to: 0)
      try store.sealAll()
      try store.archive(store.files, settings())
    }
    let coverage = try Manifest.read(store.files, store.layout).coverage
    #expect(try join(store, settings()).count == 1)
    let joined = try tables(store)
    var bytes = try #require(store.files.bytes(store.layout.manifest))
    bytes[bytes.count - 5] ^= 1
    store.files.put(store.layout.manifest, bytes)
    _ = try Archiver(store.files, store.layout, store: store.store)
    #expect(try tables(store).map(\.name) == joined.map(\.name))
    #expect(try Manifest.read(store.files, store.layout).coverage == coverage)
    #expect(try store.read(store.files) == store.sorted)
  }

  @Test func `a read that began before a join gives every event once`() throws {
    let store = try MemoryStore()
    for index in 0..<4 {
      let lines = (0..<50).map { number in
        line(store.now.adding(seconds: Int64(number)), "s -\t\(index) \(number)")
      }
      try store.append(lines, to: 0)
      try store.sealAll()
      try store.archive(store.files, settings())
    }
    let reader = try StoreReader(store.files, store.layout)
    var cursor = try reader.read(Query())
    var events: [ModelEvent] = []
    var event = StoredEvent()
    for _ in 0..<30 where try cursor.next(&event) { events.append(ModelEvent(event)) }
    #expect(try join(store, settings()).count == 1)
    while try cursor.next(&event) { events.append(ModelEvent(event)) }
    #expect(events == store.sorted)
  }

  @Test(arguments: [ReadDirection.forward, .reverse])
  func `a read gives an event whose place a later copy took in a join`(
    _ direction: ReadDirection
  ) throws {
    let store = try MemoryStore()
    let same = line(store.now, "s - _id=0000002a\tsame")
    for index in 0..<3 {
      try store.append([same, line(store.now, "s -\t\(index)")], to: 1)
      // Read first, whatever the direction.
      for days in [-5, 5] as [Int64] {
        try store.append([line(store.now.adding(seconds: days * 86_400), "s -\tfirst")], to: 1)
      }
      try store.sealAll()
      try store.archive(store.files, settings())
    }
    let began = store.sorted
    var query = Query()
    query.direction = direction
    var cursor = try StoreReader(store.files, store.layout).read(query)
    var event = StoredEvent()
    var lines: [[UInt8]] = []
    if try cursor.next(&event) { lines.append(event.bytes) }
    // Of the log that comes first, so that this one is kept.
    try store.append([same, line(store.now, "s -\tlater")], to: 0)
    try store.sealAll()
    try store.archive(store.files, settings())
    #expect(try !join(store, settings()).isEmpty)
    while try cursor.next(&event) { lines.append(event.bytes) }
    #expect(lines.count { $0 == same } == 1)
    #expect(lines.count == began.count - 2)
  }
}
