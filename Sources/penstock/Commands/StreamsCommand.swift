// penstock streams: what there is to ask for.

import ArgumentParser
import PenstockArchive
import PenstockCore

/// Lists the store's streams.
struct StreamsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "streams",
    abstract: "List the streams with their events' number and times.",
    discussion: """
      One line for each stream, by name: name, events, first time, last time, with TAB between \
      them in a pipe. Names are escaped as in an event line.

        penstock streams
        penstock streams --stream 'syslog/*' | sort -t "$(printf '\\t')" -k2 -n | tail
      """)

  @OptionGroup var store: StoreOptions

  @Option(
    help: ArgumentHelp("Only streams of this pattern. Repeat it for more.", valueName: "glob"))
  var stream: [String] = []

  @Option(help: "How streams are written: text or ndjson.")
  var format = ListFormat.text

  func validate() throws { _ = try selection() }

  private func selection() throws -> Selection {
    var selection = Selection()
    for pattern in stream {
      do {
        selection.streams.append(try Glob(pattern))
      } catch {
        throw ValidationError("--stream: \(error)")
      }
    }
    return selection
  }

  func run() throws {
    let (streams, report) = try store.open().streams(try selection())
    var output = OutputBuffer(OutputBuffer.standardOutput)
    let names = streams.map { Escape.encode($0.name.rawSpan, .word) }
    let width = min(40, names.map(\.count).max() ?? 0)
    for (stream, name) in zip(streams, names) {
      switch format {
      case .ndjson: StreamsCommand.writeJSON(stream, &output)
      case .text:
        output.put(name.rawSpan)
        let count = String(stream.eventCount)
        if Console.isOutputTerminal {
          let gap = max(1, width - name.count + 2) + max(0, 12 - count.count)
          output.put(text: String(repeating: " ", count: gap))
          output.put(text: "\(count)  \(stream.earliest.text)  \(stream.latest.text)\n")
        } else {
          output.put(text: "\t\(count)\t\(stream.earliest.text)\t\(stream.latest.text)\n")
        }
      }
    }
    try output.flush()
    try ReadEnding(report).tell()
  }

  private static func writeJSON(_ stream: StreamSummary, _ output: inout OutputBuffer) {
    output.put("{\"stream\":")
    output.put(json: stream.name.rawSpan)
    output.put(",\"events\":")
    output.put(decimal: UInt64(stream.eventCount))
    output.put(
      text: ",\"first\":\"\(stream.earliest.text)\",\"last\":\"\(stream.latest.text)\"}\n")
  }
}

/// How a command that lists things writes them.
enum ListFormat: String, CaseIterable, ExpressibleByArgument {
  case text, ndjson
}
