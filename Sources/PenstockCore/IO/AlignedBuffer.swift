// Memory taken once at start, page-aligned and zeroed, for direct I/O and for the kernel to fill.
//
// Pages count as resident only once they are touched, so a buffer may be sized for the worst case.
// Nothing of it is ever lent out: queued operations name a `ByteRange` of it, parsers borrow a
// span for the time of one call. Bounds are proved here, once per store: every write is checked
// against `byteCount` before a byte moves.

internal import CShims

/// Page-aligned memory of fixed size.
@safe
package struct AlignedBuffer: ~Copyable {
  @usableFromInline let base: UnsafeMutableRawPointer
  /// Size in bytes, a multiple of `pageByteCount`.
  package let byteCount: Int

  /// The alignment of `base`, in bytes.
  package static let pageByteCount = 4096

  /// Size of a huge page, in bytes.
  static let hugePageByteCount = 2 << 20

  /// Takes `byteCount` bytes, rounded up to pages. Traps when the machine has none: it is called
  /// at start only.
  /// - Parameter inHugePages: asks for huge pages, and rounds up to them: a device is then told of
  ///   one stretch of memory instead of hundreds.
  package init(byteCount: Int, inHugePages: Bool = false) {
    precondition(byteCount > 0)
    let page = inHugePages ? Self.hugePageByteCount : Self.pageByteCount
    let rounded = (byteCount + page - 1) / page * page
    guard let memory = unsafe penstock_map_memory(rounded, inHugePages) else {
      preconditionFailure("no memory for a buffer of \(rounded) bytes")
    }
    unsafe base = memory
    self.byteCount = rounded
  }

  deinit { unsafe penstock_unmap(base, byteCount) }

  /// All bytes, for reading.
  package var bytes: RawSpan {
    @inline(__always) @_lifetime(borrow self) get {
      let span = unsafe RawSpan(_unsafeStart: base, byteCount: byteCount)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The bytes of `range`, for reading.
  @inlinable @inline(__always)
  @_lifetime(borrow self)
  package func bytes(_ range: ByteRange) -> RawSpan {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    let span = unsafe RawSpan(
      _unsafeStart: base + range.lowerBound, byteCount: range.count)
    return unsafe _overrideLifetime(span, borrowing: self)
  }

  /// The address of `range`, for the kernel. The owner of the operation keeps the buffer alive
  /// and leaves the range alone until the operation has completed.
  package func address(_ range: ByteRange) -> UnsafeMutableRawPointer {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    return unsafe base + range.lowerBound
  }

  /// Stores one byte.
  @inlinable @inline(__always)
  package mutating func store(_ byte: UInt8, at offset: Int) {
    precondition(UInt(bitPattern: offset) < UInt(bitPattern: byteCount))
    unsafe base.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
  }

  /// Stores four bytes, lowest first.
  @inlinable @inline(__always)
  package mutating func store(_ word: UInt32, at offset: Int) {
    precondition(offset >= 0 && offset <= byteCount &- 4)
    unsafe base.storeBytes(of: word, toByteOffset: offset, as: UInt32.self)
  }

  /// Stores eight bytes, lowest first.
  @inlinable @inline(__always)
  package mutating func store(_ word: UInt64, at offset: Int) {
    precondition(offset >= 0 && offset <= byteCount &- 8)
    unsafe base.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
  }

  /// Copies `source` to `offset`.
  @inlinable @inline(__always)
  package mutating func copy(_ source: RawSpan, to offset: Int) {
    let count = source.byteCount
    precondition(offset >= 0 && offset <= byteCount &- count)
    unsafe source.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return }
      unsafe (base + offset).copyMemory(from: start, byteCount: count)
    }
  }

  /// Copies text known at compile time to `offset`.
  @inline(__always)
  package mutating func copy(_ text: StaticString, to offset: Int) {
    let count = text.utf8CodeUnitCount
    precondition(offset >= 0 && offset <= byteCount &- count)
    unsafe (base + offset).copyMemory(from: text.utf8Start, byteCount: count)
  }

  /// Copies a payload; true when it holds a byte that has to be escaped.
  @inline(__always)
  package mutating func copyPayload(_ source: RawSpan, to offset: Int) -> Bool {
    let count = source.byteCount
    precondition(offset >= 0 && offset <= byteCount &- count)
    return unsafe source.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return false }
      return unsafe penstock_copy_payload(base + offset, start, count) != 0
    }
  }

  /// Copies a name or value; true when it holds a byte that has to be escaped.
  @inline(__always)
  package mutating func copyWord(_ source: RawSpan, to offset: Int) -> Bool {
    let count = source.byteCount
    precondition(offset >= 0 && offset <= byteCount &- count)
    return unsafe source.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return false }
      return unsafe penstock_copy_word(base + offset, start, count) != 0
    }
  }

  /// Room for writing without a look at the limit for each field: of `range`.
  @inline(__always)
  @_lifetime(&self)
  mutating func room(_ range: ByteRange) -> Room {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    let room = unsafe Room(start: base + range.lowerBound, capacity: range.count)
    return unsafe _overrideLifetime(room, mutating: &self)
  }

  /// Appends the bytes of `range` to an array. For cold paths: the array may grow.
  package func append(_ range: ByteRange, to bytes: inout [UInt8]) {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    unsafe bytes.append(
      contentsOf: UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count))
  }

  /// Says that the bytes of `range` will be read soon: as many of the first as are worth it.
  package func prefetch(_ range: ByteRange) {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    unsafe penstock_prefetch(base + range.lowerBound, range.count)
  }

  /// Fills `range` with one byte.
  package mutating func fill(_ range: ByteRange, with byte: UInt8) {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    unsafe (base + range.lowerBound).initializeMemory(
      as: UInt8.self, repeating: byte, count: range.count)
  }

  /// Takes larger memory, and keeps the first `count` bytes.
  package mutating func grow(to byteCount: Int, keeping count: Int) {
    var larger = AlignedBuffer(byteCount: byteCount)
    if count > 0 { larger.copy(bytes(0..<count), to: 0) }
    self = larger
  }

  /// Moves the bytes of `range` to `offset`; the two may overlap.
  package mutating func move(_ range: ByteRange, to offset: Int) {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    precondition(offset >= 0 && offset <= byteCount &- range.count)
    unsafe (base + offset).copyMemory(from: base + range.lowerBound, byteCount: range.count)
  }
}
