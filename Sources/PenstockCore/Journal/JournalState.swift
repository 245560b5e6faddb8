// The journals line: what a shard knows of its journals beside their events.
//
//     #journals last=0000000000003039 time=2026-11-21T03:47:52.123456789Z LF        (68 bytes)
//
// It stands in the first batch a shard writes to a segment, behind that batch's events, and says what
// was so before them: the sequence number of the last event of any journal of this log,
// 0 when there never was one, and the time that event got. So what is older than the live segments is
// known to hold nothing newer, and the times of journals ascend although clocks step back.

/// A `#journals` line.
package struct JournalState: Equatable, Sendable {
  /// The last event of a journal in this log; 0 when there is none.
  package var last: UInt64
  /// Its time.
  package var time: Timestamp

  package init(last: UInt64 = 0, time: Timestamp = .earliest) {
    self.last = last
    self.time = time
  }

  /// Bytes of the line, LF included.
  package static let textByteCount = 68

  /// Writes the line at `offset`.
  package func write(into memory: inout AlignedBuffer, at offset: Int) {
    memory.copy("#journals last=", to: offset)
    BatchLine.put(last, digits: 16, &memory, offset &+ 15)
    memory.copy(" time=", to: offset &+ 31)
    time.write(into: &memory, at: offset &+ 37)
    memory.store(Byte.lineFeed, at: offset &+ 67)
  }

  /// Reads the line that begins at `offset`; nil when it is not exactly of the form above.
  package init?(_ span: RawSpan, at offset: Int) {
    guard offset >= 0, offset &+ JournalState.textByteCount <= span.byteCount,
      span.hasBytes("#journals last=", at: offset), span.hasBytes(" time=", at: offset &+ 31),
      span.byte(at: offset &+ 67) == Byte.lineFeed,
      let last = span.hexadecimal(at: offset &+ 15, digitCount: 16),
      last <= BatchLine.numberMax,
      let time = Timestamp(journalText: span, at: offset &+ 37)
    else { return nil }
    self.last = last
    self.time = time
  }

  /// The time of the next commit: the clock's, or just behind the last one's.
  package func next(after clock: Timestamp) -> Timestamp {
    guard clock <= time else { return clock }
    return time.nanoseconds == 999_999_999
      ? Timestamp(seconds: time.seconds &+ 1, nanoseconds: 0)
      : Timestamp(seconds: time.seconds, nanoseconds: time.nanoseconds &+ 1)
  }
}
