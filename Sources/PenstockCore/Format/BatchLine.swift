// The batch line: what stands in front of the events of one group commit.
//
//     #batch number=000000000000002a first=0000000000003039 events=00000003 bytes=00000400
//       at=2026-11-21T03:47:52.125000000Z durable=0000000000000029 prev=77aa00ff
//       salt=9a8b7c6d5e4f3a2b crc=9f3c1b2e LF                     (one line, single spaces)
//
//     number   the batch's number in its log; grows by one, and jumps when a log was recovered
//     first    sequence number of its first event; the others follow on
//     events   how many event lines it holds
//     bytes    bytes after this line that belong to the batch, `#` lines included, filler not
//     at       server time at which the batch was closed: the receive time of its events
//     durable  highest batch number known durable when this one was submitted
//     prev     crc of the batch before it in the log, in whatever segment; 0 for a log's first
//     salt     the segment's 64 random bits, never shown to a sender: no payload can forge a batch
//     crc      CRC-32C over the eight bytes of the salt (lowest first), the line up to " crc=",
//              and the `bytes` after it
//
// Fields have fixed widths, so the line is written in place and read without searching. A batch
// starts at a multiple of the segment's alignment and is atomic: one checksum covers it. What
// follows it up to the next multiple is filler, LF bytes. Lines inside a batch that begin with `#`
// are not events; readers skip those they do not know. Known ones:
//
//     #listener name                                  the events after it came by this listener
//     #end segment=16hex log=2hex offset=16hex        a recovered segment ends at this offset:
//                                                     batches at or behind it do not count; such
//                                                     lines stand first in a batch (EndLine)
//     #journals …                                     what was so of journals before (JournalState)
//     #produced …  #producers …  #producer …          counters that were stored (ProducerLines)

/// The number of a batch in its log.
package struct BatchNumber: Hashable, Comparable, Sendable, BitwiseCopyable {
  package var value: UInt64
  package init(_ value: UInt64) { self.value = value }
  package static func < (left: BatchNumber, right: BatchNumber) -> Bool {
    left.value < right.value
  }
  /// The number `distance` after this one.
  package func advanced(by distance: UInt64) -> BatchNumber { BatchNumber(value &+ distance) }
  /// Before a log's first batch.
  package static let none = BatchNumber(0)
}

/// The number of an event in its log; grows, gaps are legal. 0 stands before the first.
package struct SequenceNumber: Hashable, Comparable, Sendable, BitwiseCopyable {
  package var value: UInt64
  package init(_ value: UInt64) { self.value = value }
  package static func < (left: SequenceNumber, right: SequenceNumber) -> Bool {
    left.value < right.value
  }
  /// The number `distance` after this one.
  package func advanced(by distance: UInt64) -> SequenceNumber {
    SequenceNumber(value &+ distance)
  }
  /// Before a log's first event.
  package static let none = SequenceNumber(0)
}

/// The fields of a batch line.
package struct BatchLine: Equatable, Sendable {
  package var number: BatchNumber
  package var firstSequence: SequenceNumber
  package var eventCount: UInt32
  package var byteCount: UInt32
  package var at: Timestamp
  package var durable: BatchNumber
  package var previousChecksum: UInt32
  package var salt: UInt64
  package var checksum: UInt32

  package init(
    number: BatchNumber, firstSequence: SequenceNumber, eventCount: UInt32, byteCount: UInt32,
    at: Timestamp, durable: BatchNumber, previousChecksum: UInt32, salt: UInt64,
    checksum: UInt32 = 0
  ) {
    self.number = number
    self.firstSequence = firstSequence
    self.eventCount = eventCount
    self.byteCount = byteCount
    self.at = at
    self.durable = durable
    self.previousChecksum = previousChecksum
    self.salt = salt
    self.checksum = checksum
  }

  /// Bytes of the line, LF included.
  package static let textByteCount = 193

  // Offsets of the values; the template below has the words between them.
  private static let numberOffset = 14
  private static let firstOffset = 37
  private static let eventsOffset = 61
  private static let bytesOffset = 76
  private static let atOffset = 88
  private static let durableOffset = 127
  private static let previousOffset = 149
  private static let saltOffset = 163
  private static let checksumOffset = 184
  /// Bytes of the line the checksum covers.
  package static let checksummedByteCount = 179
  private static let template: StaticString =
    """
    #batch number=................ first=................ events=........ bytes=........ \
    at=.............................. durable=................ prev=........ \
    salt=................ crc=........

    """

  /// The last event's sequence number, or the one before `firstSequence` when there is none.
  package var lastSequence: SequenceNumber {
    SequenceNumber(firstSequence.value &+ UInt64(eventCount) &- 1)
  }

  /// Highest number a batch or an event may have. No writer comes near it: numbers are multiples of
  /// segment numbers, of which `SegmentCatalog.numberMax` is the highest. So a planted batch cannot
  /// exhaust them; those that go on behind any others always exist.
  package static let numberMax: UInt64 = 1 << 62

  /// Bytes an event line has at least: one, and its LF. More events than fit are none of a writer's,
  /// and so many batches may be copied into one that their count has to be a count.
  private static let eventByteCountMin: UInt32 = 2

  /// Whether a log can hold a batch of these numbers.
  package var isPossible: Bool {
    number > .none && number.value <= BatchLine.numberMax && durable < number
      && firstSequence > .none && firstSequence.value <= BatchLine.numberMax
      && eventCount <= byteCount / BatchLine.eventByteCountMin
  }

  /// Writes the line at `offset` of `memory` and seals it: the checksum covers the `byteCount`
  /// bytes that follow it there.
  /// - Returns: the checksum, the next batch's `prev`.
  @discardableResult
  package func seal(in memory: inout AlignedBuffer, at offset: Int) -> UInt32 {
    var sealed = self
    sealed.write(into: &memory, at: offset)
    let end = offset &+ BatchLine.textByteCount &+ Int(byteCount)
    sealed.checksum = BatchLine.checksum(salt: salt, memory.bytes(offset..<end))
    sealed.writeChecksum(into: &memory, at: offset)
    return sealed.checksum
  }

  /// Writes the line at `offset` of `memory`, with the checksum it has.
  package func write(into memory: inout AlignedBuffer, at offset: Int) {
    memory.copy(BatchLine.template, to: offset)
    BatchLine.put(number.value, digits: 16, &memory, offset &+ BatchLine.numberOffset)
    BatchLine.put(firstSequence.value, digits: 16, &memory, offset &+ BatchLine.firstOffset)
    BatchLine.put(UInt64(eventCount), digits: 8, &memory, offset &+ BatchLine.eventsOffset)
    BatchLine.put(UInt64(byteCount), digits: 8, &memory, offset &+ BatchLine.bytesOffset)
    at.write(into: &memory, at: offset &+ BatchLine.atOffset)
    BatchLine.put(durable.value, digits: 16, &memory, offset &+ BatchLine.durableOffset)
    BatchLine.put(
      UInt64(previousChecksum), digits: 8, &memory, offset &+ BatchLine.previousOffset)
    BatchLine.put(salt, digits: 16, &memory, offset &+ BatchLine.saltOffset)
    writeChecksum(into: &memory, at: offset)
  }

  private func writeChecksum(into memory: inout AlignedBuffer, at offset: Int) {
    BatchLine.put(UInt64(checksum), digits: 8, &memory, offset &+ BatchLine.checksumOffset)
  }

  /// The checksum of the batch whose line and content fill `span`.
  package static func checksum(salt: UInt64, _ span: RawSpan) -> UInt32 {
    let line = span.extracting(0..<checksummedByteCount).checksum(
      seed: Checksum.ofWord(salt))
    return span.extracting(textByteCount..<span.byteCount).checksum(seed: line)
  }

  /// Writes `value` in so many lower-case hexadecimal digits.
  static func put(
    _ value: UInt64, digits: Int, _ memory: inout AlignedBuffer, _ offset: Int
  ) {
    for index in 0..<digits {
      let nibble = UInt8(truncatingIfNeeded: value >> UInt64(4 &* (digits &- 1 &- index))) & 0xF
      let digit = nibble < 10 ? Byte.zero &+ nibble : UInt8(ascii: "a") &+ nibble &- 10
      memory.store(digit, at: offset &+ index)
    }
  }

  /// Whether a batch line may begin at `offset`: a cheap look before `init(_:at:)`.
  package static func mayBegin(_ span: RawSpan, at offset: Int) -> Bool {
    span.hasBytes("#batch number=", at: offset)
  }

  /// Reads the line at `offset`; nil when it is not exactly of the form above. The checksum is
  /// read, not checked: that is `isIntact(in:at:)`.
  package init?(_ span: RawSpan, at offset: Int) {
    guard offset >= 0, offset &+ BatchLine.textByteCount <= span.byteCount,
      span.hasBytes("#batch number=", at: offset),
      span.hasBytes(" first=", at: offset &+ 30),
      span.hasBytes(" events=", at: offset &+ 53),
      span.hasBytes(" bytes=", at: offset &+ 69),
      span.hasBytes(" at=", at: offset &+ 84),
      span.hasBytes(" durable=", at: offset &+ 118),
      span.hasBytes(" prev=", at: offset &+ 143),
      span.hasBytes(" salt=", at: offset &+ 157),
      span.hasBytes(" crc=", at: offset &+ 179),
      span.byte(at: offset &+ 192) == Byte.lineFeed,
      let number = span.hexadecimal(at: offset &+ BatchLine.numberOffset, digitCount: 16),
      let first = span.hexadecimal(at: offset &+ BatchLine.firstOffset, digitCount: 16),
      let events = span.hexadecimal(at: offset &+ BatchLine.eventsOffset, digitCount: 8),
      let bytes = span.hexadecimal(at: offset &+ BatchLine.bytesOffset, digitCount: 8),
      let at = Timestamp(journalText: span, at: offset &+ BatchLine.atOffset),
      let durable = span.hexadecimal(at: offset &+ BatchLine.durableOffset, digitCount: 16),
      let previous = span.hexadecimal(at: offset &+ BatchLine.previousOffset, digitCount: 8),
      let salt = span.hexadecimal(at: offset &+ BatchLine.saltOffset, digitCount: 16),
      let checksum = span.hexadecimal(at: offset &+ BatchLine.checksumOffset, digitCount: 8)
    else { return nil }
    self.init(
      number: BatchNumber(number), firstSequence: SequenceNumber(first),
      eventCount: UInt32(events), byteCount: UInt32(bytes), at: at,
      durable: BatchNumber(durable), previousChecksum: UInt32(previous), salt: salt,
      checksum: UInt32(checksum))
  }

  /// Whether the batch at `offset` of `span` is whole: its content is inside the span and the
  /// checksum holds.
  package func isIntact(in span: RawSpan, at offset: Int) -> Bool {
    let end = offset &+ BatchLine.textByteCount &+ Int(byteCount)
    guard end <= span.byteCount else { return false }
    return BatchLine.checksum(salt: salt, span.extracting(offset..<end)) == checksum
  }
}
