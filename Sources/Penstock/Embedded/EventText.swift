// An event of a program as a line of a request (PenstockCore's EventLine has the grammar):
//
//     "- " stream " " type *( " " key "=" value ) [ " _id=" 8 hex digits ] TAB payload LF
//
// Written in place and without allocating where keys hold no "=". What a shard would refuse is
// refused here, so that a request never fails for one of its events.

internal import PenstockCore

/// Where an event's stream, type and attributes come from.
enum EventFields {
  case given(
    stream: String, type: String, attributes: [(key: String, value: String)], id: UInt32? = nil)
  /// Encoded once.
  case header(EventHeader)
}

enum EventText {
  /// Writes a line; when the memory is full, the writer says so.
  static func write(
    _ fields: EventFields, _ payload: RawSpan, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) throws(StoreError) {
    switch fields {
    case .header(let header): try write(header, payload, &writer, &memory)
    case .given(let stream, let type, let attributes, let id):
      try write(stream, type, attributes, id, &writer, &memory)
      writer.end(payload: payload, &memory)
    }
  }

  private static func write(
    _ header: EventHeader, _ payload: RawSpan, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) throws(StoreError) {
    if let reason = header.reservedName { throw .invalid(reason) }
    // The TAB is part of the header, and of the end of a line.
    let bytes = header.plain.rawSpan
    writer.put(verbatim: bytes.extracting(0..<(bytes.byteCount - 1)), &memory)
    writer.end(payload: payload, &memory)
  }

  private static func write(
    _ stream: String, _ type: String, _ attributes: [(key: String, value: String)], _ id: UInt32?,
    _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) throws(StoreError) {
    writer.put("- ", &memory)
    let start = writer.offset
    writer.put(word: stream.utf8.rawSpan, &memory)
    let count = writer.offset - start
    guard writer.isFull || (1...EventLine.streamByteCountMax).contains(count) else {
      throw .invalid("a stream's name has 1 to \(EventLine.streamByteCountMax) bytes, not \(count)")
    }
    if stream.utf8.first == UInt8(ascii: "_"), stream.utf8.starts(with: "_penstock/".utf8) {
      throw .invalid("streams '_penstock/' are the store's own")
    }
    writer.put(Byte.space, &memory)
    if type.isEmpty {
      writer.put(Byte.dash, &memory)
    } else {
      writer.put(word: type.utf8.rawSpan, &memory)
    }
    guard attributes.count + (id == nil ? 0 : 1) <= EventLine.attributeCountMax else {
      throw .invalid(
        "an event has at most \(EventLine.attributeCountMax) attributes, its id among them")
    }
    for (key, value) in attributes { try write(key, value, &writer, &memory) }
    if let id {
      writer.put(" _id=", &memory)
      let digits = Array(Hexadecimal.text(UInt64(id), digits: 8).utf8)
      writer.put(verbatim: digits.rawSpan, &memory)
    }
  }

  private static func write(
    _ key: String, _ value: String, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) throws(StoreError) {
    guard let first = key.utf8.first, first != UInt8(ascii: "_") else {
      throw .invalid("an attribute's key is not empty, and does not begin with '_': '\(key)' does")
    }
    writer.put(Byte.space, &memory)
    if key.utf8.contains(Byte.equals) {
      writer.put(verbatim: Escape.encode(Array(key.utf8).rawSpan, .key).rawSpan, &memory)
    } else {
      writer.put(word: key.utf8.rawSpan, &memory)
    }
    writer.put(Byte.equals, &memory)
    writer.put(word: value.utf8.rawSpan, &memory)
  }
}

extension EventFields {
  /// Whether the stream is a journal.
  var isJournal: Bool {
    switch self {
    case .given(let stream, _, _, _): stream.utf8.first == Byte.slash
    case .header(let header): header.isJournal
    }
  }
}
