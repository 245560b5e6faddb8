// penstock verify: every checksum of the store.

import ArgumentParser
import PenstockArchive
import PenstockCore

/// Checks a store.
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check every checksum of the store.",
    discussion: """
      Reads everything: the manifest, each block of each table, each batch of each live segment. \
      Beside a running daemon it looks at what is durable.

      Exit status: 0 all is well, 1 damage was found (a line on standard output for each place), \
      2 usage.
      """)

  @OptionGroup var store: StoreOptions

  func run() throws {
    let result = try store.open().verify { place in
      if Console.isErrorTerminal { Console.show("checking \(place)") }
    }
    if Console.isErrorTerminal { Console.show("") }
    var output = OutputBuffer(OutputBuffer.standardOutput)
    for problem in result.problems { output.put(text: "damaged: \(problem)\n") }
    for note in result.notes { output.put(text: "note: \(note)\n") }
    output.put(text: (result.problems.isEmpty ? "ok: " : "damaged: ") + summary(result) + "\n")
    try output.flush()
    if !result.problems.isEmpty { throw ExitStatus.failed.code }
  }

  private func summary(_ result: Verification) -> String {
    let live =
      "\(Readable.counted(result.segmentCount, "segment")) with "
      + "\(Readable.counted(result.liveEventCount, "event")) in "
      + "\(result.batchCount == 1 ? "1 batch" : Readable.count(result.batchCount) + " batches") "
      + "(\(Readable.bytes(result.liveByteCount)))"
    let archived =
      "\(Readable.counted(result.tableCount, "table")) with "
      + "\(Readable.counted(result.archivedEventCount, "event")) "
      + "(\(Readable.bytes(result.archivedByteCount)))"
    let found =
      result.problems.isEmpty
      ? "" : "; \(Readable.counted(result.problems.count, "place")) damaged, see above"
    return "\(live), \(archived)\(found)"
  }
}
