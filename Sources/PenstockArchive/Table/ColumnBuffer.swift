// A column being written: bytes and varints in memory that is used again and again.

package import PenstockCore

/// Bytes of one column, or of one part of a table.
///
/// `base` is the first byte of `memory`, which is replaced together with it: every access is checked
/// against `capacity` before it goes through the pointer.
@safe
package struct ColumnBuffer: ~Copyable {
  package private(set) var memory: AlignedBuffer
  private var base: UnsafeMutableRawPointer
  private var capacity: Int
  package private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  /// - Parameter capacity: bytes at the start; it grows when it has to.
  package init(capacity: Int) {
    memory = AlignedBuffer(byteCount: capacity)
    unsafe base = memory.address(0..<memory.byteCount)
    self.capacity = memory.byteCount
  }

  package var bytes: RawSpan {
    @inline(__always) @_lifetime(borrow self) get {
      let span = unsafe RawSpan(_unsafeStart: base, byteCount: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The bytes of `range`; behind `count` they are any.
  @inline(__always)
  @_lifetime(borrow self)
  func bytes(_ range: ByteRange) -> RawSpan {
    precondition(range.lowerBound >= 0 && range.upperBound <= capacity)
    let span = unsafe RawSpan(_unsafeStart: base + range.lowerBound, byteCount: range.count)
    return unsafe _overrideLifetime(span, borrowing: self)
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
    if extra > capacity &- count { grow(extra) }
  }

  @inline(never)
  private mutating func grow(_ extra: Int) {
    var larger = AlignedBuffer(byteCount: max(count + extra, 2 * capacity))
    larger.copy(memory.bytes(0..<count), to: 0)
    memory = larger
    unsafe base = memory.address(0..<memory.byteCount)
    capacity = memory.byteCount
  }

  @inline(__always)
  package mutating func append(_ span: RawSpan) {
    reserve(span.byteCount)
    put(span, at: count)
    count &+= span.byteCount
  }

  @inline(__always)
  package mutating func append(_ byte: UInt8) {
    reserve(1)
    unsafe base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  /// Appends an unsigned number, seven bits a byte.
  @inline(__always)
  package mutating func append(varint value: UInt64) {
    // No number takes more than ten bytes.
    reserve(10)
    var rest = value
    while rest >= 0x80 {
      unsafe base.storeBytes(
        of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
      count &+= 1
      rest >>= 7
    }
    unsafe base.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  // MARK: - Writing in place

  /// Stores a byte anywhere in the room there is.
  @inline(__always)
  mutating func put(_ byte: UInt8, at offset: Int) {
    precondition(UInt(bitPattern: offset) < UInt(bitPattern: capacity))
    unsafe base.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
  }

  /// Stores eight bytes, lowest first, anywhere in the room there is.
  @inline(__always)
  mutating func put(_ word: UInt64, at offset: Int) {
    precondition(offset >= 0 && offset <= capacity &- 8)
    unsafe base.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
  }

  /// Copies bytes anywhere into the room there is.
  @inline(__always)
  mutating func put(_ span: RawSpan, at offset: Int) {
    let byteCount = span.byteCount
    precondition(offset >= 0 && offset <= capacity &- byteCount)
    unsafe span.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return }
      unsafe (base + offset).copyMemory(from: start, byteCount: byteCount)
    }
  }

  /// Copies up to 64 bytes of `span`: up to 64 from `offset` on are overwritten.
  @inline(__always)
  mutating func putShort(_ span: RawSpan, _ start: Int, _ byteCount: Int, at offset: Int) {
    precondition(offset >= 0 && offset <= capacity &- 72 && byteCount <= 64)
    guard start >= 0, start <= span.byteCount &- 64 else {
      putLastShort(span, start, byteCount, at: offset)
      return
    }
    // As much as most are, without asking how much it is.
    putWords(span, start, 0, at: offset)
    guard byteCount > 32 else { return }
    putWords(span, start, 32, at: offset)
  }

  /// Copies the 32 bytes behind `skipped`; they are in the span, and there is room.
  @inline(__always)
  private mutating func putWords(
    _ span: RawSpan, _ start: Int, _ skipped: Int, at offset: Int
  ) {
    for place in stride(from: skipped, to: skipped &+ 32, by: 8) {
      let word = unsafe span.unsafeLoadUnaligned(
        fromUncheckedByteOffset: start &+ place, as: UInt64.self)
      unsafe base.storeBytes(of: word, toByteOffset: offset &+ place, as: UInt64.self)
    }
  }

  /// The same near the end of the span.
  @inline(never)
  private mutating func putLastShort(
    _ span: RawSpan, _ start: Int, _ byteCount: Int, at offset: Int
  ) {
    var done = 0
    while done < byteCount {
      unsafe base.storeBytes(
        of: span.word(at: start &+ done), toByteOffset: offset &+ done, as: UInt64.self)
      done &+= 8
    }
  }

  /// Says how many bytes there are, after they were put, or when the last are not wanted.
  @inline(__always)
  mutating func setCount(_ newCount: Int) {
    precondition(newCount >= 0 && newCount <= capacity)
    count = newCount
  }

  /// Appends `pool` as small as it gets and gives the number of its packing.
  mutating func append(packed pool: borrowing ColumnBuffer, _ effort: TableEffort) -> UInt16 {
    reserve(PoolPacking.bound(pool.count))
    if let packed = PoolPacking.compress(pool, effort, into: &memory, at: count) {
      count += packed
      return PoolPacking.lz4
    }
    append(pool.bytes)
    return PoolPacking.raw
  }

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
}

// MARK: - What columns are made of

extension ColumnBuffer {
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
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(truncatingIfNeeded: rest))
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

  /// The instant so many nanoseconds behind the beginning of 1970: 64 bits never leave the years of
  /// the text form.
  @inline(__always)
  init(nearNanoseconds: Int64) {
    let (whole, rest) = nearNanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    let isBefore = rest < 0
    self.init(
      seconds: isBefore ? whole &- 1 : whole,
      nanoseconds: UInt32(truncatingIfNeeded: isBefore ? rest &+ 1_000_000_000 : rest))
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
