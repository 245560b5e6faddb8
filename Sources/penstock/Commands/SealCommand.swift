// `penstock seal`: asks a running store to archive everything up to now, and waits for it.

import ArgumentParser
internal import PenstockArchive
internal import PenstockCore

struct Seal: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Archive everything stored up to now.",
    discussion: "Asks the running daemon and returns when the archive holds it.")

  @Option(help: "The store's folder.")
  var data = "./penstock-data"

  @Option(help: "How long to wait, like 60s.")
  var timeout = "60s"

  func run() throws {
    guard let limit = Quantity.nanoseconds(timeout) else {
      throw ValidationError("--timeout takes a duration like 60s, not '\(timeout)'")
    }
    let layout = StoreLayout(root: data)
    let files = LinuxFileSystem()
    guard let description = try? StoreDescription.read(files, layout) else {
      throw CommandFailure("there is no store at \(layout.root)")
    }
    let wanted = durablePositions(files, layout, description.store)
    guard let answer = ControlServer.ask(layout, "seal") else {
      throw CommandFailure("no daemon serves \(layout.root); start it with 'penstock serve'")
    }
    guard answer == "OK\n" else { throw CommandFailure("the daemon refused: \(answer)") }
    let deadline = System.monotonicNanoseconds() + limit
    while true {
      let manifest: Manifest
      do {
        manifest = try Manifest.read(files, layout)
      } catch {
        throw CommandFailure("the archive's manifest cannot be read: \(error)")
      }
      let missing = wanted.filter { manifest.coveredThrough($0.log) < $0.sequence }
      if missing.isEmpty { return }
      if System.monotonicNanoseconds() >= deadline {
        let logs = missing.map { "\($0.log.value)" }.joined(separator: ", ")
        throw CommandFailure(
          "the archive does not hold everything of log \(logs) after \(timeout); "
            + "'penstock status' shows how far it is")
      }
      System.sleep(nanoseconds: 5_000_000)
    }
  }

  /// How far each log is durable now.
  private func durablePositions(
    _ files: LinuxFileSystem, _ layout: StoreLayout, _ store: StoreIdentifier
  ) -> [(log: LogNumber, sequence: SequenceNumber)] {
    var positions: [(log: LogNumber, sequence: SequenceNumber)] = []
    for value in 0..<UInt8(HostOptions.shardCountMax) {
      let log = LogNumber(value)
      guard
        let page = SharedPage(
          reading: layout.frontierPage(store, log), magic: Frontier.magic,
          boot: System.bootIdentifier(), valueCount: Frontier.valueCount)
      else { continue }
      positions.append((log, Frontier(page).sequence))
    }
    return positions
  }
}
