// A column being written: bytes and varints in memory that is used again and again.

package import PenstockCore

/// Bytes of one column, or of one part of a table.
package struct ColumnBuffer: ~Copyable {
  package private(set) var memory: AlignedBuffer
  package private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  /// - Parameter capacity: bytes at the start; it grows when it has to.
  package init(capacity: Int) { memory = AlignedBuffer(byteCount: capacity) }

  package var bytes: RawSpan {
    @_lifetime(borrow self) get { memory.bytes(0..<count) }
  }

  package mutating func removeAll() { count = 0 }

  /// Drops all bytes from `newCount` on.
  mutating func cut(to newCount: Int) {
    precondition(newCount >= 0 && newCount <= count)
    count = newCount
  }

  /// Makes room for `extra` more bytes.
  @inline(__always)
  package mutating func reserve(_ extra: Int) {
    if count &+ extra > memory.byteCount { grow(extra) }
  }

  @inline(never)
  private mutating func grow(_ extra: Int) {
    var larger = AlignedBuffer(byteCount: max(count + extra, 2 * memory.byteCount))
    larger.copy(memory.bytes(0..<count), to: 0)
    memory = larger
  }

  @inline(__always)
  package mutating func append(_ span: RawSpan) {
    reserve(span.byteCount)
    memory.copy(span, to: count)
    count &+= span.byteCount
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

  package mutating func append(varint value: Int) {
    precondition(value >= 0)
    append(varint: UInt64(value))
  }

  /// Appends a signed number, zigzag.
  @inline(__always)
  package mutating func append(zigzag value: Int64) {
    append(varint: UInt64(bitPattern: (value << 1) ^ (value >> 63)))
  }

  /// Appends a signed number of any size, zigzag.
  package mutating func append(zigzag value: Int128) {
    append(wide: UInt128(bitPattern: (value << 1) ^ (value >> 127)))
  }

  /// Appends an unsigned number of any size.
  package mutating func append(wide value: UInt128) {
    var rest = value
    reserve(19)
    while rest >= 0x80 {
      memory.store(UInt8(truncatingIfNeeded: rest) | 0x80, at: count)
      count &+= 1
      rest >>= 7
    }
    memory.store(UInt8(truncatingIfNeeded: rest), at: count)
    count &+= 1
  }

  /// Appends the nanoseconds from `base` to `time`, zigzag.
  @inline(__always)
  package mutating func append(_ time: Timestamp, since base: Timestamp) {
    if let near = time.nearNanoseconds(since: base) {
      append(zigzag: near)
    } else {
      append(zigzag: time.nanosecondsSince1970 - base.nanosecondsSince1970)
    }
  }

  /// Appends the time from `earliest` to `latest`.
  mutating func append(span earliest: Timestamp, _ latest: Timestamp) {
    precondition(earliest <= latest)
    append(wide: UInt128(latest.nanosecondsSince1970 - earliest.nanosecondsSince1970))
  }

  /// Appends the distance from one sequence number to the next.
  @inline(__always)
  mutating func append(sequence: UInt64, after previous: UInt64) {
    let step = Int64(bitPattern: sequence &- previous)
    if step >= 0 ? sequence >= previous : sequence < previous {
      append(zigzag: step)
    } else {
      append(zigzag: Int128(sequence) - Int128(previous))
    }
  }

  package mutating func append(_ value: UInt32) {
    reserve(4)
    memory.store(value, at: count)
    count &+= 4
  }

  package mutating func append(_ value: UInt64) {
    reserve(8)
    memory.store(value, at: count)
    count &+= 8
  }

  package mutating func append(_ text: StaticString) {
    reserve(text.utf8CodeUnitCount)
    memory.copy(text, to: count)
    count &+= text.utf8CodeUnitCount
  }

  /// Appends a name, front-coded against the name before; both ascend.
  mutating func append(name: [UInt8], after previous: [UInt8]) {
    var shared = 0
    let limit = min(name.count, previous.count)
    while shared < limit, name[shared] == previous[shared] { shared += 1 }
    append(varint: shared)
    append(varint: name.count - shared)
    append(name.rawSpan.extracting(shared..<name.count))
  }

  /// Appends all bytes of an array.
  mutating func append(_ bytes: [UInt8]) { append(bytes.rawSpan) }

  /// Appends bytes that are already here.
  mutating func append(copyOf range: ByteRange) {
    precondition(range.upperBound <= count)
    reserve(range.count)
    memory.move(range, to: count)
    count += range.count
  }

  /// Overwrites four bytes written before.
  package mutating func replace(_ value: UInt32, at offset: Int) {
    precondition(offset >= 0 && offset + 4 <= count)
    memory.store(value, at: offset)
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

extension Timestamp {
  /// Nanoseconds from `base` to this instant, when 64 bits hold them: for any two instants within
  /// 292 years of each other.
  @inline(__always)
  func nearNanoseconds(since base: Timestamp) -> Int64? {
    let (whole, tooFar) = (seconds &- base.seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let rest = Int64(nanoseconds) &- Int64(base.nanoseconds)
    let (total, overflow) = whole.addingReportingOverflow(rest)
    return tooFar || overflow ? nil : total
  }

  /// The instant `delta` nanoseconds later; nil when that is outside the years of the text form.
  @inline(__always)
  func advanced(byNanoseconds delta: Int64) -> Timestamp? {
    let near = Int64(nanoseconds) &+ delta
    // Most rows of a stream lie within a second of the one before.
    if delta < 1_000_000_000, delta > -1_000_000_000, near >= 0, near < 1_000_000_000 {
      return Timestamp(seconds: seconds, nanoseconds: UInt32(truncatingIfNeeded: near))
    }
    return advanced(byNanoseconds: Int128(delta))
  }

  /// The instant `delta` nanoseconds later; nil when that is outside the years of the text form.
  func advanced(byNanoseconds delta: Int128) -> Timestamp? {
    let (total, overflow) = nanosecondsSince1970.addingReportingOverflow(delta)
    guard !overflow, total >= Timestamp.earliest.nanosecondsSince1970,
      total <= Timestamp.latest.nanosecondsSince1970
    else { return nil }
    return Timestamp(nanosecondsSince1970: total)
  }
}
