// How the columns of a part are packed, and how numbers are read back from bytes that may be damaged.

internal import CShims
package import PenstockCore

/// How the columns of a part, one after the other, are packed.
package enum PoolPacking {
  package static let raw: UInt16 = 0
  package static let lz4: UInt16 = 1

  /// Pools smaller than this stay raw: LZ4 gains nothing on them.
  static let packedByteCountMin = 32
  /// The level at which LZ4 looks longest for matches.
  private static let thoroughLevel: Int32 = 12

  /// Most bytes a packed pool of `count` bytes can take.
  static func bound(_ count: Int) -> Int { max(count, Int(LZ4_compressBound(Int32(count)))) + 8 }

  /// Whether `packing` is one this version reads.
  static func isKnown(_ packing: UInt16) -> Bool { packing == raw || packing == lz4 }

  /// Whether `stored` bytes can decode to `count`.
  static func mayDecode(_ packing: UInt16, stored: Int, count: Int) -> Bool {
    packing == raw ? stored == count : count <= stored * TableFormat.expansionMax
  }

  /// Compresses into `memory` at `offset`; the size, or nil when it does not fit or does not pay.
  static func compress(
    _ source: borrowing ColumnBuffer, _ effort: TableEffort, into memory: inout AlignedBuffer,
    at offset: Int
  ) -> Int? {
    guard source.count >= packedByteCountMin else { return nil }
    let room = Int32(clamping: memory.byteCount - offset)
    let target = unsafe memory.address(offset..<memory.byteCount)
      .assumingMemoryBound(to: CChar.self)
    let written = unsafe source.bytes.withUnsafeBytes { bytes in
      let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
      let count = Int32(bytes.count)
      return switch effort {
      case .fast: unsafe LZ4_compress_default(start, target, count, room)
      case .thorough: unsafe LZ4_compress_HC(start, target, count, room, thoroughLevel)
      }
    }
    return written > 0 && Int(written) < source.count ? Int(written) : nil
  }

  /// Decodes `range` of `source` to the beginning of `memory`; false unless it gives exactly `count`
  /// bytes.
  static func decode(
    _ source: borrowing AlignedBuffer, _ range: ByteRange, _ packing: UInt16, count: Int,
    into memory: inout AlignedBuffer
  ) -> Bool {
    guard count >= 0, count <= memory.byteCount else { return false }
    switch packing {
    case raw:
      guard range.count == count else { return false }
      memory.copy(source.bytes(range), to: 0)
      return true
    case lz4:
      let target = unsafe memory.address(0..<count)
      let read = unsafe source.bytes(range).withUnsafeBytes { bytes in
        unsafe LZ4_decompress_safe(
          bytes.baseAddress?.assumingMemoryBound(to: CChar.self),
          target.assumingMemoryBound(to: CChar.self), Int32(bytes.count), Int32(count))
      }
      return Int(read) == count
    default: return false
    }
  }
}

/// Tells what bytes take behind LZ4, alone.
struct TrialPacking: ~Copyable {
  private var memory = AlignedBuffer(byteCount: 64 << 10)

  mutating func byteCount(_ bytes: borrowing ColumnBuffer) -> Int {
    let bound = PoolPacking.bound(bytes.count)
    if memory.byteCount < bound { memory = AlignedBuffer(byteCount: 2 * bound) }
    return PoolPacking.compress(bytes, .fast, into: &memory, at: 0) ?? bytes.count
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

  /// Bytes that have not been read.
  var remainingCount: Int { end &- offset }

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
