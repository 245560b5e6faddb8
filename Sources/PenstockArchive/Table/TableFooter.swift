// The footer of a table, and the trailer that locates it.

package import PenstockCore

/// What a table says about one of its blocks.
package struct TableBlockEntry: Equatable, Sendable {
  /// Where it lies in the file.
  package var place: ByteRange
  /// Bytes of its columns when decoded.
  package var rawByteCount: Int
  package var rowCount: Int
  /// The streams in it, by their number in the directory.
  package var streams: ClosedRange<Int>
  package var earliest: Timestamp
  package var latest: Timestamp
}

/// How far a table goes in a log: which of the log's events and segments are in it, and in the
/// tables written with it.
package struct TableCoverage: Equatable, Sendable {
  package var log: LogNumber
  package var sequences: ClosedRange<UInt64>
  package var segments: ClosedRange<UInt64>

  package init(log: LogNumber, sequences: ClosedRange<UInt64>, segments: ClosedRange<UInt64>) {
    self.log = log
    self.sequences = sequences
    self.segments = segments
  }
}

/// The trailer.
struct TableTrailer {
  var footer: ByteRange
  var eventCount: UInt64
  var hash: UInt64
  /// A 32-bit number: streams are numbered by such.
  var streamCount: Int

  /// Nil unless it is whole and fits a file whose trailer stands at `start`.
  init?(_ span: RawSpan, at start: Int) {
    guard span.byteCount == TableFormat.trailerByteCount,
      span.hasBytes(TableFormat.trailerMagic, at: 52),
      TableFormat.readableVersions.contains(UInt32(truncatingIfNeeded: span.word(at: 48))),
      UInt32(truncatingIfNeeded: span.word(at: 60)) == span.extracting(0..<60).checksum()
    else { return nil }
    let offset = span.word(at: 0)
    let count = span.word(at: 8)
    guard offset >= UInt64(TableFormat.headerByteCount), offset <= UInt64(start),
      count == UInt64(start) - offset, span.word(at: 32) <= UInt64(Int32.max)
    else { return nil }
    footer = Int(offset)..<start
    eventCount = span.word(at: 16)
    hash = span.word(at: 24)
    streamCount = Int(span.word(at: 32))
  }

  init(footer: ByteRange, eventCount: UInt64, hash: UInt64, streamCount: Int) {
    self.footer = footer
    self.eventCount = eventCount
    self.hash = hash
    self.streamCount = streamCount
  }

  /// Appends it.
  func append(to buffer: inout ColumnBuffer) {
    let start = buffer.count
    buffer.append(UInt64(footer.lowerBound))
    buffer.append(UInt64(footer.count))
    buffer.append(eventCount)
    buffer.append(hash)
    buffer.append(UInt64(streamCount))
    buffer.append(UInt64(0))
    buffer.append(TableFormat.version)
    buffer.append(TableFormat.trailerMagic)
    let sum = buffer.bytes.extracting(start..<buffer.count).checksum()
    buffer.append(sum)
  }
}

/// The header.
struct TableHeader {
  var store: StoreIdentifier

  enum Reading {
    case header(TableHeader)
    case otherVersion(UInt32)
    case damaged
    case foreign
  }

  static func read(_ span: RawSpan) -> Reading {
    guard span.byteCount == TableFormat.headerByteCount,
      span.hasBytes(TableFormat.headerMagic, at: 0)
    else { return .foreign }
    guard
      UInt32(truncatingIfNeeded: span.word(at: 60)) == span.extracting(0..<60).checksum()
    else { return .damaged }
    let version = UInt32(truncatingIfNeeded: span.word(at: 16))
    guard TableFormat.readableVersions.contains(version) else { return .otherVersion(version) }
    return .header(
      TableHeader(store: StoreIdentifier(high: span.word(at: 24), low: span.word(at: 32))))
  }

  func append(to buffer: inout ColumnBuffer) {
    let start = buffer.count
    buffer.append(TableFormat.headerMagic)
    buffer.append(TableFormat.version)
    buffer.append(UInt32(0))
    buffer.append(store.high)
    buffer.append(store.low)
    while buffer.count < start + TableFormat.headerByteCount - 4 { buffer.append(UInt32(0)) }
    let sum = buffer.bytes.extracting(start..<buffer.count).checksum()
    buffer.append(sum)
  }
}

/// The footer's columns, read and checked.
struct TableFooter {
  var pages: [TablePageEntry] = []
  var blocks: [TableBlockEntry] = []
  var covered: [TableCoverage] = []
  var replaced: [String] = []
  var indexKeys: [[UInt8]] = []
  var indexPages: [IndexPageEntry] = []

  init() {}

  /// Nil unless every number holds; parts end at `end` at the latest.
  init?(_ part: borrowing TablePart, end: Int, streamCount: Int) {
    guard readPages(part, end: end), pages.last?.streams.upperBound ?? 0 == streamCount,
      readBlocks(part, end: end, streamCount: streamCount), blocks.count == part.rowCount,
      readCovered(part), readReplaced(part), readIndexKeys(part), readIndexPages(part, end: end)
    else { return nil }
  }

  private mutating func readPages(_ part: borrowing TablePart, end: Int) -> Bool {
    guard let range = part.column(.pages) else { return false }
    var reader = NumberReader(range)
    var place = TableFormat.headerByteCount
    var stream = 0
    while !reader.isAtEnd {
      guard let gap = reader.count(part.bytes, max: end - place),
        let byteCount = reader.count(part.bytes, max: end - place - gap),
        let count = reader.count(part.bytes, max: Int(Int32.max) - stream), count > 0,
        let size = reader.count(part.bytes, max: StreamKey.byteCountMax),
        let name = reader.bytes(size), byteCount > TableFormat.partHeaderByteCount
      else { return false }
      let start = place + gap
      pages.append(
        TablePageEntry(
          place: start..<(start + byteCount), streams: stream..<(stream + count),
          firstName: part.bytes.extracting(name).array()))
      place = start + byteCount
      stream += count
    }
    return true
  }

  private mutating func readBlocks(_ part: borrowing TablePart, end: Int, streamCount: Int) -> Bool
  {
    guard let range = part.column(.blocks) else { return false }
    var reader = NumberReader(range)
    var place = TableFormat.headerByteCount
    var stream = 0
    var time = Timestamp(seconds: 0, nanoseconds: 0)
    while !reader.isAtEnd {
      let span = part.bytes
      guard let gap = reader.count(span, max: end - place),
        let byteCount = reader.count(span, max: end - place - gap),
        byteCount > TableFormat.partHeaderByteCount,
        let raw = reader.count(span, max: TableFormat.rawByteCountMax),
        let rows = reader.count(span, max: TableFormat.rowCountMax), rows > 0,
        let step = reader.count(span, max: streamCount - 1 - stream),
        let more = reader.count(span, max: streamCount - 1 - stream - step),
        let earliest = reader.time(span, since: time),
        let latest = reader.time(span, behind: earliest)
      else { return false }
      let start = place + gap
      stream += step
      time = earliest
      blocks.append(
        TableBlockEntry(
          place: start..<(start + byteCount), rawByteCount: raw, rowCount: rows,
          streams: stream...(stream + more), earliest: earliest, latest: latest))
      place = start + byteCount
    }
    return true
  }

  private mutating func readReplaced(_ part: borrowing TablePart) -> Bool {
    guard let range = part.column(.replaced) else { return true }
    var reader = NumberReader(range)
    while !reader.isAtEnd {
      guard let count = reader.count(part.bytes, max: TableName.byteCountMax),
        let name = reader.bytes(count)
      else { return false }
      replaced.append(String(span: part.bytes.extracting(name)))
    }
    return true
  }

  private mutating func readIndexKeys(_ part: borrowing TablePart) -> Bool {
    guard let range = part.column(.indexKeys) else { return true }
    var reader = NumberReader(range)
    while !reader.isAtEnd {
      guard indexKeys.count < TableIndex.keyCountMax,
        let count = reader.count(part.bytes, max: TableIndex.valueByteCountMax),
        let key = reader.bytes(count)
      else { return false }
      indexKeys.append(part.bytes.extracting(key).array())
    }
    return true
  }

  private mutating func readIndexPages(_ part: borrowing TablePart, end: Int) -> Bool {
    guard let range = part.column(.indexPages) else { return true }
    var reader = NumberReader(range)
    var place = TableFormat.headerByteCount
    while !reader.isAtEnd {
      let span = part.bytes
      guard let key = reader.count(span, max: indexKeys.count - 1),
        let section = reader.count(span, max: Int(Int32.max)),
        let gap = reader.count(span, max: end - place),
        let byteCount = reader.count(span, max: end - place - gap),
        byteCount > TableFormat.partHeaderByteCount,
        let count = reader.count(span, max: TableIndex.valueByteCountMax),
        let value = reader.bytes(count)
      else { return false }
      let start = place + gap
      indexPages.append(
        IndexPageEntry(
          place: start..<(start + byteCount), key: key, section: section,
          firstValue: span.extracting(value).array()))
      place = start + byteCount
    }
    return true
  }

  private mutating func readCovered(_ part: borrowing TablePart) -> Bool {
    guard let range = part.column(.covered) else { return false }
    var reader = NumberReader(range)
    while !reader.isAtEnd {
      let span = part.bytes
      guard let log = reader.count(span, max: 255), let first = reader.varint(span),
        let last = reader.varint(span), first <= last, let firstSegment = reader.varint(span),
        let lastSegment = reader.varint(span), firstSegment <= lastSegment
      else { return false }
      covered.append(
        TableCoverage(
          log: LogNumber(UInt8(log)), sequences: first...last,
          segments: firstSegment...lastSegment))
    }
    return true
  }
}
