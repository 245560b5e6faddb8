// A column being written: bytes, varints, and their encoding. Fixed capacity, one allocation.

internal import CShims
package import PenstockCore

/// Bytes of one column, or of one section of a footer.
package struct ColumnBuffer: ~Copyable {
  package private(set) var memory: AlignedBuffer
  package private(set) var count = 0

  package init(capacity: Int) { memory = AlignedBuffer(byteCount: capacity) }

  package var bytes: RawSpan {
    @_lifetime(borrow self) get { memory.bytes(0..<count) }
  }

  package mutating func removeAll() { count = 0 }

  /// Grows to hold `extra` more bytes: sections have no size known beforehand.
  package mutating func reserve(_ extra: Int) {
    guard count + extra > memory.byteCount else { return }
    var larger = AlignedBuffer(byteCount: max(count + extra, 2 * memory.byteCount))
    larger.copy(memory.bytes(0..<count), to: 0)
    memory = larger
  }

  package mutating func append(_ span: RawSpan) {
    reserve(span.byteCount)
    memory.copy(span, to: count)
    count += span.byteCount
  }

  /// Appends an unsigned number, seven bits a byte.
  @inline(__always)
  package mutating func append(varint value: UInt64) {
    reserve(10)
    var rest = value
    while rest >= 0x80 {
      memory.store(UInt8(truncatingIfNeeded: rest) | 0x80, at: count)
      count &+= 1
      rest >>= 7
    }
    memory.store(UInt8(truncatingIfNeeded: rest), at: count)
    count &+= 1
  }

  /// Appends a signed number, zigzag.
  @inline(__always)
  package mutating func append(zigzag value: Int128) {
    let folded = UInt128(bitPattern: (value << 1) ^ (value >> 127))
    if folded <= UInt128(UInt64.max) {
      append(varint: UInt64(truncatingIfNeeded: folded))
      return
    }
    reserve(19)
    var rest = folded
    while rest >= 0x80 {
      memory.store(UInt8(truncatingIfNeeded: rest) | 0x80, at: count)
      count &+= 1
      rest >>= 7
    }
    memory.store(UInt8(truncatingIfNeeded: rest), at: count)
    count &+= 1
  }

  package mutating func append(_ value: UInt32) {
    reserve(8)
    memory.store(UInt64(value), at: count)
    count += 4
  }

  package mutating func append(_ value: UInt64) {
    reserve(8)
    memory.store(value, at: count)
    count += 8
  }

  package mutating func append(_ text: StaticString) {
    reserve(text.utf8CodeUnitCount)
    memory.copy(text, to: count)
    count += text.utf8CodeUnitCount
  }

  /// Overwrites four bytes written before.
  package mutating func replace(_ value: UInt32, at offset: Int) {
    precondition(offset >= 0 && offset + 4 <= count)
    for index in 0..<4 {
      memory.store(UInt8(truncatingIfNeeded: value >> UInt32(8 * index)), at: offset + index)
    }
  }

  /// Appends `column` in the smaller of its encodings and gives that encoding's number and size.
  package mutating func append(encoded column: borrowing ColumnBuffer) -> (
    encoding: UInt16, byteCount: Int
  ) {
    reserve(ColumnEncoding.bound(column.count))
    let start = count
    if let compressed = ColumnEncoding.compress(column.bytes, into: &memory, at: start),
      compressed < column.count
    {
      count += compressed
      return (ColumnEncoding.lz4, compressed)
    }
    memory.copy(column.bytes, to: start)
    count += column.count
    return (ColumnEncoding.raw, column.count)
  }
}

/// The encodings of columns.
package enum ColumnEncoding {
  package static let raw: UInt16 = 0
  package static let lz4: UInt16 = 1

  /// Most bytes an encoded column of `count` raw bytes can take.
  package static func bound(_ count: Int) -> Int {
    max(count, Int(LZ4_compressBound(Int32(count)))) + 8
  }

  /// Compresses into `memory` at `offset`; the size, or nil when it does not fit.
  static func compress(_ source: RawSpan, into memory: inout AlignedBuffer, at offset: Int) -> Int?
  {
    guard source.byteCount > 0 else { return nil }
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

  @inline(__always)
  package mutating func varint(_ span: RawSpan) -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while offset < end, shift < 64 {
      let byte = span.byte(at: offset)
      offset &+= 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift &+= 7
    }
    return nil
  }

  @inline(__always)
  package mutating func count(_ span: RawSpan, max limit: Int) -> Int? {
    guard let value = varint(span), value <= UInt64(limit) else { return nil }
    return Int(value)
  }

  @inline(__always)
  package mutating func zigzag(_ span: RawSpan) -> Int128? {
    var value: UInt128 = 0
    var shift: UInt128 = 0
    while offset < end, shift < 128 {
      let byte = span.byte(at: offset)
      offset &+= 1
      value |= UInt128(byte & 0x7F) << shift
      if byte < 0x80 { return Int128(bitPattern: (value >> 1) ^ (0 &- (value & 1))) }
      shift &+= 7
    }
    return nil
  }

  package mutating func bytes(_ count: Int) -> ByteRange? {
    guard count >= 0, count <= end - offset else { return nil }
    defer { offset += count }
    return offset..<(offset + count)
  }

  package mutating func word32(_ span: RawSpan) -> UInt32? {
    guard let range = bytes(4) else { return nil }
    return UInt32(truncatingIfNeeded: span.word(at: range.lowerBound))
  }

  package mutating func word64(_ span: RawSpan) -> UInt64? {
    guard let range = bytes(8) else { return nil }
    return span.word(at: range.lowerBound)
  }
}

extension NumberReader {
  /// A time written as zigzag nanoseconds; nil outside the years of the journal's text form.
  @inline(__always)
  package mutating func time(_ span: RawSpan, after previous: Int128 = 0) -> Int128? {
    guard let delta = zigzag(span) else { return nil }
    let (total, overflow) = previous.addingReportingOverflow(delta)
    guard !overflow, total >= Timestamp.earliest.nanosecondsSince1970,
      total <= Timestamp.latest.nanosecondsSince1970
    else { return nil }
    return total
  }
}
