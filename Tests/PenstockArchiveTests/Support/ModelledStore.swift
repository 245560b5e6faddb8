// A store that is written, sealed, archived, joined, imported into, erased from, failed and
// crashed at random, and beside it the model of what it has to answer.
//
//     step ─▶ done        the model did the same
//          └▶ failed      it did or it did not: both models count, until the archiver, started
//                         anew, has decided; maybe the power was cut before
//     after each step: everything, forward and backward, and random questions
//
// As in the archiver's process, an archiver that failed is made anew, except when a disk was full
// while it joined. An order to erase that was taken may come back with a power cut.

import PenstockArchive
import PenstockCore

/// A random store and its model.
final class ModelledStore {
  private let store: MemoryStore
  private var workload: ModelledWorkload
  private var settings = ArchiveSettings()
  private var archiver: Archiver<MemoryFileSystem>?
  /// What the store may be; one, unless something failed and was not yet decided.
  private var models = [StoreModel()]
  private var importedCount: UInt64 = 0
  /// What was done, for whoever has to understand a fault.
  private(set) var story: [String] = []
  /// How often each kind of step was done, and how often something failed in one.
  private(set) var counts: [String: Int] = [:]

  /// Something that must not be.
  struct Fault: Error, CustomStringConvertible {
    var description: String
  }

  init(seed: UInt64) throws {
    store = try MemoryStore()
    workload = ModelledWorkload(TestRandom(seed: seed))
    store.now = BucketLength.day.start(of: 20_400).adding(seconds: 7)
    let description = StoreDescription(store: store.store, journalHashWidth: 1)
    store.files.put(store.layout.description, Array(description.text.utf8))
    chooseSettings()
  }

  private func note(_ what: String) {
    story.append(what)
    counts[String(what.prefix { $0 != " " }), default: 0] += 1
  }

  private func chooseSettings() {
    settings.bucket = workload.pick(
      [86_400, 3_600, 7 * 86_400].compactMap { BucketLength(nanoseconds: $0 * 1_000_000_000) })
    settings.group = workload.pick([nil, "host", "user"])
    settings.indexes = workload.pick([["type", "host", "severity"], ["user", "k"], []])
    settings.tableByteCountMax = workload.pick([1 << 30, 1 << 30, 6_000])
    note("settings \(settings.bucket.nanoseconds) \(settings.group ?? "-") \(settings.indexes)")
  }

  // MARK: - Steps

  /// Does one thing and checks what the store answers.
  func step() throws {
    switch workload.number(0...99) {
    case ..<34: try write()
    case ..<39: try archive("pass", passCount: 1)
    case ..<55: try archive("archive", passCount: 20)
    case ..<73: try archive("join", joinCount: 30)
    case ..<78: try importEvents()
    case ..<84: try erase()
    case ..<87:
      archiver = nil
      chooseSettings()
    case ..<89: try cutPower()
    case ..<91: try expire()
    default: try readMeanwhile()
    }
    store.now = store.now.adding(seconds: Int64(workload.pick([0, 1, 60, 3_000, 90_000])))
    try check()
  }

  private func write() throws {
    let count = workload.number(1...30)
    var lines = workload.lines(count, now: store.now, settings.bucket)
    note("write \(count)")
    let before = store.events.count
    while !lines.isEmpty {
      let log = UInt8(workload.number(0...2))
      if workload.random.chance(20) { store.startSegment(log) }
      let batch = Array(lines.prefix(workload.number(1...12)))
      lines.removeFirst(batch.count)
      try store.append(batch, to: log)
    }
    for index in models.indices { models[index].add(store.events[before...]) }
    if workload.random.chance(60) { try store.sealAll() }
  }

  private func open() throws(ArchiveError) {
    archiver = nil
    archiver = try Archiver(
      store.files, store.layout, store: store.store, settings: settings,
      runByteCountMax: workload.pick([256 << 10, 4 << 20]),
      passByteCountMax: workload.pick([16 << 10, 1 << 20]))
  }

  private func archive(_ what: String, passCount: Int = 0, joinCount: Int = 0) throws {
    try attempt(what) { now throws(ArchiveError) in
      try work(now, passCount: passCount, joinCount: joinCount)
    }
  }

  /// Archives and joins.
  private func work(_ now: Timestamp, passCount: Int, joinCount: Int) throws(ArchiveError) {
    if archiver == nil { try open() }
    for _ in 0..<passCount {
      guard let pass = try archiver?.pass(now: now), pass.segmentCount > 0 else { break }
    }
    for _ in 0..<joinCount where try archiver?.merge(now: now) == .nothing { break }
    try archiver?.shortenManifest()
  }

  /// Does something of the archiver's that may fail at any operation.
  private func attempt(
    _ what: String, done: StoreModel? = nil, _ body: (Timestamp) throws(ArchiveError) -> Void
  ) throws {
    let code: Int32 = workload.pick([5, 28])
    if workload.random.chance(35) {
      let number = workload.number(1...workload.pick([8, 40, 200]))
      store.files.fail(workload.random.chance(50) ? .once(number) : .from(number), code: code)
      note("\(what) with errno \(code) at operation \(number)")
    } else {
      store.files.fail(.never)
      note(what)
    }
    do throws(ArchiveError) {
      try body(store.now)
      store.files.fail(.never)
      if let done { models = [done] }
    } catch {
      store.files.fail(.never)
      note("failed \(error)")
      if let done { models.append(done) }
      try check()
      guard !(error.isDiskFull && what == "join") else { return }
      try recover()
    }
  }

  /// Starts the archiver anew after a failure: what was in doubt is decided then.
  private func recover() throws {
    archiver = nil
    if workload.random.chance(50) { restart() }
    try check()
    try open()
    try takeOrders()
    let answer = try everything(.forward)
    try judge(answer, ModelQuery())
    models = Array(models.filter { $0.fault(answer, to: ModelQuery()) == nil }.prefix(1))
  }

  private func restart() {
    archiver = nil
    let seed = UInt64(workload.number(0...1_000_000))
    let cut = workload.pick([MemoryFileSystem.PowerCut.dropsAll, .random(seed: seed), .keepsAll])
    note("restart \(cut)")
    store.restart(cut)
  }

  private func cutPower() throws {
    restart()
    try check()
    if workload.random.chance(50) { try open() }
  }

  // MARK: - Imports and orders

  private func importEvents() throws {
    archiver = nil
    let lines = workload.lines(workload.number(1...25), now: store.now, settings.bucket)
    guard let first = models.first else { return }
    var done = first
    var sequence = importedCount
    // Journals are not imported.
    let events = try lines.compactMap { line -> ModelEvent? in
      guard line[31] != Byte.slash, let time = Timestamp(journalText: line.rawSpan, at: 0) else {
        return nil
      }
      sequence += 1
      return try ModelEvent(
        EventKey(time: time, log: .imported, sequence: SequenceNumber(sequence)), line)
    }
    guard !events.isEmpty else { return }
    done.add(events)
    let content = events.flatMap { $0.line + [Byte.lineFeed] }
    let runByteCountMax = workload.pick([256 << 10, 4 << 20])
    try attempt("import", done: done) { now throws(ArchiveError) in
      let tables = try TableImport(
        store.files, store.layout, store: store.store, settings: settings,
        runByteCountMax: runByteCountMax)
      try tables.append(content.rawSpan, count: events.count)
      _ = try tables.finish(now: now)
    }
    if models.first?.events.count == done.events.count { importedCount = sequence }
  }

  private func erase() throws {
    let prefix = workload.prefix()
    let before = workload.instant(settings.bucket)
    if archiver == nil { try open() }
    let order = EraseOrder(
      pattern: prefix + "*", before: before, through: try reader().lastStored())
    let count = models[0].events.count
    // What comes behind the order stays.
    if workload.random.chance(30) { try write() }
    var done = models[0]
    done.erase(prefix, before: before, amongFirst: count)
    try attempt("erase", done: done) { _ throws(ArchiveError) in
      do throws(FileError) {
        _ = try order.submit(store.files, store.layout)
      } catch {
        throw .file(error)
      }
      while true {
        guard case .taken? = try archiver?.erase() else { break }
      }
    }
    try attempt("carry") { _ throws(ArchiveError) in
      if archiver == nil { try open() }
      for _ in 0..<5 where try archiver?.erase() == .nothing { break }
    }
  }

  /// Lets tables go. Which ones is not for the model to say, but what they may not hold is.
  private func expire() throws {
    archiver = nil
    settings.retainNanoseconds = Int64(workload.pick([5, 20])) * 86_400_000_000_000
    defer { settings.retainNanoseconds = nil }
    let limit = store.now.adding(seconds: -(settings.retainNanoseconds ?? 0) / 1_000_000_000)
    try open()
    let isFailing = workload.random.chance(50)
    if isFailing { store.files.fail(.from(workload.number(1...30))) }
    note("expire before \(limit.text), failing: \(isFailing)")
    do throws(ArchiveError) {
      while try archiver?.expire(now: store.now).isEmpty == false {}
    } catch {
      note("failed \(error)")
    }
    store.files.fail(.never)
    restart()
    try open()
    let left = try everything(.forward)
    try models[0].expire(before: limit, to: left)
  }

  private func takeOrders() throws {
    while case .taken? = try archiver?.erase() {}
  }

  // MARK: - Answers

  private func everything(_ direction: ReadDirection) throws -> [ModelEvent] {
    try store.read(store.files, direction)
  }

  private func check() throws {
    for direction in [ReadDirection.forward, .reverse] {
      var question = ModelQuery()
      question.direction = direction
      try judge(try everything(direction), question)
    }
    for _ in 0..<3 {
      let question = workload.question(settings.bucket)
      let reader = try reader()
      var cursor = try reader.read(try question.query())
      var answer: [ModelEvent] = []
      var event = StoredEvent()
      while try cursor.next(&event) { answer.append(ModelEvent(event)) }
      if !cursor.report.damage.isEmpty {
        throw Fault(description: "damage: \(cursor.report.damage)")
      }
      try judge(answer, question)
    }
  }

  private func reader() throws -> StoreReader<MemoryFileSystem> {
    let reader = try StoreReader(store.files, store.layout)
    // Little memory: the live segments are looked through again and again.
    if workload.random.chance(50) { reader.indexEntryCountMax = workload.pick([1, 16, 100]) }
    return reader
  }

  private func judge(_ answer: [ModelEvent], _ question: ModelQuery) throws {
    let faults = models.compactMap { $0.fault(answer, to: question) }
    guard faults.count == models.count else { return }
    throw Fault(description: "\(question): \(faults[0])")
  }

  /// A read that goes on while its tables are joined and its segments archived.
  private func readMeanwhile() throws {
    note("meanwhile")
    guard let model = models.first else { return }
    var question = workload.question(settings.bucket)
    question.limit = nil
    let reader = try reader()
    var cursor = try reader.read(try question.query())
    var answer: [ModelEvent] = []
    var event = StoredEvent()
    for round in 0..<4 {
      for _ in 0..<workload.number(0...workload.pick([3, 40])) where try cursor.next(&event) {
        answer.append(ModelEvent(event))
      }
      if round == 1 { try write() }
      try work(store.now.adding(seconds: Int64(round) * 50_000), passCount: 9, joinCount: 20)
    }
    while try cursor.next(&event) { answer.append(ModelEvent(event)) }
    answer.removeAll { model.isNew($0) }
    if let fault = model.fault(answer, to: question) {
      throw Fault(description: "while tables were joined: \(question): \(fault)")
    }
  }

  // MARK: - The end

  /// Brings everything to rest: then the tables alone hold all there is, once where they were
  /// joined, and nothing that was erased.
  func finish() throws {
    try store.sealAll()
    try open()
    for round in 0..<60 {
      store.now = store.now.adding(seconds: 10 * 86_400)
      try work(store.now, passCount: 50, joinCount: 400)
      if try archiver?.erase() == .nothing, round > 3 { break }
    }
    archiver = nil
    try check()
    let manifest = try Manifest.read(store.files, store.layout)
    guard manifest.erasures.isEmpty else { throw Fault(description: "an order stays open") }
    let verified = try StoreReader(store.files, store.layout).verify { _ in }
    guard verified.problems.isEmpty, store.files.openCount == 0 else {
      throw Fault(description: "\(verified.problems), \(store.files.openCount) files open")
    }
    let named = Set(manifest.tables.map { store.layout.archive + "/" + $0.name })
    let there = Set(store.files.paths.filter { $0.hasSuffix(".table") || $0.hasSuffix(".merging") })
    guard named == there else { throw Fault(description: "files: \(there) named: \(named)") }
    let known = Set(models[0].events.map(\.key))
    for entry in manifest.tables {
      let source = TableSource(
        store.files, store.layout, entry, Selection(), .forward, DamageLog(), WindowBudget())
      for event in try readAll(source) where !known.contains(event.key) {
        throw Fault(description: "\(entry.name) holds \(event)")
      }
    }
  }
}
