// How one batch follows another in a log.
//
//     ordinary batch    number = the number before it + 1, prev = the checksum before it
//     recovery batch    number jumps; its `durable` names the batch before it, prev as above
//
// A recovery batch is known by the `#end` lines it begins with, of which at least one ends an older
// segment of its log. Those lines are its own: they are not copied with what stands behind them.

/// Where a valid batch lies in its segment.
package struct BatchExtent: Equatable, Sendable {
  /// The batch line.
  package var line: BatchLine
  /// First byte of the batch line, from the start of the file.
  package var offset: Int
  /// Bytes of line and content, filler not included.
  package var byteCount: Int
  /// Whether the batch is known to be durable; provisional otherwise.
  package var isProved: Bool
  /// Whether the batch ends an older segment: what recovery writes first.
  package var isRecovery: Bool
  /// Bytes of the `#end` lines the content begins with, whatever they end.
  package var endLinesByteCount = 0

  package init(line: BatchLine, offset: Int, isProved: Bool = false, isRecovery: Bool = false) {
    self.line = line
    self.offset = offset
    byteCount = BatchLine.textByteCount + Int(line.byteCount)
    self.isProved = isProved
    self.isRecovery = isRecovery
  }

  /// The content behind the batch line.
  package var content: ByteRange { (offset + BatchLine.textByteCount)..<end }
  /// The content behind the `#end` lines it begins with.
  package var contentBehindEnds: ByteRange { (content.lowerBound + endLinesByteCount)..<end }
  /// First byte behind the batch.
  package var end: Int { offset + byteCount }
  /// The number of the batch before this one in the log.
  package var predecessor: BatchNumber {
    isRecovery ? line.durable : BatchNumber(line.number.value &- 1)
  }
}

/// How a batch stands to the one before it.
package enum BatchLink: Equatable, Sendable {
  /// It is the next one.
  case follows
  /// Batches between the two are missing.
  case missing(ClosedRange<BatchNumber>)
  /// Numbers do not grow, or the checksum is not that of the batch before it.
  case contradicts

  package init(from last: BatchExtent, to next: BatchExtent) {
    let expected = next.predecessor
    if next.line.number > last.line.number, expected > last.line.number {
      self = .missing(last.line.number.advanced(by: 1)...expected)
    } else if expected == last.line.number, next.line.previousChecksum == last.line.checksum {
      self = .follows
    } else {
      self = .contradicts
    }
  }
}
