// Events from outside become tables of the archive, all of them or none.
//
//     append lines ─▶ run full: sorted, one temporary table for each of its buckets
//                                    │
//     finish ─▶ tables of a bucket joined to its fewest ─▶ read back past the cache, compared
//       ─▶ named, folders synced ─▶ one manifest line ─▶ done
//
// Memory is one run while events come and sixteen blocks while tables are joined, whatever the
// input. Temporary tables have names no manifest knows and lie in the folder of mixed tables:
// what a killed import leaves there is removed when an archiver, or the next import, starts. A run
// gives tables of their own to at most 32 buckets, the rest goes to a mixed one; the archiver splits
// these when it joins tables.
//
// Names. A table is named by the number of an edit and a serial of up to 256. An import with more
// tables uses the numbers of as many empty edits before its own, so that no later table can get one
// of its names. Behind its own it leaves one more: a manifest's last line may be broken by a crash
// and is then passed over, and it is by missing segments that a line which was once whole is known.
// An import has none; so its line does not stay the last.
//
// The caller holds the archive's lock. Positions: see LogNumber.imported.

package import PenstockCore

/// What an import has put into the archive.
package struct TableImportResult: Equatable, Sendable {
  package var eventCount: UInt64 = 0
  /// Events that were there more than once and carry an id; they are in `eventCount`.
  package var duplicateCount: UInt64 = 0
  package var tableCount = 0
  package var byteCount = 0
  /// The last event's number in the log of imported events.
  package var through = SequenceNumber.none
  package init() {}
}

/// Tables made of events that do not come from live segments.
package final class TableImport<Files: FileSystem> {
  private let files: Files
  private let layout: StoreLayout
  private let store: StoreIdentifier
  private let settings: ArchiveSettings
  private var manifest: Manifest
  private var run: ArchiveRun?
  private let segment: UInt64
  /// Numbers of the run's first event and of the next one.
  private var runFirst: UInt64
  private var next: UInt64
  private var tables: [ImportedTable] = []
  /// Files that are there and not named: they go when the import fails.
  private var unnamed: Set<String> = []
  private var fileCount: UInt64 = 0
  private var hash: UInt64 = 0
  private var result = TableImportResult()
  private let runByteCountMax: Int

  /// Memory of a run: with what reading, columns and the proof take, an import stays below 96 MB.
  package static var runByteCountDefault: Int { 56 << 20 }

  /// Begins an import into the archive of a store, after removing what a crash left there.
  /// - Parameter runByteCountMax: memory of a run; it has to hold the largest event there is.
  package init(
    _ files: Files, _ layout: StoreLayout, store: StoreIdentifier,
    settings: ArchiveSettings = ArchiveSettings(),
    runByteCountMax: Int = TableImport.runByteCountDefault
  ) throws(ArchiveError) {
    let manifest = try UnnamedTables(files, layout, store).settledManifest()
    self.files = files
    self.layout = layout
    self.store = store
    self.settings = settings
    self.manifest = manifest
    self.runByteCountMax = runByteCountMax
    run = ArchiveRun(
      byteCountMax: runByteCountMax, group: settings.groupKey, indexes: settings.indexKeys)
    segment = manifest.archivedThrough(.imported).value + 1
    next = manifest.coveredThrough(.imported).value + 1
    runFirst = next
  }

  deinit { discard() }

  // MARK: - Taking events

  /// Takes event lines, each with its LF.
  /// - Parameter count: how many they are.
  package func append(_ content: RawSpan, count: Int) throws(ArchiveError) {
    var walk = BatchContent(firstSequence: SequenceNumber(next))
    while run?.append(content, &walk, log: .imported, lateBefore: .earliest) == .isFull {
      precondition(run?.isEmpty == false, "a run holds any event")
      try writeRun()
    }
    next += UInt64(count)
  }

  /// Writes what the run holds and empties it.
  private func writeRun() throws(ArchiveError) {
    guard let count = run?.count, count > 0 else { return }
    guard run?.unreadableCount == 0 else { throw notProved }
    try checkRoom()
    let last = runFirst + UInt64(count) - 1
    let covered = [
      TableCoverage(log: .imported, sequences: runFirst...last, segments: segment...segment)
    ]
    let buckets =
      run?.sort(settings.bucket, tableCountMax: Archiver<Files>.tableCountMax) ?? []
    do throws(FileError) {
      try files.makeFolderIfMissing(layout.archive + "/" + ArchiveRun.mixedFolder)
      for bucket in buckets {
        let name = temporaryName()
        let summary = try run?.write(
          bucket, files, path: layout.archive + "/" + name, store: store, covered: covered)
        guard let summary else { continue }
        tables.append(ImportedTable(folder: bucket.folder, name: name, summary: summary))
        result.eventCount += summary.eventCount
        hash &+= summary.hash
      }
    } catch {
      throw .file(error)
    }
    run?.removeAll()
    runFirst = last + 1
  }

  /// The path, below the archive's folder, of one more file.
  private func temporaryName() -> String {
    fileCount += 1
    let name =
      ArchiveRun.mixedFolder + "/" + Hexadecimal.text(fileCount, digits: 16)
      + TableName.unfinished
    unnamed.insert(name)
    return name
  }

  /// Whoever writes to the store needs room more.
  private func checkRoom() throws(ArchiveError) {
    do throws(FileError) {
      let space = try files.space(layout.archive)
      guard space.free - runByteCountMax > DiskRoom.full.threshold(total: space.total) else {
        throw FileError(.allocate, layout.archive, code: System.noSpace)
      }
    } catch {
      throw .file(error)
    }
  }

  private var notProved: ArchiveError {
    .table(TableError(path: layout.archive, fault: .notProved))
  }

  // MARK: - Tables

  /// Puts everything taken into the archive.
  /// - Parameter progress: is told how many of the tables are written, and of how many.
  package func finish(
    now: Timestamp = System.now(), _ progress: (_ done: Int, _ all: Int) -> Void = { _, _ in }
  ) throws(ArchiveError) -> TableImportResult {
    try writeRun()
    // What follows needs the memory for itself.
    run = nil
    guard result.eventCount == next - manifest.coveredThrough(.imported).value - 1 else {
      throw notProved
    }
    guard !tables.isEmpty else { return result }
    do throws(TableError) {
      try join(progress)
      for table in tables {
        try TableReader.prove(
          files, path: layout.archive + "/" + table.name, eventCount: table.summary.eventCount,
          hash: table.summary.hash)
      }
    } catch {
      throw .table(error)
    }
    let kept = tables.reduce(0) { $0 + $1.summary.eventCount }
    guard kept + result.duplicateCount == result.eventCount,
      tables.reduce(0, { $0 &+ $1.summary.hash }) == hash
    else { throw notProved }
    try commit(now)
    return result
  }

  /// Joins the tables of each bucket, the smallest first, as long as they become fewer.
  private func join(_ progress: (Int, Int) -> Void) throws(TableError) {
    let groups = Dictionary(grouping: tables, by: \.folder).sorted { $0.key < $1.key }
    tables = []
    for (index, group) in groups.enumerated() {
      var open = group.value
      while true {
        open.sort { ($0.summary.byteCount, $0.name) < ($1.summary.byteCount, $1.name) }
        let inputs = inputs(open)
        guard inputs.count > 1 else { break }
        progress(index, groups.count)
        open.removeFirst(inputs.count)
        open.append(try joined(Array(inputs)))
      }
      tables += open
    }
  }

  private func inputs(_ open: [ImportedTable]) -> ArraySlice<ImportedTable> {
    var room = settings.tableByteCountMax
    return open.prefix(MergePlan.settledInputCountMax).prefix { table in
      room -= table.summary.byteCount
      return room >= 0
    }
  }

  /// Makes one table of several.
  private func joined(_ inputs: [ImportedTable]) throws(TableError) -> ImportedTable {
    let name = temporaryName()
    let path = layout.archive + "/" + name
    let output = try merge(inputs, path)
    let count = inputs.reduce(0) { $0 + $1.summary.eventCount }
    let sum = inputs.reduce(0) { $0 &+ $1.summary.hash }
    guard output.tables.count == 1, let summary = output.tables.first,
      summary.eventCount + output.droppedCount == count,
      summary.hash &+ output.droppedHash == sum
    else { throw TableError(path: path, fault: .notProved) }
    result.duplicateCount += output.droppedCount
    hash &-= output.droppedHash
    do throws(FileError) {
      for input in inputs {
        try files.unlinkIfThere(layout.archive + "/" + input.name)
        unnamed.remove(input.name)
      }
    } catch {
      throw TableError(path: error.path, fault: .file(error))
    }
    return ImportedTable(folder: inputs[0].folder, name: name, summary: summary)
  }

  private func merge(_ inputs: [ImportedTable], _ path: String) throws(TableError)
    -> MergeOutput<Files>
  {
    var merge = try TableMerge(
      files, folder: layout.archive, names: inputs.map(\.name), .all, store: store,
      byteCountMax: .max, indexes: settings.indexKeys, path: { _ in path })
    while try merge.step(1 << 16) {}
    return merge.output
  }

  // MARK: - Manifest

  private func commit(_ now: Timestamp) throws(ArchiveError) {
    let first = manifest.nextNumber
    for _ in 0..<((tables.count - 1) / TableName.countMax) { try append(ManifestEdit()) }
    var edit = ManifestEdit()
    edit.covered[.imported] = Coverage(
      segment: SegmentNumber(segment), sequence: SequenceNumber(next - 1))
    do throws(FileError) {
      for index in tables.indices {
        let name = TableName.text(
          tables[index].folder, edit: first + UInt64(index / TableName.countMax),
          serial: index % TableName.countMax)
        try place(index, name)
        edit.added.append(tables[index].entry(written: now))
      }
      for folder in Set(tables.map(\.folder)).union([ArchiveRun.mixedFolder]).sorted() {
        try files.syncDirectory(layout.archive + "/" + folder)
      }
      try files.syncDirectory(layout.archive)
    } catch {
      throw .file(error)
    }
    do throws(ArchiveError) {
      try append(edit)
    } catch {
      try settle(error)
    }
    unnamed = []
    result.tableCount = tables.count
    result.byteCount = tables.reduce(0) { $0 + $1.summary.byteCount }
    result.through = SequenceNumber(next - 1)
    // Only against rot: the import is durable without it.
    _ = try? append(ManifestEdit())
  }

  /// Gives a table its name.
  private func place(_ index: Int, _ name: String) throws(FileError) {
    try files.makeFolderIfMissing(layout.archive + "/" + tables[index].folder)
    unnamed.insert(name)
    try files.rename(
      layout.archive + "/" + tables[index].name, to: layout.archive + "/" + name)
    unnamed.remove(tables[index].name)
    tables[index].name = name
  }

  private func append(_ edit: ManifestEdit) throws(ArchiveError) {
    do throws(ManifestError) {
      try manifest.append(edit, files, layout, store: store)
    } catch {
      throw .manifest(error)
    }
  }

  /// Decides what became of the edit whose line could not be written or synced: whether it counts
  /// is for the disk to say.
  private func settle(_ error: ArchiveError) throws(ArchiveError) {
    let read: Manifest
    do throws(ManifestError) {
      read = try Manifest.readDurable(files, layout)
    } catch {
      // Nobody knows. The tables stay: named, or garbage for the next start.
      unnamed = []
      throw .manifest(error)
    }
    guard read.coveredThrough(.imported) == SequenceNumber(next - 1) else { throw error }
    manifest = read
  }

  /// Removes what has no name, as far as that can be done; the rest is garbage for the next start.
  private func discard() {
    for name in unnamed { _ = try? files.unlinkIfThere(layout.archive + "/" + name) }
    unnamed = []
  }
}

/// A table of an import, temporary until it has its name.
private struct ImportedTable {
  /// Where it belongs.
  var folder: String
  /// Where it is, below the archive's folder.
  var name: String
  var summary: TableSummary

  func entry(written: Timestamp) -> TableEntry {
    TableEntry(
      name: name, eventCount: summary.eventCount, byteCount: summary.byteCount,
      hash: summary.hash, earliest: summary.earliest, latest: summary.latest, written: written)
  }
}
