// `penstock erase`: removes the events of some streams before an instant, for good.

import ArgumentParser
internal import PenstockArchive
internal import PenstockCore

struct Erase: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Erase the events of some streams before an instant.",
    discussion: """
      Concerns what is stored when the order is given: events that come later stay, however old \
      their time is. Reads leave erased events out as soon as this returns; the archive's tables \
      are written anew without them in the background, and live segments lose them when they are \
      archived. 'penstock status' shows orders that are not yet carried out.

      Works through a running daemon, or without one. This cannot be undone.
      """)

  @Option(help: ArgumentHelp("The store's folder.", valueName: "dir"))
  var data = "./penstock-data"

  @Option(
    help: ArgumentHelp(
      "Streams of this pattern: * any run, ? one character, [a-z].", valueName: "glob"))
  var stream: String

  @Option(
    help: ArgumentHelp(
      "Events before this time: 2026-11-21T03:47:52Z, 2026-11-21, now, or 15m 2h 3d 1w ago.",
      valueName: "time"))
  var before: String

  @Option(help: "How long to wait until the order is taken, like 60s.")
  var timeout = "60s"

  /// How often it is looked whether the order was taken, in nanoseconds.
  private static let lookNanoseconds: Int64 = 20_000_000
  /// How long the archive's lock is waited for when no daemon runs, in milliseconds.
  private static let lockMilliseconds = 100

  func validate() throws { _ = try checked(now: System.now()) }

  private func checked(now: Timestamp) throws -> (before: Timestamp, limit: Int64) {
    do {
      _ = try Glob(stream)
    } catch {
      throw ValidationError("--stream: \(error)")
    }
    guard stream.utf8.count <= EraseOrder.patternByteCountMax else {
      throw ValidationError("--stream takes up to \(EraseOrder.patternByteCountMax) bytes")
    }
    guard let limit = Quantity.nanoseconds(timeout) else {
      throw ValidationError("--timeout takes a duration like 60s, not '\(timeout)'")
    }
    do {
      return (try TimeText.parse(before, now: now), limit)
    } catch {
      throw ValidationError("--before: \(error)")
    }
  }

  func run() throws {
    let (before, limit) = try checked(now: System.now())
    let layout = StoreLayout(root: data)
    let files = LinuxFileSystem()
    guard let description = try StoreDescription.read(files, layout) else {
      throw CommandFailure("there is no store at \(layout.root)")
    }
    let order = EraseOrder(
      pattern: stream, before: before, through: try StoreReader(files, layout).lastStored())
    let path = try order.submit(files, layout)
    let began = System.monotonicNanoseconds()
    while try isWaiting(files, path) {
      if try takeWithoutDaemon(files, layout, description.store) { continue }
      guard System.monotonicNanoseconds() - began < limit else {
        throw CommandFailure(
          "nobody took the order within \(timeout); it stays in \(path) and is taken by the next "
            + "archiver; remove the file to call it off")
      }
      System.sleep(nanoseconds: Erase.lookNanoseconds)
    }
    Console.say("erased for every reader; tables are written anew in the background")
  }

  private func isWaiting(_ files: LinuxFileSystem, _ path: String) throws -> Bool {
    do throws(FileError) {
      files.close(try files.open(path, .read))
      return true
    } catch {
      guard error.code == System.notFound else { throw error }
      return false
    }
  }

  /// Takes orders in the place of an archiver; false when there is one.
  private func takeWithoutDaemon(
    _ files: LinuxFileSystem, _ layout: StoreLayout, _ store: StoreIdentifier
  ) throws -> Bool {
    let lock = try files.open(layout.archiveLock, .createIfMissing)
    defer { files.close(lock) }
    guard try files.lock(lock, waiting: Erase.lockMilliseconds) else { return false }
    var archiver = try Archiver(
      files, layout, store: store, settings: try ArchiveSettings.read(files, layout))
    while true {
      switch try archiver.erase() {
      case .taken, .working: continue
      case .refused(let why): Console.say("penstock: \(why)")
      case .nothing:
        // What can be joined by the way is left to the next daemon.
        guard archiver.mustRewrite, try archiver.merge() != .nothing else { return true }
      }
    }
  }
}
