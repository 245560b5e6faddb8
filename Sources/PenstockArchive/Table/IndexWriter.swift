// All indexes of a table being written.
//
// The values of all keys have numbers from one table of names, in which the number of the key, one
// byte, stands before the value: so the order of names is that of keys, and in each of values.

internal import PenstockCore

/// Collects the values of rows and writes them as sections of index pages.
struct IndexWriter: ~Copyable {
  private let keys: [Key]
  /// The number of the key of the type; -1 when it is not indexed.
  private let typeKey: Int
  private let hasAttributes: Bool
  private var values = RunStreams()
  /// The value each key had last.
  private var recent: [Int]
  /// The attributes of the row before, and the numbers of their values: neighbours of a stream often
  /// have the same.
  private var attributes = ColumnBuffer(capacity: 4 << 10)
  private var attributeValues: [UInt32] = []
  /// Events of each value in the open block, and the row each was met in last.
  private var counts: [UInt32] = []
  private var lastRows: [UInt32] = []
  /// Values met in the open block.
  private var touched: [UInt32] = []
  private var postings: [Posting] = []
  private var page = IndexPageWriter()
  private var section = 0

  private struct Key {
    var name: [UInt8]
    /// Its first bytes, to tell most others from it at once.
    var word: UInt64
  }

  private struct Posting {
    var value: UInt32
    var block: UInt32
    var count: UInt32
  }

  init(_ names: [[UInt8]]) {
    precondition(names.count <= TableIndex.keyCountMax)
    keys = names.map { Key(name: $0, word: $0.rawSpan.word(at: 0)) }
    typeKey = names.firstIndex(of: TableIndex.typeKey) ?? -1
    hasAttributes = names.contains { $0 != TableIndex.typeKey }
    recent = [Int](repeating: -1, count: names.count)
  }

  // MARK: - Rows

  /// Takes the values of a row of the open block.
  @inline(__always)
  mutating func take(
    _ bytes: RawSpan, type range: ByteRange, attributes words: ByteRange, row: Int
  ) {
    if typeKey >= 0 { take(bytes, range, typeKey, row: row) }
    guard hasAttributes, !words.isEmpty else { return }
    if attributes.count == words.count,
      attributes.bytes.holds(0, words.count, of: bytes, at: words.lowerBound)
    {
      for number in attributeValues { count(Int(number), row: row) }
      return
    }
    attributes.removeAll()
    attributes.append(bytes.extracting(words))
    attributeValues.removeAll(keepingCapacity: true)
    var cursor = AttributeCursor(words)
    while let (key, value) = cursor.next(in: bytes) {
      let number = number(of: key, in: bytes)
      guard number >= 0, let value = take(bytes, value, number, row: row) else { continue }
      attributeValues.append(UInt32(value))
    }
  }

  /// The number of an attribute's key; -1 when it is not indexed.
  @inline(__always)
  private func number(of key: ByteRange, in bytes: RawSpan) -> Int {
    var word = bytes.word(at: key.lowerBound)
    if key.count < 8 { word &= ~(~0 &<< UInt64(truncatingIfNeeded: 8 &* key.count)) }
    for index in keys.indices where keys[index].word == word && index != typeKey {
      let name = keys[index].name
      if name.count == key.count, key.count <= 8 || name.rawSpan.equals(bytes.extracting(key)) {
        return index
      }
    }
    return -1
  }

  /// The number of the value; nil when it is not indexed.
  @inline(__always) @discardableResult
  private mutating func take(_ bytes: RawSpan, _ range: ByteRange, _ key: Int, row: Int) -> Int? {
    guard !range.isEmpty, range.count <= TableIndex.valueByteCountMax else { return nil }
    var number = recent[key]
    if number < 0 || !values.hasValue(bytes, range, number) {
      number = values.number(
        of: bytes.extracting(range), prefix: UInt8(truncatingIfNeeded: key))
      recent[key] = number
      if number == counts.count {
        counts.append(0)
        lastRows.append(0)
      }
    }
    count(number, row: row)
    return number
  }

  /// Counts a row of the value with this number.
  @inline(__always)
  private mutating func count(_ number: Int, row: Int) {
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
  mutating func endBlock(_ block: Int) {
    for value in touched {
      postings.append(Posting(value: value, block: UInt32(block), count: counts[Int(value)]))
      counts[Int(value)] = 0
    }
    touched.removeAll(keepingCapacity: true)
  }

  /// Whether the section has to be written now.
  var isFull: Bool {
    values.byteCount + 8 * counts.count + 24 * postings.count > TableIndex.sectionByteCountMax
  }

  // MARK: - Sections

  /// The postings by the numbers of their values: those of value n end at `ends[n]`.
  private func sorted() -> (places: [IndexPosting], ends: [Int]) {
    var ends = [Int](repeating: 0, count: values.count)
    for posting in postings { ends[Int(posting.value)] += 1 }
    var sum = 0
    for value in ends.indices {
      sum += ends[value]
      ends[value] = sum - ends[value]
    }
    var places = [IndexPosting](
      repeating: IndexPosting(block: 0, eventCount: 0), count: postings.count)
    for posting in postings {
      places[ends[Int(posting.value)]] = IndexPosting(
        block: Int(posting.block), eventCount: Int(posting.count))
      ends[Int(posting.value)] += 1
    }
    return (places, ends)
  }

  private mutating func removeAll() {
    values.removeAll()
    counts.removeAll()
    lastRows.removeAll()
    postings.removeAll()
    for key in recent.indices { recent[key] = -1 }
    attributes.removeAll()
  }

  /// Gives the number of each key, its values, ascending, and their postings, and forgets them.
  mutating func drain(_ body: (Int, [UInt8], ArraySlice<IndexPosting>) -> Void) {
    let (places, ends) = sorted()
    for value in values.sorted() {
      let name = values.bytes(Int(value))
      let start = value == 0 ? 0 : ends[Int(value) - 1]
      body(Int(name[0]), Array(name.dropFirst()), places[start..<ends[Int(value)]])
    }
    removeAll()
  }

  /// Writes what was collected as a section.
  mutating func endSection<Files: FileSystem>(
    _ part: inout PartBuilder, _ files: Files, _ file: File, _ offset: inout Int,
    _ effort: TableEffort
  ) throws(FileError) {
    // Blocks come in order: the last posting's is the highest.
    guard let last = postings.last else { return }
    let (places, ends) = sorted()
    var open = -1
    for value in values.sorted() {
      let name = values.bytes(Int(value))
      if Int(name[0]) != open, !page.isEmpty {
        try endPage(open, &part, files, file, &offset, effort)
      }
      open = Int(name[0])
      let start = value == 0 ? 0 : ends[Int(value) - 1]
      page.add(
        Array(name.dropFirst()), places[start..<ends[Int(value)]],
        blockCount: Int(last.block) + 1)
      if page.isFull { try endPage(open, &part, files, file, &offset, effort) }
    }
    if !page.isEmpty { try endPage(open, &part, files, file, &offset, effort) }
    removeAll()
    section += 1
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
  var columnCount: Int { keys.isEmpty ? 0 : page.pages.isEmpty ? 1 : 2 }

  mutating func put(_ part: inout PartBuilder) {
    guard !keys.isEmpty else { return }
    var names = ColumnBuffer(capacity: 256)
    for key in keys {
      names.append(varint: key.name.count)
      names.append(key.name)
    }
    part.put(.indexKeys, &names)
    if !page.pages.isEmpty { part.put(.indexPages, &page.pages) }
  }
}
