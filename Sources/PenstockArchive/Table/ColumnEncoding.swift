// How columns are stored, and how numbers are read back from bytes that may be damaged.

internal import CShims
package import PenstockCore

/// The encodings of columns.
package enum ColumnEncoding {
  package static let raw: UInt16 = 0
  package static let lz4: UInt16 = 1

  /// Columns smaller than this stay raw: LZ4 gains nothing on them.
  static let compressedByteCountMin = 16

  /// Most bytes an encoded column of `count` raw bytes can take.
  package static func bound(_ count: Int) -> Int {
    max(count, Int(LZ4_compressBound(Int32(count)))) + 8
  }

  /// Whether `encoding` is one this version reads.
  static func isKnown(_ encoding: UInt16) -> Bool { encoding == raw || encoding == lz4 }

  /// Whether `stored` bytes can decode to `rawByteCount`.
  static func mayDecode(_ encoding: UInt16, stored: Int, rawByteCount: Int) -> Bool {
    encoding == raw
      ? stored == rawByteCount : rawByteCount <= stored * TableFormat.expansionMax
  }

  /// Compresses into `memory` at `offset`; the size, or nil when it does not fit or does not pay.
  static func compress(_ source: RawSpan, into memory: inout AlignedBuffer, at offset: Int) -> Int?
  {
    guard source.byteCount >= compressedByteCountMin else { return nil }
    let room = memory.byteCount - offset
    let target = unsafe memory.address(offset..<memory.byteCount)
    let written = unsafe source.withUnsafeBytes { bytes in
      unsafe LZ4_compress_default(
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self),
        target.assumingMemoryBound(to: CChar.self), Int32(bytes.count), Int32(clamping: room))
    }
    return written > 0 ? Int(written) : nil
  }

  /// Decodes `source` into `memory` at `offset`; false unless it gives exactly `rawByteCount`.
  static func decode(
    _ source: RawSpan, encoding: UInt16, rawByteCount: Int, into memory: inout AlignedBuffer,
    at offset: Int
  ) -> Bool {
    guard offset >= 0, rawByteCount >= 0, offset + rawByteCount <= memory.byteCount else {
      return false
    }
    switch encoding {
    case raw:
      guard source.byteCount == rawByteCount else { return false }
      memory.copy(source, to: offset)
      return true
    case lz4:
      let target = unsafe memory.address(offset..<(offset + rawByteCount))
      let read = unsafe source.withUnsafeBytes { bytes in
        unsafe LZ4_decompress_safe(
          bytes.baseAddress?.assumingMemoryBound(to: CChar.self),
          target.assumingMemoryBound(to: CChar.self), Int32(bytes.count), Int32(rawByteCount))
      }
      return Int(read) == rawByteCount
    default: return false
    }
  }
}

/// Reads numbers from bytes that may be damaged: every read says whether it was there.
package struct NumberReader {
  private(set) var offset: Int
  private let end: Int

  package init(_ range: ByteRange) {
    offset = range.lowerBound
    end = range.upperBound
  }

  package var isAtEnd: Bool { offset >= end }

  /// An unsigned number of at most 64 bits.
  @inline(__always)
  package mutating func varint(_ span: RawSpan) -> UInt64? {
    guard offset < end else { return nil }
    let first = span.byte(at: offset)
    if first < 0x80 {
      offset &+= 1
      return UInt64(first)
    }
    return longVarint(span)
  }

  private mutating func longVarint(_ span: RawSpan) -> UInt64? {
    let word = span.word(at: offset)
    let stops = ~word & 0x8080_8080_8080_8080
    guard stops != 0 else { return veryLongVarint(span) }
    let count = (stops.trailingZeroBitCount &>> 3) &+ 1
    guard count <= end &- offset else { return nil }
    offset &+= count
    // Seven bits of each byte, brought together two, four and eight bytes at a time.
    var bits = word & (~0 >> UInt64(64 &- 8 &* count)) & 0x7F7F_7F7F_7F7F_7F7F
    bits = bits & 0x007F_007F_007F_007F | (bits & 0x7F00_7F00_7F00_7F00) >> 1
    bits = bits & 0x0000_3FFF_0000_3FFF | (bits & 0x3FFF_0000_3FFF_0000) >> 2
    return bits & 0x0000_0000_0FFF_FFFF | (bits & 0x0FFF_FFFF_0000_0000) >> 4
  }

  private mutating func veryLongVarint(_ span: RawSpan) -> UInt64? {
    guard let wide = wideVarint(span), wide <= UInt128(UInt64.max) else { return nil }
    return UInt64(truncatingIfNeeded: wide)
  }

  private mutating func wideVarint(_ span: RawSpan) -> UInt128? {
    var value: UInt128 = 0
    var shift: UInt128 = 0
    while offset < end, shift < 128 {
      let byte = span.byte(at: offset)
      offset &+= 1
      // The nineteenth byte has room for two bits.
      if shift == 126, byte > 3 { return nil }
      value |= UInt128(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift &+= 7
    }
    return nil
  }

  /// An unsigned number up to `limit`.
  @inline(__always)
  package mutating func count(_ span: RawSpan, max limit: Int) -> Int? {
    guard let value = varint(span), value <= UInt64(clamping: limit) else { return nil }
    return Int(truncatingIfNeeded: value)
  }

  /// A signed number.
  package mutating func zigzag(_ span: RawSpan) -> Int128? {
    guard let value = wideVarint(span) else { return nil }
    return Int128(bitPattern: (value >> 1) ^ (0 &- (value & 1)))
  }

  /// A sequence number written as the distance from `previous`.
  @inline(__always)
  mutating func sequence(_ span: RawSpan, after previous: UInt64) -> UInt64? {
    let start = offset
    if let value = varint(span), value < 1 << 62 {
      let step = Int64(bitPattern: value >> 1) ^ (0 &- Int64(bitPattern: value & 1))
      let (sum, overflow) =
        step >= 0
        ? previous.addingReportingOverflow(UInt64(step))
        : previous.subtractingReportingOverflow(step.magnitude)
      return overflow ? nil : sum
    }
    offset = start
    guard let step = zigzag(span), step > -(1 << 65), step < 1 << 65,
      case let total = Int128(previous) + step, total >= 0, total <= Int128(UInt64.max)
    else { return nil }
    return UInt64(total)
  }

  /// A time written as nanoseconds since `previous`; nil outside the years of the text form.
  @inline(__always)
  mutating func time(_ span: RawSpan, since previous: Timestamp) -> Timestamp? {
    let start = offset
    if let value = varint(span), value < 1 << 62 {
      let step = Int64(bitPattern: value >> 1) ^ (0 &- Int64(bitPattern: value & 1))
      return previous.advanced(byNanoseconds: step)
    }
    offset = start
    guard let step = zigzag(span) else { return nil }
    return previous.advanced(byNanoseconds: step)
  }

  /// A time written as unsigned nanoseconds behind `earliest`.
  mutating func time(_ span: RawSpan, behind earliest: Timestamp) -> Timestamp? {
    guard let step = wideVarint(span), step < 1 << 120 else { return nil }
    return earliest.advanced(byNanoseconds: Int128(step))
  }

  /// The next `count` bytes.
  @inline(__always)
  package mutating func bytes(_ count: Int) -> ByteRange? {
    guard count >= 0, count <= end &- offset else { return nil }
    let range = offset..<(offset &+ count)
    offset &+= count
    return range
  }
}
