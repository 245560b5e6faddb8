// The usual RFC 5424 message, in half the instructions: what nearly every message is.
//
//     canonical PRI, a time in UTC of the second seen last (and taken), header fields that end within 64 bytes
//     and need no escape, structured data "-" or elements of up to 64 bytes that need none and can
//     be rebuilt, a stream named by a literal and the host
//
// Field ends come from bit masks of 64 bytes at once, and fields are stored in vectors into room
// that was found beforehand. What is not usual is left to `SyslogEvent`, which gives the very same
// bytes for what is.

internal import CShims

package enum SyslogUsual {
  /// Room for all that is written between two looks at what is left: a header, whose fields are at
  /// most 61 bytes and twice in the line, or one element, whose parameters (at most 11 of at least
  /// 5 bytes) each repeat its name, and the form.
  static let roomByteCount = 1024

  /// Writes the event line of `message`; false, with nothing written, when it is not usual.
  package static func append(
    _ message: RawSpan, _ priority: SyslogPriority, _ receivedAt: Timestamp,
    _ context: inout SyslogContext, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) -> Bool {
    let end = message.byteCount
    let time = priority.end &+ 2
    guard priority.isCanonical, context.template.isPrefixAndHost,
      writer.limit &- writer.offset >= 2 &* roomByteCount,
      context.checked.isTaken(at: receivedAt.seconds),
      let digitCount = fractionDigitCount(message, time, &context)
    else { return false }
    let head = time &+ (digitCount == 0 ? 21 : 22 &+ digitCount)
    guard end &- head >= 16, let fields = HeaderFields(message, head) else { return false }
    var room = memory.room(writer.offset..<writer.limit)
    putTime(message, time, digitCount, &room)
    putHeader(message, fields, priority, &context, &room)
    var text = head &+ fields.end &+ 1
    guard text < end else { return false }
    if message.byte(at: text) == Byte.dash {
      text &+= 1
    } else {
      guard putData(message, &text, &room) else { return false }
    }
    guard text < end, message.byte(at: text) == Byte.space else { return false }
    text &+= 1
    room.put(" _form=5424.")
    room.put(Byte.zero &+ UInt8(truncatingIfNeeded: digitCount))
    room.put(UInt8(ascii: "Z"))
    if end &- text >= 3, message.word(at: text) & 0xFF_FFFF == Syslog5424.byteOrderMark {
      text &+= 3
      room.put(UInt8(ascii: "b"))
    }
    let count = room.count
    writer.offset &+= count
    writer.end(payload: message.extracting(text..<end), &memory)
    return true
  }

  /// Digits of the fraction of a time in UTC whose date and second were found valid before.
  @inline(always)
  private static func fractionDigitCount(
    _ message: RawSpan, _ offset: Int, _ context: inout SyslogContext
  ) -> Int? {
    guard offset &+ 40 <= message.byteCount,
      message.wholeWord(at: offset) == context.checked.words.first,
      message.wholeWord(at: offset &+ 8) == context.checked.words.middle,
      message.wholeWord(at: offset &+ 11) == context.checked.words.last
    else { return nil }
    let next = message.byte(at: offset &+ 19)
    var count = 0
    if next == UInt8(ascii: ".") {
      // Digits become 0 … 9; adding 0x76 to anything above sets the highest bit.
      let word = message.wholeWord(at: offset &+ 20) ^ 0x3030_3030_3030_3030
      let others = ((word & 0x7F7F_7F7F_7F7F_7F7F) &+ 0x7676_7676_7676_7676) | word
      count = (others & 0x8080_8080_8080_8080).trailingZeroBitCount >> 3
      if count == 8, message.byte(at: offset &+ 28) &- Byte.zero <= 9 { count = 9 }
      guard count > 0, message.byte(at: offset &+ 20 &+ count) == UInt8(ascii: "Z") else {
        return nil
      }
    } else if next != UInt8(ascii: "Z") {
      return nil
    }
    let space = offset &+ (count == 0 ? 20 : 21 &+ count)
    return message.byte(at: space) == Byte.space ? count : nil
  }

  @inline(always)
  private static func putTime(
    _ message: RawSpan, _ offset: Int, _ digitCount: Int, _ room: inout Room
  ) {
    room.put(message.wholeWord(at: offset), message.wholeWord(at: offset &+ 8), count: 16)
    room.put(message.wholeWord(at: offset &+ 16), message.wholeWord(at: offset &+ 24), count: 3)
    room.put(UInt8(ascii: "."))
    room.setCount(room.count &+ digitCount)
    room.put(0x3030_3030_3030_3030, 0x30, count: 9 &- digitCount)
    room.put(UInt8(ascii: "Z"))
  }

  @inline(always)
  private static func putHeader(
    _ message: RawSpan, _ fields: HeaderFields, _ priority: SyslogPriority,
    _ context: inout SyslogContext, _ room: inout Room
  ) {
    room.put(Byte.space)
    let prefix = context.template.prefix
    room.put(prefix.first, prefix.second, count: prefix.byteCount)
    put(message, fields.host, orDash: true, &room)
    room.put(Byte.space)
    put(message, fields.app, orDash: true, &room)
    room.put(" facility=")
    let facility = Syslog.facilityName(priority.value >> 3)
    room.put(facility, count: Syslog.letterCount(facility))
    room.put(" severity=")
    let severity = Syslog.severityName(priority.value & 7)
    room.put(severity, count: Syslog.letterCount(severity))
    if fields.host.count > 0 {
      room.put(" host=")
      put(message, fields.host, orDash: false, &room)
    }
    if fields.procid.count > 0 {
      room.put(" procid=")
      put(message, fields.procid, orDash: false, &room)
    }
    if fields.msgid.count > 0 {
      room.put(" msgid=")
      put(message, fields.msgid, orDash: false, &room)
    }
  }

  @inline(always)
  private static func put(
    _ message: RawSpan, _ field: HeaderFields.Field, orDash: Bool, _ room: inout Room
  ) {
    if orDash, field.count == 0 {
      room.put(Byte.dash)
    } else {
      room.put(message, field.start, count: field.count)
    }
  }

  /// Writes the elements at `offset` and moves behind them; false when they are not usual.
  @inline(always)
  private static func putData(_ message: RawSpan, _ offset: inout Int, _ room: inout Room) -> Bool {
    var previous = 0..<0
    repeat {
      guard message.byteCount &- offset >= 16, room.remaining >= roomByteCount,
        let name = putElement(message, &offset, &room)
      else { return false }
      // Two elements of one name in a row cannot be told from one.
      if !previous.isEmpty, message.extracting(previous).equals(message.extracting(name)) {
        return false
      }
      previous = name
    } while offset < message.byteCount && message.byte(at: offset) == Byte.openBracket
    return true
  }

  /// Writes one element with its parameters; where its name is.
  @inline(always)
  private static func putElement(_ message: RawSpan, _ offset: inout Int, _ room: inout Room)
    -> ByteRange?
  {
    let start = offset
    guard message.byte(at: start) == Byte.openBracket else { return nil }
    let bits = message.dataBits(at: start)
    let noName = bits.awkward | bits.dots
    var stops = bits.stops
    let nameEnd = stops.trailingZeroBitCount
    guard nameEnd > 1, nameEnd < 63, noName & below(nameEnd) == 0,
      message.byte(at: start &+ nameEnd) == Byte.space,
      message.byte(at: start &+ 1) != UInt8(ascii: "_")
    else { return nil }
    var position = nameEnd
    repeat {
      let key = position &+ 1
      stops = bits.stops & ~below(key)
      let keyEnd = stops.trailingZeroBitCount
      guard keyEnd > key, keyEnd < 61, noName & below(keyEnd) & ~below(key) == 0,
        message.byte(at: start &+ keyEnd) == Byte.equals,
        bits.quotes & (1 << UInt64(keyEnd &+ 1)) != 0
      else { return nil }
      let value = keyEnd &+ 2
      let valueEnd = (bits.quotes & ~below(value)).trailingZeroBitCount
      guard valueEnd < 63, bits.awkward & below(valueEnd) & ~below(value) == 0 else { return nil }
      room.put(Byte.space)
      room.put(message, start &+ 1, count: nameEnd &- 1)
      room.put(UInt8(ascii: "."))
      room.put(message, start &+ key, count: keyEnd &- key)
      room.put(Byte.equals)
      room.put(message, start &+ value, count: valueEnd &- value)
      position = valueEnd &+ 1
      guard start &+ position < message.byteCount else { return nil }
    } while message.byte(at: start &+ position) == Byte.space
    guard message.byte(at: start &+ position) == Byte.closeBracket else { return nil }
    offset = start &+ position &+ 1
    return (start &+ 1)..<(start &+ nameEnd)
  }

  /// The bits below `index`, at most 63.
  @inline(always)
  private static func below(_ index: Int) -> UInt64 { (1 &<< UInt64(index)) &- 1 }
}

/// The fields between time and structured data, none of which needs an escape.
struct HeaderFields: BitwiseCopyable {
  /// A field; of no bytes for "-".
  struct Field: BitwiseCopyable {
    var start: Int
    var count: Int
  }

  let host: Field
  let app: Field
  let procid: Field
  let msgid: Field
  /// The space behind the last, counted from the first.
  let end: Int

  /// Finds them from `head` on, where there are at least 16 bytes.
  @inline(always)
  init?(_ message: RawSpan, _ head: Int) {
    let bits = message.headerBits(at: head)
    var spaces = bits.spaces
    let first = spaces.trailingZeroBitCount
    spaces &= spaces &- 1
    let second = spaces.trailingZeroBitCount
    spaces &= spaces &- 1
    let third = spaces.trailingZeroBitCount
    spaces &= spaces &- 1
    guard spaces != 0 else { return nil }
    end = spaces.trailingZeroBitCount
    guard first > 0, second > first &+ 1, third > second &+ 1, end > third &+ 1,
      bits.awkward & ((1 &<< UInt64(end)) &- 1) == 0
    else { return nil }
    host = HeaderFields.field(message, head, 0, first)
    app = HeaderFields.field(message, head, first &+ 1, second)
    procid = HeaderFields.field(message, head, second &+ 1, third)
    msgid = HeaderFields.field(message, head, third &+ 1, end)
  }

  @inline(always)
  private static func field(_ message: RawSpan, _ head: Int, _ from: Int, _ to: Int) -> Field {
    let isNil = to &- from == 1 && message.byte(at: head &+ from) == Byte.dash
    return Field(start: head &+ from, count: isNil ? 0 : to &- from)
  }
}
