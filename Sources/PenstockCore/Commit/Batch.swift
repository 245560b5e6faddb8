// A batch: the events of one group commit, in memory.
//
//     free → open → submitted → durable → free        states only step forward
//
// A batch lives in one slot of `ShardMemory.commits`: room for the batch line, then event lines
// as they are written, then filler up to the alignment. Its numbers are given when it is
// submitted, except the first sequence, which receipts quote and which is fixed when it opens.

/// One slot's batch.
package struct Batch: BitwiseCopyable {
  package enum State: UInt8, BitwiseCopyable { case free, open, submitted, durable }

  /// Which slot of the commit memory it fills.
  package let slot: Int
  /// First byte of the slot.
  package let base: Int
  package private(set) var state = State.free
  /// Where the next event goes.
  package var writer: EventWriter
  package var eventCount: UInt32 = 0
  package var firstSequence = SequenceNumber.none
  package var number = BatchNumber.none
  /// Monotonic time of the first event, and of the submission, in nanoseconds.
  package var openedAt: Int64 = 0
  package var submittedAt: Int64 = 0
  /// Bytes handed to the kernel, filler included.
  package var writtenByteCount = 0

  package init(slot: Int, limits: Limits) {
    self.slot = slot
    base = slot * limits.batchSlotByteCount
    writer = EventWriter(offset: base, limit: base)
  }

  /// Bytes of content so far: event lines and `#` lines.
  package var contentByteCount: Int {
    @inline(__always) get { writer.offset &- base &- BatchLine.textByteCount }
  }

  /// Moves to the next state; any other step is a bug.
  package mutating func step(to next: State) {
    switch (state, next) {
    case (.free, .open), (.open, .submitted), (.submitted, .durable), (.durable, .free):
      state = next
    default: preconditionFailure("a batch cannot step from \(state) to \(next)")
    }
  }

  /// Opens the slot for a batch. What is written ends at a multiple of `alignment`, so that the
  /// filler fits behind it, and leaves room for the journals line and the table of producers.
  package mutating func open(
    number: BatchNumber, firstSequence: SequenceNumber, alignment: Int, limits: Limits
  ) {
    step(to: .open)
    self.number = number
    self.firstSequence = firstSequence
    eventCount = 0
    openedAt = 0
    writer = EventWriter(
      offset: base + BatchLine.textByteCount,
      limit: base + limits.batchSlotByteCount / alignment * alignment
        - JournalState.textByteCount - ProducerLines.tableByteCountMax(limits.producerCountMax))
  }

  /// Puts the journals line behind the events: nothing more may be written.
  package mutating func put(_ state: JournalState, _ memory: inout AlignedBuffer) {
    state.write(into: &memory, at: writer.offset)
    writer.offset += JournalState.textByteCount
  }

  /// Puts the table of producers behind that, into the room that was left for it.
  package mutating func put(
    _ producers: borrowing Producers, _ memory: inout AlignedBuffer
  ) {
    writer.limit = writer.offset + ProducerLines.tableByteCountMax(producers.countMax)
    ProducerLines.put(producers, &writer, &memory)
    precondition(!writer.isFull)
  }

  /// The sequence number the next event gets.
  package var nextSequence: SequenceNumber {
    @inline(__always) get { firstSequence.advanced(by: UInt64(eventCount)) }
  }
}
