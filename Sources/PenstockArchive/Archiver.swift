// The archiver: sealed segments become tables.
//
//     settled segments of all logs, in order, about one run's worth
//       → events into memory → sorted by bucket, stream, time, position → tables, synced
//       → folders synced → read back past the cache and compared → manifest line → unlink
//
// Coverage of a log is a prefix of its segments, so a hand-over that a crash cut short is simply
// done again: tables the manifest does not name are garbage and go, segments it covers go. A run
// writes tables of its own for at most `bucketCountMax` buckets; the rest of a run whose events
// are strewn over more goes to one table of mixed time.

internal import CShims
package import PenstockCore

/// What one pass did.
package struct ArchivePass: Equatable, Sendable {
  package var segmentCount = 0
  package var eventCount: UInt64 = 0
  package var tableCount = 0
  package init() {}
}

/// Why a pass ended early.
package enum ArchiveError: Error, Sendable, CustomStringConvertible {
  case file(FileError)
  case log(LogError)
  case table(TableError)
  case manifest(ManifestError)

  package var description: String {
    switch self {
    case .file(let error): error.description
    case .log(let error): error.description
    case .table(let error): error.description
    case .manifest(let error): error.description
    }
  }
}

/// Archives the settled segments of a store. The caller holds the archive's lock.
package struct Archiver<Files: FileSystem>: ~Copyable {
  private let files: Files
  private let layout: StoreLayout
  private let store: StoreIdentifier
  package private(set) var manifest: Manifest
  private var run: ArchiveRun
  private var views: [LogNumber: LogView] = [:]
  /// Settled segments that waited when last looked at, of the log that had most.
  package private(set) var waitingCount = 0

  /// Bytes of segments taken into one run: one segment of the largest size.
  package static var runByteCountMax: Int { 64 << 20 }
  /// Buckets that get tables of their own in one run.
  package static var bucketCountMax: Int { 32 }
  /// Seconds of a bucket.
  package static var bucketSeconds: Int64 { 86_400 }

  /// Reads the manifest and removes what a crash left behind.
  package init(_ files: Files, _ layout: StoreLayout, store: StoreIdentifier) throws(ArchiveError) {
    let manifest: Manifest
    do throws(ManifestError) {
      manifest = try Manifest.read(files, layout)
    } catch {
      throw .manifest(error)
    }
    if let known = manifest.store, known != store {
      throw .manifest(.foreignStore(path: layout.manifest))
    }
    try Archiver.removeGarbage(files, layout, named: Set(manifest.tables.map(\.name)))
    self.init(files, layout, store, manifest)
  }

  private init(
    _ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier, _ manifest: Manifest
  ) {
    self.files = files
    self.layout = layout
    self.store = store
    self.manifest = manifest
    run = ArchiveRun(capacity: Archiver.runByteCountMax)
  }

  /// Tables the manifest does not name were never part of the archive.
  private static func removeGarbage(_ files: Files, _ layout: StoreLayout, named: Set<String>)
    throws(ArchiveError)
  {
    do throws(FileError) {
      for folder in try files.list(layout.archive) where isBucket(folder) {
        for name in try files.list(layout.archive + "/" + folder)
        where name.hasSuffix(".table") && !named.contains(folder + "/" + name) {
          try files.unlink(layout.archive + "/" + folder + "/" + name)
        }
      }
    } catch {
      throw .file(error)
    }
  }

  private static func isBucket(_ name: String) -> Bool {
    name == ArchiveRun.mixedFolder
      || name.utf8.count == 10 && name.utf8.dropFirst(4).first == Byte.dash
  }

  /// Archives about one run's worth of settled segments.
  package mutating func pass() throws(ArchiveError) -> ArchivePass {
    try removeCovered()
    let chosen = try chooseSegments()
    guard !chosen.isEmpty else { return ArchivePass() }
    run.removeAll()
    var edit = ManifestEdit()
    for choice in chosen { try load(choice, &edit) }
    try writeTables(&edit)
    do throws(ManifestError) {
      try manifest.append(edit, files, layout, store: store)
    } catch {
      // Whether the line is durable is not known: what stands in the file decides.
      throw .manifest(error)
    }
    var result = ArchivePass()
    result.segmentCount = chosen.count
    result.eventCount = UInt64(run.count)
    result.tableCount = edit.added.count
    try removeCovered()
    return result
  }

  // MARK: - Segments

  /// Unlinks segments the manifest covers.
  private borrowing func removeCovered() throws(ArchiveError) {
    do throws(FileError) {
      let catalog = try SegmentCatalog(files, layout)
      for name in catalog.segments where name.number <= manifest.archivedThrough(name.log) {
        do throws(FileError) {
          try files.unlink(layout.segment(name))
        } catch {
          if error.code != System.notFound { throw error }
        }
      }
    } catch {
      throw .file(error)
    }
  }

  private struct Choice {
    var log: LogNumber
    var segment: LogSegment
    var damage: [Damage]
  }

  /// Settled segments in the order of their logs, as many as a run takes.
  private mutating func chooseSegments() throws(ArchiveError) -> [Choice] {
    var chosen: [Choice] = []
    var room = Archiver.runByteCountMax
    waitingCount = 0
    do throws(LogError) {
      for log in try LogView.logs(in: files, layout) {
        let view = try LogView.read(
          files, layout, log: log, after: manifest.archivedThrough(log),
          frontier: DurableFrontier.read(layout, store, log).sequence, store: store,
          refreshing: views[log])
        views[log] = view
        let settled = view.segments.prefix { $0.isSettled }
        waitingCount = max(waitingCount, settled.count)
        for segment in settled {
          let byteCount = segment.batches.reduce(0) { $0 + $1.byteCount }
          guard byteCount <= room || chosen.isEmpty else { break }
          room -= byteCount
          chosen.append(
            Choice(
              log: log, segment: segment,
              damage: view.damage.filter { $0.segment == segment.name && !$0.isTail }))
        }
      }
    } catch {
      throw .log(error)
    }
    return chosen
  }

  /// Takes a segment's events into the run, after copying aside what is damaged in it.
  private mutating func load(_ choice: Choice, _ edit: inout ManifestEdit) throws(ArchiveError) {
    do throws(FileError) {
      for damage in choice.damage where damage.hasBytes {
        _ = try Quarantine.copy(files, layout, damage)
      }
    } catch {
      throw .file(error)
    }
    var reader = BatchReader(files)
    var last = manifest.coveredThrough(choice.log)
    if let earlier = edit.covered[choice.log] { last = earlier.sequence }
    for extent in choice.segment.batches {
      do throws(LogError) {
        try reader.load(extent, of: choice.segment)
      } catch {
        // The view is stale or the disk rots: the next pass looks anew.
        views[choice.log] = nil
        throw .log(error)
      }
      run.append(reader.content, firstSequence: extent.line.firstSequence, log: choice.log)
      if extent.line.eventCount > 0 { last = max(last, extent.line.lastSequence) }
    }
    edit.covered[choice.log] = Coverage(segment: choice.segment.name.number, sequence: last)
  }

  // MARK: - Tables

  private mutating func writeTables(_ edit: inout ManifestEdit) throws(ArchiveError) {
    run.sort(bucketSeconds: Archiver.bucketSeconds, bucketCountMax: Archiver.bucketCountMax)
    var serial: UInt64 = 0
    for bucket in run.buckets {
      let name =
        bucket.folder + "/"
        + Hexadecimal.text(manifest.nextNumber << 8 | serial, digits: 16) + ".table"
      serial += 1
      edit.added.append(try writeTable(bucket, name))
    }
  }

  /// Writes one table, makes it durable and proves it.
  private mutating func writeTable(_ bucket: ArchiveRun.Bucket, _ name: String)
    throws(ArchiveError) -> TableEntry
  {
    let folder = layout.archive + "/" + bucket.folder
    let path = layout.archive + "/" + name
    let summary: TableSummary
    do throws(FileError) {
      try files.makeFolderIfMissing(folder)
      do throws(FileError) {
        try files.unlink(path)
      } catch {
        if error.code != System.notFound { throw error }
      }
      summary = try run.write(bucket, files, path: path, store: store)
      try files.syncDirectory(folder)
      try files.syncDirectory(layout.archive)
    } catch {
      throw .file(error)
    }
    do throws(TableError) {
      let table = try TableReader(files, path: path, pastCache: true)
      if let error = table.verify().first { throw error }
      guard table.eventCount == summary.eventCount, table.hash == summary.hash else {
        throw TableError(path: path, fault: .notProved)
      }
    } catch {
      throw .table(error)
    }
    return TableEntry(
      name: name, eventCount: summary.eventCount, byteCount: summary.byteCount,
      hash: summary.hash, earliest: summary.earliest, latest: summary.latest)
  }
}
