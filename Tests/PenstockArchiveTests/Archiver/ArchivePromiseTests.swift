import PenstockArchive
import PenstockCore
import Testing

/// What an archive of events is trusted with, one promise a test: each is one that a store of this
/// kind has been seen to break.
@Suite struct ArchivePromiseTests {
  private let day: Int64 = 86_400

  private func line(_ time: Timestamp, _ rest: String) -> [UInt8] {
    Array("\(time.text) \(rest)".utf8)
  }

  private func moved(_ time: Timestamp, by nanoseconds: Int128) -> Timestamp {
    Timestamp(nanosecondsSince1970: time.nanosecondsSince1970 + nanoseconds)
  }

  private func tables(_ store: MemoryStore) throws -> [TableEntry] {
    try Manifest.read(store.files, store.layout).tables
  }

  private func read(_ store: MemoryStore, _ query: Query) throws -> [ModelEvent] {
    var cursor = try StoreReader(store.files, store.layout).read(query)
    var events: [ModelEvent] = []
    var event = StoredEvent()
    while try cursor.next(&event) { events.append(ModelEvent(event)) }
    return events
  }

  /// A month passes, and tables are joined until nothing is left to be joined.
  private func join(_ store: MemoryStore, _ settings: ArchiveSettings = ArchiveSettings()) throws {
    var archiver = try Archiver(
      store.files, store.layout, store: store.store, settings: settings)
    store.now = store.now.adding(seconds: 30 * day)
    while try archiver.merge(now: store.now) != .nothing {}
  }

  /// Checks the store as it is, archived, and joined.
  private func atEveryStage(
    _ store: MemoryStore, _ settings: ArchiveSettings = ArchiveSettings(),
    _ check: (String) throws -> Void
  ) throws {
    try check("live")
    try store.sealAll()
    try store.archive(store.files, settings)
    try check("archived")
    try join(store, settings)
    try check("joined")
  }

  // MARK: - Indexes

  private static let name = "mixed/0000000000000100.table"

  /// The events of a value, by the index, and the blocks that were decoded for them.
  private func search(
    _ files: MemoryFileSystem, _ summary: TableSummary, _ key: String, _ value: String,
    _ direction: ReadDirection
  ) throws -> (sequences: [UInt64], blockCount: Int) {
    var selection = Selection()
    selection.attributes = [Selection.Attribute(key: key, value: value)]
    let source = TableSource(
      files, StoreLayout(root: "/store"), TableEntry(Self.name, summary), selection, direction,
      DamageLog(), WindowBudget())
    let sequences = try readAll(source).map(\.key.sequence.value)
    return (sequences, source.decodedBlockCount)
  }

  private func table(
    _ count: Int, _ files: MemoryFileSystem, payload: [UInt8], _ attributes: (Int) -> String
  ) throws -> TableSummary {
    let events = try (0..<count).map { number in
      let time = moved(Timestamp(seconds: 1_763_000_000, nanoseconds: 0), by: Int128(number))
      return try ModelEvent(
        EventKey(time: time, log: LogNumber(0), sequence: SequenceNumber(UInt64(number))),
        line(time, "s - \(attributes(number))\t") + payload)
    }
    return try ModelEvent.write(
      events, files, path: "/store/archive/" + Self.name, indexes: ["user", "k"])
  }

  @Test func `index entries at every row of a block are found, forward and backward`() throws {
    let files = MemoryFileSystem()
    let count = 6000
    let payload = [UInt8](repeating: UInt8(ascii: "p"), count: 60)
    let summary = try table(count, files, payload: payload) { "user=u\($0 % 5)" }
    #expect(summary.blockCount >= 3)
    for value in 0..<5 {
      let wanted = stride(from: UInt64(value), to: UInt64(count), by: 5).map { $0 }
      #expect(try search(files, summary, "user", "u\(value)", .forward).sequences == wanted)
      #expect(
        try search(files, summary, "user", "u\(value)", .reverse).sequences == wanted.reversed())
    }
  }

  /// More blocks than a byte counts: numbers of blocks have every low byte.
  @Test func `index entries at every block are found, forward and backward`() throws {
    let files = MemoryFileSystem()
    let payload = [UInt8](repeating: UInt8(ascii: "p"), count: 257 << 10)
    let summary = try table(300, files, payload: payload) { "user=u\($0) k=\($0 % 128)" }
    #expect(summary.blockCount == 300)
    for number in 0..<300 {
      let direction = number % 2 == 0 ? ReadDirection.forward : .reverse
      let answer = try search(files, summary, "user", "u\(number)", direction)
      #expect(answer.sequences == [UInt64(number)] && answer.blockCount == 1)
    }
    for number in [0, 1, 43, 44, 127] as [UInt64] {
      let wanted = [number, number + 128, number + 256].filter { $0 < 300 }
      #expect(try search(files, summary, "k", "\(number)", .forward).sequences == wanted)
      #expect(
        try search(files, summary, "k", "\(number)", .reverse).sequences == wanted.reversed())
    }
  }

  // MARK: - Events

  @Test func `an empty payload is kept and comes back`() throws {
    let store = try MemoryStore()
    let heads = ["s -", "s T", "s - k=v", "s - _id=0000002a", "/j -", "last -"]
    for (index, head) in heads.enumerated() {
      let time = store.now.adding(seconds: Int64(index))
      try store.append(
        [line(time, head + "\t"), line(time.adding(seconds: 100), "s -\tfull")], to: 0)
    }
    try atEveryStage(store) { stage in
      let events = try store.read(store.files)
      #expect(events == store.sorted, "\(stage)")
      #expect(events.count { $0.fields.payload.isEmpty } == heads.count, "\(stage)")
      #expect(try store.read(store.files, .reverse) == store.sorted.reversed(), "\(stage)")
    }
    // Only such events: columns without a byte.
    let empty = try MemoryStore()
    try empty.append([[UInt8]](repeating: line(empty.now, "s -\t"), count: 70), to: 0)
    try atEveryStage(empty) { stage in
      let events = try empty.read(empty.files)
      #expect(events == empty.sorted, "\(stage)")
    }
  }

  @Test(arguments: 1...3 as ClosedRange<UInt64>)
  func `when a tenth comes late, all of it is returned in time order`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let store = try MemoryStore()
    let settings = ArchiveSettings()
    store.now = settings.bucket.start(of: 20_000).adding(seconds: 6 * day / 2)
    var lateCount: UInt64 = 0
    for round in 0..<8 {
      let lines = (0..<200).map { number in
        let isLate = number % 10 == 3
        // Those come when their day has been over for one to five days.
        let age = isLate ? Int64.random(in: (2 * day)...(5 * day), using: &random) : 0
        lateCount += isLate ? 1 : 0
        let time = store.now.adding(seconds: Int64(number) - age)
        return line(moved(time, by: isLate ? 1 : 0), "s\(number % 3) -\t\(round) \(number)")
      }
      try store.append(lines, to: UInt8(round % 3))
      try store.sealAll()
      try store.archive(store.files, settings)
      #expect(try store.read(store.files) == store.sorted, "seed \(seed), round \(round)")
      store.now = store.now.adding(seconds: day / 2)
    }
    #expect(lateCount == 160)
    #expect(try tables(store).map(\.lateCount).reduce(0, +) == lateCount)
    let tableCount = try tables(store).count
    try join(store)
    #expect(try tables(store).count < tableCount)
    #expect(try tables(store).map(\.lateCount).reduce(0, +) == lateCount)
    #expect(try store.read(store.files) == store.sorted, "seed \(seed), joined")
    #expect(try store.read(store.files, .reverse) == store.sorted.reversed(), "seed \(seed)")
  }

  @Test func `a range gives nothing before its beginning and nothing at or past its end`() throws {
    let store = try MemoryStore()
    let edges = (0...2).map { BucketLength.day.start(of: 20_000 + Int64($0)) }
    let instants = edges.flatMap { edge in [-1, 0, 1].map { moved(edge, by: $0) } }
    for (index, instant) in instants.enumerated() {
      // The grace of a minute, and what an hour holds, must not matter.
      for time in [instant, instant, instant.adding(seconds: 59), instant.adding(seconds: 1800)] {
        try store.append([line(time, "s\(index % 2) -\tx")], to: UInt8(index % 3))
      }
    }
    try atEveryStage(store) { stage in
      for (number, since) in instants.enumerated() {
        for until in instants {
          var query = Query()
          query.direction = number % 2 == 0 ? .forward : .reverse
          query.selection.since = since
          query.selection.until = until
          let wanted = store.sorted.filter { !($0.key.time < since) && $0.key.time < until }
          let answer = try read(store, query)
          #expect(
            answer == (number % 2 == 0 ? wanted : wanted.reversed()),
            "\(stage): \(since.text) to \(until.text)")
        }
      }
    }
    #expect(try tables(store).count > 2)
  }

  // MARK: - What a read touches

  @Test func `the newest two thousand events of many touch only their blocks`() throws {
    let store = try MemoryStore()
    store.now = BucketLength.day.start(of: 20_000)
    let count = 48_000
    for start in stride(from: 0, to: count, by: 4000) {
      let lines = (start..<(start + 4000)).map { number in
        // Four days.
        let time = moved(store.now, by: Int128(number - count) * 7_200_000_000)
        return line(time, "s - user=u\(number % 50)\tevent \(number) of many, and what it says")
      }
      try store.append(lines, to: 0)
      store.startSegment(0)
    }
    try store.sealAll()
    try store.archive(store.files)
    let newest = Array(store.sorted.suffix(2000).reversed())
    for stage in ["archived", "joined"] {
      var places: [String: [Range<Int>]] = [:]
      var blockCount = 0
      for entry in try tables(store) {
        let path = store.layout.archive + "/" + entry.name
        // The first block shares its page with the header; it is not among the newest.
        places[path] = try TableReader(store.files, path: path).blocks
          .dropFirst().map(\.place)
        blockCount += places[path]?.count ?? 0
      }
      #expect(blockCount >= 12, "\(stage)")
      var query = Query()
      query.direction = .reverse
      query.limit = 2000
      let loaded = LoadedBlocks(places)
      store.files.beforeReads { loaded.note($0, $1) }
      #expect(try read(store, query) == newest, "\(stage)")
      store.files.beforeReads(nil)
      #expect(loaded.count == 2, "\(stage): \(loaded.count) of \(blockCount) blocks")
      try join(store)
    }
  }

  // MARK: - Ids

  @Test func `an event with an id is there once, wherever its copies are`() throws {
    let store = try MemoryStore()
    let same = line(store.now, "s - _id=0000002a host=a\tpayload")
    let otherId = line(store.now, "s - _id=0000002b host=a\tpayload")
    let otherTime = line(moved(store.now, by: 1), "s - _id=0000002a host=a\tpayload")
    let otherStream = line(store.now, "t - _id=0000002a host=a\tpayload")
    let otherPayload = line(store.now, "s - _id=0000002a host=a\tPayload")
    let withoutId = line(store.now, "s - host=a\tpayload")
    let journal = line(store.now, "/j - _id=0000002a\tpayload")
    let kinds = [same, otherId, otherTime, otherStream, otherPayload]
    func check(_ rounds: Int, _ stage: String) throws {
      for direction in [ReadDirection.forward, .reverse] {
        let lines = try store.read(store.files, direction).map(\.line)
        for kind in kinds { #expect(lines.count { $0 == kind } == 1, "\(stage)") }
        for kind in [withoutId, journal] {
          #expect(lines.count { $0 == kind } == 2 * rounds, "\(stage)")
        }
        #expect(lines.count == 5 + 4 * rounds, "\(stage)")
      }
    }
    // Two tables; then a sealed segment of each log, and live ones beside them.
    for round in 1...4 {
      for log in [UInt8(0), 1] { try store.append(kinds + [withoutId, journal], to: log) }
      try check(round, "round \(round)")
      if round < 4 { try store.sealAll() }
      if round < 3 { try store.archive(store.files) }
    }
    #expect(try tables(store).count == 2)
    try join(store)
    try check(4, "tables joined, live segments beside them")
    try store.sealAll()
    try store.archive(store.files)
    try join(store)
    try check(4, "all joined")
    let counts = try tables(store).map(\.eventCount)
    #expect(counts == [5 + 4 * 4])
  }

  // MARK: - Tables

  @Test(arguments: 1...3 as ClosedRange<UInt64>)
  func `random times make no more than 32 tables a run`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    for seconds: Int64 in [1, 3_600, 86_400] {
      let store = try MemoryStore()
      var settings = ArchiveSettings()
      settings.bucket = try #require(BucketLength(nanoseconds: seconds * 1_000_000_000))
      for _ in 0..<3 {
        let lines = (0..<150).map { number in
          let age = Int64.random(in: 0...(3650 * day), using: &random)
          return line(store.now.adding(seconds: -age), "device -\t\(number)")
        }
        try store.append(lines, to: 0)
        try store.sealAll()
        var archiver = try Archiver(
          store.files, store.layout, store: store.store, settings: settings)
        while case let pass = try archiver.pass(now: store.now), pass.segmentCount > 0 {
          #expect(pass.tableCount <= 32, "seed \(seed)")
        }
      }
      #expect(try tables(store).count <= 3 * 32)
      #expect(try store.read(store.files) == store.sorted, "seed \(seed)")
      try join(store, settings)
      #expect(try store.read(store.files) == store.sorted, "seed \(seed), joined")
    }
  }
}
