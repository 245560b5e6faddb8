// The table: an immutable archive file of sorted, compressed blocks. Numbers are little-endian.
//
//     file     = header ( block | page | index )* footer trailer
//
//     header   64 bytes
//        0  16  magic "penstock-table\n\0"
//       16   4  version (3; readers take 2, which had no postings as bits)
//       20   4  reserved, 0
//       24  16  store identifier, high word then low word
//       40  20  reserved, 0
//       60   4  CRC-32C of bytes 0 … 59
//     trailer  64 bytes, the last of the file
//        0   8  offset of the footer      8   8  bytes of the footer, up to the trailer
//       16   8  events                   24   8  hash of the events (EventHash)
//       32   8  streams                  40   8  reserved, 0
//       48   4  version, the header's    52   8  magic "pstkend\n"
//       60   4  CRC-32C of bytes 0 … 59
//
//     Blocks, pages and the footer are parts. Parts follow each other without a gap.
//     part     24 bytes, a column entry of 8 bytes for each column, the pool as stored
//        0   4  magic: "blk1", "dir1", "idx1" or "ftr1"
//        4   4  rows: events of a block, streams of a page, values of an index, blocks of the footer
//        8   2  columns
//       10   2  packing of the pool: 0 as it is   1 LZ4 block
//       12   4  stored bytes: entries and pool
//       16   4  bytes of the pool, unpacked
//       20   4  CRC-32C of bytes 0 … 19 and the stored bytes
//     pool     the columns, one after the other
//     entry    kind u16, encoding u16, bytes in the pool u32
//     kinds    of a block
//               1 names            keys of its streams and groups (StreamKey), front-coded
//               2 counts           for each name: rows                              (varints)
//               3 times            0: nanoseconds − those of the row before         (zigzag)
//                                  1: nanoseconds since 1970, 64 bits, signed       (numbers)
//               4 logs             runs: log, rows                                  (varints)
//               5 sequences        1: sequences                                     (numbers)
//               9 types       10 attributes       11 payloads                       (texts)
//              of a page: streams and their groups, ascending over all pages
//              32 names            their keys, front-coded
//              33 streams          for each: events, first block − that of the one before, last
//                                  block − first block, first time − that of the one before
//                                  (zigzag), last time − first time                 (varints)
//              of a page of an index: values of one key, ascending over a section's pages
//              40 values           front-coded
//              41 postings         0: for each: blocks; for each of these: block − that before,
//                                  times 2, plus 1 unless one of its events has the value, and
//                                  then events − 2                                  (varints)
//                                  1: PostingBits.swift tells what they look like   (bits)
//              of the footer
//              48 pages            for each: offset − end of the page before, bytes, streams,
//                                  bytes of the first name, that name               (varints)
//              49 blocks           for each: offset − end of the block before, bytes, bytes of its
//                                  texts, rows, first stream − that of the block before, last
//                                  stream − first stream, first time − that of the block before
//                                  (zigzag), last time − first time                 (varints)
//              50 covered          for each log: log, first and last sequence, first and last
//                                  segment                                          (varints)
//              51 replaced         of a joined table, those it was made from: bytes of the name in
//                                  the manifest (varint), that name
//              52 index keys       bytes of each key (varint), the key; "type" is that of the type
//              53 index pages      for each: number of its key, number of its section, offset − end
//                                  of the index page before, bytes, bytes of the first value, that
//                                  value                                            (varints)
//              A reader skips kinds from 0x8000 on that it does not know. Any other unknown kind,
//              and an unknown encoding, means that a newer version wrote the part.
//     encoding how a column's bytes are made: 0 but where more are told here or there
//     numbers  NumberColumn.swift tells what they look like   texts   TextColumn.swift
//     name     bytes shared with the name before, bytes that follow (varints), those bytes; the
//              first of a part shares none
//     varint   seven bits a byte, lowest first, the top bit set on all but the last; at most 19
//              bytes. zigzag: (n << 1) ^ (n >> 127), then varint. What stands before the first row,
//              stream, page or block is 0; pages and blocks begin behind the header.
//
// Rows are sorted by stream, then group, then time, then log and sequence. Where streams are
// counted or numbered, each of their groups counts as one. A block holds about `blockByteCount`
// of lines: many small streams share one, a long one spans many. A block says of itself what it
// holds, so a damaged directory or footer costs no event. Streams and blocks are numbered in their
// order. The directory is searched by the pages' first names: a table of a million streams opens by
// its footer alone. Type, attributes and payload are the escaped bytes of the event line, so a line
// comes out as it went in. Every number is checked against what holds it before it is used; a
// checksum that does not hold costs its part only.

package import PenstockCore

/// Sizes and marks of the format.
enum TableFormat {
  static let version: UInt32 = 3
  /// Versions this program reads.
  static let readableVersions: ClosedRange<UInt32> = 2...version
  static let headerByteCount = 64
  static let trailerByteCount = 64
  static let partHeaderByteCount = 24
  static let entryByteCount = 8
  static let headerMagic: StaticString = "penstock-table\n\0"
  static let trailerMagic: StaticString = "pstkend\n"

  /// Bytes of lines after which a block is closed. Larger blocks gain little and make a single event
  /// dearer to read.
  static func blockByteCount(_ effort: TableEffort) -> Int {
    effort == .fast ? 256 << 10 : 512 << 10
  }
  /// Raw bytes after which a page of the directory is closed: what a search for one stream reads.
  static let pageByteCount = 16 << 10
  /// Bytes of a table the disk is given to write at a time: as many as it writes at full speed.
  static let writeBackByteCount = 1 << 20
  /// Most rows a block may have. The shortest line has 36 bytes, so a block is full at 7,500.
  static let rowCountMax = 1 << 16
  /// Most bytes of a pool, and of the texts of a column, a reader accepts: a block's worth and one
  /// event of the largest size, escaped, several times over.
  static let rawByteCountMax = 16 << 20
  /// Most raw bytes of a footer a reader accepts: a million blocks and pages.
  static let footerByteCountMax = 256 << 20
  /// An LZ4 block cannot hold more than this many times its own size.
  static let expansionMax = 255
  /// Most columns a part may have.
  static let columnCountMax = 64
  /// Kinds from this one on may be skipped by readers that do not know them.
  static let skippableKind: UInt16 = 0x8000

  /// What a part is.
  enum Part: UInt32 {
    case block = 0x316B_6C62
    case page = 0x3172_6964
    case index = 0x3178_6469
    case footer = 0x3172_7466
  }

  /// What a column holds.
  enum Column: UInt16, CaseIterable {
    case names = 1
    case counts, times, logs, sequences
    case types = 9
    case attributes, payloads
    case pageNames = 32
    case pageStreams
    case indexValues = 40
    case indexPostings
    case pages = 48
    case blocks, covered, replaced, indexKeys, indexPages

    /// The highest encoding this version reads.
    var encodingMax: UInt16 {
      switch self {
      case .times, .sequences: TableFormat.numbers
      case .indexPostings: TableFormat.postingBits
      case .types, .attributes, .payloads: TextColumn.templates
      case .names, .counts, .logs, .pageNames, .pageStreams, .indexValues, .pages, .blocks,
        .covered, .replaced, .indexKeys, .indexPages:
        0
      }
    }
  }

  /// The encoding of times and sequences that are numbers.
  static let numbers: UInt16 = 1
  /// The encoding of postings that are bits.
  static let postingBits: UInt16 = 1
}

/// The hash a table is proved by: the sum over its events, so that order does not matter.
package enum EventHash {
  /// The hash of one event: of its line without LF, and of its position.
  package static func of(_ line: RawSpan, _ log: LogNumber, _ sequence: SequenceNumber) -> UInt64 {
    of(checksum: line.checksum(), log, sequence)
  }

  /// The same, from the CRC-32C of the line.
  static func of(checksum sum: UInt32, _ log: LogNumber, _ sequence: SequenceNumber) -> UInt64 {
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
    /// Written by a version whose tables this one does not read.
    case otherVersion(UInt32)
    /// Trailer or footer are damaged; the blocks are found without them.
    case damagedFooter
    /// A block's checksum or one of its numbers does not hold.
    case damagedBlock(index: Int, streams: String, times: String)
    /// Bytes between the parts that are none; found without a footer.
    case damagedBytes(ByteRange)
    /// A page of the directory is damaged: searches look at all blocks of its streams.
    case damagedPage(index: Int)
    /// A page of an index is damaged: searches by it look at all blocks.
    case damagedIndex(offset: Int)
    /// A part has an encoding or a column of a newer version.
    case newerPart(offset: Int)
    /// What the footer or the directory says of a block or stream is not so.
    case contradiction(String)
    /// The events read back are not those that went in.
    case notProved
  }
  package var path: String
  package var fault: Fault

  package var description: String {
    switch fault {
    case .file(let error): error.description
    case .notATable: "\(path) is not a table, or was cut short"
    case .otherVersion(let version):
      "\(path) has table version \(version) and this program reads versions "
        + "\(TableFormat.readableVersions.lowerBound) to \(TableFormat.version): use a "
        + "\(version > TableFormat.version ? "newer" : "former") penstock"
    case .damagedFooter: "\(path): the footer is damaged; its blocks are read one after the other"
    case .damagedBlock(let index, let streams, let times):
      "\(path): block \(index) is damaged: events of \(streams) from \(times) cannot be read"
    case .damagedBytes(let range):
      "\(path): bytes \(range.lowerBound)–\(range.upperBound - 1) are damaged; events in them "
        + "cannot be read"
    case .damagedPage(let index):
      "\(path): page \(index) of the directory is damaged; no event is lost, looking for a stream "
        + "takes longer"
    case .damagedIndex(let offset):
      "\(path): the index page at byte \(offset) is damaged; no event is lost, looking for a value "
        + "takes longer"
    case .newerPart(let offset):
      "\(path): what stands at byte \(offset) was written by a newer penstock: use that version"
    case .contradiction(let what): "\(path): \(what)"
    case .notProved: "\(path): the events read back are not those that were written"
    }
  }

  /// Whether events cannot be read because of it.
  package var isLoss: Bool {
    switch fault {
    case .file, .notATable, .otherVersion, .damagedBlock, .damagedBytes, .newerPart, .notProved:
      true
    case .damagedFooter, .damagedPage, .damagedIndex, .contradiction: false
    }
  }
}
