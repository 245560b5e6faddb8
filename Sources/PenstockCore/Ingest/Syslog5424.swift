// RFC 5424 messages.
//
//     "<" PRI ">1 " TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP SD [ SP [ BOM ] MSG ]
//     SD       = "-" / 1*( "[" SD-ID *( SP PARAM-NAME "=" %d34 VALUE %d34 ) "]" )
//     VALUE    = any bytes, `"` `\` `]` written with a backslash before them
//
// Wider than the RFC where senders are: names of any length, nine digits of fraction, a value
// with a bare "]". A header is rebuilt from its attributes (`_form=5424.` digits zone) when that
// gives the bytes that came; else it is kept.
//
//     form     = "5424." ( "-" / digitCount ( "Z" / offset ) ) [ "b" ] [ "n" ]
//     "-"      no time was given;  "b" a BOM stands before the text;  "n" there is no text at all

enum Syslog5424 {
  private static let byteOrderMark: UInt64 = 0xBF_BBEF

  /// The fields of a header, as offsets.
  private struct Fields {
    var host: ByteRange
    var app: ByteRange
    var procid: ByteRange
    var msgid: ByteRange
    /// Structured data, brackets included; empty for "-".
    var data: ByteRange
    /// Where the text begins, BOM and all.
    var text: Int
  }

  @inline(__always)
  static func append(
    _ message: RawSpan, _ priority: SyslogPriority, _ originalByteCount: Int,
    _ receivedAt: Timestamp, _ context: inout SyslogContext, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) throws(SyslogFault) {
    let end = message.byteCount
    let timeStart = priority.end &+ 2
    guard timeStart < end else { throw .header }
    var time: SyslogTime?
    var offset = timeStart &+ 1
    if message.byte(at: timeStart) != Byte.dash {
      guard let found = SyslogTime(rfc3339: message, timeStart, end, &context), found.hasZone
      else { throw .time }
      time = found
      offset = found.end
    }
    guard offset < end, message.byte(at: offset) == Byte.space else { throw .header }
    var host = 0..<0
    var app = 0..<0
    var procid = 0..<0
    var msgid = 0..<0
    try field(message, &offset, &host)
    try field(message, &offset, &app)
    try field(message, &offset, &procid)
    try field(message, &offset, &msgid)
    offset &+= 1
    guard offset < end else { throw .header }
    let dataStart = offset
    var isCanonical = priority.isCanonical
    if message.byte(at: offset) == Byte.dash {
      offset &+= 1
    } else {
      offset = try SyslogData.end(message, offset, isCanonical: &isCanonical)
    }
    let data = dataStart..<(offset &- dataStart == 1 ? dataStart : offset)
    guard offset == end || message.byte(at: offset) == Byte.space else { throw .data }
    let hasText = offset < end
    var text = hasText ? offset &+ 1 : end
    let hasMark = end &- text >= 3 && message.word(at: text) & 0xFF_FFFF == byteOrderMark
    if hasMark { text &+= 3 }

    if let time {
      time.write(message, timeStart, &writer, &memory)
    } else {
      writer.put(receivedAt, &memory)
    }
    writer.put(Byte.space, &memory)
    context.template.write(
      host: message.extracting(host), app: message.extracting(app),
      facility: Syslog.facility(priority), severity: Syslog.severity(priority), &writer, &memory)
    writer.put(Byte.space, &memory)
    if app.isEmpty {
      writer.put(Byte.dash, &memory)
    } else {
      writer.put(word: message.extracting(app), &memory)
    }
    Syslog.putPriority(priority, &writer, &memory)
    Syslog.put(" host=", message.extracting(host), &writer, &memory)
    Syslog.put(" procid=", message.extracting(procid), &writer, &memory)
    Syslog.put(" msgid=", message.extracting(msgid), &writer, &memory)
    if !data.isEmpty { SyslogData.write(message, data, &writer, &memory) }
    // A leap second or a year that was cut cannot be told from the stored time.
    if let time, !time.isExact { isCanonical = false }
    if isCanonical {
      putForm(message, time, hasMark: hasMark, hasText: hasText, &writer, &memory)
    } else {
      writer.put(" _header=", &memory)
      writer.put(word: message.extracting(0..<text), &memory)
    }
    Syslog.putTruncated(originalByteCount, &writer, &memory)
    writer.end(payload: message.extracting(text..<end), &memory)
  }

  /// A field of the header behind the space at `offset`; empty for "-".
  @inline(__always)
  private static func field(_ message: RawSpan, _ offset: inout Int, _ range: inout ByteRange)
    throws(SyslogFault)
  {
    let start = offset &+ 1
    let stop = message.nearIndex(of: Byte.space, from: start, to: message.byteCount)
    guard stop < message.byteCount, stop > start else { throw .header }
    offset = stop
    range = stop &- start == 1 && message.byte(at: start) == Byte.dash ? start..<start : start..<stop
  }

  @inline(__always)
  private static func putForm(
    _ message: RawSpan, _ time: SyslogTime?, hasMark: Bool, hasText: Bool,
    _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    writer.put(" _form=5424.", &memory)
    if let time {
      writer.put(Byte.zero &+ UInt8(time.fractionDigitCount), &memory)
      writer.put(verbatim: message.extracting(time.zoneStart..<time.end), &memory)
    } else {
      writer.put(Byte.dash, &memory)
    }
    if hasMark { writer.put(UInt8(ascii: "b"), &memory) }
    if !hasText { writer.put(UInt8(ascii: "n"), &memory) }
  }
}

/// Structured data of RFC 5424.
enum SyslogData {
  /// Checks the elements at `offset` and gives their end. `isCanonical` becomes false when they
  /// cannot be rebuilt from attributes: a "." in a name, an element without parameters, two
  /// elements of one id, a value written with other escapes than it needs.
  static func end(_ message: RawSpan, _ start: Int, isCanonical: inout Bool) throws(SyslogFault)
    -> Int
  {
    let end = message.byteCount
    var offset = start
    var previous = 0..<0
    while offset < end, message.byte(at: offset) == Byte.openBracket {
      let nameStart = offset &+ 1
      let nameEnd = name(message, nameStart)
      guard nameEnd > nameStart, nameEnd < end else { throw .data }
      noteName(message, nameStart..<nameEnd, &isCanonical)
      if message.extracting(previous).equals(message.extracting(nameStart..<nameEnd)) {
        isCanonical = false
      }
      previous = nameStart..<nameEnd
      offset = nameEnd
      if message.byte(at: offset) == Byte.closeBracket { isCanonical = false }
      while offset < end, message.byte(at: offset) == Byte.space {
        let keyStart = offset &+ 1
        let keyEnd = name(message, keyStart)
        guard keyEnd > keyStart, keyEnd &+ 1 < end, message.byte(at: keyEnd) == Byte.equals,
          message.byte(at: keyEnd &+ 1) == Byte.quote
        else { throw .data }
        noteName(message, keyStart..<keyEnd, &isCanonical)
        offset = valueEnd(message, keyEnd &+ 2, &isCanonical)
        guard offset < end else { throw .data }
        offset &+= 1
      }
      guard offset < end, message.byte(at: offset) == Byte.closeBracket else { throw .data }
      offset &+= 1
    }
    guard offset > start else { throw .data }
    return offset
  }

  /// Where a name ends: at "=", space, "]" or a quote.
  @inline(__always)
  private static func name(_ message: RawSpan, _ start: Int) -> Int {
    var offset = start
    while offset < message.byteCount {
      switch message.byte(at: offset) {
      case Byte.equals, Byte.space, Byte.closeBracket, Byte.quote: return offset
      default: offset &+= 1
      }
    }
    return offset
  }

  @inline(__always)
  private static func noteName(_ message: RawSpan, _ range: ByteRange, _ isCanonical: inout Bool) {
    if message.byte(at: range.lowerBound) == UInt8(ascii: "_")
      || message.nearIndex(of: UInt8(ascii: "."), from: range.lowerBound, to: range.upperBound)
        < range.upperBound
    {
      isCanonical = false
    }
  }

  /// Where the closing quote of a value is, or the message's end.
  @inline(__always)
  private static func valueEnd(_ message: RawSpan, _ start: Int, _ isCanonical: inout Bool) -> Int {
    let stop = message.nearIndex(of: Byte.quote, from: start, to: message.byteCount)
    if message.nearIndex(of: Byte.backslash, from: start, to: stop) == stop {
      if message.nearIndex(of: Byte.closeBracket, from: start, to: stop) < stop {
        isCanonical = false
      }
      return stop
    }
    var offset = start
    while offset < message.byteCount {
      switch message.byte(at: offset) {
      case Byte.quote: return offset
      case Byte.closeBracket: isCanonical = false
      case Byte.backslash:
        guard offset &+ 1 < message.byteCount, isEscapable(message.byte(at: offset &+ 1)) else {
          isCanonical = false
          break
        }
        offset &+= 1
      default: break
      }
      offset &+= 1
    }
    return offset
  }

  @inline(__always)
  static func isEscapable(_ byte: UInt8) -> Bool {
    byte == Byte.quote || byte == Byte.backslash || byte == Byte.closeBracket
  }

  /// Writes checked elements as attributes: ` id.name=value`, an element without parameters as
  /// ` id=`. A name that begins with "_" gets "sd." in front: those are the server's.
  static func write(
    _ message: RawSpan, _ data: ByteRange, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    var offset = data.lowerBound
    while offset < data.upperBound {
      let identifier = (offset &+ 1)..<name(message, offset &+ 1)
      offset = identifier.upperBound
      if message.byte(at: offset) == Byte.closeBracket {
        putKey(message, identifier, &writer, &memory)
        writer.put(Byte.equals, &memory)
      }
      while message.byte(at: offset) == Byte.space {
        let key = (offset &+ 1)..<name(message, offset &+ 1)
        putKey(message, identifier, &writer, &memory)
        writer.put(UInt8(ascii: "."), &memory)
        writer.put(word: message.extracting(key), &memory)
        writer.put(Byte.equals, &memory)
        var isCanonical = true
        let start = key.upperBound &+ 2
        let stop = valueEnd(message, start, &isCanonical)
        putValue(message, start..<stop, &writer, &memory)
        offset = stop &+ 1
      }
      offset &+= 1
    }
  }

  @inline(__always)
  private static func putKey(
    _ message: RawSpan, _ identifier: ByteRange, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    writer.put(Byte.space, &memory)
    if message.byte(at: identifier.lowerBound) == UInt8(ascii: "_") {
      writer.put("sd.", &memory)
    }
    // Names cannot hold "=", so words escape all that keys do.
    writer.put(word: message.extracting(identifier), &memory)
  }

  /// A value without its escapes.
  @inline(__always)
  private static func putValue(
    _ message: RawSpan, _ range: ByteRange, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    var start = range.lowerBound
    while true {
      let slash = message.nearIndex(of: Byte.backslash, from: start, to: range.upperBound)
      guard slash &+ 1 < range.upperBound, isEscapable(message.byte(at: slash &+ 1)) else {
        if slash &+ 1 < range.upperBound {
          // A backslash that escapes nothing stands for itself.
          writer.put(word: message.extracting(start..<(slash &+ 1)), &memory)
          start = slash &+ 1
          continue
        }
        writer.put(word: message.extracting(start..<range.upperBound), &memory)
        return
      }
      writer.put(word: message.extracting(start..<slash), &memory)
      writer.put(word: message.extracting((slash &+ 1)..<(slash &+ 2)), &memory)
      start = slash &+ 2
    }
  }
}
