// penstock export: everything that is proved durable, into a file or a pipe.

import ArgumentParser
import PenstockArchive
import PenstockCore

/// Writes events to a file.
struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write events to a file, in order of time.",
    discussion: """
      The file appears when it is complete: until then it is called PATH.partial. A file that is
      there is replaced. Events not yet proved durable are left out.

        penstock export --out events.txt
        penstock export --format ndjson --since 1d --out - | zstd > yesterday.ndjson.zst
      """)

  @OptionGroup var store: StoreOptions
  @OptionGroup var selection: SelectionOptions

  @Option(help: "How events are written: text, ndjson or raw (what the sender sent).")
  var format = EventFormat.text

  @Option(help: ArgumentHelp("The file to write; - for standard output.", valueName: "path"))
  var out: String

  func validate() throws {
    if out.isEmpty || out.hasSuffix("/") { throw ValidationError("--out takes a file's path") }
  }

  func run() throws {
    var query = Query(try selection.selection(now: System.now()))
    query.leavesProvisionalOut = true
    var cursor = try store.open().read(query)
    if out == "-" {
      var output = OutputBuffer(OutputBuffer.standardOutput)
      _ = try copy(&cursor, to: &output)
    } else {
      let file = try ExportFile(LinuxFileSystem(), path: out)
      var output = OutputBuffer(file.file)
      let count = try copy(&cursor, to: &output)
      try file.finish()
      Console.say(
        "\(out): \(Readable.counted(count, "event")), \(Readable.bytes(output.byteCount))")
    }
    try ReadEnding(cursor.report).tell()
  }

  private func copy(
    _ cursor: inout StoreCursor<LinuxFileSystem>, to output: inout OutputBuffer
  ) throws -> Int {
    var text = EventText(format)
    var event = StoredEvent()
    var progress = ExportProgress()
    var count = 0
    while try cursor.next(&event) {
      text.write(event, to: &output)
      count += 1
      if count & 0xFFF == 0 {
        try output.check()
        progress.show(count, output.byteCount)
      }
    }
    try output.flush()
    progress.end()
    return count
  }
}

/// One line on a terminal that says how far an export is.
private struct ExportProgress {
  private let start = System.monotonicNanoseconds()
  private var shownAt = System.monotonicNanoseconds()
  private var isShown = false
  private static let interval: Int64 = 500_000_000

  mutating func show(_ count: Int, _ byteCount: Int) {
    guard Console.isErrorTerminal else { return }
    let now = System.monotonicNanoseconds()
    guard now - shownAt >= ExportProgress.interval else { return }
    shownAt = now
    isShown = true
    let rate = Double(count) / (Double(now - start) / 1_000_000_000)
    Console.show(
      "\(Readable.counted(count, "event")), \(Readable.bytes(byteCount)), "
        + "\(Readable.count(Int(rate))) events/s")
  }

  func end() {
    if isShown { Console.show("") }
  }
}
