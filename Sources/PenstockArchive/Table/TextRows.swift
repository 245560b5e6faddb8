// The texts of a column while its block is open, one a row.

internal import PenstockCore

/// Texts, one after the other. Behind each stands a LF, so that no number goes on from one into the
/// next.
package struct TextRows: ~Copyable {
  private(set) var buffer: ColumnBuffer
  private var ends = NumberBuffer()

  package init(capacity: Int) { buffer = ColumnBuffer(capacity: capacity) }

  var count: Int { ends.count }

  /// Bytes of the texts alone.
  var byteCount: Int { buffer.count &- ends.count }

  @inline(__always)
  package mutating func append(_ text: RawSpan) {
    buffer.append(text)
    ends.append(UInt64(buffer.count))
    buffer.append(UInt8(ascii: "\n"))
  }

  mutating func removeAll() {
    buffer.removeAll()
    ends.removeAll()
  }

  /// Whether the first text holds `words`.
  func firstHolds(_ words: StaticString) -> Bool {
    guard count > 0 else { return false }
    let text = buffer.bytes(range(0))
    return (0..<text.byteCount).contains { text.hasBytes(words, at: $0) }
  }

  /// Where a row's text lies in `buffer`.
  @inline(__always)
  func range(_ row: Int) -> ByteRange {
    let start = row == 0 ? 0 : Int(truncatingIfNeeded: ends[row &- 1]) &+ 1
    return start..<Int(truncatingIfNeeded: ends[row])
  }
}
