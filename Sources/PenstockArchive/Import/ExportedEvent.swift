// The event of a line that `penstock export --format ndjson` wrote (EventText).
//
//     {"time":…,"stream":…,"type":…,"id":…,"attributes":{…},"payload":… | "payload_base64":…,
//      "shard":…,"sequence":…}
//
// Keys in any order, `id`, `type` and `attributes` only where there are any; any other key is an
// error, since what it means is not known. An attribute is a string, or a list of them where the key
// is repeated. Shard and sequence are where the event stood: it gets a position of its own.

internal import PenstockCore

/// Reads exported events.
struct ExportedEvent {
  private enum Key: Int, CaseIterable {
    case time, stream, type, id, attributes, payload, payload_base64, shard, sequence
  }

  private var found = FoundFields(Key.allCases.map { "\($0)" })
  private var scratch: [UInt8] = []
  private var binary: [UInt8] = []

  private func field(_ key: Key) -> FoundField? { found.fields[key.rawValue] }

  /// Writes the line's head: everything but the payload.
  mutating func write(
    _ line: RawSpan, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) throws(BadRecord) {
    do throws(JSONFault) {
      try found.find(object: line)
    } catch {
      throw BadRecord(error.description)
    }
    if let foreign = found.foreign {
      throw BadRecord(
        "the field '\(String(span: line.extracting(foreign)))' is none of an exported event; of "
          + "other objects say --stream and --time")
    }
    guard let time = try text(.time), !time.isDecoded, time.range.count == Timestamp.textByteCount,
      let instant = Timestamp(journalText: line, at: time.range.lowerBound)
    else { throw BadRecord("the field 'time' is not as an export writes it") }
    writer.put(instant, &memory)
    writer.put(Byte.space, &memory)
    let start = writer.offset
    guard let stream = try text(.stream), !stream.range.isEmpty else {
      throw BadRecord("there is no field 'stream'")
    }
    put(stream, line, &writer, &memory)
    guard writer.offset - start <= EventLine.streamByteCountMax else {
      throw BadRecord("the stream's name is longer than \(EventLine.streamByteCountMax) bytes")
    }
    writer.put(Byte.space, &memory)
    if let type = try text(.type), !type.range.isEmpty {
      put(type, line, &writer, &memory)
    } else {
      writer.put(Byte.dash, &memory)
    }
    if let id = try text(.id) {
      writer.put(" _id=", &memory)
      put(id, line, &writer, &memory)
    }
    try putAttributes(line, &writer, &memory)
    try checkPayload(line)
  }

  private func text(_ key: Key) throws(BadRecord) -> FoundField? {
    guard let field = field(key) else { return nil }
    guard field.kind == .text else { throw BadRecord("the field '\(key)' is not a string") }
    return field
  }

  private func put(
    _ field: FoundField, _ line: RawSpan, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    if field.isDecoded {
      writer.put(word: found.scratch.rawSpan.extracting(field.range), &memory)
    } else {
      writer.put(word: line.extracting(field.range), &memory)
    }
  }

  // MARK: - Attributes

  private mutating func putAttributes(
    _ line: RawSpan, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) throws(BadRecord) {
    guard let field = field(.attributes) else { return }
    guard field.kind == .container,
      line.byte(at: field.range.lowerBound) == UInt8(ascii: "{")
    else { throw BadRecord("the field 'attributes' is not an object") }
    do throws(JSONFault) {
      var count = 0
      var offset = field.range.lowerBound + 1
      guard !JSONScan.take(UInt8(ascii: "}"), line, &offset) else { return }
      repeat {
        let key = try JSONScan.string(line, &offset)
        try JSONScan.expect(UInt8(ascii: ":"), "':' was expected", line, &offset)
        let isList = JSONScan.take(Byte.openBracket, line, &offset)
        repeat {
          try put(key, try JSONScan.string(line, &offset), line, &writer, &memory)
          count += 1
        } while isList && JSONScan.take(UInt8(ascii: ","), line, &offset)
        if isList { try JSONScan.expect(Byte.closeBracket, "']' was expected", line, &offset) }
      } while JSONScan.take(UInt8(ascii: ","), line, &offset)
      // One more is what marks an escaped payload.
      guard count < EventLine.attributeCountMax - 1 else {
        throw JSONFault("too many attributes", field.range.lowerBound)
      }
    } catch {
      throw BadRecord("attributes: \(error.description)")
    }
  }

  private mutating func put(
    _ key: JSONScan.Text, _ value: JSONScan.Text, _ line: RawSpan, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) throws(JSONFault) {
    scratch.removeAll(keepingCapacity: true)
    try JSONScan.decode(key, line, to: &scratch)
    guard !scratch.isEmpty, !ExportedEvent.isOwn(scratch) else {
      throw JSONFault("a key that no attribute has", key.range.lowerBound)
    }
    writer.put(Byte.space, &memory)
    if scratch.contains(Byte.equals) {
      writer.put(verbatim: Escape.encode(scratch.rawSpan, .key).rawSpan, &memory)
    } else {
      writer.put(word: scratch.rawSpan, &memory)
    }
    writer.put(Byte.equals, &memory)
    guard value.hasEscapes else {
      return writer.put(word: line.extracting(value.range), &memory)
    }
    scratch.removeAll(keepingCapacity: true)
    try JSONScan.decode(value, line, to: &scratch)
    writer.put(word: scratch.rawSpan, &memory)
  }

  /// Whether an export never writes an attribute of this name.
  private static func isOwn(_ key: [UInt8]) -> Bool {
    key.elementsEqual("_id".utf8) || key.elementsEqual("_escaped".utf8)
  }

  // MARK: - Payload

  private mutating func checkPayload(_ line: RawSpan) throws(BadRecord) {
    let text = try text(.payload)
    guard let encoded = try self.text(.payload_base64) else {
      guard text != nil else { throw BadRecord("there is no field 'payload'") }
      return
    }
    guard text == nil, !encoded.isDecoded,
      ExportedEvent.decode(base64: line.extracting(encoded.range), to: &binary)
    else { throw BadRecord("the field 'payload_base64' is not base64, or not the only payload") }
  }

  /// The payload of the line whose head was written last.
  @_lifetime(copy line, borrow self)
  func payload(_ line: RawSpan) -> RawSpan {
    if field(.payload_base64) != nil { return binary.rawSpan }
    guard let text = field(.payload) else { return line.extracting(0..<0) }
    if text.isDecoded { return found.scratch.rawSpan.extracting(text.range) }
    return line.extracting(text.range)
  }

  /// Reads base64 (RFC 4648, padded).
  private static func decode(base64 text: RawSpan, to bytes: inout [UInt8]) -> Bool {
    bytes.removeAll(keepingCapacity: true)
    guard text.byteCount % 4 == 0 else { return false }
    var offset = 0
    while offset < text.byteCount {
      let isLast = offset + 4 == text.byteCount
      var padding = 0
      if isLast, text.byte(at: offset + 3) == Byte.equals {
        padding = text.byte(at: offset + 2) == Byte.equals ? 2 : 1
      }
      var group: UInt32 = 0
      for index in 0..<(4 - padding) {
        guard let value = base64Value(text.byte(at: offset + index)) else { return false }
        group |= value << UInt32(18 - 6 * index)
      }
      bytes.append(UInt8(truncatingIfNeeded: group >> 16))
      if padding < 2 { bytes.append(UInt8(truncatingIfNeeded: group >> 8)) }
      if padding < 1 { bytes.append(UInt8(truncatingIfNeeded: group)) }
      offset += 4
    }
    return true
  }

  private static func base64Value(_ letter: UInt8) -> UInt32? {
    switch letter {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(letter - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(letter - UInt8(ascii: "a")) + 26
    case Byte.zero...Byte.nine: UInt32(letter - Byte.zero) + 52
    case UInt8(ascii: "+"): 62
    case Byte.slash: 63
    default: nil
    }
  }
}
