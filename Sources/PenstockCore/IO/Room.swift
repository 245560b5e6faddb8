// Room of known size in a buffer, written from its beginning on.
//
// Short fields are stored in whole words and vectors: what is stored beyond a field is written over
// by the next one, and the last may not come nearer to the end than `slackByteCount`. Each store proves
// that it lies in the room; a caller that asked for too little traps.

internal import CShims

/// A place to write short fields to, exclusively, for as long as its buffer is borrowed.
@safe
struct Room: ~Copyable, ~Escapable {
  private let start: UnsafeMutableRawPointer
  private let capacity: Int
  /// Bytes written so far.
  private(set) var count = 0

  /// Bytes that the store of a field touches at most beyond it.
  static let slackByteCount = 32
  /// The longest field, in bytes.
  static let fieldByteCountMax = 64

  @inline(always)
  @_lifetime(immortal)
  init(start: UnsafeMutableRawPointer, capacity: Int) {
    unsafe self.start = start
    self.capacity = capacity
  }

  /// Bytes that may still be written.
  @inline(always)
  var remaining: Int { capacity &- count }

  /// Writes one byte.
  @inline(always)
  @_lifetime(self: copy self)
  mutating func put(_ byte: UInt8) {
    precondition(remaining >= 1)
    unsafe start.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  /// Writes the lowest `byteCount` (at most eight) bytes of a word.
  @inline(always)
  @_lifetime(self: copy self)
  mutating func put(_ word: UInt64, count byteCount: Int) {
    precondition(remaining >= 8)
    unsafe start.storeBytes(of: word, toByteOffset: count, as: UInt64.self)
    count &+= byteCount
  }

  /// Writes the first `byteCount` (at most 16) bytes of two words.
  @inline(always)
  @_lifetime(self: copy self)
  mutating func put(_ first: UInt64, _ second: UInt64, count byteCount: Int) {
    precondition(remaining >= 16)
    unsafe start.storeBytes(of: first, toByteOffset: count, as: UInt64.self)
    unsafe start.storeBytes(of: second, toByteOffset: count &+ 8, as: UInt64.self)
    count &+= byteCount
  }

  /// Writes text known at compile time.
  @inline(always)
  @_lifetime(self: copy self)
  mutating func put(_ text: StaticString) {
    precondition(remaining >= text.utf8CodeUnitCount)
    unsafe (start + count).copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
    count &+= text.utf8CodeUnitCount
  }

  /// Writes `byteCount` bytes of `source`, a field of at most `fieldByteCountMax`.
  @inline(always)
  @_lifetime(self: copy self)
  mutating func put(_ source: RawSpan, _ offset: Int, count byteCount: Int) {
    precondition(
      UInt(bitPattern: byteCount) <= UInt(bitPattern: Room.fieldByteCountMax)
        && byteCount <= remaining &- Room.slackByteCount)
    precondition(offset >= 0 && offset <= source.byteCount &- byteCount)
    unsafe source.withUnsafeBytes { bytes in
      guard let from = bytes.baseAddress else { return }
      if offset <= bytes.count &- byteCount &- Room.slackByteCount {
        unsafe penstock_copy_field(start + count, from + offset, byteCount)
      } else {
        unsafe (start + count).copyMemory(from: from + offset, byteCount: byteCount)
      }
    }
    count &+= byteCount
  }

  /// Moves the end: bytes stored beyond it count, or those before it do not.
  @inline(always)
  @_lifetime(self: copy self)
  mutating func setCount(_ newCount: Int) {
    precondition(newCount >= 0 && newCount <= capacity)
    count = newCount
  }
}
