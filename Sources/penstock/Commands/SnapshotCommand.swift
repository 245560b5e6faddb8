// penstock snapshot: a copy of the store as it stands, while it is served or not.

import ArgumentParser
import CShims
import PenstockArchive
import PenstockCore

/// Copies a store.
struct SnapshotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "snapshot",
    abstract: "Copy the store as it stands at one moment.",
    discussion: """
      Beside a running daemon or without one. Tables and sealed segments are hard links where the \
      target is on the same file system, and copies elsewhere; the newest segment of each log is \
      copied up to what is durable. The folder appears when it is complete and on stable storage: \
      until then it is called DIR.partial, and a snapshot that fails leaves nothing.

        penstock snapshot --out /backup/2026-11-21
        penstock verify --data /backup/2026-11-21

      A snapshot is a store: it can be queried, exported and served, also while the original is. \
      Damage copied from the store, and what the store had lost, is told; exit status 3.
      """)

  @OptionGroup var store: StoreOptions

  @Option(help: ArgumentHelp("A folder that is not there yet, or empty.", valueName: "dir"))
  var out: String

  /// How often progress is shown, in nanoseconds.
  private static let interval: Int64 = 200_000_000

  func validate() throws {
    if out.isEmpty { throw ValidationError("--out takes a folder's path") }
  }

  func run() throws {
    let reader = try store.open()
    var shownAt = System.monotonicNanoseconds()
    var isShown = false
    let result = try Snapshot.take(reader.files, reader.layout, reader.store, to: out) { step in
      let now = System.monotonicNanoseconds()
      guard Console.isErrorTerminal, now - shownAt >= SnapshotCommand.interval else { return }
      shownAt = now
      isShown = true
      Console.show("copying: \(step)")
    }
    if isShown { Console.show("") }
    for note in result.damage { Console.say("penstock: \(note)") }
    print(SnapshotCommand.summary(result, out: StoreLayout(root: out).root))
    flushOutput()
    if !result.damage.isEmpty { throw ExitStatus.incomplete.code }
  }

  private static func summary(_ result: SnapshotResult, out: String) -> String {
    var text =
      "\(out): \(Readable.counted(result.tableCount, "table")) with "
      + "\(Readable.counted(result.archivedEventCount, "event")), "
      + "\(Readable.counted(result.segmentCount, "live segment")) with "
      + "\(Readable.counted(result.liveEventCount, "event")); "
      + "\(Readable.bytes(result.linkedByteCount)) linked, "
      + "\(Readable.bytes(result.copiedByteCount)) copied"
    for log in result.logs {
      let name = log.log == .imported ? "imported events" : "shard \(log.log.value)"
      text += "\n  \(name) through \(log.through.value)"
    }
    return text
  }
}
