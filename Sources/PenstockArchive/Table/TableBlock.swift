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
    var type: UInt32
    var attributes: UInt32
    var payload: UInt32
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
    guard readNames(), readRows() else { return .damaged }
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

  /// What reading the rows has to keep track of.
  private struct Progress {
    var counts: NumberReader
    var times: NumberReader
    var logs: NumberReader
    var sequences: NumberReader
    var typeSizes: NumberReader
    var attributeSizes: NumberReader
    var payloadSizes: NumberReader
    var ends: (types: Int, attributes: Int, payloads: Int)
    var row: Row
    /// Where the row behind `row` begins.
    var nextStart: (type: UInt32, attributes: UInt32, payload: UInt32) = (0, 0, 0)
    var rowsOfName = 0
    var nextName: UInt32 = 0
    var rowsOfLog = 0
    var time = Timestamp(seconds: 0, nanoseconds: 0)
    var earliest = Timestamp.latest
    var latest = Timestamp.earliest

    init?(_ part: borrowing TablePart) {
      guard let counts = part.column(.counts), let times = part.column(.times),
        let logs = part.column(.logs), let sequences = part.column(.sequences),
        let typeSizes = part.column(.typeSizes), let types = part.column(.types),
        let attributeSizes = part.column(.attributeSizes),
        let attributes = part.column(.attributes),
        let payloadSizes = part.column(.payloadSizes), let payloads = part.column(.payloads)
      else { return nil }
      self.counts = NumberReader(counts)
      self.times = NumberReader(times)
      self.logs = NumberReader(logs)
      self.sequences = NumberReader(sequences)
      self.typeSizes = NumberReader(typeSizes)
      self.attributeSizes = NumberReader(attributeSizes)
      self.payloadSizes = NumberReader(payloadSizes)
      ends = (types.upperBound, attributes.upperBound, payloads.upperBound)
      row = Row(
        type: UInt32(types.lowerBound), attributes: UInt32(attributes.lowerBound),
        payload: UInt32(payloads.lowerBound))
    }

    /// Whether every column was read to its end.
    var isAtEnd: Bool {
      rowsOfName == 0 && rowsOfLog == 0 && counts.isAtEnd && times.isAtEnd && logs.isAtEnd
        && sequences.isAtEnd && typeSizes.isAtEnd && attributeSizes.isAtEnd
        && payloadSizes.isAtEnd && Int(row.type) == ends.types
        && Int(row.attributes) == ends.attributes && Int(row.payload) == ends.payloads
    }

    /// Reads the next row; false when a number does not hold.
    @inline(__always)
    mutating func next(_ span: RawSpan, _ rowCount: Int, _ nameCount: Int) -> Bool {
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
      guard let time = times.time(span, since: time),
        let sequence = sequences.sequence(span, after: row.sequence),
        let type = typeSizes.count(span, max: ends.types &- Int(row.type)),
        let attributes = attributeSizes.count(span, max: ends.attributes &- Int(row.attributes)),
        let payload = payloadSizes.count(span, max: ends.payloads &- Int(row.payload))
      else { return false }
      self.time = time
      if time < earliest { earliest = time }
      if latest < time { latest = time }
      row.seconds = time.seconds
      row.nanoseconds = time.nanoseconds
      row.sequence = sequence
      nextStart = (
        row.type &+ UInt32(truncatingIfNeeded: type),
        row.attributes &+ UInt32(truncatingIfNeeded: attributes),
        row.payload &+ UInt32(truncatingIfNeeded: payload)
      )
      rowsOfName &-= 1
      rowsOfLog &-= 1
      return true
    }

    /// Goes on to where the row behind begins.
    @inline(__always)
    mutating func pass() {
      row.type = nextStart.type
      row.attributes = nextStart.attributes
      row.payload = nextStart.payload
    }
  }

  private mutating func readRows() -> Bool {
    rows.removeAll(keepingCapacity: true)
    guard part.rowCount > 0, part.rowCount <= TableFormat.rowCountMax,
      let times = TableBlock.readRows(part, nameCount: nameEnds.count, &rows)
    else { return false }
    earliest = times.lowerBound
    latest = times.upperBound
    return true
  }

  /// The range of the rows' times; nil unless every number holds.
  private static func readRows(
    _ part: borrowing TablePart, nameCount: Int, _ rows: inout [Row]
  ) -> ClosedRange<Timestamp>? {
    guard var progress = Progress(part) else { return nil }
    rows.reserveCapacity(part.rowCount + 1)
    for _ in 0..<part.rowCount {
      guard progress.next(part.bytes, part.rowCount, nameCount) else { return nil }
      rows.append(progress.row)
      progress.pass()
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

  /// The decoded columns.
  var bytes: RawSpan {
    @_lifetime(borrow self) get { part.bytes }
  }

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
    part.copy(range(entry.type, sizes.type), to: &memory, at: place &+ 1)
    place = offset &+ sizes.typeEnd
    if sizes.attributes > 0 {
      memory.store(Byte.space, at: place)
      part.copy(range(entry.attributes, sizes.attributes), to: &memory, at: place &+ 1)
      place &+= 1 &+ Int(sizes.attributes)
    }
    memory.store(Byte.tab, at: place)
    part.copy(range(entry.payload, sizes.payload), to: &memory, at: place &+ 1)
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
