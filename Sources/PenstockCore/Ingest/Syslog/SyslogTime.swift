// Times of syslog messages, RFC 3339's; those of RFC 3164 are in `SyslogTime+BSD`.
//
//     YYYY-MM-DD "T" HH:MM:SS [ "." 1*9DIGIT ] [ "Z" / ( "+" / "-" ) HH:MM ]
//
// A time in UTC is copied as text, its fraction padded to nine digits; checking is skipped when
// date and second are those of the message before, which under load they nearly always are. Second
// 60 is stored as the last nanosecond before the next minute.

/// A time found in a message.
package struct SyslogTime: BitwiseCopyable, Sendable {
  /// Where the text of the time ends.
  package var end: Int
  /// Digits of the fraction.
  package var fractionDigitCount = 0
  /// Where the fraction's digits begin.
  var fractionStart: Int
  /// Seconds since 1970, within the years of the journal's text form.
  package var seconds: Int64 = 0
  /// The nanoseconds beside them; not set when the text is copied.
  var nanoseconds: UInt32 = 0
  /// In UTC, and the text up to the second may be copied as it stands.
  var isCopyable = false
  /// The zone's text, for rebuilding: from here to `end`.
  var zoneStart: Int
  /// Whether a zone was given.
  package var hasZone = false
  /// Whether a year was given.
  package var hasYear = true
  /// Whether the text can be told from the instant, its zone and its number of digits.
  var isExact = true

  /// A time whose text ends where its seconds do, at `end`.
  init(end: Int) {
    self.end = end
    fractionStart = end
    zoneStart = end
  }

  /// Reads an RFC 3339 time at `offset`, no further than `end`.
  @inline(__always)
  init?(rfc3339 span: RawSpan, _ offset: Int, _ end: Int, _ context: inout SyslogContext) {
    guard end &- offset >= 19 else { return nil }
    self.init(end: offset &+ 19)
    var isLeap = false
    var local: Int64
    let words = CheckedSecond.Words(span, offset)
    if words == context.checked.words {
      local = context.checked.seconds
    } else {
      guard let civil = SyslogTime.civil(span, offset) else { return nil }
      isLeap = civil.second == 60
      local = SyslogTime.seconds(civil)
      if !isLeap { context.checked = CheckedSecond(words, local, context.rules) }
    }
    if self.end < end, span.byte(at: self.end) == UInt8(ascii: ".") {
      guard takeFraction(span, end), (1...9).contains(fractionDigitCount) else { return nil }
    }
    zoneStart = self.end
    if zoneStart < end, span.byte(at: zoneStart) == UInt8(ascii: "Z") {
      self.end = zoneStart &+ 1
      hasZone = true
      isCopyable = !isLeap
      seconds = local
      if isLeap { resolve(span, local, isLeap: true, offsetSeconds: 0) }
      return
    }
    var zone = context.rules.zoneOffsetSeconds ?? 0
    if let given = SyslogTime.zone(span, zoneStart, end) {
      zone = given
      hasZone = true
      self.end = zoneStart &+ 6
    }
    resolve(span, local, isLeap: isLeap, offsetSeconds: zone)
  }

  /// Moves behind "." and the digits that follow; false when there are none.
  @inline(__always)
  mutating func takeFraction(_ span: RawSpan, _ end: Int) -> Bool {
    fractionStart = self.end &+ 1
    var index = fractionStart
    while index < end, span.byte(at: index) &- Byte.zero <= 9 { index &+= 1 }
    fractionDigitCount = index &- fractionStart
    self.end = index
    return fractionDigitCount > 0
  }

  /// "+HH:MM" or "-HH:MM" in seconds east of UTC.
  private static func zone(_ span: RawSpan, _ offset: Int, _ end: Int) -> Int64? {
    guard end &- offset >= 6 else { return nil }
    let sign = span.byte(at: offset)
    guard sign == UInt8(ascii: "+") || sign == Byte.dash,
      span.byte(at: offset &+ 3) == UInt8(ascii: ":"),
      let hours = span.decimal((offset &+ 1)..<(offset &+ 3)),
      let minutes = span.decimal((offset &+ 4)..<(offset &+ 6)), hours <= 23, minutes <= 59
    else { return nil }
    let seconds = Int64(hours &* 3600 &+ minutes &* 60)
    return sign == Byte.dash ? -seconds : seconds
  }

  /// "YYYY-MM-DDTHH:MM:SS", second 60 included.
  private static func civil(_ span: RawSpan, _ offset: Int) -> CivilTime? {
    guard span.byte(at: offset &+ 4) == Byte.dash, span.byte(at: offset &+ 7) == Byte.dash,
      span.byte(at: offset &+ 10) == UInt8(ascii: "T"),
      span.byte(at: offset &+ 13) == UInt8(ascii: ":"),
      span.byte(at: offset &+ 16) == UInt8(ascii: ":"),
      let year = span.decimal(offset..<(offset &+ 4)),
      let month = span.decimal((offset &+ 5)..<(offset &+ 7)),
      let day = span.decimal((offset &+ 8)..<(offset &+ 10)),
      let hour = span.decimal((offset &+ 11)..<(offset &+ 13)),
      let minute = span.decimal((offset &+ 14)..<(offset &+ 16)),
      let second = span.decimal((offset &+ 17)..<(offset &+ 19))
    else { return nil }
    let civil = CivilTime(
      year: year, month: month, day: day, hour: hour, minute: minute, second: second)
    return isPlausible(civil) ? civil : nil
  }

  /// Valid, or a leap second.
  static func isPlausible(_ civil: CivilTime) -> Bool {
    var plain = civil
    plain.second = min(plain.second, 59)
    return civil.second <= 60 && plain.isValid
  }

  /// Seconds since 1970 of a time that is plausible; those of second 59 for a leap second.
  static func seconds(_ civil: CivilTime) -> Int64 {
    var plain = civil
    plain.second = min(plain.second, 59)
    return plain.secondsSince1970
  }

  /// Sets the instant, kept within the years of the journal's text form.
  mutating func resolve(
    _ span: RawSpan, _ local: Int64, isLeap: Bool, offsetSeconds: Int64
  ) {
    let fraction = isLeap ? 999_999_999 : fraction(span)
    let instant = Timestamp(seconds: local &- offsetSeconds, nanoseconds: fraction)
    let kept = min(max(instant, .earliest), .latest)
    seconds = kept.seconds
    nanoseconds = kept.nanoseconds
    isExact = !isLeap && kept == instant
  }

  /// The fraction's first nine digits, in nanoseconds.
  private func fraction(_ span: RawSpan) -> UInt32 {
    var nanoseconds: UInt32 = 0
    for index in 0..<9 {
      nanoseconds &*= 10
      if index < fractionDigitCount {
        nanoseconds &+= UInt32(span.byte(at: fractionStart &+ index) &- Byte.zero)
      }
    }
    return nanoseconds
  }

  /// The instant.
  package func instant(in span: RawSpan) -> Timestamp {
    Timestamp(seconds: seconds, nanoseconds: isCopyable ? fraction(span) : nanoseconds)
  }

  /// Writes the time, whose text begins at `offset`, in the journal's form.
  @inline(__always)
  func write(
    _ span: RawSpan, _ offset: Int, _ written: inout WrittenSecond, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    guard isCopyable else {
      written.write(Timestamp(seconds: seconds, nanoseconds: nanoseconds), &writer, &memory)
      return
    }
    writer.put(verbatim: span.extracting(offset..<(offset &+ 19)), &memory)
    writer.put(UInt8(ascii: "."), &memory)
    writer.put(
      verbatim: span.extracting(fractionStart..<(fractionStart &+ fractionDigitCount)), &memory)
    SyslogTime.pad(9 &- fractionDigitCount, &writer, &memory)
  }

  @inline(__always)
  private static func pad(
    _ count: Int, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    switch count {
    case 0: writer.put("Z", &memory)
    case 3: writer.put("000Z", &memory)
    case 6: writer.put("000000Z", &memory)
    default:
      for _ in 0..<count { writer.put(Byte.zero, &memory) }
      writer.put("Z", &memory)
    }
  }
}

/// A date and time of day that was found valid, so that it need not be looked at again.
struct CheckedSecond: BitwiseCopyable, Sendable {
  /// "YYYY-MM-DDTHH:MM:SS" in three overlapping words.
  struct Words: BitwiseCopyable, Equatable, Sendable {
    var first: UInt64
    var middle: UInt64
    var last: UInt64

    @inline(__always)
    init(_ span: RawSpan, _ offset: Int) {
      first = span.word(at: offset)
      middle = span.word(at: offset &+ 8)
      last = span.word(at: offset &+ 11)
    }

    fileprivate init() {
      first = 0
      middle = 0
      last = 0
    }
  }

  var words: Words
  /// Seconds since 1970, read as UTC.
  var seconds: Int64
  /// The seconds of receipt at which an event of this second, in UTC, is stored under it.
  private var receiptFirst: Int64
  private var receiptLast: Int64

  /// None yet.
  init() {
    words = Words()
    seconds = 0
    receiptFirst = .max
    receiptLast = .min
  }

  init(_ words: Words, _ seconds: Int64, _ rules: TimeRules) {
    self.init()
    self.words = words
    self.seconds = seconds
    if let receipts = rules.receipts(of: seconds) {
      receiptFirst = receipts.lowerBound
      receiptLast = receipts.upperBound
    }
  }

  /// Whether an event of this second that is received at `second` is stored under it.
  @inline(__always)
  func isTaken(at second: Int64) -> Bool { second >= receiptFirst && second <= receiptLast }
}

/// The text of a second, so that the calendar is asked once for all events of it.
struct WrittenSecond: BitwiseCopyable, Sendable {
  private var seconds = Int64.min
  /// "YYYY-MM-DDTHH:MM:SS." and what stood behind it.
  private var words: (UInt64, UInt64, UInt64) = (0, 0, 0)

  private static let textByteCount = 20

  init() {}

  /// Writes a time in the journal's form.
  @inline(__always)
  mutating func write(
    _ time: Timestamp, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    guard time.seconds == seconds else { return remember(time, &writer, &memory) }
    writer.put(words.0, words.1, count: 16, &memory)
    writer.put(words.2, count: WrittenSecond.textByteCount - 16, &memory)
    guard time.nanoseconds > 0 else { return writer.put("000000000Z", &memory) }
    var divisor: UInt32 = 100_000_000
    while divisor > 0 {
      writer.put(Byte.zero &+ UInt8(time.nanoseconds / divisor % 10), &memory)
      divisor /= 10
    }
    writer.put("Z", &memory)
  }

  private mutating func remember(
    _ time: Timestamp, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    let start = writer.offset
    writer.put(time, &memory)
    guard !writer.isFull else { return }
    let text = memory.bytes(start..<(start &+ Timestamp.textByteCount))
    words = (text.wholeWord(at: 0), text.wholeWord(at: 8), text.wholeWord(at: 16))
    seconds = time.seconds
  }
}
