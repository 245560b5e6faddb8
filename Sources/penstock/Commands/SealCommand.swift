// `penstock seal`: asks a running store to archive everything up to now, and waits for it.

import ArgumentParser
internal import PenstockArchive
internal import PenstockCore

struct Seal: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Archive everything stored up to now.",
    discussion: "Asks the running daemon and returns when the archive holds it.")

  @Option(help: ArgumentHelp("The store's folder.", valueName: "dir"))
  var data = "./penstock-data"

  @Option(help: "How long to wait, like 60s.")
  var timeout = "60s"

  /// How often the manifest is looked at, in nanoseconds.
  private static let lookNanoseconds: Int64 = 5_000_000
  /// How often the daemon is asked again, in nanoseconds: a shard that was being restarted did not
  /// hear the first time.
  private static let askNanoseconds: Int64 = 1_000_000_000

  func validate() throws { _ = try limit() }

  private func limit() throws -> Int64 {
    guard let limit = Quantity.nanoseconds(timeout) else {
      throw ValidationError("--timeout takes a duration like 60s, not '\(timeout)'")
    }
    return limit
  }

  func run() throws {
    let limit = try limit()
    let layout = StoreLayout(root: data)
    let files = LinuxFileSystem()
    guard let description = try StoreDescription.read(files, layout) else {
      throw CommandFailure("there is no store at \(layout.root)")
    }
    guard let status = ControlServer.ask(layout, "status") else {
      throw CommandFailure(
        "no daemon serves \(layout.root); start it with 'penstock serve --data \(layout.root)'")
    }
    var wanted = try DurablePositions.read(files, layout, description.store)
    try leaveOut(&wanted, layout, status)
    let began = System.monotonicNanoseconds()
    var askAt = began
    while true {
      let now = System.monotonicNanoseconds()
      let manifest = try Manifest.read(files, layout)
      let missing = wanted.filter { manifest.coveredThrough($0.key) < $0.value }
      if missing.isEmpty { return }
      if now - began >= limit {
        let logs = missing.keys.sorted().map { "\($0.value)" }.joined(separator: ", ")
        throw CommandFailure(
          "the archive does not hold everything of log \(logs) after \(timeout); "
            + "'penstock status --data \(layout.root)' shows how far it is")
      }
      if now >= askAt {
        guard ControlServer.ask(layout, "seal") == "OK\n" else {
          throw CommandFailure("the daemon of \(layout.root) ended before everything was archived")
        }
        askAt = now + Seal.askNanoseconds
      }
      System.sleep(nanoseconds: Seal.lookNanoseconds)
    }
  }

  /// Leaves out what no daemon can seal: logs that programs with the store inside write, or wrote since
  /// it was started.
  private func leaveOut(
    _ wanted: inout [LogNumber: SequenceNumber], _ layout: StoreLayout, _ status: String
  ) throws {
    let manifest = try Manifest.read(LinuxFileSystem(), layout)
    let recovering = ManagedRole.logsBeingRecovered(status)
    for (log, position) in wanted.sorted(by: { $0.key < $1.key })
    where manifest.coveredThrough(log) < position && !recovering.contains(log) {
      guard try !HostLock.serves(log, of: layout) else { continue }
      wanted[log] = nil
      Console.say(
        "penstock: log \(log.value) is written by a program with the store inside; what it has not "
          + "sealed itself is not archived")
    }
  }
}
