// RFC 3164 messages and their dialects: whatever is not RFC 5424.
//
//     "<" PRI ">" [ TIME [ ZONE ] SP [ HOST SP ] ] [ TAG [ "[" PID "]" ] [ ":" ] [ SP ] ] TEXT
//
// The RFC describes what was seen, not what has to be; so every part may be missing. What is taken
// for header is kept byte for byte, so that a wrong guess loses nothing.
//
//     time        BSD's or RFC 3339's. In front of it Cisco's routers have a sequence number,
//                 a host and a "*" or "." for a clock that is not set:  29: sw1: *Oct  5 …
//     zone        a name: UTC and GMT mean what they say. Others stand where a colon (Cisco), or
//                 a host and a tag follow; since several zones share a name, none is believed
//     host        the next word, unless it looks like a tag: a ":" in it (an IPv6 address has
//                 several, and nothing but hexadecimal digits) or brackets. Cisco's firewalls
//                 have a " :" behind it. AIX says "Message forwarded from HOST:"
//     tag         up to ":" or "[PID]", of bytes that are no space. Without a time only what can
//                 be nothing else: `TAG[digits]:` and Cisco's `%FACILITY-n-NAME:`
//
// Without a time there is no host: guessing would eat text.

enum Syslog3164 {
  /// Longest tag, in bytes: beyond it a word is text. (The RFC has 32; senders use more.)
  private static let tagByteCountMax = 64
  /// Longest host, in bytes (RFC 1034 3.1).
  private static let hostByteCountMax = 255
  /// Most digits of a sequence number: those of 32 bits.
  private static let sequenceDigitCountMax = 10
  private static let colon = UInt8(ascii: ":")

  /// Reads the message behind its priority; there is nothing it cannot be.
  static func parse(
    _ message: RawSpan, _ priority: SyslogPriority, _ receivedAt: Timestamp,
    _ context: inout SyslogContext
  ) -> SyslogMessage {
    var view = SyslogMessage(.rfc3164, priority)
    view.timeStart = priority.end
    view.textStart = priority.end
    view.time = time(message, priority.end, receivedAt, &context)
    var host = 0..<0
    if view.time == nil, let start = ciscoTimeStart(message, priority.end, &host) {
      view.timeStart = start
      view.time = time(message, start, receivedAt, &context)
    }
    guard let time = view.time else {
      readBareTag(message, &view)
      return view
    }
    if !time.hasYear { view.guesses.insert(.year) }
    view.textStart = behindTime(message, &view, context.rules)
    if view.timeStart > priority.end {
      view.host = host
      readTag(message, &view)
    } else {
      readHostAndTag(message, &view)
    }
    return view
  }

  // MARK: - Time

  @inline(__always)
  private static func time(
    _ message: RawSpan, _ offset: Int, _ receivedAt: Timestamp, _ context: inout SyslogContext
  ) -> SyslogTime? {
    let end = message.byteCount
    guard offset < end else { return nil }
    let time =
      message.byte(at: offset) &- Byte.zero <= 9
      ? SyslogTime(rfc3339: message, offset, end, &context)
      : SyslogTime(bsd: message, offset, end, receivedAt: receivedAt, &context)
    guard let time else { return nil }
    // What follows a time is a space, a colon or nothing; else it only looked like one.
    guard time.end < end else { return time }
    let next = message.byte(at: time.end)
    return next == Byte.space || next == colon ? time : nil
  }

  /// Where the time stands behind `[ sequence ": " ] [ host ": " ] [ "*" / "." ]`, if it does.
  private static func ciscoTimeStart(_ message: RawSpan, _ start: Int, _ host: inout ByteRange)
    -> Int?
  {
    let end = message.byteCount
    var offset = start
    var index = start
    while index < end, index &- start < sequenceDigitCountMax,
      message.byte(at: index) &- Byte.zero <= 9
    {
      index &+= 1
    }
    if index > start, message.hasBytes(": ", at: index) { offset = index &+ 2 }
    let stop = message.nearIndex(of: colon, from: offset, to: min(end, offset &+ hostByteCountMax))
    let space = message.nearIndex(of: Byte.space, from: offset, to: stop)
    if stop > offset, space == stop, message.hasBytes(": ", at: stop) {
      host = offset..<stop
      offset = stop &+ 2
    }
    if offset < end,
      message.byte(at: offset) == UInt8(ascii: "*")
        || message.byte(at: offset) == UInt8(ascii: ".")
    {
      offset &+= 1
    }
    return offset > start ? offset : nil
  }

  /// The first byte behind the time, the name of a zone, a colon and a space.
  private static func behindTime(
    _ message: RawSpan, _ view: inout SyslogMessage, _ rules: TimeRules
  ) -> Int {
    guard var time = view.time else { return view.textStart }
    let end = message.byteCount
    var offset = time.end
    if !time.hasZone, offset < end, message.byte(at: offset) == Byte.space {
      let behind = zoneNameEnd(message, offset &+ 1)
      if let behind {
        let isUTC =
          message.hasBytes("UTC", at: offset &+ 1) || message.hasBytes("GMT", at: offset &+ 1)
        if isUTC, behind == offset &+ 4 { time.setUTC(rules) }
        offset = behind
      }
    }
    if !time.hasZone, rules.zoneOffsetSeconds == nil { view.guesses.insert(.zone) }
    view.time = time
    if offset < end, message.byte(at: offset) == colon { offset &+= 1 }
    if offset < end, message.byte(at: offset) == Byte.space { offset &+= 1 }
    return offset
  }

  /// Where the name of a zone at `start` ends: three to five capitals, and a colon behind them, or
  /// what can only be host and tag. Nil when it is none.
  private static func zoneNameEnd(_ message: RawSpan, _ start: Int) -> Int? {
    let end = message.byteCount
    var index = start
    while index < end, index &- start < 6, message.byte(at: index) &- UInt8(ascii: "A") < 26 {
      index &+= 1
    }
    guard (3...5).contains(index &- start), index < end else { return nil }
    // Cisco's colon behind the zone is followed by a mnemonic, that behind a tag by a text.
    if message.byte(at: index) == colon { return message.hasBytes(": %", at: index) ? index : nil }
    guard message.byte(at: index) == Byte.space else { return nil }
    let host = message.nearIndex(of: Byte.space, from: index &+ 1, to: end)
    guard host > index &+ 1, host < end, !isTag(message, (index &+ 1)..<host) else { return nil }
    var rest = SyslogMessage(.rfc3164, .assumed)
    rest.textStart = host &+ 1
    readTag(message, &rest)
    return rest.app.isEmpty ? nil : index
  }

  // MARK: - Host and tag

  private static func readHostAndTag(_ message: RawSpan, _ view: inout SyslogMessage) {
    let end = message.byteCount
    let start = view.textStart
    if message.hasBytes("last message repeated ", at: start) { return }
    if message.hasBytes("Message forwarded from ", at: start) {
      let host = start &+ 23
      let stop = message.nearIndex(of: Byte.space, from: host, to: end)
      if stop < end, stop &- host > 1, message.byte(at: stop &- 1) == colon {
        view.host = host..<(stop &- 1)
        view.textStart = stop &+ 1
        return readTag(message, &view)
      }
    }
    let stop = message.nearIndex(
      of: Byte.space, from: start, to: min(end, start &+ hostByteCountMax &+ 1))
    if stop > start, stop < end, message.byte(at: stop) == Byte.space,
      !isTag(message, start..<stop)
    {
      view.host = start..<stop
      view.textStart = stop &+ 1
      if message.hasBytes(": ", at: view.textStart) { view.textStart &+= 2 }
      readTag(message, &view)
      if view.app.isEmpty, !message.hasBytes("last message repeated ", at: view.textStart) {
        view.guesses.insert(.host)
      }
      return
    }
    readTag(message, &view)
  }

  /// Whether a word behind the time is a tag rather than a host.
  private static func isTag(_ message: RawSpan, _ range: ByteRange) -> Bool {
    let last = message.byte(at: range.upperBound &- 1)
    // "fe80::1:" could be either; a host never ends in a single colon.
    if last == colon { return true }
    let bracket = message.nearIndex(
      of: Byte.openBracket, from: range.lowerBound, to: range.upperBound)
    if last == Byte.closeBracket, bracket > range.lowerBound, bracket < range.upperBound {
      return true
    }
    let inner = message.nearIndex(of: colon, from: range.lowerBound, to: range.upperBound)
    return inner < range.upperBound && !isAddress(message, range)
  }

  /// Whether a word with a colon in it is an IPv6 address, in brackets or with its interface or not.
  private static func isAddress(_ message: RawSpan, _ range: ByteRange) -> Bool {
    var colons = 0
    for index in range {
      let byte = message.byte(at: index)
      switch byte {
      case colon: colons &+= 1
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
        UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: "."):
        continue
      case UInt8(ascii: "%"): return colons >= 2
      case Byte.openBracket where index == range.lowerBound,
        Byte.closeBracket where index == range.upperBound &- 1:
        continue
      default: return false
      }
    }
    return colons >= 2
  }

  /// Reads `TAG[PID]: `, `TAG: ` or `TAG[PID] ` where the text begins, and moves the text behind it;
  /// leaves what is neither.
  private static func readTag(_ message: RawSpan, _ view: inout SyslogMessage) {
    let end = message.byteCount
    var offset = view.textStart
    let limit = min(end, offset &+ tagByteCountMax)
    while offset < limit, isTagByte(message.byte(at: offset)) { offset &+= 1 }
    guard offset > view.textStart, offset < end else { return }
    let name = view.textStart..<offset
    var number = 0..<0
    if message.byte(at: offset) == Byte.openBracket {
      let numberLimit = min(end, offset &+ tagByteCountMax)
      let close = message.nearIndex(of: Byte.closeBracket, from: offset, to: numberLimit)
      guard close < numberLimit else { return }
      number = (offset &+ 1)..<close
      offset = close &+ 1
      guard offset < end,
        message.byte(at: offset) == colon || message.byte(at: offset) == Byte.space
      else { return }
    } else if message.byte(at: offset) != colon {
      return
    }
    if message.byte(at: offset) == colon { offset &+= 1 }
    if offset < end, message.byte(at: offset) == Byte.space { offset &+= 1 }
    view.app = name
    view.procid = number
    view.textStart = offset
  }

  /// Reads the tag of a message without a time, where it can be nothing else.
  private static func readBareTag(_ message: RawSpan, _ view: inout SyslogMessage) {
    var tagged = view
    readTag(message, &tagged)
    guard !tagged.app.isEmpty else { return }
    let isNumbered =
      message.decimal(tagged.procid) != nil
      && message.hasBytes("]:", at: tagged.procid.upperBound)
    if isNumbered || isMnemonic(message, tagged.app) { view = tagged }
  }

  /// "%FACILITY-n-NAME", with which messages of Cisco's begin.
  private static func isMnemonic(_ message: RawSpan, _ range: ByteRange) -> Bool {
    guard message.byte(at: range.lowerBound) == UInt8(ascii: "%") else { return false }
    var index = range.lowerBound &+ 1
    while index &+ 2 < range.upperBound {
      if message.byte(at: index) == Byte.dash, message.byte(at: index &+ 1) &- Byte.zero <= 7,
        message.byte(at: index &+ 2) == Byte.dash
      {
        return true
      }
      index &+= 1
    }
    return false
  }

  @inline(__always)
  private static func isTagByte(_ byte: UInt8) -> Bool {
    switch byte {
    case Byte.space, Byte.openBracket, colon, Byte.null, Byte.lineFeed, Byte.tab: false
    default: true
    }
  }
}
