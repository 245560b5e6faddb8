// Times of RFC 3164 (4.1.2) and its dialects.
//
//     Mmm SP ( DD / SP D / D ) SP [ YYYY SP ] HH:MM:SS [ "." 1*DIGIT ] [ SP YYYY ] [ ":" ]
//
// A year that is not given is the one that brings the time nearest to its receipt, and a zone is
// the listener's. Months may be written in capitals.

extension SyslogTime {
  /// Reads an RFC 3164 time at `offset`, no further than `end`.
  init?(
    bsd span: RawSpan, _ offset: Int, _ end: Int, receivedAt: Timestamp,
    _ context: inout SyslogContext
  ) {
    guard end &- offset >= 14, let month = SyslogTime.month(span.word(at: offset)) else {
      return nil
    }
    var index = offset &+ 4
    if span.byte(at: index) == Byte.space { index &+= 1 }
    guard let day = SyslogTime.number(span, &index, end, digitCountMax: 2), index < end,
      span.byte(at: index) == Byte.space
    else { return nil }
    index &+= 1
    var year: Int?
    var behind = index
    if let number = SyslogTime.number(span, &behind, end, digitCountMax: 4),
      behind &- index == 4, behind < end, span.byte(at: behind) == Byte.space
    {
      year = number
      index = behind &+ 1
    }
    guard end &- index >= 8, span.byte(at: index &+ 2) == UInt8(ascii: ":"),
      span.byte(at: index &+ 5) == UInt8(ascii: ":"),
      let hour = span.decimal(index..<(index &+ 2)),
      let minute = span.decimal((index &+ 3)..<(index &+ 5)),
      let second = span.decimal((index &+ 6)..<(index &+ 8))
    else { return nil }
    self.init(end: index &+ 8)
    if self.end < end, span.byte(at: self.end) == UInt8(ascii: ".") {
      _ = takeFraction(span, end)
      fractionDigitCount = min(fractionDigitCount, 9)
    }
    if year == nil { year = takeYear(span, end) }
    zoneStart = self.end
    var civil = CivilTime(
      year: year ?? 0, month: month, day: day, hour: hour, minute: minute, second: second)
    if year == nil {
      guard let nearest = context.years.nearest(civil, receivedAt, context.rules) else {
        return nil
      }
      civil.year = nearest
      hasYear = false
    }
    guard SyslogTime.isPlausible(civil) else { return nil }
    resolve(
      span, SyslogTime.seconds(civil), isLeap: second == 60,
      offsetSeconds: context.rules.zoneOffsetSeconds ?? 0)
  }

  /// A year behind the time of day, with which Cisco's and others end.
  private mutating func takeYear(_ span: RawSpan, _ end: Int) -> Int? {
    var index = self.end &+ 1
    guard index &+ 4 <= end, span.byte(at: self.end) == Byte.space,
      let number = SyslogTime.number(span, &index, end, digitCountMax: 4),
      index &- self.end == 5, (1970...2199).contains(number)
    else { return nil }
    // What an IPv6 address begins with is no year.
    let isLast = index == end || span.byte(at: index) == Byte.space
    guard isLast || span.hasBytes(": ", at: index) else { return nil }
    self.end = index
    return number
  }

  /// The number of the month whose three letters, and a space, are the lowest bytes of `word`.
  @inline(__always)
  private static func month(_ word: UInt64) -> Int? {
    guard word & 0xFF00_0000 == 0x2000_0000 else { return nil }
    switch word & 0xDFDFDF {
    case 0x4E414A: return 1
    case 0x424546: return 2
    case 0x52414D: return 3
    case 0x525041: return 4
    case 0x59414D: return 5
    case 0x4E554A: return 6
    case 0x4C554A: return 7
    case 0x475541: return 8
    case 0x504553: return 9
    case 0x54434F: return 10
    case 0x564F4E: return 11
    case 0x434544: return 12
    default: return nil
    }
  }

  /// The number at `index`, of so many digits at most, and `index` behind them.
  @inline(__always)
  private static func number(
    _ span: RawSpan, _ index: inout Int, _ end: Int, digitCountMax: Int
  ) -> Int? {
    let start = index
    var value = 0
    while index < end, index &- start < digitCountMax {
      let digit = span.byte(at: index) &- Byte.zero
      guard digit <= 9 else { break }
      value = value &* 10 &+ Int(digit)
      index &+= 1
    }
    return index > start ? value : nil
  }

  /// Takes the time, which was read in the listener's zone, for one in UTC.
  mutating func setUTC(_ rules: TimeRules) {
    hasZone = true
    guard let zone = rules.zoneOffsetSeconds else { return }
    let moved = Timestamp(seconds: seconds, nanoseconds: nanoseconds).adding(seconds: zone)
    seconds = moved.seconds
    nanoseconds = moved.nanoseconds
  }
}

/// Guesses years. Remembers the present one: finding it takes divisions.
struct SyslogYears: BitwiseCopyable, Sendable {
  private var present = 0
  /// The present year's seconds, as the listener's clock shows them.
  private var first: Int64 = .max
  private var last: Int64 = .min

  /// Half a year less a day: no other year can be nearer than one that is not further away.
  private static let nearSeconds: Int64 = 182 * 86_400
  /// Years looked at in either direction: among them is a leap year.
  private static let distanceMax = 8

  init() {}

  /// The year that brings the date nearest to `receivedAt`; a leap day's may be years away.
  mutating func nearest(_ civil: CivilTime, _ receivedAt: Timestamp, _ rules: TimeRules) -> Int? {
    let now = receivedAt.seconds &+ (rules.zoneOffsetSeconds ?? 0)
    if now < first || now > last { look(now) }
    var candidate = civil
    candidate.year = present
    if SyslogTime.isPlausible(candidate),
      abs(SyslogTime.seconds(candidate) &- now) < SyslogYears.nearSeconds
    {
      return present
    }
    var best: (distance: Int64, year: Int)?
    for year in (present - SyslogYears.distanceMax)...(present + SyslogYears.distanceMax) {
      candidate.year = year
      guard SyslogTime.isPlausible(candidate) else { continue }
      let distance = abs(SyslogTime.seconds(candidate) &- now)
      if best.map({ distance < $0.distance }) ?? true { best = (distance, year) }
    }
    return best?.year
  }

  private mutating func look(_ now: Int64) {
    present = CivilTime(secondsSince1970: now).year
    var begin = CivilTime(year: present, month: 1, day: 1, hour: 0, minute: 0, second: 0)
    first = begin.secondsSince1970
    begin.year += 1
    last = begin.secondsSince1970 &- 1
  }
}
