// The times of neighbouring lines, read and written: most lie in the second of the line before, of
// which all but the fraction is known.

internal import PenstockCore

/// The first 20 bytes of a time's text form: everything down to the point.
private struct SecondText: Equatable {
  var first: UInt64 = 0
  var second: UInt64 = 0
  var third: UInt32 = 0

  init() {}

  @inline(__always)
  init(_ span: RawSpan, at offset: Int) {
    first = span.word(at: offset)
    second = span.word(at: offset &+ 8)
    third = UInt32(truncatingIfNeeded: span.word(at: offset &+ 16))
  }
}

/// Reads times from lines.
struct JournalTimeReader {
  private var text = SecondText()
  private var seconds: Int64 = 0

  /// The time at `offset`; nil when it is none.
  @inline(__always)
  mutating func time(_ span: RawSpan, at offset: Int) -> Timestamp? {
    guard offset &+ Timestamp.textByteCount <= span.byteCount else { return nil }
    let text = SecondText(span, at: offset)
    guard text == self.text, span.byte(at: offset &+ 29) == UInt8(ascii: "Z"),
      let fraction = JournalTimeReader.nineDigits(span, at: offset &+ 20)
    else { return newSecond(span, at: offset, text) }
    return Timestamp(seconds: seconds, nanoseconds: fraction)
  }

  private mutating func newSecond(_ span: RawSpan, at offset: Int, _ text: SecondText)
    -> Timestamp?
  {
    guard let time = Timestamp(journalText: span, at: offset) else { return nil }
    self.text = text
    seconds = time.seconds
    return time
  }

  /// The number nine digits stand for.
  @inline(__always)
  private static func nineDigits(_ span: RawSpan, at offset: Int) -> UInt32? {
    let word = span.word(at: offset) &- 0x3030_3030_3030_3030
    let last = span.byte(at: offset &+ 8) &- Byte.zero
    guard (word | (word &+ 0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080 == 0, last <= 9 else {
      return nil
    }
    // Digits, then pairs, then fours are brought together: the first digit stands lowest.
    let pairs = (word &* 10 &+ word >> 8) & 0x00FF_00FF_00FF_00FF
    let fours = (pairs &* 100 &+ pairs >> 16) & 0x0000_FFFF_0000_FFFF
    let eight = (fours &* 10_000 &+ fours >> 32) & 0xFFFF_FFFF
    return UInt32(truncatingIfNeeded: eight) &* 10 &+ UInt32(last)
  }
}

/// Writes times into lines.
struct JournalTimeWriter {
  private var text = SecondText()
  private var seconds: Int64?

  /// Writes the text form, 30 bytes, at `offset`.
  @inline(__always)
  mutating func write(_ time: Timestamp, into memory: inout AlignedBuffer, at offset: Int) {
    guard time.seconds == seconds else { return newSecond(time, into: &memory, at: offset) }
    memory.store(text.first, at: offset)
    memory.store(text.second, at: offset &+ 8)
    memory.store(text.third, at: offset &+ 16)
    memory.store(JournalTimeWriter.eightDigits(time.nanoseconds / 10), at: offset &+ 20)
    let last = Byte.zero &+ UInt8(truncatingIfNeeded: time.nanoseconds % 10)
    memory.store(last, at: offset &+ 28)
    memory.store(UInt8(ascii: "Z"), at: offset &+ 29)
  }

  private mutating func newSecond(
    _ time: Timestamp, into memory: inout AlignedBuffer, at offset: Int
  ) {
    time.write(into: &memory, at: offset)
    text = SecondText(memory.bytes, at: offset)
    seconds = time.seconds
  }

  /// Eight decimal digits, the first lowest.
  @inline(__always)
  private static func eightDigits(_ value: UInt32) -> UInt64 {
    let fours = UInt64(value / 10_000) | UInt64(value % 10_000) << 32
    // Division by multiplication in both halves, then in all four quarters.
    let hundreds = ((fours &* 10_486) >> 20) & 0x0000_007F_0000_007F
    let pairs = hundreds | (fours &- 100 &* hundreds) << 16
    let tens = ((pairs &* 103) >> 10) & 0x000F_000F_000F_000F
    let digits = tens | (pairs &- 10 &* tens) << 8
    return digits | 0x3030_3030_3030_3030
  }
}
