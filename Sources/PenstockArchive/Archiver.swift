// The archiver: sealed segments become tables.
//
//     settled segments of all logs, in order, about one run's worth
//       → events into memory → sorted by bucket, stream, time, position → tables, synced
//       → folders synced → read back past the cache and compared → manifest line → unlink
//
// Coverage of a log is a prefix of its segments, so a hand-over that a crash cut short is simply
// done again: tables the manifest does not name are garbage and go, segments it covers go. A run
// writes at most `tableCountMax` tables: of events strewn over more buckets than that, the rest
// goes to one of mixed time. When the segments' events do not fit the memory of a run, the pass
// makes several runs and commits them together. Late events lie in small tables of their bucket.
//
// Nothing is unlinked before everything in it is somewhere else: events in proved tables, damaged
// bytes and lines that cannot be read in quarantine.

package import PenstockCore

/// What one pass did.
package struct ArchivePass: Equatable, Sendable {
  package var segmentCount = 0
  package var eventCount: UInt64 = 0
  package var tableCount = 0
  /// Event lines that could not be read; the batches they stood in are in quarantine.
  package var unreadableCount = 0
  /// What was wrong with the segments, and where its bytes were copied to.
  package var damage: [Damage] = []
  package init() {}
}

/// Why a pass ended early.
package enum ArchiveError: Error, Sendable, CustomStringConvertible {
  case file(FileError)
  case log(LogError)
  case table(TableError)
  case manifest(ManifestError)

  /// Whether it is for want of room.
  package var isDiskFull: Bool {
    switch self {
    case .file(let error), .log(.file(let error)), .manifest(.file(let error)):
      error.code == System.noSpace
    case .table(let error):
      if case .file(let cause) = error.fault { cause.code == System.noSpace } else { false }
    case .log, .manifest: false
    }
  }

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
  let files: Files
  let layout: StoreLayout
  let store: StoreIdentifier
  package internal(set) var manifest: Manifest
  let settings: ArchiveSettings
  /// The join of tables in progress.
  var mergeTask: MergeTask<Files>?
  /// Tables that cannot be joined: damaged ones, and those that did not become fewer.
  var unmergeable: Set<String> = []
  /// Tables that orders to erase were found not to concern, and files that are no orders.
  var cleared: Set<Cleared> = []
  var refusedOrders: Set<String> = []
  private var queue: SegmentQueue<Files>
  private var run: ArchiveRun
  /// Segments that waited when last looked at.
  package var waitingCount: Int { queue.waitingCount }

  /// Whether archiving matters as much as taking in: when what waits is more than a burst, until most
  /// of it is archived, or when it takes more of the file system than is left.
  /// - Parameter wasBehind: what it was found to be before.
  package func isBehind(wasBehind: Bool) throws(ArchiveError) -> Bool {
    let limit = wasBehind ? Archiver.caughtUpByteCount : Archiver.behindByteCount
    if queue.waitingByteCount > limit { return true }
    do throws(FileError) {
      return queue.waitingByteCount > (try files.space(layout.live)).free
    } catch {
      throw .file(error)
    }
  }

  /// Bytes of segments that wait from which on the archiver is behind: a burst of some seconds at
  /// full rate, which idle time makes good, and what a recovery reads in half a second.
  package static var behindByteCount: Int { 1 << 30 }
  /// And down to which it then stays so.
  package static var caughtUpByteCount: Int { 256 << 20 }

  /// Tables one run makes.
  package static var tableCountMax: Int { 32 }
  /// Memory of a run: a segment of the largest size, of events of 75 bytes and more, fits. With
  /// what the columns, the proof and the log's view take, the archiver stays below 96 MB.
  package static var runByteCountMax: Int { 68 << 20 }

  /// Bytes of batches taken in one pass: a segment of the default size.
  package static var passByteCountMax: Int { 64 << 20 }

  /// Reads the manifest and removes what a crash left behind.
  package init(
    _ files: Files, _ layout: StoreLayout, store: StoreIdentifier,
    settings: ArchiveSettings = ArchiveSettings(), runByteCountMax: Int = Archiver.runByteCountMax,
    passByteCountMax: Int = Archiver.passByteCountMax
  ) throws(ArchiveError) {
    let manifest = try UnnamedTables(files, layout, store).settledManifest()
    self.files = files
    self.layout = layout
    self.store = store
    self.manifest = manifest
    self.settings = settings
    queue = SegmentQueue(files, layout, store, passByteCountMax: passByteCountMax)
    run = ArchiveRun(
      byteCountMax: runByteCountMax,
      group: settings.groupKey, indexes: settings.indexKeys)
  }

  /// Writes the manifest anew when most of it is about tables that went.
  package mutating func shortenManifest() throws(ArchiveError) {
    guard manifest.isWorthRewriting else { return }
    do throws(ManifestError) {
      try manifest.rewrite(files, layout, store: store)
    } catch {
      throw .manifest(error)
    }
  }

  /// Archives about one run's worth of settled segments.
  /// - Parameter now: what the clock says.
  package mutating func pass(now: Timestamp = System.now()) throws(ArchiveError) -> ArchivePass {
    let chosen = try queue.choose(manifest)
    guard !chosen.isEmpty else { return ArchivePass() }
    var result = ArchivePass()
    result.segmentCount = chosen.count
    var edit = ManifestEdit()
    for choice in chosen { edit.covered[choice.log] = choice.reach(after: edit, manifest) }
    var covered: [TableCoverage] = []
    for choice in chosen { choice.extend(&covered) }
    let times = TableTimes(
      written: now,
      received: chosen.flatMap(\.segment.batches).filter { $0.line.eventCount > 0 }
        .map(\.line.at).max())
    do throws(ArchiveError) {
      for choice in chosen { try archive(choice, covered, times, &edit, &result) }
      try writeTables(covered, times, &edit, &result)
    } catch {
      discard(edit)
      throw error
    }
    do throws(ManifestError) {
      try manifest.append(edit, files, layout, store: store)
    } catch {
      throw .manifest(error)
    }
    result.tableCount = edit.added.count
    try queue.removeCovered(manifest)
    return result
  }

  /// Takes a segment's events, after copying aside what is damaged in it.
  private mutating func archive(
    _ choice: SegmentChoice, _ covered: [TableCoverage], _ times: TableTimes,
    _ edit: inout ManifestEdit, _ result: inout ArchivePass
  ) throws(ArchiveError) {
    for damage in choice.damage { try quarantine(damage, &result) }
    var reader = BatchStream(files)
    defer { reader.close() }
    var erasures = Erasures(Array(manifest.erasures.values))
    for extent in choice.segment.batches where extent.line.eventCount > 0 {
      do throws(LogError) {
        try reader.load(extent, of: choice.segment)
      } catch {
        // The disk rots: the next pass looks anew.
        queue.forget(choice.log)
        throw .log(error)
      }
      let unreadable = run.unreadableCount + result.unreadableCount
      var lines = BatchContent(firstSequence: extent.line.firstSequence)
      let lateBefore = settings.bucket.lateBefore(
        receivedAt: extent.line.at, grace: settings.graceNanoseconds)
      while run.append(
        reader.content, &lines, log: choice.log, lateBefore: lateBefore, erasing: &erasures)
        == .isFull
      {
        precondition(!run.isEmpty, "a run holds any event")
        try writeTables(covered, times, &edit, &result)
      }
      if run.unreadableCount + result.unreadableCount > unreadable {
        try quarantine(
          Damage(
            .rot, choice.segment.name, range: extent.offset..<(extent.offset + extent.byteCount),
            batches: extent.line.number...extent.line.number, hasBytes: true), &result)
      }
    }
  }

  private borrowing func quarantine(_ damage: Damage, _ result: inout ArchivePass)
    throws(ArchiveError)
  {
    do throws(FileError) {
      result.damage.append(
        damage.hasBytes ? try Quarantine.copy(files, layout, damage) : damage)
    } catch {
      throw .file(error)
    }
  }

  // MARK: - Tables

  /// Writes what the run holds and empties it.
  private mutating func writeTables(
    _ covered: [TableCoverage], _ times: TableTimes, _ edit: inout ManifestEdit,
    _ result: inout ArchivePass
  ) throws(ArchiveError) {
    result.eventCount += UInt64(run.count)
    result.unreadableCount += run.unreadableCount
    let buckets = run.sort(
      settings.bucket, tableCountMax: max(1, Archiver.tableCountMax - edit.added.count))
    for bucket in buckets {
      precondition(edit.added.count < TableName.countMax)
      let name = TableName.text(
        bucket.folder, edit: manifest.nextNumber, serial: edit.added.count)
      edit.added.append(try writeTable(bucket, name, covered, times))
    }
    run.removeAll()
  }

  /// Writes one table, makes it durable and proves it.
  private borrowing func writeTable(
    _ bucket: ArchiveRun.Bucket, _ name: String, _ covered: [TableCoverage], _ times: TableTimes
  ) throws(ArchiveError) -> TableEntry {
    let folder = layout.archive + "/" + bucket.folder
    let path = layout.archive + "/" + name
    let summary: TableSummary
    do throws(FileError) {
      try files.makeFolderIfMissing(folder)
      try files.unlinkIfThere(path)
      summary = try run.write(bucket, files, path: path, store: store, covered: covered)
      try files.syncDirectory(folder)
      try files.syncDirectory(layout.archive)
    } catch {
      // It may be the disk that is full.
      try? files.unlinkIfThere(path)
      throw .file(error)
    }
    do throws(TableError) {
      try TableReader.prove(
        files, path: path, eventCount: UInt64(bucket.places.count), hash: summary.hash)
    } catch {
      try? files.unlinkIfThere(path)
      throw .table(error)
    }
    return TableEntry(
      name: name, eventCount: summary.eventCount, byteCount: summary.byteCount,
      hash: summary.hash, earliest: summary.earliest, latest: summary.latest,
      lateCount: UInt64(bucket.lateCount), written: times.written,
      received: times.received)
  }

  /// Removes the tables of a pass that did not come to its end. What stays is garbage, removed at
  /// the next start.
  private mutating func discard(_ edit: ManifestEdit) {
    run.removeAll()
    for table in edit.added { try? files.unlinkIfThere(layout.archive + "/" + table.name) }
  }
}

/// What the manifest says about a pass's tables that their events do not.
struct TableTimes {
  var written: Timestamp
  /// When the newest event of the pass was received.
  var received: Timestamp?
}

/// The names of tables: the folder of their bucket, and 16 digits of which the last two count the
/// tables of one edit and the others are the edit's number.
enum TableName {
  static let countMax = 256
  /// Longest name in the manifest, in bytes.
  static let byteCountMax = 64
  /// How a table's file name ends while its edit has no number yet.
  static let unfinished = ".merging"

  static func text(_ folder: String, edit: UInt64, serial: Int) -> String {
    folder + "/" + Hexadecimal.text(edit << 8 | UInt64(serial), digits: 16) + ".table"
  }

  /// The number of the edit a table of this file name was written for; nil for one without an edit.
  static func edit(_ fileName: String) -> UInt64? {
    guard fileName.hasSuffix(".table") else { return nil }
    return number(fileName).map { $0 >> 8 }
  }

  /// Whether a file of this name is a table, or was to become one.
  static func isTable(_ fileName: String) -> Bool { number(fileName) != nil }

  private static func number(_ fileName: String) -> UInt64? {
    let bytes = Array(fileName.utf8)
    guard fileName.hasSuffix(".table") || fileName.hasSuffix(unfinished),
      bytes.firstIndex(of: UInt8(ascii: ".")) == 16
    else { return nil }
    return bytes.rawSpan.hexadecimal(at: 0, digitCount: 16)
  }
}

extension FileSystem {
  /// Unlinks a file; one that is not there is fine.
  func unlinkIfThere(_ path: String) throws(FileError) {
    do throws(FileError) {
      try unlink(path)
    } catch {
      if error.code != System.notFound { throw error }
    }
  }
}
