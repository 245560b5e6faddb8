// The table: an immutable archive file of sorted, compressed blocks. Numbers are little-endian.
//
//     file     = header block* footer trailer
//
//     header   64 bytes
//        0  16  magic "penstock-table\n\0"
//       16   4  version (1)
//       20   4  reserved, 0
//       24  16  store identifier, high then low
//       40  20  reserved, 0
//       60   4  CRC-32C of bytes 0 … 59
//
//     block    24 bytes, then a column entry of 12 bytes each, then the columns' bytes
//        0   4  magic "blk1"
//        4   4  rows
//        8   4  columns
//       12   4  stored bytes: entries and columns
//       16   4  reserved, 0
//       20   4  CRC-32C of bytes 0 … 19 and the stored bytes
//     entry    kind u16, encoding u16, raw bytes u32, stored bytes u32
//     kinds    1 streams     runs: stream index − the one before, rows                (varints)
//              2 times       nanoseconds − those of the row before                    (zigzag)
//              3 logs        runs: log, rows                                          (varints)
//              4 sequences   sequence − that of the row before                        (zigzag)
//              5 type sizes  6 attribute sizes  7 payload sizes                       (varints)
//              8 types       9 attributes      10 payloads                            (bytes)
//              Readers skip kinds they do not know.
//     encoding 0 raw   1 LZ4 block
//     varint   seven bits a byte, lowest first, the top bit set on all but the last; at most 19
//              bytes. zigzag: (n << 1) ^ (n >> 127), then varint. The row before the first is 0.
//
//     footer   sections, in this order, each: raw bytes u32, stored bytes u32, encoding u32, bytes
//        streams  count, then for each name, ascending by bytes: bytes shared with the name before,
//                 bytes that follow, those bytes, events, first block, last block, first time,
//                 last time − first time                                (varints; times zigzag)
//        blocks   count, then for each: offset, bytes, rows, first stream, last stream,
//                 first time, last time − first time                    (varints; times zigzag)
//        covered  count, then for each: log, first sequence, last sequence           (varints)
//     trailer  64 bytes
//        0   8  offset of the footer      8   8  bytes of the footer
//       16   8  events                   24   8  hash of the events (EventHash)
//       32  12  reserved, 0              44   4  CRC-32C of the footer
//       48   4  version (1)              52   8  magic "pstkend\n"
//       60   4  CRC-32C of bytes 0 … 59
//
// Rows are sorted by stream, then time, then log and sequence. A block holds about `blockByteCount`
// of rows: many small streams share one, a long one spans many. Type, attributes and payload are
// the escaped bytes of the event line, so a line comes out as it went in. Every number is checked
// against what holds it before it is used; a checksum that does not hold costs its block only.

package import PenstockCore

/// Sizes and marks of the format.
enum TableFormat {
  static let version: UInt32 = 1
  static let headerByteCount = 64
  static let trailerByteCount = 64
  static let blockHeaderByteCount = 24
  static let entryByteCount = 12
  static let headerMagic: StaticString = "penstock-table\n\0"
  static let blockMagic: UInt32 = 0x316B_6C62
  static let trailerMagic: StaticString = "pstkend\n"

  /// Rows of a block before it is closed, in raw bytes: larger blocks gained 4 % in size and made
  /// a single event dearer to read.
  static let blockByteCount = 256 << 10
  /// Largest raw column a reader accepts: a block and one event of the largest size, escaped.
  static let columnByteCountMax = 8 << 20
  /// Most rows a reader accepts in a block: each takes at least five bytes of columns.
  static let rowCountMax = 1 << 20
  /// Largest footer section a reader accepts, raw: a million streams with names of 64 bytes.
  static let sectionByteCountMax = 256 << 20

  /// What a column holds.
  enum Column: UInt16, CaseIterable {
    case streams = 1
    case times, logs, sequences, typeSizes, attributeSizes, payloadSizes, types, attributes,
      payloads
  }
}

/// The hash a table is proved by: the sum over its events, so that order does not matter.
package enum EventHash {
  /// The hash of one event: of its line without LF, and of its position.
  package static func of(_ line: RawSpan, _ log: LogNumber, _ sequence: SequenceNumber) -> UInt64 {
    let sum = line.checksum()
    let place = sequence.value &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(log.value) << 56
    return (UInt64(sum) << 32 | UInt64(sum)) &* 0xD6E8_FEB8_6659_FD93 ^ place
  }
}

/// Why a table, or a part of it, cannot be read.
package struct TableError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Fault: Equatable, Sendable {
    case file(FileError)
    /// Not a table, or cut short.
    case notATable
    /// Written by a newer version.
    case newerVersion(UInt32)
    /// The footer's checksum or one of its numbers does not hold.
    case damagedFooter
    /// A block's checksum or one of its numbers does not hold.
    case damagedBlock(index: Int, streams: String, times: String)
    /// The events read back are not those that went in.
    case notProved
  }
  package var path: String
  package var fault: Fault

  package var description: String {
    switch fault {
    case .file(let error): error.description
    case .notATable: "\(path) is not a table, or was cut short"
    case .newerVersion(let version):
      "\(path) has table version \(version) and this program reads version "
        + "\(TableFormat.version): use a newer penstock"
    case .damagedFooter: "\(path): the footer is damaged; none of its events can be read"
    case .damagedBlock(let index, let streams, let times):
      "\(path): block \(index) is damaged: events of \(streams) from \(times) cannot be read"
    case .notProved: "\(path): the events read back are not those that were written"
    }
  }
}
