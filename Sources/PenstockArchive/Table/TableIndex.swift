// Secondary indexes of a table: for each value of an indexed attribute, or of the type, the blocks
// that hold events with it, and how many each holds.
//
//     block    type sshd: 12, host web-1: 7, host web-2: 9 …        while rows come
//        ▼
//     postings value → (block, events)…                              in memory, up to a limit
//        ▼
//     section  pages of values, ascending, for each key              at the end, or at the limit
//
// A posting stands for all events of the value in its block. Those of a page are varints or bits
// (PostingBits.swift), whichever take less once they are packed: LZ4 finds what repeats in varints,
// and bits are short where nothing does. When an index would take more memory than it may, what
// there is of it becomes a section, and another begins with the next block: a reader looks into
// each. Values longer than `valueByteCountMax` are not in an index, and looking for one reads all
// blocks.

internal import PenstockCore

/// Sizes of indexes.
enum TableIndex {
  /// Longest value that is indexed, in bytes.
  static let valueByteCountMax = 1024
  /// Most keys a table is indexed by.
  static let keyCountMax = 16
  /// Memory the postings of a section may take, in bytes.
  static let sectionByteCountMax = 8 << 20
  /// The key of the type.
  static let typeKey = Array("type".utf8)
}

/// A place of a value: the block, and how many of its events have the value.
package struct IndexPosting: Equatable, Sendable {
  package var block: Int
  package var eventCount: Int

  package init(block: Int, eventCount: Int) {
    self.block = block
    self.eventCount = eventCount
  }
}

/// Puts index entries into pages.
struct IndexPageWriter: ~Copyable {
  private var values = ColumnBuffer(capacity: TableFormat.pageByteCount)
  /// The postings in both encodings.
  private var postings = ColumnBuffer(capacity: TableFormat.pageByteCount)
  private var bits = PostingBitsWriter()
  private var firstValue: [UInt8] = []
  private var previousValue: [UInt8] = []
  private var count = 0
  private var previousEnd = TableFormat.headerByteCount
  /// The footer's column of index pages.
  var pages = ColumnBuffer(capacity: 1 << 10)

  var isEmpty: Bool { count == 0 }
  var isFull: Bool { values.count + postings.count >= TableFormat.pageByteCount }

  /// Adds the next value of a section that has blocks with numbers below `blockCount`.
  mutating func add(_ value: [UInt8], _ places: ArraySlice<IndexPosting>, blockCount: Int) {
    if count == 0 {
      firstValue = value
      bits.begin(blockCount: blockCount)
    }
    bits.add(places)
    values.append(name: value, after: previousValue)
    previousValue = value
    postings.append(varint: places.count)
    var block = 0
    for place in places {
      let step = UInt64(place.block - block)
      postings.append(varint: step << 1 | (place.eventCount > 1 ? 1 : 0))
      if place.eventCount > 1 { postings.append(varint: place.eventCount - 2) }
      block = place.block
    }
    count += 1
  }

  /// Puts the page together; it will stand at `offset`.
  mutating func finishPage(
    _ part: inout PartBuilder, at offset: Int, key: Int, section: Int, _ effort: TableEffort
  ) {
    build(&part, areBits: false, effort)
    let byteCount = part.byteCount
    build(&part, areBits: true, effort)
    if part.byteCount >= byteCount { build(&part, areBits: false, effort) }
    values.removeAll()
    postings.removeAll()
    pages.append(varint: key)
    pages.append(varint: section)
    pages.append(varint: offset - previousEnd)
    pages.append(varint: part.byteCount)
    pages.append(varint: firstValue.count)
    pages.append(firstValue)
    previousEnd = offset + part.byteCount
    previousValue = []
    count = 0
  }

  private mutating func build(_ part: inout PartBuilder, areBits: Bool, _ effort: TableEffort) {
    part.begin(.index, rowCount: count, columnCount: 2)
    part.pool.append(values.bytes)
    part.end(.indexValues, encoding: 0)
    if areBits { bits.finish(into: &part.pool) } else { part.pool.append(postings.bytes) }
    part.end(.indexPostings, encoding: areBits ? TableFormat.postingBits : 0)
    part.finish(effort)
  }
}

/// What the footer says about one page of an index.
struct IndexPageEntry {
  var place: ByteRange
  /// Number of the key, and of the section.
  var key: Int
  var section: Int
  var firstValue: [UInt8]
}

/// The postings of a page of an index, one value after the other, however they are made.
private enum PostingReader {
  case varints(NumberReader, blockCount: Int)
  case bits(PostingBitsReader)

  /// Nil when there is no such column, or it begins wrong.
  init?(_ part: borrowing TablePart, blockCount: Int) {
    guard let range = part.column(.indexPostings) else { return nil }
    guard part.encoding(.indexPostings) == TableFormat.postingBits else {
      self = .varints(NumberReader(range), blockCount: blockCount)
      return
    }
    guard let bits = PostingBitsReader(range, part.bytes, blockCount: blockCount) else {
      return nil
    }
    self = .bits(bits)
  }

  func isAtEnd(_ span: RawSpan) -> Bool {
    switch self {
    case .varints(let numbers, _): numbers.isAtEnd
    case .bits(let bits): bits.isAtEnd(span)
    }
  }

  /// Passes over the postings of a value; false when they end too soon.
  mutating func skip(_ span: RawSpan) -> Bool {
    switch self {
    case .varints(var numbers, let blockCount):
      guard let count = numbers.count(span, max: blockCount) else { return false }
      for _ in 0..<count {
        guard let word = numbers.varint(span) else { return false }
        if word & 1 == 1, numbers.varint(span) == nil { return false }
      }
      self = .varints(numbers, blockCount: blockCount)
      return true
    case .bits(var bits):
      guard bits.skip(span) else { return false }
      self = .bits(bits)
      return true
    }
  }

  /// The postings of the next value; nil when a number does not hold.
  mutating func next(_ span: RawSpan) -> [IndexPosting]? {
    switch self {
    case .varints(var numbers, let blockCount):
      let places = PostingReader.varints(&numbers, span, blockCount: blockCount)
      self = .varints(numbers, blockCount: blockCount)
      return places
    case .bits(var bits):
      let places = bits.next(span)
      self = .bits(bits)
      return places
    }
  }

  private static func varints(_ numbers: inout NumberReader, _ span: RawSpan, blockCount: Int)
    -> [IndexPosting]?
  {
    guard let count = numbers.count(span, max: blockCount), count > 0 else { return nil }
    var places: [IndexPosting] = []
    places.reserveCapacity(count)
    var block = 0
    for index in 0..<count {
      guard let word = numbers.varint(span), word >> 1 < UInt64(blockCount - block),
        index == 0 || word >> 1 > 0
      else { return nil }
      block += Int(word >> 1)
      var events = 1
      if word & 1 == 1 {
        guard let more = numbers.count(span, max: TableFormat.rowCountMax - 2) else { return nil }
        events = more + 2
      }
      places.append(IndexPosting(block: block, eventCount: events))
    }
    return places
  }
}

extension TablePart {
  /// The postings of a value in a page of an index: none when the page has not got it, nil when a
  /// number before it does not hold.
  func postings(of wanted: [UInt8], blockCount: Int) -> [IndexPosting]? {
    guard let valueRange = column(.indexValues),
      var postings = PostingReader(self, blockCount: blockCount)
    else { return nil }
    var values = NumberReader(valueRange)
    var value = ColumnBuffer(capacity: TableIndex.valueByteCountMax)
    for _ in 0..<rowCount {
      guard let shared = values.count(bytes, max: value.count),
        let rest = values.count(bytes, max: TableIndex.valueByteCountMax - shared),
        let range = values.bytes(rest)
      else { return nil }
      value.cut(to: shared)
      append(range, to: &value)
      if value.bytes.equals(wanted.rawSpan) { return postings.next(bytes) }
      guard postings.skip(bytes) else { return nil }
    }
    return []
  }

  /// Calls `body` with each value of a page of an index; false when a number does not hold.
  func forEachPosting(blockCount: Int, _ body: ([UInt8], [IndexPosting]) -> Void) -> Bool {
    guard let valueRange = column(.indexValues),
      var postings = PostingReader(self, blockCount: blockCount)
    else { return false }
    var values = NumberReader(valueRange)
    var value: [UInt8] = []
    for index in 0..<rowCount {
      guard let shared = values.count(bytes, max: value.count),
        let rest = values.count(bytes, max: TableIndex.valueByteCountMax - shared),
        let range = values.bytes(rest), let places = postings.next(bytes)
      else { return false }
      let next = value[..<shared] + bytes.extracting(range).array()
      guard index == 0 || value.lexicographicallyPrecedes(next) else { return false }
      value = Array(next)
      body(value, places)
    }
    return values.isAtEnd && postings.isAtEnd(bytes)
  }
}
