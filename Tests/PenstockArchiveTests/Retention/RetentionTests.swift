import PenstockArchive
import PenstockCore
import Testing

@Suite struct RetentionTests {
  private let second: Int64 = 1_000_000_000

  private func table(_ number: Int, latest: Int64, byteCount: Int = 100) -> TableEntry {
    TableEntry(
      name: "2026-11-21/000000000000000\(number).table", eventCount: 1, byteCount: byteCount,
      hash: 0, earliest: Timestamp(seconds: 0, nanoseconds: 0),
      latest: Timestamp(seconds: latest, nanoseconds: 0))
  }

  private func numbers(_ expiries: [RetentionPlan.Expiry]) -> [String] {
    expiries.map { String($0.table.name.suffix(7).prefix(1)) + $0.reason.rawValue }
  }

  @Test func `tables go by their latest event, and the others are told when`() {
    var settings = ArchiveSettings()
    settings.retainNanoseconds = 100 * second
    let tables = [table(1, latest: 900), table(2, latest: 800), table(3, latest: 950)]
    let plan = RetentionPlan(tables, settings, time: Timestamp(seconds: 1000, nanoseconds: 0))
    #expect(numbers(plan.due) == ["2age", "1age"])
    #expect(plan.expiries.last?.at == Timestamp(seconds: 1050, nanoseconds: 0))
  }

  @Test func `by bytes the oldest go until the rest fits`() {
    var settings = ArchiveSettings()
    settings.retainByteCount = 250
    let tables = [table(1, latest: 900), table(2, latest: 800), table(3, latest: 950)]
    let time = Timestamp(seconds: 1000, nanoseconds: 0)
    #expect(numbers(RetentionPlan(tables, settings, time: time).due) == ["2bytes"])
    settings.retainByteCount = 99
    #expect(
      numbers(RetentionPlan(tables, settings, time: time).due) == ["2bytes", "1bytes", "3bytes"])
    // What age takes need not go by bytes.
    settings.retainByteCount = 200
    settings.retainNanoseconds = 150 * second
    #expect(numbers(RetentionPlan(tables, settings, time: time).due) == ["2age"])
  }

  @Test func `nothing goes for a day after the clock was set`() {
    let start = Timestamp(seconds: 1_763_000_000, nanoseconds: 0)
    var clock = RetentionClock(newest: start, realtime: start, monotonic: 0)
    let minute = 60 * second
    // Forward by two hours in a minute; nearly a day later; a day later; back again.
    let stepped = start.adding(seconds: 7320)
    let hold = RetentionClock.holdNanoseconds
    let looks = [
      (start.adding(seconds: 60), minute), (stepped, 2 * minute),
      (stepped.adding(seconds: 86_340), hold + minute),
      (stepped.adding(seconds: 86_400), hold + 2 * minute), (start, hold + 3 * minute),
    ]
    var answers: [Bool] = []
    for (realtime, monotonic) in looks {
      answers.append(clock.mayExpire(realtime: realtime, monotonic: monotonic))
    }
    #expect(answers == [true, false, false, true, false])
  }

  @Test func `a store that lay switched off waits a day`() {
    let start = Timestamp(seconds: 1_763_000_000, nanoseconds: 0)
    let late = start.adding(seconds: 30 * 86_400)
    var clock = RetentionClock(newest: start, realtime: late, monotonic: 5)
    let first = clock.mayExpire(realtime: late, monotonic: 5)
    let second = clock.mayExpire(
      realtime: late.adding(seconds: 86_400), monotonic: 5 + RetentionClock.holdNanoseconds)
    #expect(!first && second)
  }

  @Test func `an archiver lets tables go, counted from the newest receive time`() throws {
    let store = try MemoryStore()
    var settings = ArchiveSettings()
    settings.retainNanoseconds = 5 * 86_400 * second
    for age: Int64 in [10, 6, 4, 0] {
      let time = store.now.adding(seconds: -age * 86_400)
      try store.append([Array("\(time.text) s -\t\(age)".utf8)], to: 0)
    }
    try store.sealAll()
    try store.archive(store.files, settings)
    var archiver = try Archiver(
      store.files, store.layout, store: store.store, settings: settings)
    // A clock that is far ahead takes nothing more.
    let ahead = store.now.adding(seconds: 1000 * 86_400)
    let gone = try archiver.expire(now: ahead)
    #expect(gone.count == 2)
    #expect(try archiver.expire(now: ahead).isEmpty)
    let left = try store.read(store.files)
    #expect(left.map { String(decoding: $0.line.suffix(1), as: UTF8.self) } == ["4", "0"])
    let tables = try Manifest.read(store.files, store.layout).tables
    #expect(store.files.paths.count { $0.hasSuffix(".table") } == tables.count)
  }

  @Test func `settings come back from their file`() throws {
    let store = try MemoryStore()
    var settings = ArchiveSettings()
    #expect(try ArchiveSettings.read(store.files, store.layout) == settings)
    settings.bucket = try #require(BucketLength(nanoseconds: 3_600 * second))
    settings.group = "a b=c"
    settings.indexes = ["type", "x\ty"]
    settings.retainNanoseconds = 7
    settings.retainByteCount = 1 << 40
    try settings.write(store.files, store.layout)
    #expect(try ArchiveSettings.read(store.files, store.layout) == settings)
    settings.indexes = []
    try settings.write(store.files, store.layout)
    #expect(try ArchiveSettings.read(store.files, store.layout) == settings)
    #expect(ArchiveSettings(text: "nonsense") == ArchiveSettings())
  }

  @Test func `rotten settings let nothing expire, and impossible ones are not taken`() throws {
    var settings = ArchiveSettings()
    settings.retainNanoseconds = 7_776_000_000_000_000
    settings.retainByteCount = 1 << 40
    let bytes = Array(settings.text.utf8)
    for index in bytes.indices {
      var damaged = bytes
      damaged[index] ^= 1
      #expect(ArchiveSettings(text: String(decoding: damaged, as: UTF8.self)) == ArchiveSettings())
    }
    settings.tableByteCountMax = 0
    #expect(ArchiveSettings(text: settings.text).tableByteCountMax == 1 << 30)
  }
}
