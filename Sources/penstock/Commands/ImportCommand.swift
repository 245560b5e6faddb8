// penstock import: files become tables of the archive.

import ArgumentParser
import CShims
import PenstockArchive
import PenstockCore

extension ImportFormat: ExpressibleByArgument {}

/// Imports files.
struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Put the events of files into the archive, all of them or none.",
    discussion: """
      Sorts any amount in fixed memory. The daemon of the store has to be stopped, because its \
      archiver and an import would write the same archive; a missing store is made.

        penstock import --format ndjson --stream 'app/{service}' --time ts --type level app.ndjson
        penstock import --format csv --stream sensors --time when --id reading s1.csv s2.csv
        zcat access.log.gz | penstock import --format text --stream web --time rfc3339
        penstock export --format ndjson --out - | penstock import --format ndjson --data ./other

      The payload of an event is the line, or CSV record, as it stands.

      --stream is text; {KEY} in it is replaced by the field KEY, {{ is {. KEY is the name of a \
      field of the object, or a way into it: http.status is the field status of the object http. Of \
      CSV it is the name of a column in the file's first line.
      --time is the KEY of the time: RFC 3339 text (UTC where it names no zone), or a number of \
      seconds, milliseconds, microseconds or nanoseconds since 1970, which its size tells. Text \
      has no fields: there it is now, rfc3339 (each line begins with its time), or a start and a \
      step from line to line like 2026-01-01T00:00:00Z+1ms. --type is a KEY, of text the type.
      --id is a KEY: equal events with an id become one. Eight lower-case hex digits are the id, of \
      anything else it is the CRC-32C.

      NDJSON without any of these options is what 'penstock export --format ndjson' wrote. An event \
      keeps everything but its position (shard and sequence), which is new.

      Events get shard 255 in queries; tail -f and seal are about live events and pass them over.

      Exit status: 0 imported, also when some lines were left out as --max-errors allows, 1 nothing \
      was imported, 2 usage.
      """)

  @OptionGroup var store: StoreOptions

  @Option(help: "How the files are written: ndjson, csv or text.")
  var format: ImportFormat

  @Option(help: ArgumentHelp("The stream of each event.", valueName: "template"))
  var stream: String?

  @Option(help: ArgumentHelp("The field with the time.", valueName: "key"))
  var time: String?

  @Option(help: ArgumentHelp("The field with the type.", valueName: "key"))
  var type: String?

  @Option(help: ArgumentHelp("The field with what tells duplicates.", valueName: "key"))
  var id: String?

  @Option(
    help: ArgumentHelp(
      "A field that becomes an attribute, by which the archive groups the events of a stream.",
      valueName: "key"))
  var group: String?

  @Option(
    name: .customLong("attribute"),
    help: ArgumentHelp(
      "A field that becomes an attribute. Repeat it for more.", valueName: "key"))
  var attributes: [String] = []

  @Option(help: "Lines that may be left out because they cannot be read.")
  var maxErrors = 0

  @Option(help: "Stretch of event time an archive table belongs to; default: as 'serve' was told.")
  var bucket: String?

  @Option(
    name: .customLong("index"),
    help: ArgumentHelp(
      "An attribute the archive indexes, or 'type'; 'none' for none. Default: as 'serve' was told.",
      valueName: "key"))
  var indexes: [String] = []

  @Argument(help: ArgumentHelp("Files; - or none is standard input.", valueName: "file"))
  var files: [String] = []

  func validate() throws {
    _ = try plan(now: System.now())
    _ = try changed(ArchiveSettings(), group: nil)
    guard maxErrors >= 0 else { throw ValidationError("--max-errors takes 0 or more") }
    guard files.count(where: { $0 == "-" }) <= 1 else {
      throw ValidationError("standard input can be read once")
    }
  }

  private func plan(now: Timestamp) throws -> ImportPlan {
    var options = ImportOptions(format: format)
    options.stream = stream
    options.time = time
    options.type = type
    options.id = id
    options.group = group
    options.attributes = attributes
    do {
      return try ImportPlan(options, now: now)
    } catch {
      throw ValidationError(error.description)
    }
  }

  /// The store's settings, but for what was asked for.
  private func changed(_ settings: ArchiveSettings, group: String?) throws -> ArchiveSettings {
    var settings = settings
    if let bucket {
      guard let length = Quantity.nanoseconds(bucket).flatMap({ BucketLength(nanoseconds: $0) })
      else { throw ValidationError("--bucket takes 1s to 5200w, not '\(bucket)'") }
      settings.bucket = length
    }
    settings.group = group ?? settings.group
    if !indexes.isEmpty { settings.indexes = indexes == ["none"] ? [] : indexes }
    guard settings.indexes.count <= ArchiveSettings.indexCountMax,
      Set(settings.indexes).count == settings.indexes.count,
      settings.indexes.allSatisfy({ (1...ArchiveSettings.keyByteCountMax).contains($0.utf8.count) })
    else {
      throw ValidationError(
        "--index takes names of attributes of up to \(ArchiveSettings.keyByteCountMax) bytes, at "
          + "most \(ArchiveSettings.indexCountMax) of them, none twice")
    }
    return settings
  }

  // MARK: - Running

  func run() throws {
    let plan = try plan(now: System.now())
    let system = LinuxFileSystem()
    let layout = store.layout
    let description: StoreDescription
    do {
      description = try StoreDescription.open(
        system, layout, journalHashWidth: min(System.processorCount, HostOptions.shardCountMax))
    } catch {
      throw CommandFailure("cannot open the store \(layout.root): \(error)")
    }
    _ = penstock_raise_descriptor_limit()
    guard let lock = try ArchiveLock.take(system, layout) else { throw busy(layout) }
    defer { system.close(lock) }
    let tables = try TableImport(
      system, layout, store: description.store,
      settings: try changed(try ArchiveSettings.read(system, layout), group: plan.group))
    var progress = ImportProgress()
    let report: ImportReport
    do {
      report = try Importer.run(
        (files.isEmpty ? ["-"] : files).map { ImportSource(path: $0) }, plan, into: tables,
        badCountMax: maxErrors
      ) { progress.show($0) }
    } catch {
      progress.end()
      if case .badRecords(let bad, _) = error {
        for line in bad.dropFirst() { Console.say("penstock: \(line)") }
      }
      throw error
    }
    progress.end()
    tell(report, layout)
  }

  private func busy(_ layout: StoreLayout) -> CommandFailure {
    let holder = ArchiveLock.holder(layout).map { "process \($0)" } ?? "another process"
    return CommandFailure(
      "\(holder) archives or imports into \(layout.root); stop 'penstock serve', or wait for the "
        + "other import, and try again. Nothing was imported")
  }

  private func tell(_ report: ImportReport, _ layout: StoreLayout) {
    for line in report.bad { Console.say("penstock: left out \(line)") }
    if report.badCount > report.bad.count {
      let more = Readable.counted(report.badCount - report.bad.count, "more line")
      Console.say("penstock: left out \(more)")
    }
    var text =
      "\(layout.root): \(Readable.counted(Int(clamping: report.tables.eventCount), "event")) of "
      + "\(Readable.bytes(report.byteCount)) imported into "
      + "\(Readable.counted(report.tables.tableCount, "table")) of "
      + Readable.bytes(report.tables.byteCount)
    if report.tables.duplicateCount > 0 {
      text +=
        "; \(Readable.counted(Int(clamping: report.tables.duplicateCount), "duplicate")) became one"
    }
    if report.badCount > 0 { text += "; \(Readable.counted(report.badCount, "line")) left out" }
    print(text)
    flushOutput()
  }
}

/// One line on a terminal that says how far an import is.
private struct ImportProgress {
  private let start = System.monotonicNanoseconds()
  private var shownAt = System.monotonicNanoseconds()
  private var isShown = false
  private static let interval: Int64 = 500_000_000

  mutating func show(_ step: Importer<LinuxFileSystem>.ImportStep) {
    guard Console.isErrorTerminal else { return }
    let now = System.monotonicNanoseconds()
    guard now - shownAt >= ImportProgress.interval else { return }
    shownAt = now
    isShown = true
    switch step {
    case .reading(let byteCount, let eventCount):
      let rate = Double(eventCount) / (Double(now - start) / 1_000_000_000)
      Console.show(
        "\(Readable.counted(eventCount, "event")), \(Readable.bytes(byteCount)), "
          + "\(Readable.count(Int(rate))) events/s")
    case .joining(let done, let all): Console.show("joining tables, bucket \(done + 1) of \(all)")
    }
  }

  func end() {
    if isShown { Console.show("") }
  }
}
