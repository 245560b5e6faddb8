// penstock query: the events of a time range, in order of time.

import ArgumentParser
import PenstockArchive
import PenstockCore

/// Prints events.
struct QueryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "query",
    abstract: "Print events in order of time.",
    discussion: """
      Reads the store's files, beside a running daemon or without one.

        penstock query --stream 'syslog/*' --since 15m
        penstock query --where severity=err --contains timeout --reverse --limit 20
        penstock query --since 2026-11-21 --until 2026-11-22 --format ndjson | jq .payload

      Exit status: 0 done, 1 failed, 2 usage, 3 done but damaged bytes were left out.
      """)

  @OptionGroup var store: StoreOptions
  @OptionGroup var selection: SelectionOptions

  @Flag(help: "Newest first.")
  var reverse = false

  @Option(help: ArgumentHelp("Stop after so many events.", valueName: "count"))
  var limit: Int?

  @Option(help: "How events are written: text, ndjson or raw (what the sender sent).")
  var format = EventFormat.text

  func validate() throws {
    if let limit, limit < 0 { throw ValidationError("--limit cannot be negative") }
  }

  func run() throws {
    var query = Query(try selection.selection(now: System.now()))
    query.direction = reverse ? .reverse : .forward
    query.limit = limit
    var cursor = try store.open().read(query)
    var printer = EventPrinter(format)
    var event = StoredEvent()
    while try cursor.next(&event) { try printer.print(event) }
    try printer.flush()
    try ReadEnding(cursor.report).tell()
  }
}
