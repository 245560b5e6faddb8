// The shard's side of the line protocol: requests in, answers queued in their order.

extension Shard where Machine: ~Copyable {
  /// Consumes whole requests; keeps the beginning of the last one.
  mutating func consumeRequests(_ slot: Int, _ item: inout Pending) -> Bool {
    let generation = item.generation
    // Behind a refusal that closes the connection stands nothing that could be a request.
    while item.offset < item.end, sessions.connections[slot].phase == .ready,
      sessions.connections[slot].generation == generation, !sessions.connections[slot].hasEnded
    {
      let limit = min(item.end, item.offset + Request.lineByteCountMax)
      let stop = memory.streams.bytes.nearIndex(of: Byte.lineFeed, from: item.offset, to: limit)
      guard stop < limit else {
        if limit - item.offset == Request.lineByteCountMax {
          refuseEndlessLine(slot)
          item.offset = item.end
          return true
        }
        sessions.beginFrame(slot, wholeCount: -1, isPut: false, now: now)
        sessions.keep(
          item.offset..<item.end, in: memory.streams, of: slot, limit: Request.lineByteCountMax,
          now: now)
        item.offset = item.end
        return true
      }
      let line = StreamFraming.withoutFinalReturn(memory.streams.bytes, item.offset, stop)
      let request = Request(memory.streams.bytes, line)
      guard case .put(let byteCount) = request else {
        item.offset = stop + 1
        take(request, slot)
        continue
      }
      let body = (stop + 1)..<(stop + 1 + byteCount)
      if byteCount <= limits.eventByteCountMax, body.upperBound <= item.end {
        guard storePut(slot, .streams, body) else { return false }
        item.offset = body.upperBound
      } else {
        item.offset = stop + 1
        beginPut(slot, byteCount)
      }
    }
    return true
  }

  /// Adds to a request line that was cut.
  mutating func collectRequestLine(_ slot: Int, _ item: inout Pending) -> Bool {
    let stop = memory.streams.bytes.nearIndex(of: Byte.lineFeed, from: item.offset, to: item.end)
    sessions.keep(
      item.offset..<stop, in: memory.streams, of: slot, limit: Request.lineByteCountMax, now: now)
    guard sessions.connections[slot].droppedCount == 0 else {
      refuseEndlessLine(slot)
      item.offset = item.end
      return true
    }
    guard stop < item.end else {
      item.offset = item.end
      return true
    }
    item.offset = stop + 1
    let kept = sessions.keptRange(slot)
    let line = StreamFraming.withoutFinalReturn(
      sessions.frames.bytes, kept.lowerBound, kept.upperBound)
    let request = Request(sessions.frames.bytes, line)
    sessions.releaseFrame(slot)
    if case .put(let byteCount) = request {
      beginPut(slot, byteCount)
    } else {
      take(request, slot)
    }
    return true
  }

  private mutating func take(_ request: Request, _ slot: Int) {
    switch request {
    case .hello: answer(slot, Answer(kind: .hello))
    case .refused(let refusal): refuse(slot, refusal)
    case .put(let byteCount): beginPut(slot, byteCount)
    }
  }

  /// Collects the octets of a PUT that are not all here, or passes over those that are refused.
  private mutating func beginPut(_ slot: Int, _ byteCount: Int) {
    guard byteCount <= limits.eventByteCountMax, sessions.canKeep(byteCount) else {
      let refusal: Refusal = byteCount > limits.eventByteCountMax ? .tooLarge : .busy
      refuse(slot, refusal)
      guard byteCount <= Request.skippedByteCountMax else {
        // Nothing sane claims that much: what follows is not octets.
        finishAfterAnswers(slot)
        return
      }
      sessions.connections[slot].phase = .skipping
      sessions.connections[slot].skipCount = byteCount
      return
    }
    sessions.beginFrame(slot, wholeCount: byteCount, isPut: true, now: now)
  }

  /// A PUT's octets are all here; false when the batch has no room.
  mutating func finishCollectedPut(_ slot: Int) -> Bool {
    guard storePut(slot, .frames, sessions.keptRange(slot)) else { return false }
    sessions.releaseFrame(slot)
    return true
  }

  /// Stores the lines of a PUT in one batch, or refuses it; false when there is no room now.
  private mutating func storePut(_ slot: Int, _ source: Source, _ body: ByteRange) -> Bool {
    let listener = sessions.connections[slot].listener
    while true {
      let mark = batches[openSlot].writer.offset
      let outcome: PutLines.Outcome
      if source == .frames {
        outcome = PutLines.append(
          sessions.frames, body, receivedAt: wallTime, &batches[openSlot].writer,
          &memory.commits)
      } else {
        outcome = PutLines.append(
          memory.streams, body, receivedAt: wallTime, &batches[openSlot].writer,
          &memory.commits)
      }
      switch outcome {
      case .written(let count):
        let first = batches[openSlot].nextSequence
        let ordinal = batches[openSlot].number
        bookEvents(listener, count)
        bookReceived(listener, UInt64(count), UInt64(body.count))
        answer(
          slot,
          Answer(
            kind: .stored, count: UInt32(count), first: first.value, batchOrdinal: ordinal.value))
        if openBatchIsFull { _ = submitOpenBatch() }
        return true
      case .refused(let refusal, let line):
        rollBack(to: mark)
        refuse(slot, refusal, line: line)
        return true
      case .full:
        rollBack(to: mark)
        guard batches[openSlot].eventCount > 0 else {
          refuse(slot, .tooLarge)
          return true
        }
        guard submitOpenBatch() else { return false }
      }
    }
  }

  private mutating func refuse(_ slot: Int, _ refusal: Refusal, line: Int = 0) {
    let listener = sessions.connections[slot].listener
    statistics[listener, .received] &+= 1
    switch refusal {
    case .tooLarge: statistics[listener, .refusedSize] &+= 1
    case .busy: statistics[listener, .refusedBusy] &+= 1
    default: statistics[listener, .refused] &+= 1
    }
    answer(slot, refusalAnswer(refusal, line: line))
  }

  /// Without the end of a line there is no next request: answers it and closes.
  private mutating func refuseEndlessLine(_ slot: Int) {
    sessions.releaseFrame(slot)
    refuse(slot, .lineTooLong)
    finishAfterAnswers(slot)
  }

  /// Reads nothing more of the connection and closes it once its answers have gone out.
  private mutating func finishAfterAnswers(_ slot: Int) {
    guard sessions.connections[slot].isOpen else { return }
    sessions.connections[slot].hasEnded = true
  }
}
