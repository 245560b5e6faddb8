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
  static let byteOrderMark: UInt64 = 0xBF_BBEF

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

    var isCanonical = priority.isCanonical
    if message.byte(at: offset) == Byte.dash {
      offset &+= 1
    } else {
      try SyslogData.append(message, &offset, isCanonical: &isCanonical, &writer, &memory)
    }
    guard offset == end || message.byte(at: offset) == Byte.space else { throw .data }
    let hasText = offset < end
    var text = hasText ? offset &+ 1 : end
    let hasMark = end &- text >= 3 && message.word(at: text) & 0xFF_FFFF == byteOrderMark
    if hasMark { text &+= 3 }
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
    range =
      stop &- start == 1 && message.byte(at: start) == Byte.dash ? start..<start : start..<stop
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
  /// Reads the elements at `offset`, writes them as attributes ` id.name=value`, an element without
  /// parameters as ` id=`, and moves behind them. A name that begins with "_" gets "sd." in front:
  /// those are the server's. `isCanonical` becomes false when they cannot be rebuilt from the
  /// attributes: a "." in a name, an element without parameters, two elements of one id in a row,
  /// a value written with other escapes than it needs.
  static func append(
    _ message: RawSpan, _ offset: inout Int, isCanonical: inout Bool,
    _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) throws(SyslogFault) {
    let end = message.byteCount
    let start = offset
    var previous = 0..<0
    while offset < end, message.byte(at: offset) == Byte.openBracket {
      let identifier = try name(message, offset &+ 1, &isCanonical)
      if message.extracting(previous).equals(message.extracting(identifier)) {
        isCanonical = false
      }
      previous = identifier
      offset = identifier.upperBound
      if message.byte(at: offset) == Byte.closeBracket {
        isCanonical = false
        putName(message, identifier, &writer, &memory)
        writer.put(Byte.equals, &memory)
      }
      while message.byte(at: offset) == Byte.space {
        let key = try name(message, offset &+ 1, &isCanonical)
        let value = key.upperBound &+ 2
        guard value < end, message.byte(at: key.upperBound) == Byte.equals,
          message.byte(at: key.upperBound &+ 1) == Byte.quote
        else { throw .data }
        putName(message, identifier, &writer, &memory)
        writer.put(UInt8(ascii: "."), &memory)
        writer.put(word: message.extracting(key), &memory)
        writer.put(Byte.equals, &memory)
        offset = putValue(message, value, &isCanonical, &writer, &memory) &+ 1
        guard offset < end else { throw .data }
      }
      guard message.byte(at: offset) == Byte.closeBracket else { throw .data }
      offset &+= 1
    }
    guard offset > start else { throw .data }
  }

  /// The name at `start`: up to "=", space, "]" or a quote, which have to follow.
  @inline(__always)
  private static func name(_ message: RawSpan, _ start: Int, _ isCanonical: inout Bool)
    throws(SyslogFault) -> ByteRange
  {
    let end = message.nearIndex(
      ofAny: Byte.equals, Byte.space, Byte.closeBracket, Byte.quote, from: start,
      to: message.byteCount)
    guard end > start, end < message.byteCount else { throw .data }
    if message.byte(at: start) == UInt8(ascii: "_")
      || message.nearIndex(of: UInt8(ascii: "."), from: start, to: end) < end
    {
      isCanonical = false
    }
    return start..<end
  }

  @inline(__always)
  static func isEscapable(_ byte: UInt8) -> Bool {
    byte == Byte.quote || byte == Byte.backslash || byte == Byte.closeBracket
  }

  @inline(__always)
  private static func putName(
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

  /// Writes a value without its escapes; where its closing quote is, or the message's end.
  @inline(__always)
  private static func putValue(
    _ message: RawSpan, _ begin: Int, _ isCanonical: inout Bool, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) -> Int {
    let end = message.byteCount
    var start = begin
    var search = begin
    while true {
      let stop = message.nearIndex(
        ofAny: Byte.quote, Byte.backslash, Byte.closeBracket, Byte.quote, from: search, to: end)
      guard stop < end, message.byte(at: stop) != Byte.quote else {
        writer.put(word: message.extracting(start..<stop), &memory)
        return stop
      }
      search = stop &+ 1
      if message.byte(at: stop) == Byte.closeBracket {
        isCanonical = false
      } else if search < end, isEscapable(message.byte(at: search)) {
        // The backslash goes; what it protects stays.
        writer.put(word: message.extracting(start..<stop), &memory)
        start = search
        search &+= 1
      } else {
        // A backslash that escapes nothing stands for itself.
        isCanonical = false
      }
    }
  }
}
