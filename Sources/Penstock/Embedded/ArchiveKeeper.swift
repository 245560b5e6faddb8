// Archives a store from inside a program: on request, and by itself as live segments grow.
//
// Whoever holds the archive's lock archives; a daemon or another program that does is left to it.
// It does what a daemon's archiver does: what is settled becomes tables, orders to erase are carried
// out, tables go whose time has come by the store's settings, and tables are joined. By itself it
// begins at half of what live segments may have, so that they do not get there while events go on
// coming, and in the idle classes of processor and disk until they are at three quarters.

internal import CShims
internal import PenstockArchive
internal import PenstockCore
internal import Synchronization

/// Archives a store. A request goes before what is done without one, which makes way between steps.
final class StoreArchiver: Sendable {
  let place: StorePlace
  /// Held by whoever of this program archives the store.
  private let upkeep: Mutex<ArchiveUpkeep>
  /// Requests that wait or are under way.
  private let requestCount = Atomic(0)

  init(_ place: StorePlace) {
    self.place = place
    let notices = place.options.notices
    upkeep = Mutex(ArchiveUpkeep { notices("archiver: \($0)") })
  }

  /// What is to be reached, and how long that may take.
  private struct Aim {
    var wanted: [LogNumber: SequenceNumber]
    /// In monotonic nanoseconds; nil for as long as there is something to do.
    var deadline: Int64?

    var isLate: Bool { deadline.map { System.monotonicNanoseconds() >= $0 } ?? false }
  }

  /// Archives until nothing is left that is settled and each log is covered up to where `wanted`
  /// says; then joins tables while there is time.
  /// - Returns: whether all that is wanted was archived within `milliseconds`.
  func archive(until wanted: [LogNumber: SequenceNumber], milliseconds: Int) throws(StoreError)
    -> Bool
  {
    let deadline = System.monotonicNanoseconds() + Milliseconds.nanoseconds(milliseconds)
    requestCount.add(1, ordering: .relaxed)
    defer { requestCount.subtract(1, ordering: .relaxed) }
    return try run(Aim(wanted: wanted, deadline: deadline)) { true }
  }

  /// Archives what is settled and joins tables until there is nothing left to do, a request comes,
  /// or `goesOn` says no.
  func keepUp(while goesOn: () -> Bool) throws(StoreError) {
    _ = try run(Aim(wanted: [:])) { goesOn() && requestCount.load(ordering: .relaxed) == 0 }
  }

  private func run(_ aim: Aim, while goesOn: () -> Bool) throws(StoreError) -> Bool {
    try upkeep.withLock { upkeep throws(StoreError) in
      let files = LinuxFileSystem()
      let lock: File?
      do throws(FileError) {
        lock = try ArchiveLock.take(files, place.layout)
      } catch {
        throw .failed(error.description)
      }
      guard let lock else {
        throw .archiveHeld(process: ArchiveLock.holder(place.layout).map { Int($0) })
      }
      defer { files.close(lock) }
      while true {
        do throws(ArchiveError) {
          return try archive(files, aim, &upkeep, goesOn)
        } catch {
          guard error.isDiskFull, Reserve.take(files, place.layout, byteCount: Int.max) > 0 else {
            throw .failed(error.description)
          }
        }
      }
    }
  }

  private func archive(
    _ files: LinuxFileSystem, _ aim: Aim, _ upkeep: inout ArchiveUpkeep, _ goesOn: () -> Bool
  ) throws(ArchiveError) -> Bool {
    let settings: ArchiveSettings
    do throws(FileError) {
      settings = try ArchiveSettings.read(files, place.layout)
    } catch {
      throw .file(error)
    }
    var archiver = try Archiver(files, place.layout, store: place.store, settings: settings)
    defer { archiver.giveUpJoin() }
    upkeep.begin(archiver)
    var hasArchived = false
    while true {
      let pass = try archiver.pass()
      for damage in pass.damage { place.options.notices("archiver: \(damage)") }
      guard goesOn() else { return false }
      if pass.segmentCount > 0 { hasArchived = true }
      let isReached = aim.wanted.allSatisfy { archiver.manifest.coveredThrough($0.key) >= $0.value }
      if hasArchived, pass.segmentCount == 0, isReached {
        // What was archived just now may be due, or the last of what is joined.
        hasArchived = false
        upkeep.lookAtOnce()
      }
      try upkeep.tend(&archiver)
      if pass.segmentCount > 0 { continue }
      if aim.isLate { return isReached }
      if isReached {
        guard try upkeep.join(&archiver) else { return true }
      } else {
        System.sleep(nanoseconds: 2_000_000)
      }
    }
  }

  /// Bytes of the live segments of all logs.
  var liveByteCount: Int {
    let files = LinuxFileSystem()
    guard let catalog = try? SegmentCatalog(files, place.layout) else { return 0 }
    return catalog.segments.reduce(0) { sum, name in
      guard let file = try? files.open(place.layout.segment(name), .read) else { return sum }
      defer { files.close(file) }
      return sum + ((try? files.byteCount(file)) ?? 0)
    }
  }
}

/// The thread that archives by itself.
final class ArchiveKeeper: Sendable {
  private let shared = Shared()
  private let thread: LibraryThread

  private final class Shared: Sendable {
    let gate = Gate()
    let isStopping = Atomic(false)
  }

  /// How often live segments are looked at, in nanoseconds.
  private static let lookNanoseconds: Int64 = 500_000_000

  init(_ archiver: StoreArchiver, byteCountMax: Int) throws(StoreError) {
    let shared = shared
    thread = try LibraryThread {
      // What the program writes goes first.
      _ = penstock_set_idle(true)
      shared.gate.lock()
      defer { shared.gate.unlock() }
      while !shared.isStopping.load(ordering: .relaxed) {
        shared.gate.wait(.room, nanoseconds: ArchiveKeeper.lookNanoseconds)
        guard !shared.isStopping.load(ordering: .relaxed),
          case let byteCount = archiver.liveByteCount, byteCount > byteCountMax / 2
        else { continue }
        _ = penstock_set_idle(byteCount < byteCountMax / 4 * 3)
        ArchiveKeeper.archive(archiver, shared)
      }
    }
  }

  private static func archive(_ archiver: StoreArchiver, _ shared: Shared) {
    do throws(StoreError) {
      try archiver.keepUp { !shared.isStopping.load(ordering: .relaxed) }
    } catch {
      // Somebody else archives: all is well.
      if case .archiveHeld = error { return }
      archiver.place.options.notices("archiver: \(error)")
    }
  }

  func stop() {
    if thread.isElsewhere { return }
    shared.isStopping.store(true, ordering: .relaxed)
    shared.gate.lock()
    shared.gate.wake(.room)
    shared.gate.unlock()
    thread.join()
  }
}
