// Looks for values in texts: what is behind the next digit, and how far it goes.
//
//     "Failed password for root from 10.0.0.9 port 51966"
//      └──────────── skeleton ─────▶ address ▶ port digits
//
// A text gives its skeleton, in which a mark stands for each value, and the values. Which numbers
// belong together is a guess from what logs look like: a wrong one costs bytes, never the text.

internal import PenstockCore

/// Takes texts apart, one at a time.
struct TextScanner: ~Copyable {
  /// The skeleton of the text looked at last.
  private(set) var skeleton = ColumnBuffer(capacity: 2 * TextColumn.scannedByteCountMax)
  private(set) var skeletonByteCount = 0
  private(set) var hash = ByteHash()
  /// The values of all texts, one after the other.
  var values = NumberBuffer(capacity: 16 << 10)
  /// Values of the text looked at last.
  private(set) var slotCount = 0
  /// Values that are strings.
  var strings = ByteTable()

  private var bits = TextBits()
  private let slots = SlotText()
  /// Where the part of the text begins that has not been put into the skeleton.
  private var literalStart = 0
  /// The next byte that cannot stand in a template.
  private var nextMark = 0
  /// Whether days of dates were seen with a 0 in front.
  private var hasZeroDays = false

  /// Begins with all rows of a column.
  mutating func begin(_ text: RawSpan) {
    values.removeAll()
    strings.removeAll()
    bits.look(at: text)
    nextMark = bits.marks.next(0)
    hasZeroDays = false
  }

  /// Takes the text in `row` apart.
  @inline(__always)
  mutating func scan(_ text: RawSpan, _ row: ByteRange) {
    skeletonByteCount = 0
    slotCount = 0
    hash = ByteHash()
    literalStart = row.lowerBound
    if nextMark < row.lowerBound { nextMark = bits.marks.next(row.lowerBound) }
    guard row.count <= TextColumn.scannedByteCountMax, nextMark >= row.upperBound else {
      putString(text, row)
      return
    }
    var offset = row.lowerBound
    // A step gives five slots at most.
    while slotCount < TextColumn.slotCountMax &- 5 {
      offset = bits.digits.next(offset)
      guard offset < row.upperBound else { break }
      offset = step(text, offset, row.upperBound)
    }
    putLiteral(text, row.upperBound)
  }

  /// Takes what begins with the digit at `offset`; where to go on.
  @inline(__always)
  private mutating func step(_ text: RawSpan, _ offset: Int, _ end: Int) -> Int {
    let digits = bits.digits.window(offset)
    let count = (~digits).trailingZeroBitCount
    if count == 2, digits & 0x1FF == 0xDB, let next = takeClock(text, offset, digits) {
      return next
    }
    let next = offset &+ count
    if bits.letters.isSet(next) || (offset > literalStart && bits.letters.isSet(offset &- 1)) {
      return takeWord(text, offset, count, digits)
    }
    if count <= 3 {
      if count <= 2, digits >> UInt64(count &+ 1) & 0x1FF == 0xDB,
        let next = takeDate(text, offset, count)
      {
        return next
      }
      if text.byte(at: next) == UInt8(ascii: "."), let next = takeAddress(text, offset, digits) {
        return next
      }
    } else if count == 8, isBehindIdentifierName(text, offset) {
      return takeHexadecimal(text, offset, next, .eightHexadecimal)
    }
    return takeDigits(text, offset, count)
  }

  /// Whether "_id=" stands before `offset`.
  @inline(__always)
  private func isBehindIdentifierName(_ text: RawSpan, _ offset: Int) -> Bool {
    offset &- literalStart >= 4
      && UInt32(truncatingIfNeeded: text.word(at: offset &- 4)) == 0x3D64_695F
  }

  // MARK: - Skeleton

  /// Puts what stands before `end` into the skeleton.
  @inline(__always)
  private mutating func putLiteral(_ text: RawSpan, _ end: Int) {
    var offset = literalStart
    var place = skeletonByteCount
    while offset &+ 8 <= end {
      let word = text.word(at: offset)
      skeleton.put(word, at: place)
      hash.add(word)
      offset &+= 8
      place &+= 8
    }
    let rest = end &- offset
    if rest > 0 {
      let word = text.word(at: offset) & ~(~0 << UInt64(8 &* rest))
      skeleton.put(word, at: place)
      hash.add(word)
      place &+= rest
    }
    skeletonByteCount = place
  }

  /// Ends the literal at `start` with a slot that goes on to `end`.
  @inline(__always)
  private mutating func put(
    _ text: RawSpan, _ start: Int, _ end: Int, _ slot: TextSlot, _ value: UInt64
  ) {
    putLiteral(text, start)
    skeleton.put(slot.rawValue, at: skeletonByteCount)
    skeletonByteCount &+= 1
    hash.add(UInt64(slot.rawValue) << 32 | UInt64(truncatingIfNeeded: skeletonByteCount))
    values.append(value)
    slotCount &+= 1
    literalStart = end
  }

  private mutating func putString(_ text: RawSpan, _ range: ByteRange) {
    guard !range.isEmpty else { return }
    var hash = ByteHash()
    hash.add(text, range)
    let number = strings.number(of: text, range, hash: hash.value)
    put(text, range.lowerBound, range.upperBound, .string, UInt64(number))
  }

  // MARK: - Numbers

  @inline(__always)
  private mutating func takeDigits(_ text: RawSpan, _ offset: Int, _ count: Int) -> Int {
    guard count <= TextSlot.digitCountMax else {
      var end = offset &+ count
      while bits.digits.isSet(end) { end &+= 1 }
      putString(text, offset..<end)
      return end
    }
    let value = decimal(text, offset, count) &+ slots.decimalStarts[count]
    put(text, offset, offset &+ count, .digits, value)
    return offset &+ count
  }

  /// The number written in `count` digits, up to 19.
  @inline(__always)
  private func decimal(_ text: RawSpan, _ offset: Int, _ count: Int) -> UInt64 {
    if count <= 8 { return TextScanner.upToEight(text.word(at: offset), count) }
    var value = TextScanner.upToEight(text.word(at: offset), 8)
    var place = offset &+ 8
    var rest = count &- 8
    if rest > 8 {
      value = value &* 100_000_000 &+ TextScanner.upToEight(text.word(at: place), 8)
      place &+= 8
      rest &-= 8
    }
    return value &* powersOfTen[rest] &+ TextScanner.upToEight(text.word(at: place), rest)
  }

  private let powersOfTen: InlineArray<9, UInt64> = [
    1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000,
  ]

  /// The number written in the first `count` bytes of a word, 1 to 8, all of them digits.
  @inline(__always)
  private static func upToEight(_ word: UInt64, _ count: Int) -> UInt64 {
    // The digits move to the end, zeros stand before them.
    let digits = (word << UInt64(64 &- 8 &* count)) & 0x0F0F_0F0F_0F0F_0F0F
    let pairs = (digits &* 10 &+ digits >> 8) & 0x00FF_00FF_00FF_00FF
    let fours = (pairs &* 100 &+ pairs >> 16) & 0x0000_FFFF_0000_FFFF
    return (fours &* 10_000 &+ fours >> 32) & 0xFFFF_FFFF
  }

  /// The number written in two digits.
  @inline(__always)
  private static func two(_ text: RawSpan, _ offset: Int) -> UInt64 {
    UInt64(text.byte(at: offset) & 15) &* 10 &+ UInt64(text.byte(at: offset &+ 1) & 15)
  }

  // MARK: - Times

  /// Seconds of the eight bytes hh:mm:ss; nil when they are no such thing.
  @inline(__always)
  private static func clockSeconds(_ text: RawSpan, _ offset: Int) -> UInt64? {
    let minute = two(text, offset &+ 3)
    let second = two(text, offset &+ 6)
    guard text.byte(at: offset &+ 2) == UInt8(ascii: ":"),
      text.byte(at: offset &+ 5) == UInt8(ascii: ":"), minute < 60, second < 60
    else { return nil }
    return two(text, offset) &* 3600 &+ minute &* 60 &+ second
  }

  @inline(__always)
  private mutating func takeClock(_ text: RawSpan, _ offset: Int, _ digits: UInt64) -> Int? {
    guard let seconds = TextScanner.clockSeconds(text, offset) else { return nil }
    let fraction = (~(digits >> 9)).trailingZeroBitCount
    if fraction == 3 || fraction == 6 {
      let slot: TextSlot? =
        switch text.byte(at: offset &+ 8) {
        case UInt8(ascii: ","): fraction == 3 ? .clockCommaMilliseconds : nil
        case UInt8(ascii: "."): fraction == 3 ? .clockDotMilliseconds : .clockMicroseconds
        case UInt8(ascii: ":"): fraction == 3 ? .clockColonMilliseconds : nil
        default: nil
        }
      if let slot {
        let scale: UInt64 = fraction == 3 ? 1000 : 1_000_000
        let rest = TextScanner.upToEight(text.word(at: offset &+ 9), fraction)
        put(text, offset, offset &+ 9 &+ fraction, slot, seconds &* scale &+ rest)
        return offset &+ 9 &+ fraction
      }
    }
    put(text, offset, offset &+ 8, .clock, seconds)
    return offset &+ 8
  }

  /// Mmm dd hh:mm:ss, of which the day begins at `offset`.
  @inline(__always)
  private mutating func takeDate(_ text: RawSpan, _ offset: Int, _ count: Int) -> Int? {
    let start = offset &- (count == 1 ? 5 : 4)
    let clock = offset &+ count &+ 1
    guard start >= literalStart, text.byte(at: offset &- 1) == UInt8(ascii: " "),
      text.byte(at: clock &- 1) == UInt8(ascii: " "),
      count == 2 || text.byte(at: offset &- 2) == UInt8(ascii: " "),
      let month = slots.month(UInt32(truncatingIfNeeded: text.word(at: start)) & 0xFF_FFFF),
      text.byte(at: start &+ 3) == UInt8(ascii: " "),
      let seconds = TextScanner.clockSeconds(text, clock)
    else { return nil }
    let isZeroFirst = count == 2 && text.byte(at: offset) == UInt8(ascii: "0")
    let day =
      count == 2 ? TextScanner.two(text, offset) : UInt64(text.byte(at: offset) & 15)
    guard day < 32, seconds < 86_400 else { return nil }
    if isZeroFirst { hasZeroDays = true }
    // From the tenth day on both look the same.
    let slot: TextSlot = isZeroFirst || (hasZeroDays && count == 2) ? .zeroDate : .date
    put(text, start, clock &+ 8, slot, (UInt64(month) &* 32 &+ day) &* 86_400 &+ seconds)
    return clock &+ 8
  }

  // MARK: - Addresses

  @inline(__always)
  private mutating func takeAddress(_ text: RawSpan, _ offset: Int, _ digits: UInt64) -> Int? {
    var place = offset
    var rest = digits
    var value: UInt64 = 0
    for group in 0..<4 {
      let count = (~rest).trailingZeroBitCount
      guard count >= 1, count <= 3, count == 1 || text.byte(at: place) != UInt8(ascii: "0") else {
        return nil
      }
      let number = TextScanner.upToEight(text.word(at: place), count)
      guard number < 256 else { return nil }
      value = value << 8 | number
      place &+= count
      rest >>= UInt64(count &+ 1)
      if group < 3 {
        guard text.byte(at: place) == UInt8(ascii: ".") else { return nil }
        place &+= 1
      }
    }
    if bits.letters.isSet(place) { return nil }
    if text.byte(at: place) == UInt8(ascii: "."), rest & 1 != 0 { return nil }
    put(text, offset, place, .address, value)
    return place
  }

  // MARK: - Words with digits

  /// What stands in a run of letters and digits, of which the first digits are `count` at `offset`.
  private mutating func takeWord(
    _ text: RawSpan, _ offset: Int, _ count: Int, _ digits: UInt64
  ) -> Int {
    // The day of a time stamp: ddThh:mm:ss.
    if text.byte(at: offset &+ count) == UInt8(ascii: "T"),
      digits >> UInt64(count &+ 1) & 0x1FF == 0xDB
    {
      return takeDigits(text, offset, count)
    }
    let before = (~bits.letters.windowBefore(offset)).leadingZeroBitCount
    var start = max(literalStart, offset &- before)
    let after = bits.letters.window(offset) | digits
    let end = offset &+ (~after).trailingZeroBitCount
    if start == offset, count == 1, text.byte(at: offset) == UInt8(ascii: "0"),
      text.byte(at: offset &+ 1) == UInt8(ascii: "x"), end > offset &+ 2
    {
      start = offset &+ 2
    }
    if let next = takeHexadecimalWord(text, start, end, isMarked: start > offset) { return next }
    // Digits and letters in turns are a name of some kind, or a number in another notation.
    if bits.digits.next(offset &+ count) >= end { return takeDigits(text, offset, count) }
    start = min(start, offset)
    putString(text, start..<end)
    return end
  }

  /// - Parameter isMarked: whether 0x stands before it.
  private mutating func takeHexadecimalWord(
    _ text: RawSpan, _ start: Int, _ end: Int, isMarked: Bool
  ) -> Int? {
    let count = end &- start
    guard count >= (isMarked ? 1 : 4), count <= 32 else { return nil }
    // The bits of the word, of which there are 32 at most.
    let word: UInt64 = (1 << UInt64(count)) &- 1
    let letters = bits.letters.window(start) & word
    let isLower = bits.hexadecimals.window(start) & word == letters
    guard isLower || isUpperHexadecimal(text, start, count) else { return nil }
    if isLower {
      if count == 8, let next = takeIdentifier(text, start) { return next }
      if count == 16 { return takeHexadecimal(text, start, end, .sixteenHexadecimal) }
      if count == 32 {
        _ = takeHexadecimal(text, start, start &+ 16, .sixteenHexadecimal)
        return takeHexadecimal(text, start &+ 16, end, .sixteenHexadecimal)
      }
    }
    guard count <= TextSlot.hexadecimalDigitCountMax else { return nil }
    let value = TextScanner.hexadecimal(text, start, count) &+ slots.hexadecimalStarts[count]
    put(text, start, end, isLower ? .hexadecimal : .upperHexadecimal, value)
    return end
  }

  private func isUpperHexadecimal(_ text: RawSpan, _ start: Int, _ count: Int) -> Bool {
    for place in start..<(start &+ count) where text.byte(at: place) > UInt8(ascii: "9") {
      guard text.byte(at: place) &- UInt8(ascii: "A") < 6 else { return false }
    }
    return true
  }

  /// An event's id, or an identifier of 8, 4, 4, 4 and 12 digits: of fixed size, because any of its
  /// parts may happen to have no letters, or no digits.
  private mutating func takeIdentifier(_ text: RawSpan, _ start: Int) -> Int? {
    if isBehindIdentifierName(text, start) {
      return takeHexadecimal(text, start, start &+ 8, .eightHexadecimal)
    }
    guard start &+ 36 < text.byteCount else { return nil }
    var place = start &+ 8
    for count in [4, 4, 4, 12] {
      guard text.byte(at: place) == UInt8(ascii: "-"), isLowerHexadecimal(text, place &+ 1, count)
      else {
        return nil
      }
      place &+= count &+ 1
    }
    _ = takeHexadecimal(text, start, start &+ 8, .eightHexadecimal)
    for part in 0..<3 {
      let offset = start &+ 9 &+ 5 &* part
      _ = takeHexadecimal(text, offset, offset &+ 4, .fourHexadecimal)
    }
    return takeHexadecimal(text, start &+ 24, start &+ 36, .twelveHexadecimal)
  }

  private func isLowerHexadecimal(_ text: RawSpan, _ offset: Int, _ count: Int) -> Bool {
    (offset..<(offset + count)).allSatisfy { place in
      let byte = text.byte(at: place)
      return byte &- UInt8(ascii: "0") < 10 || byte &- UInt8(ascii: "a") < 6
    }
  }

  private mutating func takeHexadecimal(
    _ text: RawSpan, _ start: Int, _ end: Int, _ slot: TextSlot
  ) -> Int {
    put(text, start, end, slot, TextScanner.hexadecimal(text, start, end &- start))
    return end
  }

  /// The number written in up to 16 digits, all of them hexadecimal.
  @inline(__always)
  private static func hexadecimal(_ text: RawSpan, _ offset: Int, _ count: Int) -> UInt64 {
    if count <= 8 { return eightHexadecimal(text.word(at: offset), count) }
    let high = eightHexadecimal(text.word(at: offset), 8)
    let rest = count &- 8
    return high << UInt64(4 &* rest) | eightHexadecimal(text.word(at: offset &+ 8), rest)
  }

  /// The number written in the first `count` bytes of a word, 1 to 8.
  @inline(__always)
  private static func eightHexadecimal(_ word: UInt64, _ count: Int) -> UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let text = word << UInt64(64 &- 8 &* count)
    let digits = (text & (0x0F &* ones)) &+ (text >> 6 & ones) &* 9
    let pairs = (digits << 4 | digits >> 8) & 0x00FF_00FF_00FF_00FF
    let fours = (pairs << 8 | pairs >> 16) & 0x0000_FFFF_0000_FFFF
    return (fours << 16 | fours >> 32) & 0xFFFF_FFFF
  }
}
