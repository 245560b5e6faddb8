// The manifest: the list of what the archive holds. Only it says which tables exist.
//
//     manifest = head *( edit )
//     head     = "#penstock-manifest version=2 store=" 32hex " edits=" 16hex " crc=" 8hex LF
//                                               ; edits that a shorter text took the place of
//     edit     = "edit number=" 16hex *( SP change ) " prev=" 8hex " crc=" 8hex LF
//     change   = "add=" name ",events=" n ",bytes=" n ",hash=" 16hex ",earliest=" time
//                ",latest=" time [ ",late=" n ] [ ",written=" time ]    ; late: events that came
//                [ ",received=" time ] [ ",merges=" n ]         ; when their bucket was closed;
//                *( "," key "=" value )                         ; received: the newest of them;
//              | "remove=" name                                 ; keys a reader does not know are
//                                                               ; passed over
//              | "cover=" 2hex ",segment=" 16hex ",sequence=" 16hex       ; log, segment, sequence
//              | "erase=" word ",before=" time *( ",through=" 2hex ":" 16hex ) [ ",edit=" 16hex ]
//                                               ; Erasure: pattern, escaped, each log's last
//                                               ; sequence then, and its edit when not this one
//              | "erased=" 16hex                ; the erasure of that edit is carried out
//              | key "=" value                  ; of a later version: the manifest needs that one
//     name     = folder "/" 16hex ".table"      ; folder of the bucket (BucketLength), or "mixed"
//     number   = one more than edits for the first edit, then one more each time
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
//
// When most of the file is about tables that went, it is written anew: a head that counts the edits
// left out, one edit with all that is, and an empty one behind it, since a damaged last line counts
// for nothing; under a temporary name, synced, renamed, folder synced.

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
  /// When the newest of its events, or of those written with it, was received; nil when that is not
  /// known.
  package var received: Timestamp?
  /// The number of the edit it was written for.
  package var edit: UInt64? {
    name.lastIndex(of: "/").flatMap { TableName.edit(String(name[name.index(after: $0)...])) }
  }

  /// How often its events were joined; 0 for a table of an archiver's run.
  package var mergeCount: Int

  /// The largest count of events or bytes that is believed: sums over all tables stay far from 64
  /// bits.
  static let numberMax = 1 << 42

  package init(
    name: String, eventCount: UInt64, byteCount: Int, hash: UInt64, earliest: Timestamp,
    latest: Timestamp, lateCount: UInt64 = 0, written: Timestamp? = nil, received: Timestamp? = nil,
    mergeCount: Int = 0
  ) {
    self.name = name
    self.eventCount = eventCount
    self.byteCount = byteCount
    self.hash = hash
    self.earliest = earliest
    self.latest = latest
    self.lateCount = lateCount
    self.written = written
    self.received = received
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
  case formerVersion(path: String, version: Int)
  case foreignStore(path: String)

  package var description: String {
    switch self {
    case .file(let error): error.description
    case .damaged(let path, let line):
      "\(path) is damaged at line \(line): restore it from a copy; the tables are untouched"
    case .newerVersion(let path, let line):
      "\(path), line \(line), was written by a newer penstock: use that version"
    case .formerVersion(let path, let version):
      "\(path) has version \(version), which this penstock does not read: use the one that wrote it"
    case .foreignStore(let path): "\(path) belongs to another store"
    }
  }
}

/// What the archive holds.
package struct Manifest: Sendable {
  package internal(set) var tables: [TableEntry] = []
  package internal(set) var coverage: [LogNumber: Coverage] = [:]
  /// Orders to erase that are not carried out everywhere, by the number of their edit.
  package internal(set) var erasures: [UInt64: Erasure] = [:]
  /// The newest order to erase that was met, carried out or not; 0 for none.
  package internal(set) var lastErasure: UInt64 = 0
  package internal(set) var store: StoreIdentifier?
  /// The number the next edit gets.
  package internal(set) var nextNumber: UInt64 = 1
  /// Bytes up to the end of the last whole line, and up to its beginning.
  var byteCount = 0
  var lastLineOffset = 0
  var lineCount = 0
  /// The checksum of the last whole line, and of the one before it.
  var lastChecksum: UInt32 = 0
  var previousChecksum: UInt32 = 0
  /// Bytes of an unfinished edit behind the last whole line.
  package internal(set) var tornByteCount = 0

  package static let version = 2
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

  /// When the newest event that is known of was received. When a table was written does not count:
  /// tables are joined long after, by whatever the clock says then.
  package var newest: Timestamp? { tables.compactMap(\.received).max() }
}
