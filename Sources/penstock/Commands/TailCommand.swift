// penstock tail: the newest events, and those that come.

import ArgumentParser
import PenstockArchive
import PenstockCore

/// Prints the last events and follows.
struct TailCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tail",
    abstract: "Print the newest events, and follow the ones that come.",
    discussion: """
      With -f every event is printed once it is durable, in the order of each shard. Following
      goes on through restarts of the daemon. Should a restart make it uncertain whether an event
      was printed, it is printed again rather than left out.

        penstock tail
        penstock tail -f --stream 'syslog/web-*' --where severity=err
        penstock tail -n 0 -f --format ndjson | jq -r .payload
      """)

  @OptionGroup var store: StoreOptions
  @OptionGroup var selection: SelectionOptions

  @Option(name: .customShort("n"), help: ArgumentHelp("Begin with so many.", valueName: "count"))
  var count = 10

  @Flag(name: [.customShort("f"), .customLong("follow")], help: "Go on with events as they come.")
  var follows = false

  @Option(help: "How events are written: text, ndjson or raw (what the sender sent).")
  var format = EventFormat.text

  /// Time between two looks at the frontier, in nanoseconds: short while events come, longer when
  /// none came for a while. An event shows within 5 ms of its barrier, and an idle follower costs
  /// half a percent of a core.
  private static let busyNanoseconds: Int64 = 1_000_000
  private static let idleNanoseconds: Int64 = 4_000_000
  /// Looks without an event after which a follower is idle.
  private static let pollsUntilIdle = 200
  /// Looks between two checks whether the reader of the pipe has left.
  private static let pollsPerPipeCheck = 50

  func validate() throws {
    if count < 0 { throw ValidationError("-n cannot be negative") }
  }

  func run() throws {
    let reader = try store.open()
    var printer = EventPrinter(format)
    var query = Query(try selection.selection(now: System.now()))
    let positions = try printLast(reader, query, &printer)
    guard follows else { return }
    query.selection.since = nil
    let follower = Follower(reader, query.selection, from: positions)
    var pollCount = 0
    var quietCount = 0
    while true {
      let before = printer.count
      try follower.poll { (event) throws(OutputError) in try printer.print(event) }
      quietCount = printer.count > before ? 0 : quietCount + 1
      if quietCount == 0 { try printer.flush() }
      for note in follower.takeDamage() { Console.say("penstock: damaged: \(note)") }
      pollCount += 1
      if pollCount % TailCommand.pollsPerPipeCheck == 0, printer.isClosed { return }
      System.sleep(
        nanoseconds: quietCount < TailCommand.pollsUntilIdle
          ? TailCommand.busyNanoseconds : TailCommand.idleNanoseconds)
    }
  }

  /// Prints the newest events, oldest first, and returns where each log was read to.
  private func printLast(
    _ reader: StoreReader<LinuxFileSystem>, _ asked: Query, _ printer: inout EventPrinter
  ) throws -> LogPlaces {
    var query = asked
    query.direction = .reverse
    query.limit = count
    var cursor = try reader.read(query)
    var last: [StoredEvent] = []
    var event = StoredEvent()
    while try cursor.next(&event) { last.append(event) }
    for event in last.reversed() { try printer.print(event) }
    try printer.flush()
    do {
      try ReadEnding(cursor.report).tell()
    } catch {
      // Damage in what was read does not keep what comes from being followed.
      if !follows { throw error }
    }
    return cursor.places
  }
}
