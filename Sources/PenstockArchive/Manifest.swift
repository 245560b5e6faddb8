// The manifest: the list of what the archive holds. Only it says which tables exist.
//
//     manifest = head *( edit )
//     head     = "#penstock-manifest version=1 store=" 32hex " crc=" 8hex LF
//     edit     = "edit number=" 16hex *( SP change ) " prev=" 8hex " crc=" 8hex LF
//     change   = "add=" name ",events=" n ",bytes=" n ",hash=" 16hex ",earliest=" time
//                ",latest=" time [ ",late=" n ] [ ",written=" time ]    ; late: events that came
//                [ ",merges=" n ] *( "," key "=" value )        ; when their bucket was closed;
//              | "remove=" name                                 ; keys a reader does not know are
//                                                               ; passed over
//              | "cover=" 2hex ",segment=" 16hex ",sequence=" 16hex       ; log, segment, sequence
//              | "erase=" word ",before=" time *( ",through=" 2hex ":" 16hex )  ; Erasure: pattern,
//                                               ; escaped, and each log's last sequence then
//              | "erased=" 16hex                ; the erasure of that edit is carried out
//              | key "=" value                  ; of a later version: the manifest needs that one
//     name     = folder "/" 16hex ".table"      ; folder of the bucket (BucketLength), or "mixed"
//     number   = 1 for the first edit, then one more each time
//     crc      = CRC-32C of the line up to " crc=", continued from `prev`
//     prev     = the crc of the line before
//
// Append-only; one line is one atomic edit: tables that came, tables that went, and how far each
// log's segments are now in tables. The order of a hand-over is: sync the table, sync its folder,
// read it back past the cache and compare, append the line, sync, and only then unlink the
// segments. A last line without its LF, or whose checksum does not hold, was never an edit: readers
// ignore it and the next writer cuts it, unless segments are missing that only it can have covered
// (Archiver). Damage before the end is an error with its line number, since what the lines behind
// it mean is not known.

package import PenstockCore

/// A table the manifest names.
package struct TableEntry: Equatable, Sendable {
  /// Path below the archive folder.
  package var name: String
  package var eventCount: UInt64
  package var byteCount: Int
  package var hash: UInt64
  package var earliest: Timestamp
  package var latest: Timestamp
  /// Events that came when their bucket was closed.
  package var lateCount: UInt64
  /// When the table was written; nil when that is not known.
  package var written: Timestamp?
  /// The number of the edit it was written for.
  package var edit: UInt64? {
    name.lastIndex(of: "/").flatMap { TableName.edit(String(name[name.index(after: $0)...])) }
  }

  /// How often its events were joined; 0 for a table of an archiver's run.
  package var mergeCount: Int

  package init(
    name: String, eventCount: UInt64, byteCount: Int, hash: UInt64, earliest: Timestamp,
    latest: Timestamp, lateCount: UInt64 = 0, written: Timestamp? = nil, mergeCount: Int = 0
  ) {
    self.name = name
    self.eventCount = eventCount
    self.byteCount = byteCount
    self.hash = hash
    self.earliest = earliest
    self.latest = latest
    self.lateCount = lateCount
    self.written = written
    self.mergeCount = mergeCount
  }
}

/// How far a log is in the archive.
package struct Coverage: Equatable, Sendable {
  package var segment: SegmentNumber
  package var sequence: SequenceNumber

  package init(segment: SegmentNumber, sequence: SequenceNumber) {
    self.segment = segment
    self.sequence = sequence
  }
}

/// One atomic change of what the archive holds.
package struct ManifestEdit: Equatable, Sendable {
  package var added: [TableEntry] = []
  package var removed: [String] = []
  package var covered: [LogNumber: Coverage] = [:]
  /// Orders to erase, and the numbers of the edits whose orders are carried out.
  package var erases: [Erasure] = []
  package var erased: [UInt64] = []
  package init() {}
}

/// Why the manifest cannot be read or changed.
package enum ManifestError: Error, Equatable, Sendable, CustomStringConvertible {
  case file(FileError)
  case damaged(path: String, line: Int)
  case newerVersion(path: String, line: Int)
  case foreignStore(path: String)

  package var description: String {
    switch self {
    case .file(let error): error.description
    case .damaged(let path, let line):
      "\(path) is damaged at line \(line): restore it from a copy; the tables are untouched"
    case .newerVersion(let path, let line):
      "\(path), line \(line), was written by a newer penstock: use that version"
    case .foreignStore(let path): "\(path) belongs to another store"
    }
  }
}

/// What the archive holds.
package struct Manifest: Sendable {
  package private(set) var tables: [TableEntry] = []
  package private(set) var coverage: [LogNumber: Coverage] = [:]
  /// Orders to erase that are not carried out everywhere, by the number of their edit.
  package private(set) var erasures: [UInt64: Erasure] = [:]
  package private(set) var store: StoreIdentifier?
  /// The number the next edit gets.
  package private(set) var nextNumber: UInt64 = 1
  /// Bytes up to the end of the last whole line.
  private var byteCount = 0
  private var lineCount = 0
  private var lastChecksum: UInt32 = 0
  /// Bytes of an unfinished edit behind the last whole line.
  package private(set) var tornByteCount = 0

  package static let version = 1
  /// Largest manifest that is read, in bytes: a hundred thousand tables take 20 MB.
  package static let byteCountMax = 1 << 30

  package init() {}

  /// Segments of the log up to this one are in the archive.
  package func archivedThrough(_ log: LogNumber) -> SegmentNumber {
    coverage[log]?.segment ?? .none
  }

  /// Events of the log up to this one are in the archive.
  package func coveredThrough(_ log: LogNumber) -> SequenceNumber {
    coverage[log]?.sequence ?? .none
  }

  /// The newest time a table was written at: no event in the archive was received later.
  package var newest: Timestamp? { tables.compactMap(\.written).max() }

  // MARK: - Reading

  /// Reads the manifest; an archive without one is empty.
  package static func read<Files: FileSystem>(_ files: Files, _ layout: StoreLayout)
    throws(ManifestError) -> Manifest
  {
    let path = layout.manifest
    var manifest = Manifest()
    let memory: AlignedBuffer
    let count: Int
    do throws(FileError) {
      let file = try files.open(path, .read)
      defer { files.close(file) }
      let size = try files.byteCount(file)
      guard size <= byteCountMax else {
        throw FileError(.read, path, code: System.fileTooLarge)
      }
      var buffer = AlignedBuffer(byteCount: max(1, size))
      count = try files.read(file, into: &buffer, 0..<size, at: 0)
      memory = buffer
    } catch {
      if error.code == System.notFound { return manifest }
      throw .file(error)
    }
    try manifest.take(memory.bytes(0..<count), path)
    return manifest
  }

  /// Reads the manifest as the disk holds it: the caller is about to act on it. A line that a
  /// crash or a failed sync left in the page cache alone must not count, or segments would be
  /// unlinked for tables that a power cut makes nameless.
  package static func readDurable<Files: FileSystem>(_ files: Files, _ layout: StoreLayout)
    throws(ManifestError) -> Manifest
  {
    do throws(FileError) {
      let file = try files.open(layout.manifest, .write)
      defer { files.close(file) }
      try files.syncFile(file)
      files.dropCache(file)
      try files.syncDirectory(layout.archive)
    } catch {
      if error.code != System.notFound { throw .file(error) }
    }
    return try read(files, layout)
  }

  /// Takes all lines.
  private mutating func take(_ span: RawSpan, _ path: String) throws(ManifestError) {
    var offset = 0
    // Places in `tables`; those of removed tables are emptied when all lines are read.
    var places: [String: Int] = [:]
    var removed: Set<Int> = []
    while offset < span.byteCount {
      let end = span.firstIndex(of: Byte.lineFeed, from: offset, to: span.byteCount)
      let text = span.extracting(offset..<end)
      guard end < span.byteCount, isIntact(text) else {
        // Only the very last line can be an edit that was never finished; two that a damaged LF
        // joined are not one.
        guard end >= span.byteCount - 1, !ManifestText.holdsSecondEdit(text) else {
          throw .damaged(path: path, line: lineCount + 1)
        }
        tornByteCount = span.byteCount - offset
        break
      }
      if lineCount == 0 {
        store = try ManifestText.head(text, path)
      } else {
        let edit = try ManifestText.edit(
          text, number: nextNumber, previous: lastChecksum, path: path, line: lineCount + 1)
        for name in edit.removed {
          if let place = places.removeValue(forKey: name) { removed.insert(place) }
        }
        for table in edit.added {
          places[table.name] = tables.count
          tables.append(table)
        }
        takeOrders(edit)
        nextNumber += 1
      }
      lastChecksum = ManifestText.checksum(text) ?? 0
      lineCount += 1
      offset = end + 1
      byteCount = offset
    }
    guard !removed.isEmpty else { return }
    tables = tables.indices.filter { !removed.contains($0) }.map { tables[$0] }
  }

  private func isIntact(_ text: RawSpan) -> Bool {
    guard let sum = ManifestText.checksum(text) else { return false }
    return text.extracting(0..<(text.byteCount - ManifestText.checksumByteCount))
      .checksum(seed: lastChecksum) == sum
  }

  // MARK: - Writing

  /// Appends one edit and makes it durable. The caller holds the archive's lock, and everything
  /// the edit names is already durable and proved. When this fails, the manifest has to be read
  /// again: whether the edit counts is for the disk to say.
  package mutating func append<Files: FileSystem>(
    _ edit: ManifestEdit, _ files: Files, _ layout: StoreLayout, store: StoreIdentifier
  ) throws(ManifestError) {
    if let known = self.store, known != store { throw .foreignStore(path: layout.manifest) }
    do throws(FileError) {
      let file = try files.open(layout.manifest, .createIfMissing)
      defer { files.close(file) }
      // What a crash left behind the last edit goes first, so that it cannot join this one.
      if try files.byteCount(file) > byteCount {
        try files.truncate(file, byteCount: byteCount)
        try files.syncFile(file)
      }
      if byteCount == 0 {
        // By itself, so that no part of a torn first edit can stand behind a torn head.
        try write(ManifestText.headText(store), files, file)
        try files.syncDirectory(layout.archive)
      }
      try write(
        ManifestText.editText(edit, number: nextNumber, previous: lastChecksum), files, file)
    } catch {
      throw .file(error)
    }
    self.store = store
    tornByteCount = 0
    takeOrders(edit)
    nextNumber += 1
    let removed = Set(edit.removed)
    if !removed.isEmpty { tables.removeAll { removed.contains($0.name) } }
    tables += edit.added
  }

  /// Takes what an edit says beside its tables; `nextNumber` is its number.
  private mutating func takeOrders(_ edit: ManifestEdit) {
    coverage.merge(edit.covered) { $1 }
    for erasure in edit.erases { erasures[nextNumber] = erasure }
    for number in edit.erased { erasures[number] = nil }
  }

  /// Writes and syncs one line.
  private mutating func write<Files: FileSystem>(_ text: String, _ files: Files, _ file: File)
    throws(FileError)
  {
    var sum = lastChecksum
    let bytes = Array(ManifestText.sealed(text, &sum).utf8)
    var memory = AlignedBuffer(byteCount: bytes.count)
    memory.copy(bytes.rawSpan, to: 0)
    try files.write(file, from: memory, 0..<bytes.count, at: byteCount)
    try files.syncFile(file)
    byteCount += bytes.count
    lineCount += 1
    lastChecksum = sum
  }
}
