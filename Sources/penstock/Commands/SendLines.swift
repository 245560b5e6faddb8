// Lines of an input that may be a file, a pipe or a terminal.
//
//     fill → next, next, … → nil → fill → …
//
// Bytes up to LF are a line, and so is what stands behind the last LF. A line longer than
// `lineByteCountMax` cannot be stored: it is passed over and counted.

internal import CShims
internal import PenstockCore

/// Cuts what a descriptor gives into lines, in bounded memory.
struct SendLines: ~Copyable {
  /// Longest line: the largest event a server takes by default is 1 MiB, its header included.
  static let lineByteCountMax = 1 << 20
  private static let readByteCount = 256 << 10

  private let descriptor: Int32
  private var memory = AlignedBuffer(byteCount: lineByteCountMax + readByteCount)
  /// Bytes read and not given out.
  private var start = 0
  private var end = 0
  /// Where the search for the next LF goes on.
  private var searched = 0
  private var isPassingOver = false
  private(set) var hasEnded = false
  /// Lines that were too long.
  private(set) var longLineCount = 0
  /// The number of the first of them, counted from 1.
  private(set) var firstLongLine = 0
  private var lineCount = 0

  init(descriptor: Int32) { self.descriptor = descriptor }

  /// The bytes of a line `next` gave.
  @_lifetime(borrow self)
  func bytes(_ range: ByteRange) -> RawSpan { memory.bytes(range) }

  /// Reads what there is; waits when there is nothing.
  mutating func fill() throws(FileError) {
    memory.move(start..<end, to: 0)
    end -= start
    searched -= start
    start = 0
    if end > SendLines.lineByteCountMax {
      // A whole line would have been taken by now.
      isPassingOver = true
      end = 0
      searched = 0
    }
    let room = end..<(end + SendLines.readByteCount)
    let count = unsafe penstock_read(descriptor, memory.address(room), room.count)
    if count < 0 { throw FileError(.read, "standard input", code: Int32(-count)) }
    end += Int(count)
    if count == 0 { hasEnded = true }
  }

  /// The next line, without its LF; nil when more has to be read.
  mutating func next() -> ByteRange? {
    while true {
      let stop = memory.bytes.firstIndex(of: Byte.lineFeed, from: searched, to: end)
      searched = stop
      guard stop < end || (hasEnded && (start < end || isPassingOver)) else { return nil }
      let line = start..<stop
      start = min(stop + 1, end)
      searched = start
      lineCount += 1
      guard isPassingOver || line.count > SendLines.lineByteCountMax else { return line }
      isPassingOver = false
      longLineCount += 1
      if longLineCount == 1 { firstLongLine = lineCount }
    }
  }
}
