// Writes event lines into memory, field by field, in their final text form.
//
//     begin(time) → stream pieces → type → attribute… → end(payload)
//
// Writing past the limit does not trap and does not write: it sets `isFull`, and the caller rolls
// back to its mark and closes the batch. So no stage has to compute a line's size beforehand, and
// escapes may grow a line without a second pass. Nothing here allocates.

/// A position in memory at which the next byte of an event line goes.
package struct EventWriter: BitwiseCopyable {
  /// Where the next byte goes.
  package var offset: Int
  /// First byte that may not be written.
  package var limit: Int
  /// Whether something did not fit since the flag was last cleared.
  package var isFull = false

  package init(offset: Int, limit: Int) {
    self.offset = offset
    self.limit = limit
  }

  @inline(__always)
  private mutating func reserve(_ count: Int) -> Bool {
    if count <= limit &- offset { return true }
    isFull = true
    return false
  }

  /// Writes one byte.
  @inline(__always)
  package mutating func put(_ byte: UInt8, _ memory: inout AlignedBuffer) {
    guard reserve(1) else { return }
    memory.store(byte, at: offset)
    offset &+= 1
  }

  /// Writes text known at compile time.
  @inline(__always)
  package mutating func put(_ text: StaticString, _ memory: inout AlignedBuffer) {
    guard reserve(text.utf8CodeUnitCount) else { return }
    memory.copy(text, to: offset)
    offset &+= text.utf8CodeUnitCount
  }

  /// Writes the lowest `count` (at most eight) bytes of a word.
  @inline(__always)
  package mutating func put(_ word: UInt64, count: Int, _ memory: inout AlignedBuffer) {
    // Whole words are stored where eight bytes fit: what is beyond `count` is written over next.
    if limit &- offset >= 8 {
      memory.store(word, at: offset)
      offset &+= count
      return
    }
    for index in 0..<count {
      put(UInt8(truncatingIfNeeded: word >> UInt64(8 &* index)), &memory)
    }
  }

  /// Writes the first `count` (at most 16) bytes of two words.
  @inline(__always)
  package mutating func put(
    _ first: UInt64, _ second: UInt64, count: Int, _ memory: inout AlignedBuffer
  ) {
    if limit &- offset >= 16 {
      memory.store(first, at: offset)
      memory.store(second, at: offset &+ 8)
      offset &+= count
      return
    }
    put(first, count: min(count, 8), &memory)
    put(second, count: max(count &- 8, 0), &memory)
  }

  /// Writes bytes that are known to need no escape.
  @inline(__always)
  package mutating func put(verbatim bytes: RawSpan, _ memory: inout AlignedBuffer) {
    guard reserve(bytes.byteCount) else { return }
    memory.copy(bytes, to: offset)
    offset &+= bytes.byteCount
  }

  /// Writes a time in the journal's text form.
  @inline(__always)
  package mutating func put(_ time: Timestamp, _ memory: inout AlignedBuffer) {
    guard reserve(Timestamp.textByteCount) else { return }
    time.write(into: &memory, at: offset)
    offset &+= Timestamp.textByteCount
  }

  /// Digits of a non-negative number in decimal.
  package static func digitCount(_ value: Int) -> Int {
    var count = 1
    var rest = value / 10
    while rest > 0 {
      count += 1
      rest /= 10
    }
    return count
  }

  /// Writes a non-negative number in decimal.
  package mutating func put(decimal value: Int, _ memory: inout AlignedBuffer) {
    precondition(value >= 0)
    var divisor = 1
    while value / divisor >= 10 { divisor &*= 10 }
    while divisor > 0 {
      put(Byte.zero &+ UInt8(value / divisor % 10), &memory)
      divisor /= 10
    }
  }

  /// Writes a stream name, type or value, escaped where needed; a key that holds no "=".
  @inline(__always)
  package mutating func put(word bytes: RawSpan, _ memory: inout AlignedBuffer) {
    guard reserve(bytes.byteCount) else { return }
    if memory.copyWord(bytes, to: offset) {
      escape(bytes, .word, &memory)
    } else {
      offset &+= bytes.byteCount
    }
  }

  /// Writes bytes of which some need escapes: words that need none at once, others byte by byte.
  @inline(never)
  private mutating func escape(
    _ bytes: RawSpan, _ context: Escape.Context, _ memory: inout AlignedBuffer
  ) {
    var index = 0
    while index < bytes.byteCount {
      let word = bytes.word(at: index)
      if bytes.byteCount &- index >= 8, limit &- offset >= 8, !Escape.mayNeed(word) {
        memory.store(word, at: offset)
        offset &+= 8
        index &+= 8
        continue
      }
      let end = min(index &+ 8, bytes.byteCount)
      while index < end {
        let byte = bytes.byte(at: index)
        if let letter = Escape.letter(for: byte, context) {
          put(Byte.backslash, &memory)
          put(letter, &memory)
        } else {
          put(byte, &memory)
        }
        index &+= 1
      }
    }
  }

  /// Ends the line: TAB, the payload (escaped and marked when it holds LF or NUL), LF.
  @inline(__always)
  package mutating func end(payload: RawSpan, _ memory: inout AlignedBuffer) {
    let mark = offset
    guard reserve(payload.byteCount &+ 2) else { return }
    memory.store(Byte.tab, at: offset)
    if memory.copyPayload(payload, to: offset &+ 1) {
      offset = mark
      put(" _escaped=\t", &memory)
      escape(payload, .payload, &memory)
      put(Byte.lineFeed, &memory)
      return
    }
    offset &+= payload.byteCount &+ 1
    memory.store(Byte.lineFeed, at: offset)
    offset &+= 1
  }
}
