// One block of a table, decoded.
//
// A block is loaded into a value that is used again for the next one: after the first blocks of a
// read nothing is allocated. Rows keep where their bytes begin; they end where the next row's do.

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
  private var typeStarts: [UInt32] = []
  private var attributeStarts: [UInt32] = []
  private var payloadStarts: [UInt32] = []
  private var numbers = NumberBuffer()
  /// One more than there are rows: the last says where the bytes end.
  private var rows: [Row] = []
  private var names = ColumnBuffer(capacity: 4 << 10)
  private var keyEnds: [Int] = []
  private var nameEnds: [Int] = []
  private var timeWriter = JournalTimeWriter()

  private struct Row {
    var seconds: Int64 = 0
    var sequence: UInt64 = 0
    var nanoseconds: UInt32 = 0
    var name: UInt32 = 0
    var type: UInt32 = 0
    var attributes: UInt32 = 0
    var payload: UInt32 = 0
    var log: UInt8 = 0
  }

  package init() {}

  /// Reads, checks and decodes the block in `place` of the file.
  mutating func load<Files: FileSystem>(_ files: Files, _ file: TableFile, _ place: ByteRange)
    throws(FileError) -> TablePart.Reading
  {
    rowCount = 0
    let reading = try part.load(files, file, place, .block)
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
    _ texts: inout ColumnBuffer, _ starts: inout [UInt32]
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

  /// What reading the rows has to keep track of.
  private struct Progress {
    var counts: NumberReader
    /// Nil when the times are among the numbers.
    var times: NumberReader?
    var logs: NumberReader
    var row = Row()
    var rowsOfName = 0
    var nextName: UInt32 = 0
    var rowsOfLog = 0
    var time = Timestamp(seconds: 0, nanoseconds: 0)
    var earliest = Timestamp.latest
    var latest = Timestamp.earliest

    init?(_ part: borrowing TablePart) {
      guard let counts = part.column(.counts), let times = part.column(.times),
        let logs = part.column(.logs)
      else { return nil }
      self.counts = NumberReader(counts)
      self.times = part.encoding(.times) == TableFormat.numbers ? nil : NumberReader(times)
      self.logs = NumberReader(logs)
    }

    /// Whether every column was read to its end.
    var isAtEnd: Bool {
      rowsOfName == 0 && rowsOfLog == 0 && counts.isAtEnd && times?.isAtEnd ?? true && logs.isAtEnd
    }

    /// Reads the next row, the `index`-th; false when a number does not hold.
    @inline(__always)
    mutating func next(
      _ span: RawSpan, _ numbers: borrowing NumberBuffer, _ index: Int, _ rowCount: Int,
      _ nameCount: Int
    ) -> Bool {
      if rowsOfName == 0 {
        guard nextName < nameCount, let rows = counts.count(span, max: rowCount), rows > 0
        else { return false }
        rowsOfName = rows
        row.name = nextName
        nextName &+= 1
      }
      if rowsOfLog == 0 {
        guard let log = logs.count(span, max: 255), let rows = logs.count(span, max: rowCount),
          rows > 0
        else { return false }
        rowsOfLog = rows
        row.log = UInt8(log)
      }
      if times == nil {
        time = Timestamp(nearNanoseconds: Int64(bitPattern: numbers[rowCount &+ index]))
      } else {
        guard let next = times?.time(span, since: time) else { return false }
        time = next
      }
      if time < earliest { earliest = time }
      if latest < time { latest = time }
      row.seconds = time.seconds
      row.nanoseconds = time.nanoseconds
      row.sequence = numbers[index]
      rowsOfName &-= 1
      rowsOfLog &-= 1
      return true
    }
  }

  private mutating func readRows() -> Bool {
    rows.removeAll(keepingCapacity: true)
    guard TableBlock.readNumbers(part, &numbers),
      let times = TableBlock.readRows(part, numbers, nameCount: nameEnds.count, &rows)
    else { return false }
    for row in rows.indices {
      rows[row].type = typeStarts[row]
      rows[row].attributes = attributeStarts[row]
      rows[row].payload = payloadStarts[row]
    }
    earliest = times.lowerBound
    latest = times.upperBound
    return true
  }

  /// The range of the rows' times; nil unless every number holds.
  private static func readRows(
    _ part: borrowing TablePart, _ numbers: borrowing NumberBuffer, nameCount: Int,
    _ rows: inout [Row]
  ) -> ClosedRange<Timestamp>? {
    guard var progress = Progress(part) else { return nil }
    rows.reserveCapacity(part.rowCount + 1)
    for index in 0..<part.rowCount {
      guard progress.next(part.bytes, numbers, index, part.rowCount, nameCount) else {
        return nil
      }
      rows.append(progress.row)
    }
    rows.append(progress.row)
    guard progress.isAtEnd, Int(progress.nextName) == nameCount else { return nil }
    return progress.earliest...progress.latest
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
  package func name(ofRow row: Int) -> Int { Int(rows[row].name) }

  @inline(__always)
  package func time(_ row: Int) -> Timestamp {
    Timestamp(seconds: rows[row].seconds, nanoseconds: rows[row].nanoseconds)
  }

  @inline(__always)
  package func key(_ row: Int) -> EventKey {
    EventKey(
      time: time(row), log: LogNumber(rows[row].log),
      sequence: SequenceNumber(rows[row].sequence))
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
    let (first, next) = (rows[row], rows[row + 1])
    line.time = time(row)
    line.type = Int(first.type)..<Int(next.type)
    line.attributes = Int(first.attributes)..<Int(next.attributes)
    line.payload = Int(first.payload)..<Int(next.payload)
    return line
  }

  private static let noFields = StoredEvent().fields

  /// The type of a row, escaped as in a line.
  @_lifetime(borrow self)
  package func type(_ row: Int) -> RawSpan {
    texts.bytes(Int(rows[row].type)..<Int(rows[row &+ 1].type))
  }

  /// The attributes of a row, as in a line.
  @_lifetime(borrow self)
  package func attributes(_ row: Int) -> RawSpan {
    texts.bytes(Int(rows[row].attributes)..<Int(rows[row &+ 1].attributes))
  }

  /// The payload of a row, escaped when its attributes say so.
  @_lifetime(borrow self)
  package func payload(_ row: Int) -> RawSpan {
    texts.bytes(Int(rows[row].payload)..<Int(rows[row &+ 1].payload))
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
    let (first, next) = (rows[row], rows[row + 1])
    return LineSizes(
      stream: UInt32(nameRange(Int(first.name)).count), type: next.type &- first.type,
      attributes: next.attributes &- first.attributes, payload: next.payload &- first.payload)
  }

  /// Puts the row's line together, as it was, at `offset` of `memory`.
  @inline(__always)
  mutating func putLine(
    _ row: Int, _ sizes: LineSizes, into memory: inout AlignedBuffer, at offset: Int
  ) {
    let entry = rows[row]
    timeWriter.write(time(row), into: &memory, at: offset)
    memory.store(Byte.space, at: offset &+ Timestamp.textByteCount)
    memory.copy(names.memory.bytes(nameRange(Int(entry.name))), to: offset &+ LineSizes.streamStart)
    var place = offset &+ sizes.streamEnd
    memory.store(Byte.space, at: place)
    memory.copy(texts.memory.bytes(range(entry.type, sizes.type)), to: place &+ 1)
    place = offset &+ sizes.typeEnd
    if sizes.attributes > 0 {
      memory.store(Byte.space, at: place)
      memory.copy(texts.memory.bytes(range(entry.attributes, sizes.attributes)), to: place &+ 1)
      place &+= 1 &+ Int(sizes.attributes)
    }
    memory.store(Byte.tab, at: place)
    memory.copy(texts.memory.bytes(range(entry.payload, sizes.payload)), to: place &+ 1)
  }

  @inline(__always)
  private func range(_ start: UInt32, _ count: UInt32) -> ByteRange {
    Int(start)..<(Int(start) &+ Int(count))
  }
}

/// How long the parts of a line are; with the grammar of EventLine this says where they lie.
struct LineSizes {
  var stream: UInt32
  var type: UInt32
  var attributes: UInt32
  var payload: UInt32

  static let streamStart = Timestamp.textByteCount + 1

  var streamEnd: Int { LineSizes.streamStart &+ Int(stream) }
  var typeEnd: Int { streamEnd &+ 1 &+ Int(type) }
  var payloadStart: Int {
    typeEnd &+ 1 &+ (attributes > 0 ? 1 &+ Int(attributes) : 0)
  }
  var byteCount: Int { payloadStart &+ Int(payload) }

  /// Where the fields lie in a line that begins at 0.
  func fields(_ time: Timestamp, _ line: inout EventLine) {
    line.time = time
    line.stream = LineSizes.streamStart..<streamEnd
    line.type = (streamEnd &+ 1)..<typeEnd
    let attributesStart = typeEnd &+ (attributes > 0 ? 1 : 0)
    line.attributes = attributesStart..<(attributesStart &+ Int(attributes))
    line.payload = payloadStart..<byteCount
    line.line = 0..<byteCount
  }
}

extension RawSpan {
  /// Whether these bytes come before `other` in the order of names: byte by byte, the shorter first.
  func precedes(_ other: RawSpan) -> Bool {
    var offset = 0
    let shorter = Swift.min(byteCount, other.byteCount)
    while offset < shorter {
      let left = word(at: offset)
      let right = other.word(at: offset)
      if left != right {
        let same = (left ^ right).trailingZeroBitCount >> 3
        guard offset + same < shorter else { break }
        return byte(at: offset + same) < other.byte(at: offset + same)
      }
      offset += 8
    }
    return byteCount < other.byteCount
  }
}
