// The times of events in files.
//
//     text      RFC 3339, the date alone, or without a zone: UTC (TimeText)
//     number    since 1970, whole or with a fraction, of the unit that its size tells:
//
//               below 10^11   seconds          up to the year 5138
//               below 10^14   milliseconds     from 1973 on
//               below 10^17   microseconds     from 1973 on
//               else          nanoseconds      from 1973 on
//
// An exponent is read as a double has it. Times outside the years 0000–9999 are none.

package import PenstockCore

/// Reads times of events.
package enum ImportTime {
  /// The time that `span` holds; nil when it is none.
  package static func parse(_ span: RawSpan) -> Timestamp? {
    number(span) ?? TimeText.instant(span)
  }

  /// The time a line begins with, up to a space, a TAB or its end.
  package static func leading(_ span: RawSpan) -> Timestamp? {
    // The two parts of a time may have a space between them.
    if span.byteCount > 10, span.byte(at: 10) == Byte.space,
      let time = TimeText.instant(word(span, from: 11))
    {
      return time
    }
    return TimeText.instant(word(span, from: 0))
  }

  @_lifetime(copy span)
  private static func word(_ span: RawSpan, from start: Int) -> RawSpan {
    let space = span.nearIndex(of: Byte.space, from: start, to: span.byteCount)
    return span.extracting(0..<span.nearIndex(of: Byte.tab, from: start, to: space))
  }

  private static func number(_ span: RawSpan) -> Timestamp? {
    var offset = 0
    let isNegative = span.byteCount > 0 && span.byte(at: 0) == Byte.dash
    if isNegative { offset = 1 }
    let start = offset
    var whole: Int128 = 0
    while offset < span.byteCount, span.byte(at: offset) &- Byte.zero <= 9 {
      // Longer numbers are beyond the year 9999 in any unit.
      guard offset - start < 24 else { return nil }
      whole = whole * 10 + Int128(span.byte(at: offset) &- Byte.zero)
      offset += 1
    }
    guard offset > start else { return nil }
    var fraction: Int128 = 0
    var digitCount = 0
    if offset < span.byteCount, span.byte(at: offset) == UInt8(ascii: ".") {
      offset += 1
      let first = offset
      while offset < span.byteCount, span.byte(at: offset) &- Byte.zero <= 9 {
        if digitCount < 9 {
          fraction = fraction * 10 + Int128(span.byte(at: offset) &- Byte.zero)
          digitCount += 1
        }
        offset += 1
      }
      guard offset > first else { return nil }
    }
    while digitCount < 9 {
      fraction *= 10
      digitCount += 1
    }
    if offset < span.byteCount {
      guard span.byte(at: offset) | 0x20 == UInt8(ascii: "e"), span.byteCount <= 64,
        let value = Double(String(span: span)), value.magnitude < 1e30
      else { return nil }
      whole = Int128(value.magnitude)
      fraction = Int128((value.magnitude - Double(whole)) * 1e9)
    }
    let unit: Int128 =
      whole < 100_000_000_000
      ? 1_000_000_000
      : whole < 100_000_000_000_000 ? 1_000_000 : whole < 100_000_000_000_000_000 ? 1000 : 1
    let size = whole * unit + fraction * unit / 1_000_000_000
    let total = isNegative ? -size : size
    guard total >= Timestamp.earliest.nanosecondsSince1970,
      total <= Timestamp.latest.nanosecondsSince1970
    else { return nil }
    return Timestamp(nanosecondsSince1970: total)
  }
}
