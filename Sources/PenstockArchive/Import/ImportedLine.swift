// Writes the event line of one record, as ImportPlan says, into memory that collects many.
//
// A record that cannot become an event leaves the memory as it was, and says why.

internal import PenstockCore

/// Why a record cannot become an event.
struct BadRecord: Error, Equatable {
  var reason: String
  init(_ reason: String) { self.reason = reason }
}

/// Writes event lines.
struct ImportedLine: ~Copyable {
  private let plan: ImportPlan
  /// Where the next line goes.
  private(set) var writer: EventWriter
  private(set) var memory: AlignedBuffer
  /// Lines written since the memory was emptied.
  private(set) var count = 0
  /// Lines of text so far: each is a step later.
  private var stepCount: Int128 = 0

  /// Memory for lines: handing over a few thousand at once is as good as more.
  private static let byteCount = 4 << 20
  /// Largest event, in bytes, as a shard takes it.
  private static let eventByteCountMax = Limits().eventByteCountMax
  /// Longest line that can come of a record: each byte of it escaped, in the payload, the stream
  /// and attributes.
  private static let lineByteCountMax = 2 << 20

  init(_ plan: ImportPlan) {
    self.plan = plan
    memory = AlignedBuffer(byteCount: ImportedLine.byteCount)
    writer = EventWriter(offset: 0, limit: ImportedLine.byteCount)
  }

  /// Whether the lines so far have to be taken before another one is written.
  var isFull: Bool { memory.byteCount - writer.offset < ImportedLine.lineByteCountMax }

  /// The lines so far.
  var bytes: RawSpan {
    @_lifetime(borrow self) get { memory.bytes(0..<writer.offset) }
  }

  mutating func removeAll() {
    writer.offset = 0
    count = 0
  }

  // MARK: - Lines

  /// Writes the event of a record.
  /// - Parameter span: what the ranges of its fields are of.
  mutating func write(
    _ record: RawSpan, fieldsOf span: RawSpan, _ found: borrowing FoundFields
  ) throws(BadRecord) {
    let mark = writer.offset
    do throws(BadRecord) {
      writer.put(try time(span, found), &memory)
      writer.put(Byte.space, &memory)
      try putStream(span, found)
      writer.put(Byte.space, &memory)
      try putType(span, found)
      try putAttributes(span, found)
      try end(record, since: mark)
    } catch {
      writer.offset = mark
      writer.isFull = false
      throw error
    }
  }

  /// Writes the event of a line an export wrote.
  mutating func write(exported line: RawSpan, _ event: inout ExportedEvent) throws(BadRecord) {
    let mark = writer.offset
    do throws(BadRecord) {
      try event.write(line, &writer, &memory)
      try checkStream((mark + Timestamp.textByteCount + 1))
      try end(event.payload(line), since: mark)
    } catch {
      writer.offset = mark
      writer.isFull = false
      throw error
    }
  }

  private mutating func end(_ payload: RawSpan, since mark: Int) throws(BadRecord) {
    writer.end(payload: payload, &memory)
    guard !writer.isFull, writer.offset - mark <= ImportedLine.eventByteCountMax else {
      throw BadRecord(
        "as an event longer than \(ImportedLine.eventByteCountMax) bytes, the largest")
    }
    count += 1
  }

  // MARK: - Fields

  private mutating func time(_ record: RawSpan, _ found: borrowing FoundFields)
    throws(BadRecord) -> Timestamp
  {
    switch plan.time {
    case .field(let index):
      let field = try field(index, found)
      let time =
        field.isDecoded
        ? ImportTime.parse(found.scratch.rawSpan.extracting(field.range))
        : ImportTime.parse(record.extracting(field.range))
      guard let time else {
        throw BadRecord("the field '\(plan.keys[index])' is not a time")
      }
      return time
    case .lineStart:
      guard let time = ImportTime.leading(record) else {
        throw BadRecord("it does not begin with a time")
      }
      return time
    case .steps(let first, let step):
      let total = first.nanosecondsSince1970 + stepCount * Int128(step)
      guard total <= Timestamp.latest.nanosecondsSince1970 else {
        throw BadRecord("its time is behind the year 9999")
      }
      stepCount += 1
      return Timestamp(nanosecondsSince1970: total)
    }
  }

  /// A field that has to be there and to be a string, a number or a boolean.
  private func field(_ index: Int, _ found: borrowing FoundFields) throws(BadRecord) -> FoundField {
    guard let field = try optional(index, found) else {
      throw BadRecord("there is no field '\(plan.keys[index])'")
    }
    return field
  }

  private func optional(_ index: Int, _ found: borrowing FoundFields) throws(BadRecord)
    -> FoundField?
  {
    guard let field = found.fields[index], field.kind != .null else { return nil }
    guard field.kind != .container else {
      throw BadRecord("the field '\(plan.keys[index])' is an object or a list")
    }
    return field
  }

  private mutating func put(
    _ field: FoundField, _ record: RawSpan, _ found: borrowing FoundFields
  ) {
    if field.isDecoded {
      writer.put(word: found.scratch.rawSpan.extracting(field.range), &memory)
    } else {
      writer.put(word: record.extracting(field.range), &memory)
    }
  }

  private mutating func putStream(_ record: RawSpan, _ found: borrowing FoundFields)
    throws(BadRecord)
  {
    let start = writer.offset
    for part in plan.stream {
      switch part {
      case .text(let text): writer.put(verbatim: text.rawSpan, &memory)
      case .field(let index): put(try field(index, found), record, found)
      }
    }
    let name = start..<writer.offset
    guard !name.isEmpty else { throw BadRecord("the stream has no name") }
    guard name.count <= EventLine.streamByteCountMax else {
      throw BadRecord(
        "the stream's name is longer than \(EventLine.streamByteCountMax) bytes")
    }
    try checkStream(start)
  }

  private func checkStream(_ start: Int) throws(BadRecord) {
    let bytes = memory.bytes(start..<writer.offset)
    guard bytes.byteCount == 0 || bytes.byte(at: 0) != Byte.slash,
      !bytes.hasBytes("_penstock/", at: 0)
    else {
      throw BadRecord(
        "the stream's name begins with '/' or '_penstock/': journals and penstock's own streams "
          + "are not imported")
    }
  }

  private mutating func putType(_ record: RawSpan, _ found: borrowing FoundFields)
    throws(BadRecord)
  {
    switch plan.type {
    case .text(let text): writer.put(verbatim: text.rawSpan, &memory)
    case .field(let index):
      guard let field = try optional(index, found), !field.range.isEmpty else {
        return writer.put(Byte.dash, &memory)
      }
      put(field, record, found)
    }
  }

  private mutating func putAttributes(_ record: RawSpan, _ found: borrowing FoundFields)
    throws(BadRecord)
  {
    if let index = plan.id, let field = try optional(index, found), !field.range.isEmpty {
      writer.put(" _id=", &memory)
      if field.isDecoded {
        put(id: found.scratch.rawSpan.extracting(field.range))
      } else {
        put(id: record.extracting(field.range))
      }
    }
    for (key, index) in plan.attributes {
      guard let field = try optional(index, found) else { continue }
      writer.put(Byte.space, &memory)
      writer.put(verbatim: key.rawSpan, &memory)
      writer.put(Byte.equals, &memory)
      put(field, record, found)
    }
  }

  private mutating func put(id text: RawSpan) {
    if text.byteCount == 8, text.hexadecimal(at: 0, digitCount: 8) != nil {
      return writer.put(verbatim: text, &memory)
    }
    let digits = Hexadecimal.text(UInt64(text.checksum()), digits: 8)
    writer.put(verbatim: Array(digits.utf8).rawSpan, &memory)
  }
}
