// Archives a store from inside a program: on request, and by itself as live segments grow.
//
// Whoever holds the archive's lock archives; a daemon or another program that does is left to it.
// Only what is settled becomes tables: joining tables, retention and orders to erase are left to a
// daemon. By itself it begins at half of what live segments may have, so that they do not get there while
// events go on coming, and in the idle classes of processor and disk until they are at three
// quarters.

internal import CShims
internal import PenstockArchive
internal import PenstockCore
internal import Synchronization

/// Archives what is settled.
enum StoreArchiver {
  /// Archives until nothing is left that is settled and, when `wanted` says so, each log is covered
  /// up to there.
  /// - Parameter goesOn: asked between passes.
  /// - Returns: whether that was reached within `milliseconds`.
  static func run(
    _ place: StorePlace, until wanted: [LogNumber: SequenceNumber], milliseconds: Int,
    while goesOn: () -> Bool = { true }
  ) throws(StoreError) -> Bool {
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
    do throws(ArchiveError) {
      return try archive(files, place, wanted, milliseconds, goesOn)
    } catch {
      throw .failed(error.description)
    }
  }

  private static func archive(
    _ files: LinuxFileSystem, _ place: StorePlace, _ wanted: [LogNumber: SequenceNumber],
    _ milliseconds: Int, _ goesOn: () -> Bool
  ) throws(ArchiveError) -> Bool {
    let settings: ArchiveSettings
    do throws(FileError) {
      settings = try ArchiveSettings.read(files, place.layout)
    } catch {
      throw .file(error)
    }
    var archiver = try Archiver(files, place.layout, store: place.store, settings: settings)
    let deadline = System.monotonicNanoseconds() + Milliseconds.nanoseconds(milliseconds)
    while true {
      let pass = try archiver.pass()
      for damage in pass.damage { place.options.notices("archiver: \(damage)") }
      guard goesOn() else { return false }
      if pass.segmentCount > 0 { continue }
      if wanted.allSatisfy({ archiver.manifest.coveredThrough($0.key) >= $0.value }) { return true }
      if System.monotonicNanoseconds() >= deadline { return false }
      System.sleep(nanoseconds: 2_000_000)
    }
  }

  /// Bytes of the live segments of all logs.
  static func liveByteCount(_ place: StorePlace) -> Int {
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

  init(_ place: StorePlace, byteCountMax: Int) throws(StoreError) {
    let shared = shared
    thread = try LibraryThread {
      // What the program writes goes first.
      _ = penstock_set_idle(true)
      shared.gate.lock()
      defer { shared.gate.unlock() }
      while !shared.isStopping.load(ordering: .relaxed) {
        shared.gate.wait(.room, nanoseconds: ArchiveKeeper.lookNanoseconds)
        guard !shared.isStopping.load(ordering: .relaxed),
          case let byteCount = StoreArchiver.liveByteCount(place), byteCount > byteCountMax / 2
        else { continue }
        _ = penstock_set_idle(byteCount < byteCountMax / 4 * 3)
        ArchiveKeeper.archive(place, shared)
      }
    }
  }

  private static func archive(_ place: StorePlace, _ shared: Shared) {
    do throws(StoreError) {
      _ = try StoreArchiver.run(place, until: [:], milliseconds: 0) {
        !shared.isStopping.load(ordering: .relaxed)
      }
    } catch {
      // Somebody else archives: all is well.
      if case .archiveHeld = error { return }
      place.options.notices("archiver: \(error)")
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
