// Secondary indexes of a table: for each value of an indexed attribute, or of the type, the blocks
// that hold events with it, and how many each holds.
//
//     block    type sshd: 12, host web-1: 7, host web-2: 9 …        while rows come
//        ▼
//     postings value → (block, events)…                              in memory, up to a limit
//        ▼
//     section  pages of values, ascending, for each key              at the end, or at the limit
//
// A posting costs a byte where blocks follow each other and hold one event each of the value, two
// or three otherwise, and stands for all events of the value in its block. When an index would take
// more memory than it may, what there is of it becomes a section, and another begins with the next
// block: a reader looks into each. Values longer than `valueByteCountMax` are not in an index, and
// looking for one reads all blocks.

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
}

/// Puts index entries into pages.
struct IndexPageWriter: ~Copyable {
  private var values = ColumnBuffer(capacity: TableFormat.pageByteCount)
  private var postings = ColumnBuffer(capacity: TableFormat.pageByteCount)
  private var firstValue: [UInt8] = []
  private var previousValue: [UInt8] = []
  private var count = 0
  private var previousEnd = TableFormat.headerByteCount
  /// The footer's column of index pages.
  var pages = ColumnBuffer(capacity: 1 << 10)

  var isEmpty: Bool { count == 0 }
  var isFull: Bool { values.count + postings.count >= TableFormat.pageByteCount }

  mutating func add(_ value: [UInt8], _ places: ArraySlice<IndexPosting>) {
    if count == 0 { firstValue = value }
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
    part.begin(.index, rowCount: count, columnCount: 2)
    part.put(.indexValues, &values)
    part.put(.indexPostings, &postings)
    part.finish(effort)
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
}

/// What the footer says about one page of an index.
struct IndexPageEntry {
  var place: ByteRange
  /// Number of the key, and of the section.
  var key: Int
  var section: Int
  var firstValue: [UInt8]
}

extension TablePart {
  /// The postings of a value in a page of an index: none when the page has not got it, nil when a
  /// number before it does not hold.
  func postings(of wanted: [UInt8], blockCount: Int) -> [IndexPosting]? {
    guard let valueRange = column(.indexValues), let postingRange = column(.indexPostings) else {
      return nil
    }
    var values = NumberReader(valueRange)
    var numbers = NumberReader(postingRange)
    var value = ColumnBuffer(capacity: TableIndex.valueByteCountMax)
    for _ in 0..<rowCount {
      guard let shared = values.count(bytes, max: value.count),
        let rest = values.count(bytes, max: TableIndex.valueByteCountMax - shared),
        let range = values.bytes(rest)
      else { return nil }
      value.cut(to: shared)
      append(range, to: &value)
      if value.bytes.equals(wanted.rawSpan) { return postings(&numbers, blockCount: blockCount) }
      guard skipPostings(&numbers, blockCount: blockCount) else { return nil }
    }
    return []
  }

  /// Passes over the postings of a value; false when they end too soon.
  private func skipPostings(_ numbers: inout NumberReader, blockCount: Int) -> Bool {
    guard let count = numbers.count(bytes, max: blockCount) else { return false }
    for _ in 0..<count {
      guard let word = numbers.varint(bytes) else { return false }
      if word & 1 == 1, numbers.varint(bytes) == nil { return false }
    }
    return true
  }

  /// Calls `body` with each value of a page of an index; false when a number does not hold.
  func forEachPosting(blockCount: Int, _ body: ([UInt8], [IndexPosting]) -> Void) -> Bool {
    guard let valueRange = column(.indexValues), let postingRange = column(.indexPostings) else {
      return false
    }
    var values = NumberReader(valueRange)
    var numbers = NumberReader(postingRange)
    var value: [UInt8] = []
    for index in 0..<rowCount {
      guard let shared = values.count(bytes, max: value.count),
        let rest = values.count(bytes, max: TableIndex.valueByteCountMax - shared),
        let range = values.bytes(rest),
        let places = postings(&numbers, blockCount: blockCount)
      else { return false }
      let next = value[..<shared] + bytes.extracting(range).array()
      guard index == 0 || value.lexicographicallyPrecedes(next) else { return false }
      value = Array(next)
      body(value, places)
    }
    return values.isAtEnd && numbers.isAtEnd
  }

  private func postings(_ numbers: inout NumberReader, blockCount: Int) -> [IndexPosting]? {
    guard let count = numbers.count(bytes, max: blockCount), count > 0 else { return nil }
    var places: [IndexPosting] = []
    places.reserveCapacity(count)
    var block = 0
    for index in 0..<count {
      guard let word = numbers.varint(bytes), word >> 1 < UInt64(blockCount - block),
        index == 0 || word >> 1 > 0
      else { return nil }
      block += Int(word >> 1)
      var events = 1
      if word & 1 == 1 {
        guard let more = numbers.count(bytes, max: TableFormat.rowCountMax - 2) else { return nil }
        events = more + 2
      }
      places.append(IndexPosting(block: block, eventCount: events))
    }
    return places
  }
}
