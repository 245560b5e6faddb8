// Syslog messages. Whatever comes in becomes a line that parses and gives the bytes back; the quick
// way of usual messages gives the same bytes as the general one; nothing is written beyond a limit;
// the view of a message lies within it.
//
//     input = flags limit limit message
//     flags   bits 0–1 the template, bit 2 the message was cut, bit 3 it came as a datagram,
//             bits 4–5 the rules for its time

import PenstockCore

enum SyslogFuzz {
  private static let templates: [StreamTemplate] = requireSuccess("the templates") {
    try ["syslog/{host}", "a-longer-word/{host}", "{app}/{host}", "{severity}-{facility}{app}"]
      .map { try StreamTemplate($0) }
  }
  private static let rules: [TimeRules] = {
    var rules = Array(repeating: TimeRules(), count: 4)
    rules[1].usesReceiveTime = true
    rules[2].pastSecondsMax = 86_400
    rules[2].futureSecondsMax = 3600
    rules[3].zoneOffsetSeconds = 86_340
    rules[3].pastSecondsMax = 0
    return rules
  }()
  private static let receivedAt = Timestamp(seconds: 1_795_233_600, nanoseconds: 5)
  /// Structured data repeats its names: a line may be far larger than its message.
  private static let capacity = 4 << 20
  /// Bytes in front of a line that are none of its own.
  private static let margin = 3

  private struct Stored {
    var outcome: IngestOutcome
    /// With its LF.
    var line: [UInt8]
  }

  static func run(_ input: [UInt8]) {
    var reader = InputReader(input)
    let flags = reader.byte()
    let limit = Int(reader.byte()) << 8 | Int(reader.byte())
    var message = reader.rest()
    let datagram = message
    var framing = DatagramFraming.none
    if flags & 8 != 0 {
      let range = StreamFraming.datagram(message.rawSpan, 0..<message.count)
      framing = DatagramFraming(message.rawSpan, 0..<message.count, range)
      message = Array(message[range])
    }
    let size = message.count + (flags & 4 != 0 ? 17 : 0)
    var context = SyslogContext(
      template: templates[Int(flags & 3)], rules: rules[Int(flags >> 4 & 3)])
    checkView(message, context)
    let first = append(message, size, framing, capacity, &context)
    require(!first.outcome.contains(.full), "no room in 4 MiB for \(message.count) bytes")
    // A final LF alone is not told.
    check(first, framing == .none ? message : datagram, isCut: size > message.count)
    let again = append(message, size, framing, capacity, &context)
    require(again.outcome == first.outcome, "the second outcome is another")
    require(again.line == first.line, "the two ways differ")
    let limited = append(
      message, size, framing, min(limit, first.line.count + 4096), &context)
    guard !limited.outcome.contains(.full) else { return }
    require(limited.line == first.line, "a limit alters the line")
  }

  /// Every field lies within the message, in front of its text.
  private static func checkView(_ message: [UInt8], _ context: SyslogContext) {
    var context = context
    let span = message.rawSpan
    guard let view = try? SyslogMessage(span, receivedAt: receivedAt, &context) else { return }
    require(view.textStart <= message.count, "the text begins behind the message")
    let fields = [view.host, view.app, view.procid, view.msgid, view.data]
    require(
      fields.allSatisfy { $0.isEmpty || $0.upperBound <= view.textStart }, "a field in the text")
    guard !view.data.isEmpty else { return }
    var cursor = SyslogDataCursor(view.data.lowerBound)
    while let parameter = cursor.next(span) {
      require(
        parameter.identifier.lowerBound >= view.data.lowerBound
          && parameter.value.upperBound <= view.data.upperBound, "a parameter outside the data")
    }
    require(cursor.isWhole && cursor.offset == view.data.upperBound, "the data ends elsewhere")
  }

  private static func check(_ stored: Stored, _ message: [UInt8], isCut: Bool) {
    require(stored.line.last == Byte.lineFeed, "the line has no end")
    let line = Array(stored.line.dropLast())
    require(!line.contains(Byte.lineFeed), "a line within the line")
    let event = requireSuccess("the line") { try EventLine(line.rawSpan, 0..<line.count) }
    require(event.time != nil, "no time")
    require(line[event.stream.lowerBound] != Byte.slash, "a journal")
    let isReserved = line.rawSpan.hasBytes("_penstock/", at: event.stream.lowerBound)
    require(!isReserved, "the server's own stream")
    if isCut {
      require(stored.outcome.contains(.truncated), "the cut is not noticed")
    } else {
      require(SyslogRaw.bytes(line.rawSpan, event) == message, "other bytes come back")
    }
  }

  /// Appends in room of `room` bytes behind the margin; nothing else may be written to.
  private static func append(
    _ message: [UInt8], _ size: Int, _ framing: DatagramFraming, _ room: Int,
    _ context: inout SyslogContext
  ) -> Stored {
    let isLarge = room == capacity
    // Large room is never touched at its end, so there is nothing to look at.
    var memory = AlignedBuffer(byteCount: margin + room + (isLarge ? 0 : 8192))
    if !isLarge { memory.fill(0..<memory.byteCount, with: 0x7E) }
    var writer = EventWriter(offset: margin, limit: margin + room)
    let outcome = Syslog.append(
      message.rawSpan, originalByteCount: size, framing: framing, receivedAt: receivedAt, &context,
      &writer, &memory)
    if !isLarge {
      let isUntouched =
        memory.bytes.isAll(0x7E, in: 0..<margin)
        && memory.bytes.isAll(0x7E, in: (margin + room)..<memory.byteCount)
      require(isUntouched, "written beyond the limit")
    }
    require(writer.offset <= writer.limit, "the offset is beyond the limit")
    return Stored(outcome: outcome, line: memory.bytes(margin..<writer.offset).array())
  }
}
