// What each byte of a text is, as bits: where the next number begins, and where it ends, is found
// 64 bytes at a time.

internal import CShims
internal import PenstockCore

/// The bits of a text: one for each byte, with words of zeros behind them.
struct TextBits: ~Copyable {
  private(set) var digits = BitRow()
  private(set) var letters = BitRow()
  /// a … f
  private(set) var hexadecimals = BitRow()
  /// Bytes that cannot stand in a template.
  private(set) var marks = BitRow()

  /// Looks at all of `text`.
  mutating func look(at text: RawSpan) {
    let wordCount = (text.byteCount + 63) / 64
    let digits = unsafe digits.prepare(text.byteCount)
    let letters = unsafe letters.prepare(text.byteCount)
    let hexadecimals = unsafe hexadecimals.prepare(text.byteCount)
    let marks = unsafe marks.prepare(text.byteCount)
    guard wordCount > 0 else { return }
    unsafe text.withUnsafeBytes { bytes in
      unsafe penstock_text_bits(
        bytes.baseAddress, bytes.count, digits, letters, hexadecimals, marks)
    }
  }
}

/// One bit for each byte of a text.
struct BitRow: ~Copyable {
  private var words = NumberBuffer(capacity: 4 << 10)
  /// Bytes of the text.
  private var count = 0

  /// Where C puts the bits of a text of `byteCount` bytes.
  fileprivate mutating func prepare(_ byteCount: Int) -> UnsafeMutablePointer<UInt64> {
    count = byteCount
    return unsafe words.filled((byteCount + 63) / 64 + 2)
  }

  /// The bits of the 64 bytes from `offset` on, which is in the text or right behind it.
  @inline(__always)
  func window(_ offset: Int) -> UInt64 {
    let index = offset &>> 6
    let shift = UInt64(truncatingIfNeeded: offset & 63)
    return words[index] &>> shift | (words[index &+ 1] &<< 1) &<< (63 &- shift)
  }

  /// The bits of the 64 bytes before `offset`, the last highest.
  @inline(__always)
  func windowBefore(_ offset: Int) -> UInt64 {
    if offset >= 64 { return window(offset &- 64) }
    return offset == 0 ? 0 : words[0] &<< UInt64(truncatingIfNeeded: 64 &- offset)
  }

  /// Whether the byte at `offset` is one.
  @inline(__always)
  func isSet(_ offset: Int) -> Bool {
    words[offset &>> 6] &>> UInt64(truncatingIfNeeded: offset & 63) & 1 != 0
  }

  /// The next such byte from `offset` on; the end of the text when there is none.
  @inline(__always)
  func next(_ offset: Int) -> Int {
    var index = offset &>> 6
    var bits = words[index] & (~0 &<< UInt64(truncatingIfNeeded: offset & 63))
    while bits == 0 {
      index &+= 1
      if index &* 64 >= count { return count }
      bits = words[index]
    }
    return index &* 64 &+ bits.trailingZeroBitCount
  }
}
