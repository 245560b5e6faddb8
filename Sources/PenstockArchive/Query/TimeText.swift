// Times as people type them: for --since and --until.
//
//     time     = "now" | ago | instant
//     ago      = 1*digit ( "s" | "m" | "h" | "d" | "w" ) [ " ago" ]      ; before now
//     instant  = date [ ( "T" | "t" | " " ) hh ":" mm [ ":" ss [ "." 1*digit ] ] [ zone ] ]
//     date     = yyyy "-" mm "-" dd
//     zone     = "Z" | "z" | ( "+" | "-" ) hh ":" mm                     ; UTC when left out
//
// An instant with seconds and zone is RFC 3339. Digits behind the ninth of a fraction are dropped;
// second 60, a leap second, is the last nanosecond before the next second.

package import PenstockCore

/// Reads times that people type.
package enum TimeText {
  /// A text that is not a time: what was expected.
  package struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
    package var description: String
  }

  /// The instant that `text` means at `now`.
  package static func parse(_ text: String, now: Timestamp) throws(Fault) -> Timestamp {
    let bytes = Array(text.utf8)
    if text == "now" { return now }
    if let seconds = ago(bytes) {
      return Timestamp(
        nanosecondsSince1970: now.nanosecondsSince1970 - Int128(seconds) * 1_000_000_000)
    }
    guard let instant = instant(bytes.rawSpan) else {
      throw Fault(
        description: "'\(text)' is not a time; write 2026-11-21T03:47:52Z, 2026-11-21, now, "
          + "or how long ago: 30s, 15m, 2h, 3d, 1w")
    }
    return instant
  }

  private static func ago(_ bytes: [UInt8]) -> Int? {
    var text = bytes[...]
    if text.count > 4, text.suffix(4).elementsEqual(" ago".utf8) { text.removeLast(4) }
    guard let unit = text.popLast() else { return nil }
    let factor: Int
    switch unit {
    case UInt8(ascii: "s"): factor = 1
    case UInt8(ascii: "m"): factor = 60
    case UInt8(ascii: "h"): factor = 3600
    case UInt8(ascii: "d"): factor = 86_400
    case UInt8(ascii: "w"): factor = 604_800
    default: return nil
    }
    let digits = Array(text)
    // Twelve digits of seconds reach past the year 0, where times end anyway.
    guard let count = digits.rawSpan.decimal(0..<digits.count, digitCountMax: 12) else {
      return nil
    }
    return count * factor
  }

  /// The instant `span` holds, as above; nil for anything else.
  package static func instant(_ span: RawSpan) -> Timestamp? {
    let end = span.byteCount
    guard end >= 10, span.byte(at: 4) == Byte.dash, span.byte(at: 7) == Byte.dash,
      let year = span.decimal(0..<4), let month = span.decimal(5..<7),
      let day = span.decimal(8..<10)
    else { return nil }
    var civil = CivilTime(year: year, month: month, day: day, hour: 0, minute: 0, second: 0)
    var nanoseconds: UInt32 = 0
    var zoneSeconds = 0
    if end > 10 {
      guard end >= 16, "Tt ".utf8.contains(span.byte(at: 10)),
        let hour = span.decimal(11..<13), span.byte(at: 13) == colon,
        let minute = span.decimal(14..<16)
      else { return nil }
      civil.hour = hour
      civil.minute = minute
      var offset = 16
      if offset < end, span.byte(at: offset) == colon {
        guard offset + 3 <= end, let second = span.decimal((offset + 1)..<(offset + 3)) else {
          return nil
        }
        civil.second = second
        offset += 3
        if offset < end, span.byte(at: offset) == UInt8(ascii: ".") {
          guard let parsed = fraction(span, from: offset + 1) else { return nil }
          nanoseconds = parsed.nanoseconds
          offset = parsed.end
        }
      }
      guard let zone = zone(span, offset..<end) else { return nil }
      zoneSeconds = zone
    }
    if civil.second == 60 {
      civil.second = 59
      nanoseconds = 999_999_999
    }
    guard civil.isValid else { return nil }
    return Timestamp(seconds: civil.secondsSince1970, nanoseconds: nanoseconds)
      .adding(seconds: Int64(-zoneSeconds))
  }

  private static let colon = UInt8(ascii: ":")

  private static func fraction(_ span: RawSpan, from: Int) -> (nanoseconds: UInt32, end: Int)? {
    var value: UInt32 = 0
    var offset = from
    while offset < span.byteCount {
      let digit = span.byte(at: offset) &- Byte.zero
      guard digit <= 9 else { break }
      if offset - from < 9 { value = value * 10 + UInt32(digit) }
      offset += 1
    }
    guard offset > from else { return nil }
    for _ in 0..<max(0, 9 - (offset - from)) { value *= 10 }
    return (value, offset)
  }

  /// Seconds east of UTC.
  private static func zone(_ span: RawSpan, _ range: ByteRange) -> Int? {
    if range.isEmpty { return 0 }
    let sign = span.byte(at: range.lowerBound)
    if range.count == 1 { return sign == UInt8(ascii: "Z") || sign == UInt8(ascii: "z") ? 0 : nil }
    let start = range.lowerBound + 1
    guard range.count == 6, span.byte(at: start + 2) == colon,
      sign == UInt8(ascii: "+") || sign == Byte.dash,
      let hours = span.decimal(start..<(start + 2)), hours < 24,
      let minutes = span.decimal((start + 3)..<(start + 5)), minutes < 60
    else { return nil }
    return (hours * 3600 + minutes * 60) * (sign == Byte.dash ? -1 : 1)
  }
}
