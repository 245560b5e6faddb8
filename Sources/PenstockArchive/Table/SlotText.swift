// The text of a slot's value.

internal import PenstockCore

/// Writes values as the text they were taken from; told in TextColumn.swift.
struct SlotText: ~Copyable {
  // In memory of their own: tables inside of the value are copied where it is lent.

  /// For each count of digits, the number of the first string that has as many.
  let decimalStarts: NumberBuffer
  let hexadecimalStarts: NumberBuffer
  /// For each number below 256 its digits and a dot, first lowest, and in the upper half how many
  /// bytes these are.
  private let octets: NumberBuffer

  private let monthNames: NumberBuffer

  init() {
    decimalStarts = SlotText.starts(base: 10, countMax: 20)
    hexadecimalStarts = SlotText.starts(base: 16, countMax: 16)
    var months = NumberBuffer(capacity: 12)
    for name in [
      0x6E_614A, 0x62_6546, 0x72_614D, 0x72_7041, 0x79_614D, 0x6E_754A, 0x6C_754A, 0x67_7541,
      0x70_6553, 0x74_634F, 0x76_6F4E, 0x63_6544,
    ] as [UInt64] {
      months.append(name)
    }
    monthNames = months
    var octets = NumberBuffer(capacity: 256)
    for number in 0..<256 as Range<UInt64> {
      let count: UInt64 = number < 10 ? 1 : number < 100 ? 2 : 3
      var bytes = UInt64(UInt8(ascii: "."))
      var rest = number
      for _ in 0..<count {
        bytes = bytes << 8 | (rest % 10 + 0x30)
        rest /= 10
      }
      octets.append(bytes | (count + 1) << 32)
    }
    self.octets = octets
  }

  private static func starts(base: UInt64, countMax: Int) -> NumberBuffer {
    var starts = NumberBuffer(capacity: countMax + 1)
    starts.append(zeros: 2)
    for count in 2...countMax { starts.append(starts[count - 1] &* base &+ base) }
    return starts
  }

  /// The month, from 0 on, whose three letters these are, first lowest.
  @inline(__always)
  func month(_ letters: UInt32) -> Int? {
    for month in 0..<12 where monthNames[month] == UInt64(letters) { return month }
    return nil
  }

  /// Eight decimal digits, the first lowest.
  @inline(__always)
  static func eightDigits(_ value: UInt64) -> UInt64 {
    let fours = value / 10_000 | (value % 10_000) << 32
    // Division by multiplication in both halves, then in all four quarters.
    let hundreds = ((fours &* 10_486) >> 20) & 0x0000_007F_0000_007F
    let pairs = hundreds | (fours &- 100 &* hundreds) << 16
    let tens = ((pairs &* 103) >> 10) & 0x000F_000F_000F_000F
    let digits = tens | (pairs &- 10 &* tens) << 8
    return digits | 0x3030_3030_3030_3030
  }

  /// Writes `count` digits, 1 to 19, of a number that has no more; up to seven bytes more are
  /// overwritten.
  @inline(__always)
  private static func put(
    _ value: UInt64, digits count: Int, _ memory: inout ColumnBuffer, _ offset: Int
  ) {
    if count <= 8 {
      memory.put(eightDigits(value) >> UInt64(64 &- 8 &* count), at: offset)
      return
    }
    let (high, low) = value.quotientAndRemainder(dividingBy: 100_000_000)
    if count <= 16 {
      let first = count &- 8
      memory.put(eightDigits(high) >> UInt64(64 &- 8 &* first), at: offset)
      memory.put(eightDigits(low), at: offset &+ first)
      return
    }
    let (highest, middle) = high.quotientAndRemainder(dividingBy: 100_000_000)
    let first = count &- 16
    memory.put(eightDigits(highest) >> UInt64(64 &- 8 &* first), at: offset)
    memory.put(eightDigits(middle), at: offset &+ first)
    memory.put(eightDigits(low), at: offset &+ first &+ 8)
  }

  /// How many digits the string with this number has; 20 when there is none.
  @inline(__always)
  private func decimalCount(_ value: UInt64) -> Int {
    // 1,233 / 4,096 is a little less than log10 of 2.
    let guess = Swift.max(1, ((64 &- value.leadingZeroBitCount) &* 1_233) &>> 12)
    return value >= decimalStarts[guess &+ 1] ? guess &+ 1 : guess
  }

  /// Writes a string of one to three digits; how many.
  @inline(__always)
  private static func putSmall(
    _ value: UInt64, _ memory: inout ColumnBuffer, _ offset: Int
  ) -> Int {
    let count = value < 10 ? 1 : value < 110 ? 2 : 3
    let number = value < 10 ? value : value < 110 ? value &- 10 : value &- 110
    // Divisions by multiplication, exact below a thousand and below a hundred.
    let hundreds = (number &* 41) >> 12
    let rest = number &- 100 &* hundreds
    let tens = (rest &* 103) >> 10
    let digits = hundreds | tens << 8 | (rest &- 10 &* tens) << 16 | 0x30_3030
    memory.put(digits &>> UInt64(truncatingIfNeeded: 24 &- 8 &* count), at: offset)
    return count
  }

  /// Writes a string of digits at `offset`: how many; up to seven bytes more are overwritten. Nil when
  /// it would have more than a slot may.
  @inline(__always)
  func putDigits(_ value: UInt64, _ memory: inout ColumnBuffer, _ offset: Int) -> Int? {
    if value < 1_110 { return SlotText.putSmall(value, &memory, offset) }
    let count = decimalCount(value)
    guard count <= TextSlot.digitCountMax else { return nil }
    SlotText.put(value &- decimalStarts[count], digits: count, &memory, offset)
    return count
  }

  /// Writes a value other than a string at `offset`: how many bytes, 20 at most; up to seven more are
  /// overwritten. Nil when the slot has no such value.
  @inline(__always)
  func put(
    _ value: UInt64, _ slot: TextSlot, _ memory: inout ColumnBuffer, _ offset: Int
  ) -> Int? {
    switch slot {
    case .digits: return putDigits(value, &memory, offset)
    case .address: return putAddress(value, &memory, offset)
    case .clock: return SlotText.putClock(value, &memory, offset)
    case .clockMicroseconds:
      return SlotText.putClock(value, 1_000_000, UInt8(ascii: "."), &memory, offset)
    case .clockCommaMilliseconds:
      return SlotText.putClock(value, 1000, UInt8(ascii: ","), &memory, offset)
    case .clockDotMilliseconds:
      return SlotText.putClock(value, 1000, UInt8(ascii: "."), &memory, offset)
    case .clockColonMilliseconds:
      return SlotText.putClock(value, 1000, UInt8(ascii: ":"), &memory, offset)
    case .date: return putDate(value, UInt8(ascii: " "), &memory, offset)
    case .zeroDate: return putDate(value, UInt8(ascii: "0"), &memory, offset)
    case .hexadecimal: return putHexadecimal(value, UInt8(ascii: "a"), &memory, offset)
    case .upperHexadecimal: return putHexadecimal(value, UInt8(ascii: "A"), &memory, offset)
    case .fourHexadecimal: return SlotText.putFixed(value, 4, &memory, offset)
    case .eightHexadecimal: return SlotText.putFixed(value, 8, &memory, offset)
    case .twelveHexadecimal: return SlotText.putFixed(value, 12, &memory, offset)
    case .sixteenHexadecimal: return SlotText.putFixed(value, 16, &memory, offset)
    case .string: return nil
    }
  }

  @inline(__always)
  private func putAddress(
    _ value: UInt64, _ memory: inout ColumnBuffer, _ offset: Int
  ) -> Int? {
    guard value >> 32 == 0 else { return nil }
    var place = offset
    for index in 0..<4 {
      let shift = UInt64(24 &- 8 &* index)
      let part = octets[Int(truncatingIfNeeded: value &>> shift & 255)]
      memory.put(UInt64(part), at: place)
      place &+= Int(truncatingIfNeeded: part &>> 32)
    }
    // No dot behind the last.
    return place &- 1 &- offset
  }

  /// The eight bytes hh:mm:ss, first lowest, of less than 360,000 seconds.
  @inline(__always)
  private static func clock(_ seconds: UInt64) -> UInt64 {
    let (hour, rest) = seconds.quotientAndRemainder(dividingBy: 3600)
    let (minute, second) = rest.quotientAndRemainder(dividingBy: 60)
    let fields = hour | minute << 24 | second << 48
    let tens = ((fields &* 103) >> 10) & 0x000F_0000_0F00_000F
    return (tens | (fields &- 10 &* tens) << 8) | 0x3030_3A30_303A_3030
  }

  @inline(__always)
  private static func putClock(
    _ value: UInt64, _ memory: inout ColumnBuffer, _ offset: Int
  ) -> Int? {
    guard value < 360_000 else { return nil }
    memory.put(clock(value), at: offset)
    return 8
  }

  @inline(__always)
  private static func putClock(
    _ value: UInt64, _ scale: UInt64, _ separator: UInt8, _ memory: inout ColumnBuffer,
    _ offset: Int
  ) -> Int? {
    let (seconds, fraction) = value.quotientAndRemainder(dividingBy: scale)
    guard seconds < 360_000 else { return nil }
    let count = scale == 1000 ? 3 : 6
    memory.put(clock(seconds), at: offset)
    memory.put(separator, at: offset &+ 8)
    put(fraction, digits: count, &memory, offset &+ 9)
    return 9 &+ count
  }

  private func putDate(
    _ value: UInt64, _ filling: UInt8, _ memory: inout ColumnBuffer, _ offset: Int
  ) -> Int? {
    let (days, seconds) = value.quotientAndRemainder(dividingBy: 86_400)
    guard days < 12 * 32 else { return nil }
    let (month, day) = (days / 32, days % 32)
    memory.put(monthNames[Int(month)] | UInt64(UInt8(ascii: " ")) << 24, at: offset)
    SlotText.put(day, digits: 2, &memory, offset &+ 4)
    if day < 10 { memory.put(filling, at: offset &+ 4) }
    memory.put(UInt8(ascii: " "), at: offset &+ 6)
    memory.put(SlotText.clock(seconds), at: offset &+ 7)
    return 15
  }

  private func putHexadecimal(
    _ value: UInt64, _ ten: UInt8, _ memory: inout ColumnBuffer, _ offset: Int
  ) -> Int? {
    var count = 1
    while count <= TextSlot.hexadecimalDigitCountMax, value >= hexadecimalStarts[count &+ 1] {
      count &+= 1
    }
    guard count <= TextSlot.hexadecimalDigitCountMax else { return nil }
    SlotText.putHexadecimal(
      value &- hexadecimalStarts[count], count, ten, &memory, offset)
    return count
  }

  private static func putFixed(
    _ value: UInt64, _ count: Int, _ memory: inout ColumnBuffer, _ offset: Int
  ) -> Int? {
    guard count == 16 || value >> UInt64(4 &* count) == 0 else { return nil }
    putHexadecimal(value, count, UInt8(ascii: "a"), &memory, offset)
    return count
  }

  /// Eight hexadecimal digits of a number of 32 bits, the first lowest.
  @inline(__always)
  private static func eightHexadecimal(_ value: UInt64, _ ten: UInt8) -> UInt64 {
    // The digits, the last lowest, each in a byte of its own.
    var digits = (value | value << 16) & 0x0000_FFFF_0000_FFFF
    digits = (digits | digits << 8) & 0x00FF_00FF_00FF_00FF
    digits = (digits | digits << 4) & 0x0F0F_0F0F_0F0F_0F0F
    let ones: UInt64 = 0x0101_0101_0101_0101
    let isLetter = ((digits &+ 6 &* ones) >> 4) & ones
    return (digits &+ 0x30 &* ones &+ isLetter &* UInt64(ten &- 0x3A)).byteSwapped
  }

  private static func putHexadecimal(
    _ value: UInt64, _ count: Int, _ ten: UInt8, _ memory: inout ColumnBuffer, _ offset: Int
  ) {
    if count <= 8 {
      memory.put(eightHexadecimal(value, ten) >> UInt64(64 &- 8 &* count), at: offset)
      return
    }
    let first = count &- 8
    memory.put(eightHexadecimal(value >> 32, ten) >> UInt64(64 &- 8 &* first), at: offset)
    memory.put(eightHexadecimal(value & 0xFFFF_FFFF, ten), at: offset &+ first)
  }
}
