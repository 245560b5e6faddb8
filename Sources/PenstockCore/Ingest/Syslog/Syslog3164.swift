// RFC 3164 messages and their dialects: whatever follows a PRI and is not RFC 5424.
//
//     "<" PRI ">" [ TIME SP [ HOST SP ] ] [ TAG [ "[" PID "]" ] [ ":" ] [ SP ] ] TEXT
//
// The RFC describes what was seen, not what has to be; so every part may be missing. A time is
// BSD's or RFC 3339's. With a time, the next word is the host unless it looks like a tag (it ends
// in ":" or "]:" ). Without a time there is neither host nor tag: guessing would eat text. What is
// taken for header is kept byte for byte in `_header=`.

enum Syslog3164 {
  /// Longest tag, in bytes: beyond it a word is text. (The RFC has 32; senders use more.)
  private static let tagByteCountMax = 64

  static func append(
    _ message: RawSpan, _ priority: SyslogPriority, _ originalByteCount: Int,
    _ receivedAt: Timestamp, _ context: inout SyslogContext, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) throws(SyslogFault) {
    let end = message.byteCount
    var text = priority.end
    var host = 0..<0
    var tag = 0..<0
    var procid = 0..<0
    let timeStart = priority.end
    let found = time(message, timeStart, receivedAt, &context)
    if let found {
      text = found.end
      if text < end, message.byte(at: text) == UInt8(ascii: ":") { text &+= 1 }
      if text < end, message.byte(at: text) == Byte.space { text &+= 1 }
      let wordEnd = message.nearIndex(of: Byte.space, from: text, to: end)
      if wordEnd < end, wordEnd > text, !isTag(message, text..<wordEnd) {
        host = text..<wordEnd
        text = wordEnd &+ 1
      }
      readTag(message, &text, &tag, &procid)
    }
    if let found {
      found.write(message, timeStart, &writer, &memory)
    } else {
      writer.put(receivedAt, &memory)
    }
    writer.put(Byte.space, &memory)
    context.template.write(
      host: message.extracting(host), app: message.extracting(tag),
      facility: Syslog.facility(priority), severity: Syslog.severity(priority), &writer, &memory)
    writer.put(Byte.space, &memory)
    if tag.isEmpty {
      writer.put(Byte.dash, &memory)
    } else {
      writer.put(word: message.extracting(tag), &memory)
    }
    Syslog.putPriority(priority, &writer, &memory)
    Syslog.put(" host=", message.extracting(host), &writer, &memory)
    Syslog.put(" procid=", message.extracting(procid), &writer, &memory)
    writer.put(" _header=", &memory)
    writer.put(word: message.extracting(0..<text), &memory)
    Syslog.putTruncated(originalByteCount, &writer, &memory)
    writer.end(payload: message.extracting(text..<end), &memory)
  }

  @inline(__always)
  private static func time(
    _ message: RawSpan, _ offset: Int, _ receivedAt: Timestamp, _ context: inout SyslogContext
  ) -> SyslogTime? {
    let end = message.byteCount
    guard offset < end else { return nil }
    let time: SyslogTime?
    if message.byte(at: offset) &- Byte.zero <= 9 {
      time = SyslogTime(rfc3339: message, offset, end, &context)
    } else {
      time = SyslogTime(
        rfc3164: message, offset, end, receivedAt: receivedAt,
        zoneOffsetSeconds: context.zoneOffsetSeconds)
    }
    guard let time else { return nil }
    // What follows a time is a space, a colon or nothing; else it only looked like one.
    guard time.end < end else { return time }
    let next = message.byte(at: time.end)
    return next == Byte.space || next == UInt8(ascii: ":") ? time : nil
  }

  /// Whether a word behind the time is a tag rather than a host.
  private static func isTag(_ message: RawSpan, _ range: ByteRange) -> Bool {
    let last = message.byte(at: range.upperBound &- 1)
    if last == UInt8(ascii: ":") {
      // "fe80::1:" could be either; a host never ends in a single colon.
      return true
    }
    let bracket = message.nearIndex(
      of: Byte.openBracket, from: range.lowerBound, to: range.upperBound)
    return last == Byte.closeBracket && bracket > range.lowerBound && bracket < range.upperBound
  }

  /// Reads `TAG[PID]: `, `TAG: ` or `TAG[PID] ` at `text` and moves behind it; leaves what is
  /// neither.
  private static func readTag(
    _ message: RawSpan, _ text: inout Int, _ tag: inout ByteRange, _ procid: inout ByteRange
  ) {
    let end = message.byteCount
    var offset = text
    let limit = min(end, text &+ tagByteCountMax)
    while offset < limit, isTagByte(message.byte(at: offset)) { offset &+= 1 }
    guard offset > text, offset < end else { return }
    let name = text..<offset
    var number = 0..<0
    var hasNumber = false
    if message.byte(at: offset) == Byte.openBracket {
      let close = message.nearIndex(
        of: Byte.closeBracket, from: offset, to: min(end, offset &+ tagByteCountMax))
      guard close < min(end, offset &+ tagByteCountMax) else { return }
      number = (offset &+ 1)..<close
      hasNumber = true
      offset = close &+ 1
    }
    if offset < end, message.byte(at: offset) == UInt8(ascii: ":") {
      offset &+= 1
    } else {
      guard hasNumber, offset < end, message.byte(at: offset) == Byte.space else { return }
    }
    if offset < end, message.byte(at: offset) == Byte.space { offset &+= 1 }
    tag = name
    procid = number
    text = offset
  }

  @inline(__always)
  private static func isTagByte(_ byte: UInt8) -> Bool {
    switch byte {
    case Byte.space, Byte.openBracket, UInt8(ascii: ":"), Byte.null, Byte.lineFeed, Byte.tab:
      false
    default: true
    }
  }
}
