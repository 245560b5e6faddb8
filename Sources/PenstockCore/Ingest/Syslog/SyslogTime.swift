// Times of syslog messages.
//
//     RFC 3339 (RFC 5424 6.2.3, and many 3164 senders)
//         YYYY-MM-DD "T" HH:MM:SS [ "." 1*9DIGIT ] [ "Z" / ( "+" / "-" ) HH:MM ]
//     RFC 3164 4.1.2, and its dialects
//         Mmm SP ( DD / SP D / D ) SP [ YYYY SP ] HH:MM:SS [ "." 1*9DIGIT ] [ SP YYYY ] [ ":" ]
//
// A time in UTC is copied as text, its fraction padded to nine digits; checking is skipped when
// date and second are those of the message before, which under load they nearly always are. Second
// 60 is stored as the last nanosecond before the next minute. A year that is not given is the one
// that brings the time nearest to when it was received.

/// A time found in a message.
struct SyslogTime: BitwiseCopyable {
  /// Where the text of the time ends.
  var end: Int
  /// Digits of the fraction.
  var fractionDigitCount: Int
  /// Where the fraction's digits begin.
  var fractionStart: Int
  /// In UTC, and the text up to the second may be copied as it stands.
  var isCopyable: Bool
  /// The instant; meaningless when the text is copied.
  var instant = Timestamp(seconds: 0, nanoseconds: 0)
  /// The zone's text, for rebuilding: from here to `end`.
  var zoneStart: Int
  /// Whether a zone was given at all.
  var hasZone: Bool
  /// Whether the text can be told from the instant, its zone and its number of digits.
  var isExact = true

  /// Reads an RFC 3339 time at `offset`, no further than `end`.
  @inline(__always)
  init?(rfc3339 span: RawSpan, _ offset: Int, _ end: Int, _ context: inout SyslogContext) {
    guard end &- offset >= 19 else { return nil }
    let first = span.word(at: offset)
    let middle = span.word(at: offset &+ 8)
    let last = span.word(at: offset &+ 11)
    var isLeap = false
    if first != context.checkedFirst || middle != context.checkedMiddle
      || last != context.checkedLast
    {
      guard let civil = SyslogTime.civil(span, offset) else { return nil }
      isLeap = civil.second == 60
      if !isLeap {
        context.checkedFirst = first
        context.checkedMiddle = middle
        context.checkedLast = last
      }
    }
    var index = offset &+ 19
    fractionStart = index
    fractionDigitCount = 0
    if index < end, span.byte(at: index) == UInt8(ascii: ".") {
      index &+= 1
      fractionStart = index
      while index < end, span.byte(at: index) &- Byte.zero <= 9 { index &+= 1 }
      fractionDigitCount = index &- fractionStart
      guard (1...9).contains(fractionDigitCount) else { return nil }
    }
    zoneStart = index
    hasZone = true
    if index < end, span.byte(at: index) == UInt8(ascii: "Z") {
      self.end = index &+ 1
      isCopyable = !isLeap
      if isLeap {
        guard let civil = SyslogTime.civil(span, offset) else { return nil }
        resolve(span, civil, offsetSeconds: 0)
      }
      return
    }
    guard let civil = SyslogTime.civil(span, offset) else { return nil }
    isCopyable = false
    self.end = index
    if let zone = SyslogTime.zone(span, index, end) {
      self.end = index &+ 6
      resolve(span, civil, offsetSeconds: zone)
    } else {
      hasZone = false
      resolve(span, civil, offsetSeconds: context.zoneOffsetSeconds)
    }
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

  /// "YYYY-MM-DDTHH:MM:SS"; second 60 only where a leap second can be.
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
    var civil = CivilTime(
      year: year, month: month, day: day, hour: hour, minute: minute, second: min(second, 59))
    guard second <= 60, civil.isValid else { return nil }
    civil.second = second
    return civil
  }

  /// Sets the instant, kept within the years of the journal's text form.
  private mutating func resolve(_ span: RawSpan, _ civil: CivilTime, offsetSeconds: Int64) {
    var nanoseconds: UInt32 = 0
    for index in 0..<9 {
      nanoseconds *= 10
      if index < fractionDigitCount {
        nanoseconds += UInt32(span.byte(at: fractionStart &+ index) &- Byte.zero)
      }
    }
    var plain = civil
    if civil.second == 60 {
      plain.second = 59
      nanoseconds = 999_999_999
    }
    let instant = Timestamp(
      seconds: plain.secondsSince1970 - offsetSeconds, nanoseconds: nanoseconds)
    self.instant = min(max(instant, .earliest), .latest)
    isExact = civil.second != 60 && self.instant == instant
  }

  /// Writes the time in the journal's form.
  @inline(__always)
  func write(
    _ span: RawSpan, _ offset: Int, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    guard isCopyable else {
      writer.put(instant, &memory)
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

  // MARK: - RFC 3164

  private static let months: InlineArray<12, StaticString> = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// Reads an RFC 3164 time at `offset`, no further than `end`.
  init?(
    rfc3164 span: RawSpan, _ offset: Int, _ end: Int, receivedAt: Timestamp,
    zoneOffsetSeconds: Int64
  ) {
    guard end &- offset >= 14 else { return nil }
    var month = 0
    for index in 0..<12 where span.hasBytes(SyslogTime.months[index], at: offset) {
      month = index &+ 1
    }
    guard month > 0, span.byte(at: offset &+ 3) == Byte.space else { return nil }
    var index = offset &+ 4
    if span.byte(at: index) == Byte.space { index &+= 1 }
    guard let (day, dayEnd) = SyslogTime.number(span, index, end, digitCountMax: 2),
      dayEnd < end, span.byte(at: dayEnd) == Byte.space
    else { return nil }
    index = dayEnd &+ 1
    var year: Int?
    if let (number, numberEnd) = SyslogTime.number(span, index, end, digitCountMax: 4),
      numberEnd &- index == 4, numberEnd < end, span.byte(at: numberEnd) == Byte.space
    {
      year = number
      index = numberEnd &+ 1
    }
    guard end &- index >= 8, span.byte(at: index &+ 2) == UInt8(ascii: ":"),
      span.byte(at: index &+ 5) == UInt8(ascii: ":"),
      let hour = span.decimal(index..<(index &+ 2)),
      let minute = span.decimal((index &+ 3)..<(index &+ 5)),
      let second = span.decimal((index &+ 6)..<(index &+ 8)), second <= 60
    else { return nil }
    index &+= 8
    fractionStart = index
    fractionDigitCount = 0
    if index < end, span.byte(at: index) == UInt8(ascii: ".") {
      fractionStart = index &+ 1
      index &+= 1
      while index < end, span.byte(at: index) &- Byte.zero <= 9 { index &+= 1 }
      fractionDigitCount = min(9, index &- fractionStart)
    }
    if year == nil, index &+ 5 <= end, span.byte(at: index) == Byte.space,
      let (number, numberEnd) = SyslogTime.number(span, index &+ 1, end, digitCountMax: 4),
      numberEnd &- index == 5, (1970...2199).contains(number),
      numberEnd == end || span.byte(at: numberEnd) == Byte.space
        || span.byte(at: numberEnd) == UInt8(ascii: ":")
    {
      year = number
      index = numberEnd
    }
    self.end = index
    isCopyable = false
    zoneStart = index
    hasZone = false
    var civil = CivilTime(
      year: year ?? 0, month: month, day: day, hour: hour, minute: minute, second: second)
    if year == nil {
      guard let nearest = SyslogTime.nearestYear(civil, receivedAt, zoneOffsetSeconds) else {
        return nil
      }
      civil.year = nearest
    }
    guard CivilTime.isPlausible(civil) else { return nil }
    resolve(span, civil, offsetSeconds: zoneOffsetSeconds)
  }

  private static func number(_ span: RawSpan, _ offset: Int, _ end: Int, digitCountMax: Int)
    -> (Int, Int)?
  {
    var index = offset
    while index < end, index &- offset < digitCountMax, span.byte(at: index) &- Byte.zero <= 9 {
      index &+= 1
    }
    return span.decimal(offset..<index).map { ($0, index) }
  }

  /// The year that brings the date nearest to `receivedAt`; a leap day's may be years away.
  private static func nearestYear(
    _ civil: CivilTime, _ receivedAt: Timestamp, _ zoneOffsetSeconds: Int64
  ) -> Int? {
    let now = receivedAt.seconds &+ zoneOffsetSeconds
    let current = CivilTime(secondsSince1970: now).year
    var thisYear = civil
    thisYear.year = current
    // Less than half a year away, and no other year can be nearer.
    if CivilTime.isPlausible(thisYear), abs(thisYear.secondsSince1970 - now) < 182 * 86_400 {
      return current
    }
    var best: (distance: Int64, year: Int)?
    for year in (current - 8)...(current + 8) {
      var candidate = civil
      candidate.year = year
      guard CivilTime.isPlausible(candidate) else { continue }
      let distance = abs(candidate.secondsSince1970 - now)
      if best.map({ distance < $0.distance }) ?? true { best = (distance, year) }
    }
    return best?.year
  }
}

extension CivilTime {
  /// Valid, or a leap second.
  static func isPlausible(_ civil: CivilTime) -> Bool {
    var plain = civil
    plain.second = min(plain.second, 59)
    return civil.second <= 60 && plain.isValid
  }
}
