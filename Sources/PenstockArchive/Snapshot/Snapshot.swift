// A copy of a store as it stands at one moment, beside a running daemon or without one.
//
//     manifest, copied ─▶ its tables ─▶ of each log, the live segments behind it ─▶ penstock.json
//        ▲                    │                      │
//        └── one is gone ─────┴──────────────────────┘        the archiver was faster: start over
//
// The copied manifest says what else has to be there, so whatever the archiver does meanwhile, the
// copy is the store at the moment of that manifest, and each log as far as it was durable a moment
// later. Tables and settled segments never change: they get a second name where that can be done,
// which takes a microsecond each and holds on to them, and are copied elsewhere. What is already
// there when the work starts over is kept.
//
// The manifest keeps its edits and so their numbers: tables are named by these, and what a served
// copy archives must not take the name of a table that is there.
//
// A table or segment that is gone although the manifest still says it is there is lost: that is
// damage, told, and the snapshot holds the rest. Not copied: quarantine, the reserve, leases.

package import PenstockCore

/// What a snapshot holds.
package struct SnapshotResult: Sendable {
  /// How far a log is in it.
  package struct Log: Sendable, Equatable {
    package var log: LogNumber
    /// The last event.
    package var through: SequenceNumber
  }
  package var tableCount = 0
  package var archivedEventCount = 0
  package var segmentCount = 0
  package var liveEventCount = 0
  package var linkedByteCount = 0
  package var copiedByteCount = 0
  package var logs: [Log] = []
  /// What the store had lost before.
  package var damage: [String] = []
}

/// Takes a snapshot.
package struct Snapshot<Files: LinkingFileSystem> {
  private let files: Files
  private let layout: StoreLayout
  private let store: StoreIdentifier
  private let folder: SnapshotFolder<Files>
  private let progress: (String) -> Void
  private var result = SnapshotResult()
  private var lostLogs: Set<LogNumber> = []
  private var tables: Set<String> = []

  /// How often the work starts over before it is given up: each time an archiver committed tables
  /// in between.
  private static var attemptCountMax: Int { 100 }

  /// Copies the store in `layout` to `path`, which must not be there, or be an empty folder.
  /// - Parameter progress: is told now and then what is being done.
  package static func take(
    _ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier, to path: String,
    _ progress: @escaping (String) -> Void = { _ in }
  ) throws(SnapshotError) -> SnapshotResult {
    let target = StoreLayout(root: path).root
    if target == layout.root || target.hasPrefix(layout.root + "/") { throw .inside(target) }
    let folder = try SnapshotFolder(files, path: target)
    var snapshot = Snapshot(files, layout, store, folder, progress)
    try snapshot.run()
    return snapshot.result
  }

  private init(
    _ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier,
    _ folder: SnapshotFolder<Files>, _ progress: @escaping (String) -> Void
  ) {
    self.files = files
    self.layout = layout
    self.store = store
    self.folder = folder
    self.progress = progress
  }

  private mutating func run() throws(SnapshotError) {
    var attempt = 0
    while try !isTaken() {
      attempt += 1
      guard attempt < Snapshot.attemptCountMax else { throw .changed(layout.root) }
      System.sleep(nanoseconds: 1_000_000)
    }
    try describe()
    result.linkedByteCount = folder.linkedByteCount
    result.copiedByteCount = folder.copiedByteCount
    progress("syncing")
    try folder.finish()
  }

  /// One attempt; false when the archiver was faster.
  private mutating func isTaken() throws(SnapshotError) -> Bool {
    result = SnapshotResult()
    folder.countAnew()
    guard let manifest = try copyManifest() else { return false }
    do throws(FileError) {
      try removeLive()
      guard try takeTables(manifest) else { return false }
      guard try takeLogs(manifest) else { return false }
      try removeTablesBeside(manifest)
    } catch {
      throw .file(error)
    }
    return true
  }

  // MARK: - Manifest

  /// Copies the manifest and reads the copy; nil when it was being changed in a way that a copy
  /// does not show whole.
  private func copyManifest() throws(SnapshotError) -> Manifest? {
    progress("manifest")
    let copy = folder.layout.manifest
    do throws(FileError) {
      try files.unlinkIfThere(copy)
      do throws(FileError) {
        _ = try folder.copy(layout.manifest, as: copy)
      } catch {
        guard error.code == System.notFound, error.path == layout.manifest else { throw error }
        return Manifest()
      }
    } catch {
      throw .file(error)
    }
    do throws(ManifestError) {
      let manifest = try Manifest.read(files, folder.layout)
      if let named = manifest.store, named != store {
        throw .foreignStore(path: layout.manifest)
      }
      try cut(manifest.tornByteCount, from: copy)
      return manifest
    } catch {
      guard case .damaged = error else { throw .manifest(error) }
      // Damaged it is only when the original is: a line may have been written over.
      _ = try original()
      return nil
    }
  }

  private func cut(_ byteCount: Int, from path: String) throws(ManifestError) {
    guard byteCount > 0 else { return }
    do throws(FileError) {
      let file = try files.open(path, .write)
      defer { files.close(file) }
      try files.truncate(file, byteCount: try files.byteCount(file) - byteCount)
      try files.syncFile(file)
    } catch {
      throw .file(error)
    }
  }

  private func original() throws(SnapshotError) -> Manifest {
    do throws(ManifestError) {
      return try Manifest.read(files, layout)
    } catch {
      throw .manifest(error)
    }
  }

  private func originalOrFile() throws(FileError) -> Manifest {
    do throws(ManifestError) {
      return try Manifest.read(files, layout)
    } catch {
      if case .file(let failure) = error { throw failure }
      // It was read a moment ago; the next attempt tells.
      return Manifest()
    }
  }

  // MARK: - Tables

  /// Takes the tables the manifest names; false when one was joined away meanwhile.
  private mutating func takeTables(_ manifest: Manifest) throws(FileError) -> Bool {
    for (index, table) in manifest.tables.enumerated() {
      if index % 16 == 0 { progress("table \(index + 1) of \(manifest.tables.count)") }
      let target = folder.layout.archive + "/" + table.name
      do throws(FileError) {
        try files.makeFolderIfMissing(
          folder.layout.archive + "/" + String(table.name.prefix { $0 != "/" }))
        try folder.take(layout.archive + "/" + table.name, as: target)
      } catch {
        guard error.code == System.notFound else { throw error }
        guard try originalOrFile().tables.contains(where: { $0.name == table.name }) else {
          return false
        }
        result.damage.append(
          "archive/\(table.name) is missing: \(table.eventCount) events are not in the snapshot")
        continue
      }
      tables.insert(table.name)
      result.tableCount += 1
      result.archivedEventCount += Int(clamping: table.eventCount)
    }
    return true
  }

  /// Removes tables an earlier attempt took that the manifest does not name any more.
  private mutating func removeTablesBeside(_ manifest: Manifest) throws(FileError) {
    for name in tables.subtracting(manifest.tables.map(\.name)) {
      try files.unlinkIfThere(folder.layout.archive + "/" + name)
    }
    for name in try files.list(folder.layout.archive) where UnnamedTables<Files>.isBucket(name) {
      // Only empty ones go.
      _ = try? files.removeDirectory(folder.layout.archive + "/" + name)
    }
  }

  // MARK: - Live segments

  private func removeLive() throws(FileError) {
    for name in try files.list(folder.layout.live) {
      try files.unlink(folder.layout.live + "/" + name)
    }
  }

  /// Takes each log's live segments; false when some were archived meanwhile.
  private mutating func takeLogs(_ manifest: Manifest) throws(FileError) -> Bool {
    let live = try SegmentCatalog(files, layout).logs
    for log in Set(live).union(manifest.coverage.keys).sorted() {
      let archived = manifest.archivedThrough(log)
      var entry = SnapshotResult.Log(log: log, through: manifest.coveredThrough(log))
      if live.contains(log) {
        progress("log \(log.value)")
        let taken: SnapshotLog<Files>.Taken
        do throws(LogError) {
          taken = try SnapshotLog(
            files, layout, folder, store, log, after: archived,
            acceptsHoles: lostLogs.contains(log)
          ).take()
        } catch {
          if case .file(let failure) = error { throw failure }
          // Nobody but an archiver takes segments away.
          if try originalOrFile().archivedThrough(log) == archived { lostLogs.insert(log) }
          return false
        }
        entry.through = max(entry.through, taken.through)
        result.segmentCount += taken.segmentCount
        result.liveEventCount += taken.eventCount
        result.damage += taken.damage.map(\.description)
      }
      if entry.through > .none { result.logs.append(entry) }
    }
    return true
  }

  // MARK: - Description

  private func describe() throws(SnapshotError) {
    do throws(StoreError) {
      let found = try StoreDescription.read(files, layout)
      // A lost one is made again as a start of the store would make it, by what is known.
      let description =
        found
        ?? StoreDescription(
          store: store,
          journalHashWidth: max(1, result.logs.count { $0.log < LogNumber.imported }))
      do throws(FileError) {
        try folder.write(Array(description.text.utf8), to: folder.layout.description)
      } catch {
        throw .file(error)
      }
    } catch {
      if case .file(let failure) = error { throw .file(failure) }
      throw .unusable(error.description)
    }
  }
}
