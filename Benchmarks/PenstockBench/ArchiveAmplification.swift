// How many bytes the archive writes for each that is left in the end.
//
// Segments of some days go through the archiver as its process works: a pass for each, then joins
// until there is nothing to join, then the next segment; the clock is that of the events. One event
// in fifty is a day late. At the end the clock goes on until all buckets are settled. Each table the
// manifest ever names counts with its bytes, and those it names at last are what is left. A day's
// tables become sixty-four times as large as a run's: as those of 16 MiB that become 1 GiB. Runs are
// in a hurry and their tables larger than what joins make of them, so bytes say more than events do.

internal import PenstockArchive
internal import PenstockCore

/// The bytes of an archive's tables over some days.
struct ArchiveAmplification {
  private let layout: StoreLayout
  private let dayCount: Int
  private let segmentsOfDay: Int
  private let segmentByteCount: Int

  private static let factorMax = 5.0
  /// One event in so many is of the day before.
  private static let lateOneIn = 50
  private static let daySeconds = 86_400

  init(_ options: ArchiveOptions) {
    layout = StoreLayout(root: options.folder)
    dayCount = options.isQuick ? 2 : 4
    segmentsOfDay = options.isQuick ? 6 : 64
    segmentByteCount = options.isQuick ? 256 << 10 : 2 << 20
  }

  /// Lines of a few services, one after the other through the days.
  private struct Lines {
    var dice = Dice(state: 99)
    var moment: Int64 = 0
    let stepMax: Int

    mutating func next() -> (text: [UInt8], at: Timestamp) {
      moment += Int64(dice.below(stepMax)) * 1000
      let at = Lines.time(moment)
      let isLate = dice.below(lateOneIn) == 0
      let time = isLate ? Lines.time(moment - Int64(daySeconds) * 1_000_000_000) : at
      let host = dice.below(16)
      let severity = ["info", "notice", "err"][dice.below(3)]
      let text =
        "\(time.text) syslog/web-\(host) \(["sshd", "cron", "smtpd"][dice.below(3)]) "
        + "severity=\(severity) host=web-\(host)\tconnection \(dice.below(1 << 20)) from "
        + "192.0.2.\(dice.below(250)) port \(dice.below(60_000)) took \(dice.below(10_000)) us, "
        + "session \(dice.hexadecimal(16)) of user \(dice.below(5000))\n"
      return (Array(text.utf8), at)
    }

    private static func time(_ moment: Int64) -> Timestamp {
      let (second, rest) = moment.quotientAndRemainder(dividingBy: 1_000_000_000)
      return Timestamp(
        seconds: 1_795_219_200 + second - (rest < 0 ? 1 : 0),
        nanoseconds: UInt32(rest < 0 ? rest + 1_000_000_000 : rest))
    }
  }

  /// What tables were met.
  private struct Book {
    private var seen: Set<String> = []
    private(set) var runByteCount = 0
    private(set) var joinedByteCount = 0
    private(set) var tableCount = 0
    /// Events of all tables together.
    private(set) var eventCount: UInt64 = 0

    mutating func look(_ manifest: Manifest) {
      for table in manifest.tables where seen.insert(table.name).inserted {
        tableCount += 1
        eventCount += table.eventCount
        if table.mergeCount == 0 {
          runByteCount += table.byteCount
        } else {
          joinedByteCount += table.byteCount
        }
      }
    }
  }

  func measure() throws -> ArchiveFindings {
    let files = LinuxFileSystem()
    let store = try StoreDescription.open(files, layout, journalHashWidth: 1).store
    var log = ArchiveLog(layout, store, segmentByteCount: segmentByteCount)
    // A line and its share of the padding take about this much.
    let eventsOfDay = segmentsOfDay * segmentByteCount / 210
    let step = 2 * ArchiveAmplification.daySeconds * 1_000_000 / eventsOfDay
    var lines = Lines(stepMax: step)
    var archiver = try Archiver(files, layout, store: store)
    var book = Book()
    var eventCount = 0
    var now = Timestamp.earliest
    for _ in 0..<(dayCount * segmentsOfDay) {
      try Interruption.check()
      try log.appendSegment {
        let line = lines.next()
        now = line.at
        eventCount += 1
        return line
      }
      try settle(&archiver, now, &book)
    }
    try settle(&archiver, now.adding(seconds: Int64(3 * ArchiveAmplification.daySeconds)), &book)
    let tables = archiver.manifest.tables
    guard tables.reduce(0, { $0 + Int($1.eventCount) }) == eventCount else {
      throw BenchFailure("the archive does not hold every event")
    }
    return report(book, left: tables.reduce(0) { $0 + $1.byteCount }, tables.count, eventCount)
  }

  /// Passes, then joins, until there is nothing to do.
  private func settle(
    _ archiver: inout Archiver<LinuxFileSystem>, _ now: Timestamp, _ book: inout Book
  ) throws {
    while try archiver.pass(now: now).segmentCount > 0 { book.look(archiver.manifest) }
    while true {
      switch try archiver.merge(now: now) {
      case .nothing: return
      case .working: continue
      case .joined: book.look(archiver.manifest)
      case .refused(let why): throw BenchFailure(why)
      }
    }
  }

  private func report(_ book: Book, left: Int, _ tableCount: Int, _ eventCount: Int)
    -> ArchiveFindings
  {
    var findings = ArchiveFindings()
    let written = book.runByteCount + book.joinedByteCount
    let factor = Double(written) / Double(max(1, left))
    func megabytes(_ count: Int) -> String { "\(Decimal.text(Double(count) / 1e6, digits: 1)) MB" }
    findings.add(
      "\(dayCount) days, \(eventCount) events", "\(megabytes(left)) left",
      "in \(tableCount) tables of \(book.tableCount) that were written")
    findings.add(
      "written", "\(megabytes(written))",
      "\(megabytes(book.runByteCount)) by runs, \(megabytes(book.joinedByteCount)) by joins")
    findings.judge(
      "times an event is written", Double(book.eventCount) / Double(max(1, eventCount)),
      atMost: ArchiveAmplification.factorMax, unit: "times")
    findings.judge(
      "bytes written for each that is left", factor, atMost: ArchiveAmplification.factorMax,
      unit: "times")
    return findings
  }
}
