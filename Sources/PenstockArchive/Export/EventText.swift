// The forms in which events leave: text, NDJSON, raw.
//
// text    the event line as it stands in the journal, LF
//
// ndjson  one object a line, the keys in this order:
//
//     time            the event's time as in the line, nine digits, UTC
//     stream          the stream's name
//     type            the type; "" when the event has none
//     id              eight hex digits; left out when the event has none
//     attributes      an object of strings in the order they stand; a key that is repeated has an
//                     array of its values, where it first stands. `_id` and `_escaped` are not in
//                     it: the one is `id`, the other is undone. Always there, {} when empty
//     payload         the payload, when it is well-formed UTF-8, else
//     payload_base64  its bytes
//     shard           the log's number
//     sequence        the event's number in it; with `shard` the event's position
//
//     Names and values that are not well-formed UTF-8 get U+FFFD for what is not.
//
// raw     the bytes that came in, LF behind them: for syslog the message as it was sent, for
//         anything else the payload, unescaped. The LF is a separator and not part of either.

internal import PenstockCore

/// How events are written out.
package enum EventFormat: String, CaseIterable, Sendable {
  case text, ndjson, raw
}

/// Writes events in one format. Holds what it needs again and again, so that most events cost no
/// allocation.
package struct EventText: ~Copyable {
  private let format: EventFormat
  /// Keys already written of an event with repeated keys.
  private var spent: [ByteRange] = []

  package init(_ format: EventFormat) { self.format = format }

  /// Writes one event.
  package mutating func write(_ event: borrowing StoredEvent, to output: inout OutputBuffer) {
    switch format {
    case .text:
      output.put(event.bytes.rawSpan)
      output.put(Byte.lineFeed)
    case .ndjson: writeJSON(event, &output)
    case .raw: writeRaw(event, &output)
    }
  }

  private func writeRaw(_ event: borrowing StoredEvent, _ output: inout OutputBuffer) {
    output.put(SyslogRaw.bytes(event.bytes.rawSpan, event.fields).rawSpan)
    output.put(Byte.lineFeed)
  }

  private mutating func writeJSON(_ event: borrowing StoredEvent, _ output: inout OutputBuffer) {
    let line = event.bytes.rawSpan
    let fields = event.fields
    output.put("{\"time\":\"")
    output.put(line.extracting(fields.line.lowerBound..<(fields.stream.lowerBound &- 1)))
    output.put("\",\"stream\":")
    EventText.put(word: line.extracting(fields.stream), &output)
    output.put(",\"type\":")
    if fields.type.count == 1, line.byte(at: fields.type.lowerBound) == Byte.dash {
      output.put("\"\"")
    } else {
      EventText.put(word: line.extracting(fields.type), &output)
    }
    let isEscaped = writeAttributes(line, fields.attributes, &output)
    if isEscaped, let plain = Escape.decode(line.extracting(fields.payload)) {
      EventText.put(payload: plain.rawSpan, &output)
    } else {
      EventText.put(payload: line.extracting(fields.payload), &output)
    }
    output.put(",\"shard\":")
    output.put(decimal: UInt64(event.log.value))
    output.put(",\"sequence\":")
    output.put(decimal: event.sequence.value)
    output.put("}\n")
  }

  /// Writes `id` and `attributes`; whether the payload is escaped.
  private mutating func writeAttributes(
    _ line: RawSpan, _ range: ByteRange, _ output: inout OutputBuffer
  ) -> Bool {
    if let id = AttributeCursor.value(of: "_id", in: line, range) {
      output.put(",\"id\":")
      EventText.put(word: line.extracting(id), &output)
    }
    output.put(",\"attributes\":{")
    var isEscaped = false
    var isFirst = true
    spent.removeAll(keepingCapacity: true)
    var cursor = AttributeCursor(range)
    while let (key, value) = cursor.next(in: line) {
      let name = line.extracting(key)
      if name.hasBytes("_", at: 0) {
        if key.count == 8, name.hasBytes("_escaped", at: 0) {
          isEscaped = true
          continue
        }
        if key.count == 3, name.hasBytes("_id", at: 0) { continue }
      }
      if spent.contains(where: { line.extracting($0).equals(name) }) { continue }
      spent.append(key)
      if !isFirst { output.put(UInt8(ascii: ",")) }
      isFirst = false
      EventText.put(word: name, &output)
      output.put(UInt8(ascii: ":"))
      let rest = value.upperBound..<range.upperBound
      if EventText.isRepeated(name, line, rest) {
        EventText.putAll(name, line, value, rest, &output)
      } else {
        EventText.put(word: line.extracting(value), &output)
      }
    }
    output.put(UInt8(ascii: "}"))
    return isEscaped
  }

  /// Whether `name` is a key again in `rest`, which begins behind a value.
  private static func isRepeated(_ name: RawSpan, _ line: RawSpan, _ rest: ByteRange) -> Bool {
    guard rest.count > name.byteCount else { return false }
    var cursor = AttributeCursor((rest.lowerBound &+ 1)..<rest.upperBound)
    while let (key, _) = cursor.next(in: line) {
      if key.count == name.byteCount, line.extracting(key).equals(name) { return true }
    }
    return false
  }

  private static func putAll(
    _ name: RawSpan, _ line: RawSpan, _ first: ByteRange, _ rest: ByteRange,
    _ output: inout OutputBuffer
  ) {
    output.put(UInt8(ascii: "["))
    put(word: line.extracting(first), &output)
    var cursor = AttributeCursor((rest.lowerBound &+ 1)..<rest.upperBound)
    while let (key, value) = cursor.next(in: line) {
      guard key.count == name.byteCount, line.extracting(key).equals(name) else { continue }
      output.put(UInt8(ascii: ","))
      put(word: line.extracting(value), &output)
    }
    output.put(UInt8(ascii: "]"))
  }

  private static func put(word: RawSpan, _ output: inout OutputBuffer) {
    if word.nearIndex(of: Byte.backslash, from: 0, to: word.byteCount) < word.byteCount,
      let plain = Escape.decode(word)
    {
      output.put(json: plain.rawSpan)
    } else {
      output.put(json: word)
    }
  }

  private static func put(payload: RawSpan, _ output: inout OutputBuffer) {
    if Text.isUTF8(payload, 0..<payload.byteCount) {
      output.put(",\"payload\":")
      output.put(wellFormedJSON: payload)
    } else {
      output.put(",\"payload_base64\":")
      output.put(base64: payload)
    }
  }
}
