// Where the events of one log's journals stand in its live segments.
//
//     journal ─▶ its newest run ─▶ the run before ─▶ …          oldest ┃ runs, in a ring ┃ newest
//
// A run is the lines of one commit in one journal: they stand behind one another in a batch and have
// one time. Runs are kept in the order they were written, in a ring that grows up to a limit; then the
// oldest are forgotten, and the floor rises: what is not behind it is read from the store's files the
// long way. Every position is known together with the bytes of the journal's text up to it
// (JournalText).

internal import PenstockCore

/// The lines of one commit in one journal.
struct JournalRun: BitwiseCopyable {
  /// The run before in the same journal, or -1.
  var previous = -1
  var key: UInt64 = 0
  var first: UInt64 = 0
  /// Where in the journal's text the run begins and ends, in bytes from where the index began.
  var textStart: UInt64 = 0
  var textEnd: UInt64 = 0
  /// Which of the log's segments, where in it, how long.
  var segment: UInt64
  var offset: UInt32
  var byteCount: UInt32 = 0
  var count: UInt32 = 0
  /// CRC-32C of the lines.
  var checksum: UInt32 = 0

  var last: UInt64 { first + UInt64(count) - 1 }

  static let none = JournalRun(segment: 0, offset: 0)

  init(segment: UInt64, offset: UInt32) {
    self.segment = segment
    self.offset = offset
  }
}

/// What is known of one journal.
struct JournalEntry {
  /// Its newest run; one that was forgotten counts as none.
  var run: Int
  /// Its text since the index began, in bytes.
  var textByteCount: UInt64 = 0
  /// Its text before that; nil until it was asked for.
  var base: UInt64?
}

/// The runs of one log.
struct JournalRuns {
  private var ring: [JournalRun] = []
  /// Number of the oldest run that is kept, and of the next.
  private(set) var oldest = 0
  private(set) var next = 0
  var entries: [UInt64: JournalEntry] = [:]
  /// Events up to this one are not in the runs.
  private(set) var floor: UInt64
  /// Events up to this one were looked at.
  var through: UInt64

  /// Runs kept at most: 72 bytes each, 75 MB.
  static let countMax = 1 << 20
  /// Journals kept at most whose runs were forgotten: what is known of their text.
  static let entryCountMax = 1 << 20
  private static let countMin = 1 << 12

  /// Whether every journal of the log is in the table: it begins with the log's first event, and none
  /// was dropped from it. Then one that is not there never was.
  private(set) var knowsAll: Bool

  init(floor: UInt64) {
    self.floor = floor
    knowsAll = floor == 0
    through = floor
  }

  func isKept(_ number: Int) -> Bool { number >= oldest }
  subscript(number: Int) -> JournalRun { ring[number & (ring.count - 1)] }

  /// Adds a run that was just met.
  mutating func append(_ key: UInt64, _ run: JournalRun, textByteCount: UInt64) {
    var run = run
    var entry = entries[key] ?? JournalEntry(run: -1, base: knowsAll ? 0 : nil)
    run.key = key
    run.previous = entry.run
    run.textStart = entry.textByteCount
    run.textEnd = entry.textByteCount + textByteCount
    entry.textByteCount = run.textEnd
    if next - oldest == ring.count { makeRoom() }
    entry.run = next
    ring[next & (ring.count - 1)] = run
    next += 1
    entries[key] = entry
  }

  private mutating func makeRoom() {
    if ring.count < JournalRuns.countMax {
      var larger = [JournalRun](
        repeating: JournalRun.none, count: max(JournalRuns.countMin, 2 * ring.count))
      for number in oldest..<next { larger[number & (larger.count - 1)] = self[number] }
      ring = larger
      return
    }
    // A quarter at once: each of them pays for as many to come.
    forget(through: self[oldest + ring.count / 4].last)
  }

  /// Forgets the runs in segments up to `segment`, all of which are archived.
  /// - Parameter covered: the last event that is archived.
  mutating func forget(throughSegment segment: UInt64, covered: UInt64) {
    var number = oldest
    while number < next, self[number].segment <= segment { number += 1 }
    forget(through: number < next ? min(covered, self[number].first - 1) : covered)
  }

  /// Forgets the runs of events up to `sequence`.
  mutating func forget(through sequence: UInt64) {
    guard sequence > floor else { return }
    while oldest < next, self[oldest].last <= sequence { oldest += 1 }
    floor = sequence
    guard entries.count > JournalRuns.entryCountMax else { return }
    // Only what has runs cannot be found out again.
    knowsAll = false
    entries = entries.filter { $0.value.run >= oldest }
  }
}
