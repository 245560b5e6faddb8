// RFC 5424 messages.
//
//     "<" PRI ">1 " TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP SD [ SP [ BOM ] MSG ]
//     SD       = "-" / 1*( "[" SD-ID *( SP PARAM-NAME "=" %d34 VALUE %d34 ) "]" )
//     VALUE    = any bytes, `"` `\` `]` written with a backslash before them
//
// Wider than the RFC where senders are: names of any length, nine digits of fraction, a value
// with a bare "]".

enum Syslog5424 {
  static let byteOrderMark: UInt64 = 0xBF_BBEF

  /// Reads the message behind its priority and version.
  static func parse(
    _ message: RawSpan, _ priority: SyslogPriority, _ context: inout SyslogContext
  ) throws(SyslogFault) -> SyslogMessage {
    let end = message.byteCount
    var view = SyslogMessage(.rfc5424, priority)
    view.isCanonical = priority.isCanonical
    view.timeStart = priority.end &+ 2
    guard view.timeStart < end else { throw .header }
    var offset = view.timeStart &+ 1
    if message.byte(at: view.timeStart) != Byte.dash {
      guard let time = SyslogTime(rfc3339: message, view.timeStart, end, &context), time.hasZone
      else { throw .time }
      // A leap second or a year that was cut cannot be told from the stored time.
      if !time.isExact { view.isCanonical = false }
      view.time = time
      offset = time.end
    }
    guard offset < end, message.byte(at: offset) == Byte.space else { throw .header }
    view.host = try field(message, &offset)
    view.app = try field(message, &offset)
    view.procid = try field(message, &offset)
    view.msgid = try field(message, &offset)
    offset &+= 1
    guard offset < end else { throw .header }
    if message.byte(at: offset) == Byte.dash {
      offset &+= 1
    } else {
      var cursor = SyslogDataCursor(offset)
      while cursor.next(message) != nil {}
      guard cursor.isWhole, cursor.offset > offset else { throw .data }
      if !cursor.isCanonical { view.isCanonical = false }
      view.data = offset..<cursor.offset
      offset = cursor.offset
    }
    guard offset == end || message.byte(at: offset) == Byte.space else { throw .data }
    view.hasText = offset < end
    view.textStart = view.hasText ? offset &+ 1 : end
    view.hasByteOrderMark =
      end &- view.textStart >= 3 && message.word(at: view.textStart) & 0xFF_FFFF == byteOrderMark
    if view.hasByteOrderMark { view.textStart &+= 3 }
    return view
  }

  /// The field of the header behind the space at `offset`, which moves to the next; empty for "-".
  @inline(__always)
  private static func field(_ message: RawSpan, _ offset: inout Int) throws(SyslogFault)
    -> ByteRange
  {
    let start = offset &+ 1
    let stop = message.nearIndex(of: Byte.space, from: start, to: message.byteCount)
    guard stop < message.byteCount, stop > start else { throw .header }
    offset = stop
    return stop &- start == 1 && message.byte(at: start) == Byte.dash ? start..<start : start..<stop
  }
}
