// The shard's side of journals: commits with conditions, and what is told of a journal.

extension Shard where Machine: ~Copyable {
  /// Stores the events of a COMMIT in one batch, or says why not; false when there is no room now.
  mutating func storeCommit(
    _ slot: Int, _ source: Source, line: ByteRange, _ body: ByteRange
  ) -> Bool {
    let step = judgeProducer(slot, source, line: line, body, isCommit: true)
    if step == .settled { return true }
    while true {
      let mark = batches[openSlot].writer.offset
      let time = journals.state.next(after: wallTime)
      let outcome: CommitOutcome
      if source == .frames {
        outcome = CommitLines.append(
          sessions.frames, line: line, body: body,
          eventByteCountMax: limits.eventByteCountMax, time: time, journals,
          &batches[openSlot].writer, &memory.commits)
      } else {
        outcome = CommitLines.append(
          memory.streams, line: line, body: body,
          eventByteCountMax: limits.eventByteCountMax, time: time, journals,
          &batches[openSlot].writer, &memory.commits)
      }
      switch outcome {
      case .written(let count) where step == .plain || putProduced(count):
        if step == .new { rememberProduced(count, first: batches[openSlot].nextSequence.value) }
        takeCommit(slot, source, body, count, time)
        return true
      case .written, .full:
        rollBack(to: mark)
        guard batches[openSlot].eventCount > 0 else {
          refuse(slot, .tooLarge)
          return true
        }
        guard submitOpenBatch() else { return false }
      case .refused(let refusal, let line):
        rollBack(to: mark)
        refuse(slot, refusal, line: line)
        return true
      case .conflict(let conflict):
        rollBack(to: mark)
        tell(slot, source, conflict)
        return true
      case .moved(let shard):
        rollBack(to: mark)
        passOn(slot, source, line: line, body, to: shard)
        return true
      }
    }
  }

  /// The lines are in the open batch: they count.
  private mutating func takeCommit(
    _ slot: Int, _ source: Source, _ body: ByteRange, _ count: Int, _ time: Timestamp
  ) {
    let listener = sessions.connections[slot].listener
    let first = batches[openSlot].nextSequence.value
    if source == .frames {
      journals.remember(sessions.frames, body, first: first, time: time)
    } else {
      journals.remember(memory.streams, body, first: first, time: time)
    }
    bookEvents(listener, count)
    bookReceived(listener, UInt64(count), UInt64(body.count))
    answer(
      slot,
      Answer(
        kind: .stored, count: UInt32(count), first: first,
        batchOrdinal: batches[openSlot].number.value))
    if openBatchIsFull { _ = submitOpenBatch() }
  }

  /// Names the event that broke a condition, once it is durable.
  private mutating func tell(_ slot: Int, _ source: Source, _ conflict: CommitConflict) {
    var told = Answer(
      kind: .conflict, first: conflict.position, batchOrdinal: ordinal(of: conflict.position))
    told.tag = sessions.connections[slot].tag
    let isKept: Bool
    if source == .frames {
      isKept = AnswerNaming.append(
        told, conflict, sessions.frames, &answers, &sessions.connections[slot].answers)
    } else {
      isKept = AnswerNaming.append(
        told, conflict, memory.streams, &answers, &sessions.connections[slot].answers)
    }
    noteAnswer(slot, isKept: isKept)
  }

  /// Tells the last event of a journal.
  mutating func tellHead(
    _ slot: Int, _ source: Source, line: ByteRange, _ name: ByteRange, _ kind: Answer.Kind
  ) {
    let found =
      source == .frames
      ? journals.look(sessions.frames, name) : journals.look(memory.streams, name)
    if let owner = found.owner {
      return passOn(slot, source, line: line, line.upperBound..<line.upperBound, to: owner)
    }
    let last = batches[openSlot].nextSequence.value - 1
    answer(
      slot,
      Answer(
        kind: kind, first: found.head ?? Answer.unknown, batchOrdinal: ordinal(of: last), at: last))
  }

  /// The batch that has to be durable before `sequence` may be told.
  func ordinal(of sequence: UInt64) -> UInt64 {
    if sequence <= durableSequence.value { return 0 }
    return sequence >= batches[openSlot].firstSequence.value
      ? batches[openSlot].number.value : submittedNumber.value
  }
}

/// Takes the names of a conflict where they may be taken: a span of one stored property cannot be
/// passed along with another property of the same value.
private enum AnswerNaming {
  static func append(
    _ answer: Answer, _ conflict: CommitConflict, _ source: borrowing AlignedBuffer,
    _ answers: inout AnswerPool, _ list: inout AnswerList
  ) -> Bool {
    answers.append(
      answer, naming: source.bytes(conflict.journal), source.bytes(conflict.type), to: &list)
  }
}
