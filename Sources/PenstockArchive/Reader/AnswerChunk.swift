// A piece of an answer: event lines, and in front of them the line that says how many bytes they
// are. The line is written last, up against the events, so that both leave in one call.

package import PenstockCore

/// A piece of an answer, used again for the next.
package struct AnswerChunk: ~Copyable {
  package private(set) var memory: AlignedBuffer
  private var end = AnswerChunk.headerByteCountMax
  /// Events in it.
  package private(set) var count = 0

  /// A chunk is sent at this size, in bytes: large enough that system calls do not count, small
  /// enough to lie in the second cache while it is copied.
  package static let byteCountTarget = 64 << 10
  /// Room for the line in front: the positions of as many logs as there can be.
  package static let headerByteCountMax = 8 << 10

  package init() {
    memory = AlignedBuffer(
      byteCount: AnswerChunk.headerByteCountMax + 2 * AnswerChunk.byteCountTarget)
  }

  package var isEmpty: Bool { count == 0 }
  package var isFull: Bool { byteCount >= AnswerChunk.byteCountTarget }
  private var byteCount: Int { end - AnswerChunk.headerByteCountMax }

  /// Adds an event.
  package mutating func put(_ event: borrowing StoredEvent, tellsPosition: Bool) {
    let line = event.bytes.rawSpan
    let position = tellsPosition ? " _at=\(event.log.value):\(event.sequence.value)" : ""
    makeRoom(line.byteCount + position.utf8.count + 1)
    // In front of the TAB.
    let cut = tellsPosition ? event.fields.payload.lowerBound - 1 : 0
    put(line.extracting(0..<cut))
    put(Array(position.utf8).rawSpan)
    put(line.extracting(cut..<line.byteCount))
    memory.store(Byte.lineFeed, at: end)
    end += 1
    count += 1
  }

  private mutating func put(_ bytes: RawSpan) {
    guard bytes.byteCount > 0 else { return }
    memory.copy(bytes, to: end)
    end += bytes.byteCount
  }

  private mutating func makeRoom(_ byteCount: Int) {
    if byteCount > memory.byteCount - end { memory.grow(to: end + byteCount, keeping: end) }
  }

  /// Where the piece lies, with its line in front.
  package mutating func seal(at position: String?, tag: String) -> ByteRange {
    let header =
      "EVENTS \(byteCount) count=\(count)" + (position.map { " at=" + $0 } ?? "") + tag + "\n"
    let start = AnswerChunk.headerByteCountMax - header.utf8.count
    memory.copy(Array(header.utf8).rawSpan, to: start)
    return start..<end
  }

  /// Begins the next piece.
  package mutating func reset() {
    // One large event does not keep its memory for ever.
    if memory.byteCount > AnswerChunk.headerByteCountMax + 4 * AnswerChunk.byteCountTarget {
      self = AnswerChunk()
    }
    end = AnswerChunk.headerByteCountMax
    count = 0
  }
}
