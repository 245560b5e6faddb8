// Runs messages through the syslog parser and takes the event line apart.

import PenstockCore
import Testing

/// One parsed message, unescaped.
struct ParsedMessage {
  var line: [UInt8]
  var event: EventLine
  var outcome: IngestOutcome
  var stream: String
  var type: String
  var payload: [UInt8]
  var attributes: [(key: String, value: [UInt8])]

  func value(_ key: String) -> String? {
    attributes.first { $0.key == key }.map { String(decoding: $0.value, as: UTF8.self) }
  }

  func values(_ key: String) -> [String] {
    attributes.filter { $0.key == key }.map { String(decoding: $0.value, as: UTF8.self) }
  }

  /// The bytes the message came as.
  var raw: [UInt8] { SyslogRaw.bytes(line.rawSpan, event) }
}

enum SyslogHarness {
  /// 2026-11-21T04:00:00Z.
  static let receivedAt = Timestamp(seconds: 1_795_233_600, nanoseconds: 5)

  static func parse(
    _ message: [UInt8], originalByteCount: Int? = nil, framing: DatagramFraming = .none,
    template: String = StreamTemplate.default, rules: TimeRules = TimeRules(),
    receivedAt: Timestamp = receivedAt, capacity: Int = 1 << 20
  ) throws -> ParsedMessage {
    var context = SyslogContext(template: try StreamTemplate(template), rules: rules)
    var memory = AlignedBuffer(byteCount: capacity)
    var writer = EventWriter(offset: 0, limit: capacity)
    let outcome = Syslog.append(
      message.rawSpan, originalByteCount: originalByteCount ?? message.count,
      framing: framing, receivedAt: receivedAt, &context, &writer, &memory)
    let line = memory.bytes(0..<(writer.offset - 1)).array()
    let last = memory.bytes(0..<writer.offset).byte(at: writer.offset - 1)
    #expect(last == Byte.lineFeed)
    try expectSame(line, outcome, message, originalByteCount, framing, receivedAt, &context)
    return try take(line, outcome)
  }

  /// The same message once more, now that its second has been seen and there is plenty of room:
  /// usual messages go another way then, to the same bytes.
  private static func expectSame(
    _ line: [UInt8], _ outcome: IngestOutcome, _ message: [UInt8], _ originalByteCount: Int?,
    _ framing: DatagramFraming, _ receivedAt: Timestamp, _ context: inout SyslogContext
  ) throws {
    var memory = AlignedBuffer(byteCount: line.count + 8192)
    var writer = EventWriter(offset: 3, limit: memory.byteCount)
    let again = Syslog.append(
      message.rawSpan, originalByteCount: originalByteCount ?? message.count,
      framing: framing, receivedAt: receivedAt, &context, &writer, &memory)
    #expect(again == outcome)
    let same = memory.bytes(3..<(writer.offset - 1)).array()
    #expect(same == line, "\(String(decoding: message, as: UTF8.self))")
  }

  static func parse(_ text: String, rules: TimeRules = TimeRules()) throws -> ParsedMessage {
    try parse(Array(text.utf8), rules: rules)
  }

  private static func take(_ line: [UInt8], _ outcome: IngestOutcome) throws -> ParsedMessage {
    let span = line.rawSpan
    let event = try EventLine(span, 0..<line.count)
    func plain(_ range: ByteRange) throws -> [UInt8] {
      let decoded = Escape.decode(span.extracting(range))
      return try #require(decoded)
    }
    var attributes: [(String, [UInt8])] = []
    var cursor = AttributeCursor(event.attributes)
    while let (key, value) = cursor.next(in: span) {
      attributes.append((String(decoding: try plain(key), as: UTF8.self), try plain(value)))
    }
    let isEscaped = attributes.contains { $0.0 == "_escaped" }
    return ParsedMessage(
      line: line, event: event, outcome: outcome,
      stream: String(decoding: try plain(event.stream), as: UTF8.self),
      type: String(decoding: try plain(event.type), as: UTF8.self),
      payload: isEscaped ? try plain(event.payload) : span.extracting(event.payload).array(),
      attributes: attributes)
  }
}
