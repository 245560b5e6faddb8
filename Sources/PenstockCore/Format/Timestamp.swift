// An instant, and its one text form in the journal:
//
//     2026-11-21T03:47:52.123456789Z        30 bytes, years 0000–9999, always nine digits, UTC
//
// The calendar is the proleptic Gregorian one (RFC 3339). A leap second, :60, is kept in the text
// of its source and stored as the last nanosecond before the next second, since the journal's
// instants are those of POSIX time.

/// Nanoseconds since 1970-01-01T00:00:00Z, as whole seconds and a rest.
package struct Timestamp: Hashable, Comparable, Sendable, BitwiseCopyable {
  /// Whole seconds since 1970, negative before.
  package var seconds: Int64
  /// 0 … 999,999,999, counted forward from `seconds`.
  package var nanoseconds: UInt32

  @inlinable
  package init(seconds: Int64, nanoseconds: UInt32) {
    precondition(nanoseconds < 1_000_000_000)
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  /// Bytes of the text form.
  package static let textByteCount = 30
  /// 0000-01-01T00:00:00Z.
  package static let earliest = Timestamp(seconds: -62_167_219_200, nanoseconds: 0)
  /// The last nanosecond of the year 9999.
  package static let latest = Timestamp(seconds: 253_402_300_799, nanoseconds: 999_999_999)

  @inlinable
  package static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.seconds != right.seconds
      ? left.seconds < right.seconds : left.nanoseconds < right.nanoseconds
  }

  /// Nanoseconds since 1970 as one number: fits any year of the text form.
  package var nanosecondsSince1970: Int128 {
    Int128(seconds) * 1_000_000_000 + Int128(nanoseconds)
  }

  /// The instant `total` nanoseconds after 1970, kept within the years of the text form.
  package init(nanosecondsSince1970 total: Int128) {
    let clamped = min(
      max(total, Timestamp.earliest.nanosecondsSince1970), Timestamp.latest.nanosecondsSince1970)
    let (quotient, remainder) = clamped.quotientAndRemainder(dividingBy: 1_000_000_000)
    let borrow: Int128 = remainder < 0 ? 1 : 0
    seconds = Int64(quotient - borrow)
    nanoseconds = UInt32(remainder + borrow * 1_000_000_000)
  }

  /// The instant moved by `seconds`, kept within the years of the text form.
  package func adding(seconds offset: Int64) -> Timestamp {
    let (moved, overflow) = seconds.addingReportingOverflow(offset)
    guard !overflow else { return offset > 0 ? .latest : .earliest }
    return min(max(Timestamp(seconds: moved, nanoseconds: nanoseconds), .earliest), .latest)
  }
}

// MARK: - Calendar

/// A date and time of day without a zone.
package struct CivilTime: Equatable, Sendable {
  package var year: Int
  package var month: Int
  package var day: Int
  package var hour: Int
  package var minute: Int
  package var second: Int

  package init(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
    self.year = year
    self.month = month
    self.day = day
    self.hour = hour
    self.minute = minute
    self.second = second
  }

  /// Days in `month` of `year`.
  package static func dayCount(year: Int, month: Int) -> Int {
    switch month {
    case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Whether each field is within its bounds; second 60 is not.
  package var isValid: Bool {
    (0...9999).contains(year) && (1...12).contains(month) && day >= 1
      && day <= CivilTime.dayCount(year: year, month: month)
      && (0...23).contains(hour) && (0...59).contains(minute) && (0...59).contains(second)
  }

  /// Seconds since 1970 of this time in UTC. (Days from civil, Howard Hinnant's algorithm.)
  package var secondsSince1970: Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = era * 146_097 + dayOfEra - 719_468
    return Int64(days) * 86_400 + Int64(hour * 3600 + minute * 60 + second)
  }

  /// The date and time in UTC `seconds` after 1970.
  package init(secondsSince1970 seconds: Int64) {
    var days = Int(seconds / 86_400)
    var rest = Int(seconds % 86_400)
    if rest < 0 {
      rest += 86_400
      days -= 1
    }
    days += 719_468
    let era = (days >= 0 ? days : days - 146_096) / 146_097
    let dayOfEra = days - era * 146_097
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
    day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    hour = rest / 3600
    minute = rest / 60 % 60
    second = rest % 60
  }
}

// MARK: - Text

extension Timestamp {
  /// Reads the journal's text form at `offset`; nil when it is not exactly that.
  package init?(journalText span: RawSpan, at offset: Int) {
    guard offset >= 0, offset + Timestamp.textByteCount <= span.byteCount else { return nil }
    guard span.byte(at: offset + 4) == Byte.dash, span.byte(at: offset + 7) == Byte.dash,
      span.byte(at: offset + 10) == UInt8(ascii: "T"),
      span.byte(at: offset + 13) == UInt8(ascii: ":"),
      span.byte(at: offset + 16) == UInt8(ascii: ":"),
      span.byte(at: offset + 19) == UInt8(ascii: "."),
      span.byte(at: offset + 29) == UInt8(ascii: "Z")
    else { return nil }
    guard let year = span.decimal(offset..<(offset + 4)),
      let month = span.decimal((offset + 5)..<(offset + 7)),
      let day = span.decimal((offset + 8)..<(offset + 10)),
      let hour = span.decimal((offset + 11)..<(offset + 13)),
      let minute = span.decimal((offset + 14)..<(offset + 16)),
      let second = span.decimal((offset + 17)..<(offset + 19)),
      let fraction = span.decimal((offset + 20)..<(offset + 29))
    else { return nil }
    let civil = CivilTime(
      year: year, month: month, day: day, hour: hour, minute: minute, second: second)
    guard civil.isValid else { return nil }
    self.init(seconds: civil.secondsSince1970, nanoseconds: UInt32(fraction))
  }

  /// Writes the journal's text form, 30 bytes, at `offset`.
  package func write(into memory: inout AlignedBuffer, at offset: Int) {
    withTextBytes { index, byte in memory.store(byte, at: offset &+ index) }
  }

  /// Appends the journal's text form, 30 bytes.
  package func append(to bytes: inout [UInt8]) {
    let start = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: Timestamp.textByteCount))
    withTextBytes { index, byte in bytes[start &+ index] = byte }
  }

  /// The journal's text form. For cold paths: it allocates.
  package var text: String {
    var bytes: [UInt8] = []
    append(to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  @inline(__always)
  private func withTextBytes(_ put: (Int, UInt8) -> Void) {
    let civil = CivilTime(secondsSince1970: seconds)
    func digits(_ value: Int, count: Int, at offset: Int) {
      var rest = value
      var index = count &- 1
      var packed: UInt64 = 0
      while index >= 0 {
        packed = packed << 4 | UInt64(rest % 10)
        rest /= 10
        index &-= 1
      }
      for index in 0..<count {
        put(offset &+ index, Byte.zero &+ UInt8(truncatingIfNeeded: packed & 0xF))
        packed >>= 4
      }
    }
    digits(civil.year, count: 4, at: 0)
    put(4, Byte.dash)
    digits(civil.month, count: 2, at: 5)
    put(7, Byte.dash)
    digits(civil.day, count: 2, at: 8)
    put(10, UInt8(ascii: "T"))
    digits(civil.hour, count: 2, at: 11)
    put(13, UInt8(ascii: ":"))
    digits(civil.minute, count: 2, at: 14)
    put(16, UInt8(ascii: ":"))
    digits(civil.second, count: 2, at: 17)
    put(19, UInt8(ascii: "."))
    digits(Int(nanoseconds), count: 9, at: 20)
    put(29, UInt8(ascii: "Z"))
  }
}
