// How soon a store of very many tables can be asked, and how long it takes to answer about a bucket
// that has one of them.
//
// Each table is a real one, of one event, in the folder of its own bucket of an hour, and came by an
// edit of its own: a manifest as an archiver leaves it that had nothing to join. Opening ends when a
// query of a time without events has found nothing; the query that is timed asks for one bucket.

internal import PenstockArchive
internal import PenstockCore

/// Openings of a large store, timed.
struct ArchiveOpening {
  private let layout: StoreLayout
  private let tableCount: Int
  private let rounds: Int

  /// Seconds of a bucket.
  private static let bucketSeconds: Int64 = 3600
  /// The first instant of the first bucket.
  private static let start: Int64 = 1_420_070_400
  private static let openingMillisecondsMax = 1000.0
  private static let queryMillisecondsMax = 50.0

  init(_ options: ArchiveOptions) {
    layout = StoreLayout(root: options.folder)
    tableCount = options.isQuick ? 300 : 100_000
    rounds = options.isQuick ? 1 : max(3, options.rounds)
  }

  // MARK: - The store

  private func time(_ number: Int) -> Timestamp {
    Timestamp(
      seconds: ArchiveOpening.start + Int64(number) * ArchiveOpening.bucketSeconds + 1234,
      nanoseconds: 567_000_000)
  }

  private func build() throws -> StoreIdentifier {
    let files = UnsyncedFiles()
    let store = try StoreDescription.open(files, layout, journalHashWidth: 1).store
    guard let length = BucketLength(nanoseconds: ArchiveOpening.bucketSeconds * 1_000_000_000)
    else { throw BenchFailure("an hour is no length of a bucket") }
    var settings = ArchiveSettings()
    settings.bucket = length
    try settings.write(files, layout)
    var manifest = Manifest()
    for number in 0..<tableCount {
      if number % 256 == 0 { try Interruption.check() }
      let time = time(number)
      let folder = length.folder(length.number(of: time))
      let name =
        folder + "/" + Hexadecimal.text(manifest.nextNumber << 8, digits: 16) + ".table"
      try files.makeDirectory(layout.archive + "/" + folder)
      let summary = try writeTable(
        files, layout.archive + "/" + name, store, time, number)
      var edit = ManifestEdit()
      edit.added = [
        TableEntry(
          name: name, eventCount: 1, byteCount: summary.byteCount, hash: summary.hash,
          earliest: time, latest: time, written: time, received: time)
      ]
      edit.covered[LogNumber(0)] = Coverage(
        segment: SegmentNumber(UInt64(number) + 1), sequence: SequenceNumber(UInt64(number) + 1))
      try manifest.append(edit, files, layout, store: store)
    }
    return store
  }

  private func writeTable(
    _ files: UnsyncedFiles, _ path: String, _ store: StoreIdentifier, _ time: Timestamp,
    _ number: Int
  ) throws -> TableSummary {
    let position = UInt64(number) + 1
    var writer = try TableWriter(files, path: path, store: store, indexes: [Array("type".utf8)])
    let stream = ArchiveTable.stream
    try writer.begin(stream.rawSpan)
    let bytes = Array("request".utf8) + Array("event \(number)".utf8)
    try writer.add(
      TableRow(
        time: time, log: LogNumber(0), sequence: SequenceNumber(position), type: 0..<7,
        attributes: 7..<7, payload: 7..<bytes.count), bytes.rawSpan)
    return try writer.finish(
      hash: 0,
      covered: [
        TableCoverage(
          log: LogNumber(0), sequences: position...position, segments: position...position)
      ])
  }

  // MARK: - Measuring

  func measure() throws -> ArchiveFindings {
    let store = try build()
    let files = LinuxFileSystem()
    var openings: [Double] = []
    var queries: [Double] = []
    for round in 0..<rounds {
      try Interruption.check()
      let began = System.monotonicNanoseconds()
      let reader = try StoreReader(files, layout)
      let none = try count(reader, bucket: tableCount + 1)
      let opened = System.monotonicNanoseconds()
      let one = try count(reader, bucket: tableCount / 2 + round)
      let answered = System.monotonicNanoseconds()
      guard none == 0, one == 1 else {
        throw BenchFailure("a bucket of one event gave \(one) of them, an empty one \(none)")
      }
      openings.append(Double(opened - began) / 1e6)
      queries.append(Double(answered - opened) / 1e6)
    }
    let began = System.monotonicNanoseconds()
    let archiver = try Archiver(files, layout, store: store)
    let started = Double(System.monotonicNanoseconds() - began) / 1e6
    guard archiver.manifest.tables.count == tableCount else {
      throw BenchFailure("the archiver does not see every table")
    }
    var findings = ArchiveFindings()
    guard let opening = Spread(openings), let query = Spread(queries) else { return findings }
    add("opening a store of \(tableCount) tables", opening, &findings)
    add("a query of one bucket of it", query, &findings)
    findings.add("the archiver's start on it", "\(Decimal.text(started, digits: 0)) ms")
    findings.judge(
      "opening \(tableCount) tables", opening.most, atMost: ArchiveOpening.openingMillisecondsMax,
      unit: "ms")
    findings.judge(
      "query of one bucket", query.most, atMost: ArchiveOpening.queryMillisecondsMax, unit: "ms")
    return findings
  }

  private func add(_ name: String, _ spread: Spread, _ findings: inout ArchiveFindings) {
    findings.add(
      name, "\(Decimal.text(spread.median, digits: 2)) ms",
      "(\(Decimal.text(spread.least, digits: 2)) … \(Decimal.text(spread.most, digits: 2)))")
  }

  /// Events of one bucket.
  private func count(_ reader: StoreReader<LinuxFileSystem>, bucket: Int) throws -> Int {
    var query = Query()
    let start = ArchiveOpening.start + Int64(bucket) * ArchiveOpening.bucketSeconds
    query.selection.since = Timestamp(seconds: start, nanoseconds: 0)
    query.selection.until = Timestamp(
      seconds: start + ArchiveOpening.bucketSeconds, nanoseconds: 0)
    var cursor = try reader.read(query)
    var event = StoredEvent()
    var count = 0
    while try cursor.next(&event) { count += 1 }
    return count
  }
}
