import PenstockArchive
import PenstockCore
import Testing

@Suite struct EraseTests {
  private func line(_ time: Timestamp, _ rest: String) -> [UInt8] {
    Array("\(time.text) \(rest)".utf8)
  }

  /// Streams a, b and c over three days, archived day by day, and c in a live segment too.
  private func store() throws -> MemoryStore {
    let store = try MemoryStore()
    for day in 0..<3 {
      let time = Timestamp(seconds: 1_762_992_000 + Int64(day) * 86_400, nanoseconds: 0)
      let streams = day == 1 ? ["a"] : ["a", "b", "c/1"]
      try store.append(
        streams.flatMap { stream in
          (0..<5).map { line(time.adding(seconds: Int64($0)), "\(stream) -\t\(day) \($0)") }
        }, to: 0)
      try store.sealAll()
      try store.archive(store.files)
    }
    try store.append([line(store.now, "c/1 -\tlive"), line(store.now, "a -\tlive")], to: 0)
    return store
  }

  private func archiver(_ store: MemoryStore, _ files: MemoryFileSystem) throws(ArchiveError)
    -> Archiver<MemoryFileSystem>
  {
    try Archiver(files, store.layout, store: store.store, runByteCountMax: 1 << 20)
  }

  /// Takes orders and works until nothing is left to do.
  private func work(_ store: MemoryStore, _ files: MemoryFileSystem) throws(ArchiveError) {
    var archiver = try archiver(store, files)
    var isAtRest = false
    while !isAtRest {
      isAtRest = try archiver.pass(now: store.now).segmentCount == 0
      while try archiver.erase() != .nothing { isAtRest = false }
      while try archiver.merge(now: store.now) != .nothing { isAtRest = false }
    }
  }

  /// Streams and payloads of every table, whatever readers leave out.
  private func archived(
    _ store: MemoryStore, _ files: MemoryFileSystem, except lost: String? = nil
  ) throws -> Set<String> {
    var found: Set<String> = []
    for entry in try Manifest.read(files, store.layout).tables where entry.name != lost {
      let source = TableSource(
        files, store.layout, entry, Selection(), .forward, DamageLog(), WindowBudget())
      for event in try readAll(source) {
        found.insert(String(decoding: event.line.dropFirst(31), as: UTF8.self))
      }
    }
    return found
  }

  private func expected(
    _ store: MemoryStore, without isErased: (ModelEvent) -> Bool
  ) -> [ModelEvent] { store.sorted.filter { !isErased($0) } }

  private func order(_ pattern: String, _ before: Timestamp, _ store: MemoryStore) throws -> String
  {
    let through = try StoreReader(store.files, store.layout).lastStored()
    return try EraseOrder(pattern: pattern, before: before, through: through)
      .submit(store.files, store.layout)
  }

  @Test func `what was ordered to be erased is gone from reads at once, and from tables soon`()
    throws
  {
    let store = try store()
    let before = Timestamp(seconds: 1_763_078_400, nanoseconds: 0)
    let path = try order("[bc]*", before, store)
    var archiver = try archiver(store, store.files)
    guard case .taken = try archiver.erase() else {
      Issue.record("the order was not taken")
      return
    }
    #expect(store.files.bytes(path) == nil)
    let isErased = { (event: ModelEvent) in
      event.stream.first != UInt8(ascii: "a") && event.key.time < before
    }
    let left = expected(store, without: isErased)
    #expect(left.count == store.sorted.count - 11)
    #expect(try store.read(store.files) == left)
    #expect(try store.read(store.files, .reverse) == left.reversed())
    #expect(try archived(store, store.files).contains("b -\t0 1"))
    try work(store, store.files)
    #expect(try store.read(store.files) == left)
    #expect(try !archived(store, store.files).contains("b -\t0 1"))
    #expect(try archived(store, store.files).contains("b -\t2 1"))
    // Nothing is left of it, so nothing has to be looked for any more.
    try store.sealAll()
    try work(store, store.files)
    #expect(try Manifest.read(store.files, store.layout).erasures.isEmpty)
    #expect(store.files.openCount == 0)
  }

  @Test func `a table that holds nothing else goes without being written anew`() throws {
    let store = try store()
    let tables = try Manifest.read(store.files, store.layout).tables.count
    _ = try order("a", Timestamp(seconds: 1_763_164_800, nanoseconds: 0), store)
    var archiver = try archiver(store, store.files)
    var steps = 0
    while try archiver.erase() != .nothing { steps += 1 }
    #expect(steps == 2)
    #expect(try Manifest.read(store.files, store.layout).tables.count == tables - 1)
  }

  @Test func `live events are erased when they are archived, and later ones stay`() throws {
    let store = try store()
    _ = try order("*", Timestamp(seconds: 1_770_000_000, nanoseconds: 0), store)
    try work(store, store.files)
    // Everything so far was stored before the order.
    #expect(try store.read(store.files).isEmpty)
    let old = Timestamp(seconds: 1_762_992_000, nanoseconds: 0)
    try store.append([line(old, "a -\tcame later")], to: 0)
    #expect(try store.read(store.files).count == 1)
    try store.sealAll()
    try work(store, store.files)
    #expect(try store.read(store.files).count == 1)
    #expect(try archived(store, store.files) == ["a -\tcame later"])
    #expect(try Manifest.read(store.files, store.layout).erasures.isEmpty)
  }

  @Test func `an order that a crash brings back takes nothing that came behind it`() throws {
    let store = try store()
    let path = try order("*", Timestamp(seconds: 1_770_000_000, nanoseconds: 0), store)
    let text = try #require(store.files.bytes(path))
    let old = Timestamp(seconds: 1_762_992_000, nanoseconds: 0)
    try store.append([line(old, "a -\tbehind the order")], to: 0)
    var archiver = try archiver(store, store.files)
    while try archiver.erase() != .nothing {}
    #expect(try store.read(store.files).count == 1)
    try store.append([line(old, "a -\tbehind its taking")], to: 0)
    store.files.put(path, text)
    try work(store, store.files)
    #expect(try store.read(store.files).count == 2)
    try store.sealAll()
    try work(store, store.files)
    #expect(try store.read(store.files).count == 2)
    #expect(try Manifest.read(store.files, store.layout).erasures.isEmpty)
  }

  @Test func `a table that is lost does not keep an order from being carried out`() throws {
    let store = try store()
    let lost = try Manifest.read(store.files, store.layout).tables[0].name
    try store.files.unlink(store.layout.archive + "/" + lost)
    _ = try order("[bc]*", Timestamp(seconds: 1_770_000_000, nanoseconds: 0), store)
    try work(store, store.files)
    #expect(try !archived(store, store.files, except: lost).contains { !$0.hasPrefix("a ") })
  }

  @Test func `a pattern may hold anything, and what is no order is left alone`() throws {
    let before = Timestamp(seconds: 5, nanoseconds: 7)
    for pattern in ["a,before=x b\tc\\*", "*", "\u{e4}[!x]?"] {
      let order = EraseOrder(
        pattern: pattern, before: before,
        through: [LogNumber(0): SequenceNumber(7), .imported: SequenceNumber(.max)])
      let plain = EraseOrder(pattern: pattern, before: before, through: [:])
      #expect(EraseOrder(Array(plain.text.utf8)) == plain)
      #expect(EraseOrder(Array(order.text.utf8)) == order)
      let bytes = Array(order.text.utf8)
      for index in bytes.indices {
        var damaged = bytes
        damaged[index] ^= 1
        #expect(EraseOrder(damaged) == nil)
      }
    }
    let store = try store()
    _ = try order("a,before=x", before, store)
    let path = store.layout.archive + "/erase-0000000000000000.order"
    store.files.put(path, Array("rubbish".utf8))
    var archiver = try archiver(store, store.files)
    var told: [EraseProgress] = []
    while true {
      let progress = try archiver.erase()
      if progress == .nothing { break }
      told.append(progress)
    }
    #expect(told.contains { if case .refused(let why) = $0 { why.contains(path) } else { false } })
    #expect(store.files.bytes(path) != nil)
    let erasures = try Manifest.read(store.files, store.layout).erasures
    #expect(erasures.values.map(\.pattern) == ["a,before=x"])
  }

  @Test(arguments: [5, 28] as [Int32])
  func `erasing that fails at any operation can be done again, and takes nothing else`(
    code: Int32
  ) throws {
    let start = try store()
    let before = Timestamp(seconds: 1_763_078_400, nanoseconds: 0)
    _ = try order("[bc]*", before, start)
    let left = expected(start) { $0.stream.first != UInt8(ascii: "a") && $0.key.time < before }
    for number in 1..<2000 {
      let files = start.files.restarted()
      files.fail(.once(number), code: code)
      try? work(start, files)
      let reached = files.operationCount
      files.fail(.never)
      let seen = Set(try start.read(files).map { String(decoding: $0.line, as: UTF8.self) })
      let wanted = Set(left.map { String(decoding: $0.line, as: UTF8.self) })
      #expect(wanted.isSubset(of: seen), "operation \(number)")
      try work(start, files)
      #expect(try start.read(files) == left, "operation \(number), again")
      for seed: UInt64 in 0..<2 {
        let after = files.restarted(.random(seed: seed))
        #expect(try start.read(after) == left, "operation \(number), power cut \(seed)")
      }
      if reached < number { return }
    }
    Issue.record("erasing never ends")
  }
}
