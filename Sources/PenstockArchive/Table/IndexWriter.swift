// All indexes of a table being written.

internal import PenstockCore

/// Collects the values of rows and writes them as sections of index pages.
struct IndexWriter: ~Copyable {
  private let indexes: [IndexKeyWriter]
  /// That of the type, and those of attributes.
  private let type: IndexKeyWriter?
  private let attributes: [IndexKeyWriter]
  private var page = IndexPageWriter()
  private var section = 0

  init(_ keys: [[UInt8]]) {
    precondition(keys.count <= TableIndex.keyCountMax)
    indexes = keys.map { IndexKeyWriter(key: $0) }
    type = indexes.first { $0.key == TableIndex.typeKey }
    attributes = indexes.filter { $0.key != TableIndex.typeKey }
  }

  /// Takes the values of a row of the open block.
  @inline(__always)
  func take(_ bytes: RawSpan, type range: ByteRange, attributes words: ByteRange, row: Int) {
    type?.take(bytes.extracting(range), row: row)
    guard !attributes.isEmpty, !words.isEmpty else { return }
    var cursor = AttributeCursor(words)
    while let (key, value) = cursor.next(in: bytes) {
      for index in attributes where index.isOf(bytes.extracting(key)) {
        index.take(bytes.extracting(value), row: row)
      }
    }
  }

  func endBlock(_ block: Int) {
    for index in indexes { index.endBlock(block) }
  }

  /// Gives the number of each key, its values, ascending, and their postings, and forgets them.
  func drain(_ body: (Int, [UInt8], ArraySlice<IndexPosting>) -> Void) {
    for (number, index) in indexes.enumerated() where !index.isEmpty {
      let entries = index.sorted()
      for place in 0..<entries.valueCount {
        body(number, index.value(entries, place), entries.postings(place))
      }
      index.removeAll()
    }
  }

  /// Whether the section has to be written now.
  var isFull: Bool {
    indexes.reduce(0) { $0 + $1.byteCount } > TableIndex.sectionByteCountMax
  }

  /// Writes what was collected as a section.
  mutating func endSection<Files: FileSystem>(
    _ part: inout PartBuilder, _ files: Files, _ file: File, _ offset: inout Int,
    _ effort: TableEffort
  ) throws(FileError) {
    let before = page.pages.count
    for (number, index) in indexes.enumerated() where !index.isEmpty {
      let entries = index.sorted()
      for place in 0..<entries.valueCount {
        page.add(index.value(entries, place), entries.postings(place))
        if page.isFull { try endPage(number, &part, files, file, &offset, effort) }
      }
      if !page.isEmpty { try endPage(number, &part, files, file, &offset, effort) }
      index.removeAll()
    }
    if page.pages.count > before { section += 1 }
  }

  private mutating func endPage<Files: FileSystem>(
    _ key: Int, _ part: inout PartBuilder, _ files: Files, _ file: File, _ offset: inout Int,
    _ effort: TableEffort
  ) throws(FileError) {
    page.finishPage(&part, at: offset, key: key, section: section, effort)
    try part.write(files, file, at: offset)
    offset += part.byteCount
  }

  // MARK: - Footer

  /// Columns of the footer.
  var columnCount: Int { indexes.isEmpty ? 0 : page.pages.isEmpty ? 1 : 2 }

  mutating func put(_ part: inout PartBuilder) {
    guard !indexes.isEmpty else { return }
    var names = ColumnBuffer(capacity: 256)
    for index in indexes {
      names.append(varint: index.key.count)
      names.append(index.key)
    }
    part.put(.indexKeys, &names)
    if !page.pages.isEmpty { part.put(.indexPages, &page.pages) }
  }
}

/// Collects the postings of one key.
final class IndexKeyWriter {
  let key: [UInt8]
  private var values = RunStreams()
  /// Events of each value in the open block, and the row each was met in last.
  private var counts: [UInt32] = []
  private var lastRows: [UInt32] = []
  /// Values met in the open block.
  private var touched: [UInt32] = []
  private var postings: [Posting] = []

  private struct Posting {
    var value: UInt32
    var block: UInt32
    var count: UInt32
  }

  /// Postings by the order of their values.
  struct Sorted {
    fileprivate var values: [UInt32]
    fileprivate var ends: [Int]
    fileprivate var places: [IndexPosting]

    var valueCount: Int { values.count }

    /// The postings of the value at `place` of the order.
    func postings(_ place: Int) -> ArraySlice<IndexPosting> {
      let value = Int(values[place])
      return places[(value == 0 ? 0 : ends[value - 1])..<ends[value]]
    }
  }

  init(key: [UInt8]) { self.key = key }

  var byteCount: Int { values.byteCount + 8 * counts.count + 24 * postings.count }
  var isEmpty: Bool { postings.isEmpty }

  @inline(__always)
  func isOf(_ name: RawSpan) -> Bool {
    let key = key
    return key.rawSpan.equals(name)
  }

  /// Takes a value of the open block's row.
  @inline(__always)
  func take(_ value: RawSpan, row: Int) {
    guard value.byteCount > 0, value.byteCount <= TableIndex.valueByteCountMax else { return }
    let number = values.number(of: value)
    if number == counts.count {
      counts.append(0)
      lastRows.append(0)
    }
    if counts[number] == 0 {
      touched.append(UInt32(number))
    } else if lastRows[number] == UInt32(row) {
      // The key is repeated, with the same value.
      return
    }
    lastRows[number] = UInt32(row)
    counts[number] &+= 1
  }

  /// The open block becomes the one with this number.
  func endBlock(_ block: Int) {
    for value in touched {
      postings.append(Posting(value: value, block: UInt32(block), count: counts[Int(value)]))
      counts[Int(value)] = 0
    }
    touched.removeAll(keepingCapacity: true)
  }

  /// Brings the postings into the order of their values.
  func sorted() -> Sorted {
    var places = [Int](repeating: 0, count: values.count)
    for posting in postings { places[Int(posting.value)] += 1 }
    var sum = 0
    for value in places.indices {
      sum += places[value]
      places[value] = sum - places[value]
    }
    var sorted = [IndexPosting](
      repeating: IndexPosting(block: 0, eventCount: 0), count: postings.count)
    for posting in postings {
      sorted[places[Int(posting.value)]] = IndexPosting(
        block: Int(posting.block), eventCount: Int(posting.count))
      places[Int(posting.value)] += 1
    }
    return Sorted(values: values.sorted(), ends: places, places: sorted)
  }

  /// The value at `place` of the order.
  func value(_ sorted: Sorted, _ place: Int) -> [UInt8] {
    values.bytes(Int(sorted.values[place]))
  }

  func removeAll() {
    values.removeAll()
    counts.removeAll()
    lastRows.removeAll()
    postings.removeAll()
  }
}
