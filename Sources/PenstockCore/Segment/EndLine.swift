// The end line: where a recovered segment ends.
//
//     #end segment=0000000000000017 log=00 offset=0000000000401000 LF        (61 bytes)
//
// A recovery batch begins with one such line for every older segment in which something may stand
// that recovery did not accept, or copied: batches at or behind `offset` there do not count any
// more. The lines come first in the batch and have a fixed width, so a reader finds them without
// parsing the events behind them. A line counts as long as the batch it stands in is not ended, and
// ends only what is older than the segment it stands in. It is not copied with the batch: the batch
// that holds the copy has a line of its own for each segment that the copied one ended.

/// One `#end` line.
package struct EndLine: Equatable, Sendable {
  /// The segment that ends.
  package var name: SegmentName
  /// First byte of the segment that does not count.
  package var offset: Int

  package init(name: SegmentName, offset: Int) {
    self.name = name
    self.offset = offset
  }

  /// Bytes of the line, LF included.
  package static let textByteCount = 61

  /// The line, LF included.
  package var text: String {
    "#end segment=" + Hexadecimal.text(name.number.value, digits: 16)
      + " log=" + Hexadecimal.text(UInt64(name.log.value), digits: 2)
      + " offset=" + Hexadecimal.text(UInt64(offset), digits: 16) + "\n"
  }

  /// Reads the line at `offset` of `span`; nil when it is not exactly of the form above.
  package init?(_ span: RawSpan, at offset: Int) {
    guard offset >= 0, offset &+ EndLine.textByteCount <= span.byteCount,
      span.hasBytes("#end segment=", at: offset),
      span.hasBytes(" log=", at: offset &+ 29),
      span.hasBytes(" offset=", at: offset &+ 36),
      span.byte(at: offset &+ 60) == Byte.lineFeed,
      let number = span.hexadecimal(at: offset &+ 13, digitCount: 16),
      let log = span.hexadecimal(at: offset &+ 34, digitCount: 2),
      let end = span.hexadecimal(at: offset &+ 44, digitCount: 16), end <= UInt64(Int.max)
    else { return nil }
    name = SegmentName(log: LogNumber(UInt8(log)), number: SegmentNumber(number))
    self.offset = Int(end)
  }
}
