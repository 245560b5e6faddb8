// The shard's side of named producers: requests with a counter, stored once however often they come.
//
//     PUT | COMMIT with a counter ─▶ who asks? ─▶ another shard's ─▶ passed on
//                                      │
//                                      ▼
//           repeated ─▶ the first answer, once that is durable        new ─▶ stored, remembered,
//           refused  ─▶ why                                                  told in the batch
//
// The counters of PUTs are kept by the shard that owns the producer's name, those of COMMITs by the
// one that owns their journals: a request and its repetitions always meet in the same table.

extension Shard where Machine: ~Copyable {
  /// What becomes of a PUT or COMMIT.
  enum ProducerStep {
    /// It has no counter.
    case plain
    /// It is new: what is stored has to be remembered.
    case new
    /// It was answered, or passed on.
    case settled
  }

  /// The connection speaks for a producer from now on.
  mutating func nameProducer(_ slot: Int, _ source: Source, _ name: ByteRange, epoch: UInt64) {
    let generation = sessions.connections[slot].generation
    if source == .frames {
      producerSessions.begin(slot, generation, sessions.frames, name, epoch: epoch)
    } else {
      producerSessions.begin(slot, generation, memory.streams, name, epoch: epoch)
    }
    answer(slot, Answer(kind: .producer))
  }

  /// Looks whether a request was stored before.
  /// - Parameter isCommit: its journal's shard keeps the counter, not that of the producer's name.
  mutating func judgeProducer(
    _ slot: Int, _ source: Source, line: ByteRange, _ body: ByteRange, isCommit: Bool
  ) -> ProducerStep {
    let generation = sessions.connections[slot].generation
    let asked =
      source == .frames
      ? producerSessions.ask(slot, generation, sessions.frames, line)
      : producerSessions.ask(slot, generation, memory.streams, line)
    switch asked {
    case .nothing: return .plain
    case .refused(let refusal):
      refuse(slot, refusal)
      return .settled
    case .counter: break
    }
    if let owner = ownerOfCounter(source, body, isCommit: isCommit) {
      // The request line grows by who asks, and has to stay one.
      let added = ProducerSessions.optionByteCountMax + 5 + RequestTag.byteCountMax + 2
      if line.count + added > Request.lineByteCountMax {
        refuse(slot, .lineTooLong)
      } else {
        passOn(slot, source, line: line, body, to: owner, isCounted: true)
      }
      return .settled
    }
    switch producers.judge(producerSessions, epochMax: Producers.epochMax(at: wallTime)) {
    case .new: return .new
    case .refused(let refusal, let number): refuse(slot, refusal, number: number)
    case .repeated(let first, let count):
      answer(
        slot,
        Answer(
          kind: .stored, count: count, first: first,
          batchOrdinal: ordinal(of: first + UInt64(count) - 1)))
    }
    return .settled
  }

  /// The other shard that keeps the counter; nil when it is this one.
  private func ownerOfCounter(_ source: Source, _ body: ByteRange, isCommit: Bool) -> Int? {
    guard isCommit else { return journals.otherOwner(producerSessions.asker) }
    return source == .frames
      ? journals.otherOwner(ofFirst: sessions.frames, body)
      : journals.otherOwner(ofFirst: memory.streams, body)
  }

  /// Writes the line that tells the request at hand, whose `count` events were written into the open
  /// batch just now; false when there is no room for it.
  mutating func putProduced(_ count: Int) -> Bool {
    let first = batches[openSlot].nextSequence.value
    producerSessions.putProduced(
      first: first, count: UInt32(count), &batches[openSlot].writer, &memory.commits)
    return !batches[openSlot].writer.isFull
  }

  /// The request at hand is in the open batch, with its `count` events from `first` on.
  mutating func rememberProduced(_ count: Int, first: UInt64) {
    producers.remember(producerSessions, first: first, count: UInt32(count))
  }
}

extension Producers {
  /// What becomes of the request at hand.
  func judge(_ sessions: borrowing ProducerSessions, epochMax: UInt64) -> ProducerVerdict {
    judge(sessions.asker, sessions.stamp, epochMax: epochMax)
  }

  /// The request at hand was stored.
  mutating func remember(_ sessions: borrowing ProducerSessions, first: UInt64, count: UInt32) {
    remember(sessions.asker, sessions.stamp, first: first, count: count)
  }
}

extension Journals {
  /// The shard that owns the journal of the first event in `body`; nil when it is this one, or when
  /// there is no such journal.
  func otherOwner(ofFirst source: borrowing AlignedBuffer, _ body: ByteRange) -> Int? {
    let span = source.bytes
    guard let name = CommitEvents(body).first(in: span)?.journal, JournalName.isValid(span, name)
    else { return nil }
    return otherOwner(span.extracting(name))
  }
}
