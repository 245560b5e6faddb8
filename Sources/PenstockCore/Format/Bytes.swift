// Reading untrusted bytes: word loads, search and number parsing over `RawSpan`.
//
// Every access is checked once and can touch nothing outside the span; the tail of a span reads as
// zeros, so callers may load eight bytes anywhere. Byte loops with a check per byte reach half of
// C's speed, eight-byte loads reach it: parsers work on words. The smallest of these verbs are
// inlinable, because tables and queries, in another module, call them for every byte and number.

internal import CShims

/// A half-open stretch of bytes inside a buffer the reader of the value knows.
package typealias ByteRange = Range<Int>

/// The bytes the formats give a meaning to.
package enum Byte {
  package static let null: UInt8 = 0x00
  package static let tab: UInt8 = 0x09
  package static let lineFeed: UInt8 = 0x0A
  package static let carriageReturn: UInt8 = 0x0D
  package static let space: UInt8 = 0x20
  package static let quote: UInt8 = 0x22
  package static let hash: UInt8 = 0x23
  package static let dash: UInt8 = 0x2D
  package static let slash: UInt8 = 0x2F
  package static let zero: UInt8 = 0x30
  package static let nine: UInt8 = 0x39
  package static let less: UInt8 = 0x3C
  package static let equals: UInt8 = 0x3D
  package static let greater: UInt8 = 0x3E
  package static let openBracket: UInt8 = 0x5B
  package static let backslash: UInt8 = 0x5C
  package static let closeBracket: UInt8 = 0x5D
}

extension RawSpan {
  /// The byte at `offset`, which must be inside the span.
  @inlinable @inline(__always)
  package func byte(at offset: Int) -> UInt8 {
    precondition(UInt(bitPattern: offset) < UInt(bitPattern: byteCount))
    return unsafe unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
  }

  /// The eight bytes at `offset`, first byte lowest; bytes past the end read as zero.
  @inlinable @inline(__always)
  package func word(at offset: Int) -> UInt64 {
    if offset >= 0, offset <= byteCount &- 8 {
      return unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
    }
    return tailWord(at: offset)
  }

  /// The eight bytes at `offset`, all of which must be inside the span.
  @inlinable @inline(__always)
  package func wholeWord(at offset: Int) -> UInt64 {
    precondition(offset >= 0 && offset <= byteCount &- 8)
    return unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
  }

  /// The bytes from `offset` on, of which there are fewer than eight.
  @usableFromInline @inline(never)
  func tailWord(at offset: Int) -> UInt64 {
    precondition(offset >= 0)
    guard offset < byteCount else { return 0 }
    // The last eight bytes hold them, behind others.
    if byteCount >= 8 {
      let past = UInt64(truncatingIfNeeded: offset &+ 8 &- byteCount)
      return wholeWord(at: byteCount &- 8) &>> (8 &* past)
    }
    var word: UInt64 = 0
    var index = byteCount &- 1
    while index >= offset {
      word = word << 8 | UInt64(byte(at: index))
      index &-= 1
    }
    return word
  }

  /// Offset of the first `wanted` in `[from, to)`, or `to`.
  @inline(__always)
  package func firstIndex(of wanted: UInt8, from: Int, to: Int) -> Int {
    precondition(from >= 0 && to <= byteCount)
    guard from < to else { return to }
    return unsafe withUnsafeBytes { buffer in
      unsafe penstock_find(buffer.baseAddress, from, to, wanted)
    }
  }

  /// Like `firstIndex(of:from:to:)`, faster when the byte is expected within a few words.
  @inlinable @inline(__always)
  package func nearIndex(of wanted: UInt8, from: Int, to: Int) -> Int {
    precondition(from >= 0 && to <= byteCount)
    let pattern = 0x0101_0101_0101_0101 &* UInt64(wanted)
    var offset = from
    while offset < to {
      let difference = word(at: offset) ^ pattern
      let zeros = (difference &- 0x0101_0101_0101_0101) & ~difference & 0x8080_8080_8080_8080
      if zeros != 0 { return min(offset &+ zeros.trailingZeroBitCount >> 3, to) }
      offset &+= 8
    }
    return to
  }

  /// Offset of the first of four bytes in `[from, to)`, or `to`; expected within a few words.
  @inline(__always)
  package func nearIndex(
    ofAny first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8, from: Int, to: Int
  ) -> Int {
    precondition(from >= 0 && to <= byteCount)
    let ones: UInt64 = 0x0101_0101_0101_0101
    var offset = from
    while offset < to {
      let word = word(at: offset)
      let differences = (
        word ^ ones &* UInt64(first), word ^ ones &* UInt64(second), word ^ ones &* UInt64(third),
        word ^ ones &* UInt64(fourth)
      )
      let zeros =
        ((differences.0 &- ones) & ~differences.0 | (differences.1 &- ones) & ~differences.1
          | (differences.2 &- ones) & ~differences.2 | (differences.3 &- ones) & ~differences.3)
        & 0x8080_8080_8080_8080
      if zeros != 0 { return min(offset &+ zeros.trailingZeroBitCount >> 3, to) }
      offset &+= 8
    }
    return to
  }

  /// What the up to 64 bytes at `offset` are, of which there have to be 16.
  @inline(__always)
  func headerBits(at offset: Int) -> penstock_header_bits {
    precondition(offset >= 0 && offset <= byteCount &- 16)
    return unsafe withUnsafeBytes { buffer in
      guard let base = buffer.baseAddress else { return penstock_header_bits() }
      return unsafe penstock_header_bits(base + offset, min(byteCount &- offset, 64))
    }
  }

  /// What the up to 64 bytes of structured data at `offset` are, of which there have to be 16.
  @inline(__always)
  func dataBits(at offset: Int) -> penstock_data_bits {
    precondition(offset >= 0 && offset <= byteCount &- 16)
    return unsafe withUnsafeBytes { buffer in
      guard let base = buffer.baseAddress else { return penstock_data_bits() }
      return unsafe penstock_data_bits(base + offset, min(byteCount &- offset, 64))
    }
  }

  /// Whether the bytes at `offset` are those of `text`.
  @inline(__always)
  package func hasBytes(_ text: StaticString, at offset: Int) -> Bool {
    let count = text.utf8CodeUnitCount
    guard offset >= 0, offset &+ count <= byteCount else { return false }
    return unsafe withUnsafeBytes { buffer in
      for index in 0..<count where unsafe buffer[offset &+ index] != text.utf8Start[index] {
        return false
      }
      return true
    }
  }

  /// Whether both spans hold the same bytes.
  @inlinable @inline(__always)
  package func equals(_ other: RawSpan) -> Bool {
    let count = byteCount
    guard count == other.byteCount else { return false }
    guard count >= 8 else { return tailWord(at: 0) == other.tailWord(at: 0) }
    var offset = 0
    while offset <= count &- 8 {
      guard wholeWord(at: offset) == other.wholeWord(at: offset) else { return false }
      offset &+= 8
    }
    return wholeWord(at: count &- 8) == other.wholeWord(at: count &- 8)
  }

  /// Whether `count` bytes at `start` are those of `other` at `otherStart`. Faster than comparing
  /// spans when they are few and others stand behind them.
  @inlinable @inline(__always)
  package func holds(_ start: Int, _ count: Int, of other: RawSpan, at otherStart: Int) -> Bool {
    precondition(start >= 0 && start &+ count <= byteCount)
    precondition(otherStart >= 0 && otherStart &+ count <= other.byteCount)
    var done = 0
    while done < count {
      var difference = word(at: start &+ done) ^ other.word(at: otherStart &+ done)
      let rest = count &- done
      if rest < 8 { difference &= ~(~0 &<< UInt64(truncatingIfNeeded: 8 &* rest)) }
      guard difference == 0 else { return false }
      done &+= 8
    }
    return true
  }

  /// The number written in decimal digits in `range`; nil when it is empty, holds anything else
  /// or is longer than `digitCountMax` digits (at most 18).
  package func decimal(_ range: ByteRange, digitCountMax: Int = 18) -> Int? {
    guard !range.isEmpty, range.count <= min(digitCountMax, 18) else { return nil }
    var value = 0
    for offset in range {
      let digit = byte(at: offset) &- Byte.zero
      guard digit <= 9 else { return nil }
      value = value &* 10 &+ Int(digit)
    }
    return value
  }

  /// The number written in `digitCount` lower-case hexadecimal digits at `offset`.
  package func hexadecimal(at offset: Int, digitCount: Int) -> UInt64? {
    guard offset >= 0, digitCount <= 16, offset &+ digitCount <= byteCount else { return nil }
    var value: UInt64 = 0
    for index in offset..<(offset &+ digitCount) {
      let character = byte(at: index)
      let digit: UInt8
      switch character {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = character &- UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = character &- UInt8(ascii: "a") &+ 10
      default: return nil
      }
      value = value << 4 | UInt64(digit)
    }
    return value
  }

  /// Whether every byte of `range` is `wanted`.
  package func isAll(_ wanted: UInt8, in range: ByteRange) -> Bool {
    unsafe extracting(range).withUnsafeBytes { buffer in
      unsafe penstock_all(buffer.baseAddress, buffer.count, wanted) == 1
    }
  }

  /// Whether every byte of `range` is LF or NUL.
  package func isFiller(in range: ByteRange) -> Bool {
    range.allSatisfy { byte(at: $0) == Byte.lineFeed || byte(at: $0) == Byte.null }
  }

  /// CRC-32C of the span, continuing from `seed`.
  package func checksum(seed: UInt32 = 0) -> UInt32 {
    unsafe withUnsafeBytes { buffer in
      unsafe penstock_crc32c(seed, buffer.baseAddress, buffer.count)
    }
  }

  /// A copy of the bytes. For cold paths: it allocates.
  package func array() -> [UInt8] {
    unsafe withUnsafeBytes { unsafe [UInt8]($0) }
  }
}

/// Checksums of things that are not spans.
package enum Checksum {
  /// CRC-32C of the eight bytes of `word`, lowest first.
  package static func ofWord(_ word: UInt64) -> UInt32 {
    var littleEndian = word.littleEndian
    return unsafe withUnsafeBytes(of: &littleEndian) {
      unsafe penstock_crc32c(0, $0.baseAddress, $0.count)
    }
  }
}

extension [UInt8] {
  /// The bytes as a span, for as long as the array is not changed.
  package var rawSpan: RawSpan {
    @inlinable @_lifetime(borrow self) get {
      let bytes = unsafe span.bytes
      return unsafe _overrideLifetime(bytes, borrowing: self)
    }
  }
}

extension String.UTF8View {
  /// The bytes as a span, for as long as the text is not changed.
  package var rawSpan: RawSpan {
    @_lifetime(borrow self) get {
      let bytes = unsafe span.bytes
      return unsafe _overrideLifetime(bytes, borrowing: self)
    }
  }
}

extension String {
  /// The bytes as text, invalid UTF-8 replaced. For cold paths: it allocates.
  package init(span: RawSpan) {
    self = unsafe span.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
  }
}
