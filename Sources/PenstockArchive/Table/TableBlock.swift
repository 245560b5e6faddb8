// One block of a table, decoded.
//
// A block is loaded into a value that is used again for the next one: after the first blocks of a
// read nothing is allocated. Columns stay columns: a row is put together of them when it is asked
// for. Rows keep where their bytes begin; they end where the next row's do.

package import PenstockCore

/// A decoded block: its rows in stored order, by stream, time and position.
package struct TableBlock: ~Copyable {
  package private(set) var rowCount = 0
  package private(set) var earliest = Timestamp.latest
  package private(set) var latest = Timestamp.earliest

  private var part = TablePart()
  private var decoder = TextDecoder()
  /// Types, then attributes, then payloads.
  private var texts = ColumnBuffer(capacity: 256 << 10)
  /// One more than there are rows: the last says where the bytes end.
  private var typeStarts = NumberBuffer()
  private var attributeStarts = NumberBuffer()
  private var payloadStarts = NumberBuffer()
  /// The sequences of all rows, then their times, in nanoseconds, unless these are far ones.
  private var numbers = NumberBuffer()
  /// The times of a block that nanoseconds of 64 bits do not tell; otherwise empty.
  private var farTimes: [Timestamp] = []
  /// Of each row its name, and in the lowest byte its log.
  private var places = NumberBuffer()
  private var names = ColumnBuffer(capacity: 4 << 10)
  private var keyEnds: [Int] = []
  private var nameEnds: [Int] = []
  private var timeWriter = JournalTimeWriter()

  package init() {}

  /// Reads, checks and decodes the block in `place` of the file.
  mutating func load<Files: FileSystem>(_ files: Files, _ file: TableFile, _ place: ByteRange)
    throws(FileError) -> TablePart.Reading
  {
    rowCount = 0
    return decode(try part.load(files, file, place, .block))
  }

  /// The same through a window onto the table's file.
  mutating func load<Files: FileSystem>(_ window: inout FileWindow<Files>, _ place: ByteRange)
    throws(FileError) -> TablePart.Reading
  {
    rowCount = 0
    return decode(try part.load(&window, place, .block))
  }

  private mutating func decode(_ reading: TablePart.Reading) -> TablePart.Reading {
    guard reading == .whole else { return reading }
    guard readNames(), readTexts(), readRows() else { return .damaged }
    rowCount = part.rowCount
    return .whole
  }

  // MARK: - Decoding

  private mutating func readNames() -> Bool {
    guard let range = part.column(.names) else { return false }
    var reader = NumberReader(range)
    names.removeAll()
    keyEnds.removeAll(keepingCapacity: true)
    nameEnds.removeAll(keepingCapacity: true)
    var previous = 0..<0
    while !reader.isAtEnd {
      guard let shared = reader.count(part.bytes, max: previous.count),
        let rest = reader.count(part.bytes, max: StreamKey.byteCountMax - shared),
        let bytes = reader.bytes(rest), names.count <= TableFormat.rawByteCountMax
      else { return false }
      let start = names.count
      names.append(copyOf: previous.lowerBound..<(previous.lowerBound + shared))
      part.append(bytes, to: &names)
      let name = start..<names.count
      guard !name.isEmpty, nameEnds.isEmpty || isAscending(previous, name) else { return false }
      let count = StreamKey.streamByteCount(names.bytes.extracting(name))
      guard count > 0, count <= EventLine.streamByteCountMax else { return false }
      previous = name
      keyEnds.append(name.upperBound)
      nameEnds.append(name.lowerBound + count)
    }
    return true
  }

  private func isAscending(_ left: ByteRange, _ right: ByteRange) -> Bool {
    let span = names.bytes
    return span.extracting(left).precedes(span.extracting(right))
  }

  private mutating func readTexts() -> Bool {
    texts.removeAll()
    guard part.rowCount > 0, part.rowCount <= TableFormat.rowCountMax else { return false }
    return TableBlock.readTexts(part, .types, &decoder, &texts, &typeStarts)
      && TableBlock.readTexts(part, .attributes, &decoder, &texts, &attributeStarts)
      && TableBlock.readTexts(part, .payloads, &decoder, &texts, &payloadStarts)
  }

  private static func readTexts(
    _ part: borrowing TablePart, _ column: TableFormat.Column, _ decoder: inout TextDecoder,
    _ texts: inout ColumnBuffer, _ starts: inout NumberBuffer
  ) -> Bool {
    guard let range = part.column(column) else { return false }
    return decoder.decode(
      part.bytes, range, encoding: part.encoding(column), rowCount: part.rowCount, into: &texts,
      starts: &starts)
  }

  /// Appends the sequences and, when they are numbers, the times of all rows to `numbers`.
  private static func readNumbers(
    _ part: borrowing TablePart, _ numbers: inout NumberBuffer
  ) -> Bool {
    numbers.removeAll()
    guard let sequences = part.column(.sequences), let times = part.column(.times) else {
      return false
    }
    var reader = NumberReader(sequences)
    guard reader.numbers(part.bytes, count: part.rowCount, into: &numbers), reader.isAtEnd else {
      return false
    }
    guard part.encoding(.times) == TableFormat.numbers else { return true }
    reader = NumberReader(times)
    return reader.numbers(part.bytes, count: part.rowCount, into: &numbers) && reader.isAtEnd
  }

  private mutating func readRows() -> Bool {
    guard TableBlock.readNumbers(part, &numbers),
      TableBlock.readPlaces(part, nameCount: nameEnds.count, &places)
    else { return false }
    farTimes.removeAll(keepingCapacity: true)
    guard part.encoding(.times) == TableFormat.numbers else { return readFarTimes() }
    let times = numbers.signedBounds(part.rowCount..<(2 * part.rowCount))
    earliest = Timestamp(nearNanoseconds: times.lowerBound)
    latest = Timestamp(nearNanoseconds: times.upperBound)
    return true
  }

  /// Which name and log each row is of; false unless every number holds.
  private static func readPlaces(
    _ part: borrowing TablePart, nameCount: Int, _ places: inout NumberBuffer
  ) -> Bool {
    guard let counts = part.column(.counts), let logs = part.column(.logs) else { return false }
    let rowCount = part.rowCount
    places.removeAll()
    var reader = NumberReader(counts)
    for name in 0..<nameCount {
      guard let rows = reader.count(part.bytes, max: rowCount - places.count), rows > 0 else {
        return false
      }
      places.append(repeating: UInt64(name) << 8, count: rows)
    }
    guard places.count == rowCount, reader.isAtEnd else { return false }
    reader = NumberReader(logs)
    var row = 0
    while row < rowCount {
      guard let log = reader.count(part.bytes, max: 255),
        let rows = reader.count(part.bytes, max: rowCount - row), rows > 0
      else { return false }
      if log > 0 { for index in row..<(row + rows) { places[index] |= UInt64(log) } }
      row += rows
    }
    return reader.isAtEnd
  }

  private mutating func readFarTimes() -> Bool {
    guard let range = part.column(.times) else { return false }
    var reader = NumberReader(range)
    var time = Timestamp(seconds: 0, nanoseconds: 0)
    earliest = .latest
    latest = .earliest
    for _ in 0..<part.rowCount {
      guard let next = reader.time(part.bytes, since: time) else { return false }
      time = next
      earliest = min(earliest, time)
      latest = max(latest, time)
      farTimes.append(time)
    }
    return reader.isAtEnd
  }

  // MARK: - Names

  /// Streams and groups in the block.
  package var nameCount: Int { nameEnds.count }

  /// Stream and group (StreamKey).
  @_lifetime(borrow self)
  package func key(ofName index: Int) -> RawSpan { names.memory.bytes(keyRange(index)) }

  private func keyRange(_ index: Int) -> ByteRange {
    (index == 0 ? 0 : keyEnds[index - 1])..<keyEnds[index]
  }

  /// The name of a stream, escaped as in a line.
  @_lifetime(borrow self)
  package func name(_ index: Int) -> RawSpan { names.memory.bytes(nameRange(index)) }

  private func nameRange(_ index: Int) -> ByteRange {
    (index == 0 ? 0 : keyEnds[index - 1])..<nameEnds[index]
  }

  // MARK: - Rows

  /// Whether a row comes before one of another block in the order of tables.
  @inline(__always)
  func precedes(_ row: Int, _ other: borrowing TableBlock, _ otherRow: Int) -> Bool {
    let left = key(ofName: name(ofRow: row))
    let right = other.key(ofName: other.name(ofRow: otherRow))
    if left.equals(right) { return key(row) < other.key(otherRow) }
    return left.precedes(right)
  }

  /// Stream and group of a row.
  func key(ofRow row: Int) -> [UInt8] { key(ofName: name(ofRow: row)).array() }

  /// Whether a row is of this stream and group.
  @inline(__always)
  func isOf(_ streamKey: [UInt8], _ row: Int) -> Bool {
    streamKey.rawSpan.equals(key(ofName: name(ofRow: row)))
  }

  /// Which of the block's streams a row is of.
  @inline(__always)
  package func name(ofRow row: Int) -> Int { Int(truncatingIfNeeded: places[row] >> 8) }

  @inline(__always)
  package func time(_ row: Int) -> Timestamp {
    farTimes.isEmpty
      ? Timestamp(nearNanoseconds: Int64(bitPattern: numbers[rowCount &+ row])) : farTimes[row]
  }

  /// The same in nanoseconds since 1970, as far as 64 bits tell it.
  @inline(__always)
  func nanoseconds(_ row: Int) -> Int64 {
    farTimes.isEmpty
      ? Int64(bitPattern: numbers[rowCount &+ row])
      : Int64(clamping: farTimes[row].nanosecondsSince1970)
  }

  @inline(__always)
  package func key(_ row: Int) -> EventKey {
    EventKey(
      time: time(row), log: LogNumber(UInt8(truncatingIfNeeded: places[row])),
      sequence: SequenceNumber(numbers[row]))
  }

  /// Copies of a row's parts, escaped as in a line, but for the payload.
  package func eventFields(_ row: Int) -> (
    stream: [UInt8], type: [UInt8], attributes: [(key: [UInt8], value: [UInt8])],
    payload: [UInt8]
  ) {
    let line = fields(row)
    let span = bytes
    var attributes: [(key: [UInt8], value: [UInt8])] = []
    var isEscaped = false
    var cursor = AttributeCursor(line.attributes)
    while let (key, value) = cursor.next(in: span) {
      attributes.append((span.extracting(key).array(), span.extracting(value).array()))
      if span.extracting(key).hasBytes("_escaped", at: 0), key.count == 8 { isEscaped = true }
    }
    let payload = span.extracting(line.payload)
    return (
      name(name(ofRow: row)).array(), span.extracting(line.type).array(), attributes,
      isEscaped ? Escape.decode(payload) ?? payload.array() : payload.array()
    )
  }

  /// The row's fields, as ranges of `bytes`, for judging it before its line is put together.
  func fields(_ row: Int) -> EventLine {
    var line = TableBlock.noFields
    line.time = time(row)
    line.type = range(typeStarts, row)
    line.attributes = range(attributeStarts, row)
    line.payload = range(payloadStarts, row)
    return line
  }

  private static let noFields = StoredEvent().fields

  /// The type of a row, escaped as in a line.
  @inline(__always)
  @_lifetime(borrow self)
  func type(_ row: Int) -> RawSpan {
    texts.bytes(range(typeStarts, row))
  }

  /// The attributes of a row, as in a line.
  @inline(__always)
  @_lifetime(borrow self)
  func attributes(_ row: Int) -> RawSpan {
    texts.bytes(range(attributeStarts, row))
  }

  /// The payload of a row, escaped when its attributes say so.
  @inline(__always)
  @_lifetime(borrow self)
  func payload(_ row: Int) -> RawSpan {
    texts.bytes(range(payloadStarts, row))
  }

  /// The types, attributes and payloads of all rows.
  var bytes: RawSpan {
    @_lifetime(borrow self) get { texts.bytes }
  }

  /// Bytes of its columns, decoded.
  var rawByteCount: Int { texts.count }

  /// How long the row's parts are.
  @inline(__always)
  func sizes(_ row: Int) -> LineSizes {
    LineSizes(
      stream: UInt32(nameRange(name(ofRow: row)).count),
      type: UInt32(range(typeStarts, row).count),
      attributes: UInt32(range(attributeStarts, row).count),
      payload: UInt32(range(payloadStarts, row).count))
  }

  /// Puts the row's line together, as it was, at `offset` of `memory`.
  @inline(__always)
  mutating func putLine(
    _ row: Int, _ sizes: LineSizes, into memory: inout AlignedBuffer, at offset: Int
  ) {
    timeWriter.write(time(row), into: &memory, at: offset)
    memory.store(Byte.space, at: offset &+ Timestamp.textByteCount)
    memory.copy(name(name(ofRow: row)), to: offset &+ LineSizes.streamStart)
    var place = offset &+ sizes.streamEnd
    memory.store(Byte.space, at: place)
    memory.copy(type(row), to: place &+ 1)
    place = offset &+ sizes.typeEnd
    if sizes.attributes > 0 {
      memory.store(Byte.space, at: place)
      memory.copy(attributes(row), to: place &+ 1)
      place &+= 1 &+ Int(sizes.attributes)
    }
    memory.store(Byte.tab, at: place)
    memory.copy(payload(row), to: place &+ 1)
  }

  /// Where a row's text lies, by where the texts of its column begin.
  @inline(__always)
  private func range(_ starts: borrowing NumberBuffer, _ row: Int) -> ByteRange {
    let start = Int(truncatingIfNeeded: starts[row])
    return start..<Int(truncatingIfNeeded: starts[row &+ 1])
  }
}
