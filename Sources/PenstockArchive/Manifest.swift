// The manifest: the list of what the archive holds. Only it says which tables exist.
//
//     manifest = head *( edit )
//     head     = "#penstock-manifest version=1 store=" 32hex " crc=" 8hex LF
//     edit     = "edit number=" 16hex *( SP change ) " prev=" 8hex " crc=" 8hex LF
//     change   = "add=" name ",events=" n ",bytes=" n ",hash=" 16hex ",earliest=" time
//                ",latest=" time
//              | "remove=" name
//              | "cover=" log(2hex) ",segment=" 16hex ",sequence=" 16hex
//     name     = folder "/" 16hex ".table"        ; folder: YYYY-MM-DD of the bucket, or "mixed"
//     crc      = CRC-32C of the line up to " crc=", continued from `prev`
//     prev     = the crc of the line before
//
// Append-only; one line is one atomic edit: tables that came, tables that went, and how far each
// log's segments are now in tables. The order of a hand-over is: sync the table, sync its folder,
// read it back past the cache and compare, append the line, sync, and only then unlink the
// segments. A last line without its LF, or whose checksum does not hold, was never an edit: readers
// ignore it and the next writer cuts it. Damage before the end is an error with its line number,
// since what the lines behind it mean is not known.

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

  package init(
    name: String, eventCount: UInt64, byteCount: Int, hash: UInt64, earliest: Timestamp,
    latest: Timestamp
  ) {
    self.name = name
    self.eventCount = eventCount
    self.byteCount = byteCount
    self.hash = hash
    self.earliest = earliest
    self.latest = latest
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
  package init() {}
}

/// Why the manifest cannot be read or changed.
package enum ManifestError: Error, Equatable, Sendable, CustomStringConvertible {
  case file(FileError)
  case damaged(path: String, line: Int)
  case newerVersion(path: String)
  case foreignStore(path: String)

  package var description: String {
    switch self {
    case .file(let error): error.description
    case .damaged(let path, let line):
      "\(path) is damaged at line \(line): restore it from a copy; the tables are untouched"
    case .newerVersion(let path):
      "\(path) was written by a newer penstock: use that version"
    case .foreignStore(let path): "\(path) belongs to another store"
    }
  }
}

/// What the archive holds.
package struct Manifest: Sendable {
  package private(set) var tables: [TableEntry] = []
  package private(set) var coverage: [LogNumber: Coverage] = [:]
  package private(set) var store: StoreIdentifier?
  /// The number the next edit gets.
  package private(set) var nextNumber: UInt64 = 1
  /// Bytes up to the end of the last whole line.
  private var byteCount = 0
  private var lastChecksum: UInt32 = 0
  /// Bytes of an unfinished edit behind the last whole line.
  package private(set) var tornByteCount = 0

  package static let version = 1
  /// Largest manifest that is read, in bytes: a hundred thousand tables take 25 MB.
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
      count = min(try files.byteCount(file), byteCountMax)
      var buffer = AlignedBuffer(byteCount: max(1, count))
      guard try files.read(file, into: &buffer, 0..<count, at: 0) == count else {
        throw FileError(.read, path, code: System.again)
      }
      memory = buffer
    } catch {
      if error.code == System.notFound { return manifest }
      throw .file(error)
    }
    if let error = manifest.take(memory.bytes(0..<count), path) { throw error }
    return manifest
  }

  /// Takes all lines; nil when they hold.
  private mutating func take(_ span: RawSpan, _ path: String) -> ManifestError? {
    var offset = 0
    var line = 0
    while offset < span.byteCount {
      line += 1
      let end = span.firstIndex(of: Byte.lineFeed, from: offset, to: span.byteCount)
      let text = span.extracting(offset..<end)
      let isLast = end >= span.byteCount - 1
      let isWhole = end < span.byteCount && isIntact(text)
      if !isWhole {
        // Only the very last line can be an edit that was never finished.
        guard isLast else { return .damaged(path: path, line: line) }
        tornByteCount = span.byteCount - offset
        return nil
      }
      if line == 1 {
        guard let found = ManifestText.head(text) else {
          return text.hasBytes("#penstock-manifest version=", at: 0)
            ? .newerVersion(path: path) : .damaged(path: path, line: 1)
        }
        store = found
      } else {
        guard let edit = ManifestText.edit(text, number: nextNumber, previous: lastChecksum) else {
          return .damaged(path: path, line: line)
        }
        apply(edit)
        nextNumber += 1
      }
      lastChecksum = ManifestText.checksum(text) ?? 0
      offset = end + 1
      byteCount = offset
    }
    return nil
  }

  private func isIntact(_ text: RawSpan) -> Bool {
    guard let sum = ManifestText.checksum(text) else { return false }
    return text.extracting(0..<(text.byteCount - 13)).checksum(seed: lastChecksum) == sum
  }

  private mutating func apply(_ edit: ManifestEdit) {
    tables.removeAll { edit.removed.contains($0.name) }
    tables += edit.added
    for (log, reach) in edit.covered { coverage[log] = reach }
  }

  /// Appends one edit and makes it durable. The caller holds the archive's lock, and everything
  /// the edit names is already durable and proved.
  package mutating func append<Files: FileSystem>(
    _ edit: ManifestEdit, _ files: Files, _ layout: StoreLayout, store: StoreIdentifier
  ) throws(ManifestError) {
    if let known = self.store, known != store { throw .foreignStore(path: layout.manifest) }
    do throws(FileError) {
      let file = try files.open(layout.manifest, .createIfMissing)
      defer { files.close(file) }
      var text = ""
      var sum = lastChecksum
      if byteCount == 0 {
        sum = 0
        text += ManifestText.sealed(ManifestText.headText(store), &sum)
      }
      text += ManifestText.sealed(
        ManifestText.editText(edit, number: nextNumber, previous: sum), &sum)
      let bytes = Array(text.utf8)
      var memory = AlignedBuffer(byteCount: bytes.count)
      memory.copy(bytes.rawSpan, to: 0)
      // What a crash left behind the last edit goes first, so that it cannot join this one.
      if try files.byteCount(file) > byteCount {
        try files.truncate(file, byteCount: byteCount)
        try files.syncFile(file)
      }
      try files.write(file, from: memory, 0..<bytes.count, at: byteCount)
      try files.syncFile(file)
      if byteCount == 0 { try files.syncDirectory(layout.archive) }
      byteCount += bytes.count
      lastChecksum = sum
    } catch {
      throw .file(error)
    }
    self.store = store
    tornByteCount = 0
    nextNumber += 1
    apply(edit)
  }
}
