// A journal as one text, which positions in bytes are about.
//
//     text     = *( time SP event LF )
//     time     = 23 bytes: the event's time to the millisecond, "2026-11-21T03:47:52.123"
//     event    = the payload as it stands in the event line, escaped where it holds LF or NUL
//
// So a journal's size grows by 25 bytes and the payload with each event, whatever its attributes are,
// and any position a size was told at stands between two events.

package import PenstockCore

package enum JournalText {
  /// Bytes of an event's time in the text.
  package static let timeByteCount = 23
  /// Bytes an event takes beside its payload: time, space, LF.
  package static let overheadByteCount = timeByteCount + 2

  /// Bytes the event line in `range` adds to the text.
  @inline(__always)
  static func byteCount(_ span: RawSpan, _ range: ByteRange) -> Int {
    let tab = span.nearIndex(of: Byte.tab, from: range.lowerBound, to: range.upperBound)
    return overheadByteCount + range.upperBound - min(tab + 1, range.upperBound)
  }
}

/// Bytes of a journal's text on their way out: a buffer that is filled up to a limit.
package struct TextBuffer: ~Copyable {
  package private(set) var memory: AlignedBuffer
  package private(set) var byteCount = 0

  package init(byteCount: Int) { memory = AlignedBuffer(byteCount: byteCount) }

  package var bytes: RawSpan {
    @_lifetime(borrow self) get { memory.bytes(0..<byteCount) }
  }

  package mutating func removeAll() { byteCount = 0 }

  /// Takes the last byte away.
  package mutating func removeLast() { if byteCount > 0 { byteCount -= 1 } }

  /// Appends bytes of it to another buffer.
  package func copy(_ range: ByteRange, to other: inout TextBuffer) {
    precondition(range.upperBound <= byteCount)
    other.put(memory.bytes(range))
  }

  /// Takes the first `count` bytes away.
  package mutating func removeFirst(_ count: Int) {
    memory.move(count..<byteCount, to: 0)
    byteCount -= count
  }

  package mutating func put(_ bytes: RawSpan) {
    guard bytes.byteCount > 0 else { return }
    if bytes.byteCount > memory.byteCount - byteCount {
      memory.grow(to: 2 * (byteCount + bytes.byteCount), keeping: byteCount)
    }
    memory.copy(bytes, to: byteCount)
    byteCount += bytes.byteCount
  }

  package mutating func put(_ byte: UInt8) {
    if byteCount == memory.byteCount {
      put([byte].rawSpan)
    } else {
      memory.store(byte, at: byteCount)
      byteCount += 1
    }
  }
}
