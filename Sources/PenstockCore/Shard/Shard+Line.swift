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
      let whole = StreamFraming.withoutFinalReturn(memory.streams.bytes, item.offset, stop)
      let (request, line) = readRequest(slot, .streams, whole)
      guard let byteCount = request.octetCount else {
        item.offset = stop + 1
        take(request, slot, .streams, line)
        continue
      }
      let body = (stop + 1)..<(stop + 1 + byteCount)
      if byteCount <= limits.octetCountMax, body.upperBound <= item.end,
        request.isWellFormed
      {
        guard store(request, slot, .streams, line: line, body) else { return false }
        item.offset = body.upperBound
      } else {
        item.offset = stop + 1
        beginOctets(slot, request, byteCount, line)
      }
    }
    return true
  }

  /// Reads a request line, and notes its tag.
  private mutating func readRequest(_ slot: Int, _ source: Source, _ whole: ByteRange)
    -> (Request, ByteRange)
  {
    let read =
      source == .frames
      ? RequestLine(sessions.frames.bytes, whole) : RequestLine(memory.streams.bytes, whole)
    sessions.connections[slot].tag = read.tag
    guard sessions.connections[slot].grant != .everything else { return (read.request, read.range) }
    return (permitted(read.request, slot, source, read.range), read.range)
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
    let whole = StreamFraming.withoutFinalReturn(
      sessions.frames.bytes, kept.lowerBound, kept.upperBound)
    let (request, line) = readRequest(slot, .frames, whole)
    if let byteCount = request.octetCount {
      if request.keepsLine, canCollect(byteCount, line: line.count) {
        // The line stays, the octets go behind it.
        sessions.extendFrame(slot, line: line.count, octets: byteCount, now: now)
      } else {
        sessions.releaseFrame(slot)
        beginOctets(slot, request, byteCount, nil)
      }
    } else {
      take(request, slot, .frames, line)
      sessions.releaseFrame(slot)
    }
    return true
  }

  private mutating func take(
    _ request: Request, _ slot: Int, _ source: Source, _ line: ByteRange
  ) {
    switch request {
    case .hello, .helloMoved:
      sessions.connections[slot].wantsMoved = request == .helloMoved
      answer(slot, Answer(kind: .hello))
    case .refused(let refusal): refuse(slot, refusal)
    case .head(let name): tellHead(slot, source, line: line, name, .head)
    case .exists(let name): tellHead(slot, source, line: line, name, .exists)
    case .read: queueRead(slot, source, line)
    case .producer(let name, let epoch): nameProducer(slot, source, name, epoch: epoch)
    case .put, .commit, .putCounted, .refusedOctets: preconditionFailure("octets follow")
    }
  }

  /// Whether a request's octets can be collected now, behind `line` bytes of its request line.
  private func canCollect(_ byteCount: Int, line: Int) -> Bool {
    byteCount <= limits.octetCountMax && sessions.canKeep(byteCount + line)
  }

  /// Collects the octets of a request that are not all here, or passes over those that are refused.
  /// - Parameter line: the request line in the streams; nil when it is gone, which only a COMMIT
  ///   or a PUT with a counter needs, and then there is no room for it.
  private mutating func beginOctets(
    _ slot: Int, _ request: Request, _ byteCount: Int, _ line: ByteRange?
  ) {
    // Without its line a COMMIT, or a PUT with a counter, must not be taken for a plain PUT.
    var keptLine = 0
    var isLost = false
    if request.keepsLine {
      keptLine = line?.count ?? 0
      isLost = line == nil
    }
    var refusal: Refusal?
    if case .refusedOctets(let why, _) = request {
      refusal = why
    } else if byteCount > limits.octetCountMax {
      refusal = .tooLarge
    } else if isLost || !canCollect(byteCount, line: keptLine) {
      refusal = .busy
    }
    if let refusal {
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
    guard request.keepsLine, let line else {
      return sessions.beginFrame(slot, wholeCount: byteCount, isPut: true, now: now)
    }
    sessions.beginFrame(slot, wholeCount: line.count + byteCount, isPut: true, now: now)
    sessions.connections[slot].requestLineByteCount = line.count
    sessions.keep(
      line, in: memory.streams, of: slot, limit: Request.lineByteCountMax, now: now)
  }

  /// A request's octets are all here; false when the batch has no room.
  mutating func finishCollectedPut(_ slot: Int) -> Bool {
    let kept = sessions.keptRange(slot)
    let lineEnd = kept.lowerBound + sessions.connections[slot].requestLineByteCount
    let body = lineEnd..<kept.upperBound
    let request: Request
    if lineEnd == kept.lowerBound {
      request = .put(byteCount: body.count)
    } else if sessions.frames.bytes.byte(at: kept.lowerBound) == UInt8(ascii: "P") {
      request = .putCounted(byteCount: body.count)
    } else {
      request = .commit(byteCount: body.count)
    }
    guard store(request, slot, .frames, line: kept.lowerBound..<lineEnd, body) else {
      return false
    }
    sessions.releaseFrame(slot)
    return true
  }

  private mutating func store(
    _ request: Request, _ slot: Int, _ source: Source, line: ByteRange, _ body: ByteRange
  ) -> Bool {
    if sessions.connections[slot].grant != .everything,
      refusesEvents(request, slot, source, line: line, body)
    {
      return true
    }
    if case .commit = request { return storeCommit(slot, source, line: line, body) }
    if case .putCounted = request {
      switch judgeProducer(slot, source, line: line, body, isCommit: false) {
      case .settled: return true
      case .new: return storePut(slot, source, body, isCounted: true)
      case .plain: break
      }
    }
    return storePut(slot, source, body)
  }

  /// Stores the lines of a PUT in one batch, or refuses it; false when there is no room now.
  private mutating func storePut(
    _ slot: Int, _ source: Source, _ body: ByteRange, isCounted: Bool = false
  ) -> Bool {
    let listener = sessions.connections[slot].listener
    while true {
      let mark = batches[openSlot].writer.offset
      let outcome: PutLines.Outcome
      if source == .frames {
        outcome = PutLines.append(
          sessions.frames, body, eventByteCountMax: limits.eventByteCountMax, receivedAt: wallTime,
          &batches[openSlot].writer,
          &memory.commits)
      } else {
        outcome = PutLines.append(
          memory.streams, body, eventByteCountMax: limits.eventByteCountMax, receivedAt: wallTime,
          &batches[openSlot].writer,
          &memory.commits)
      }
      switch outcome {
      case .written(let count) where !isCounted || putProduced(count):
        let first = batches[openSlot].nextSequence
        let ordinal = batches[openSlot].number
        if isCounted { rememberProduced(count, first: first.value) }
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
      case .written, .full:
        rollBack(to: mark)
        guard batches[openSlot].eventCount > 0 else {
          refuse(slot, .tooLarge)
          return true
        }
        guard submitOpenBatch() else { return false }
      }
    }
  }

  mutating func refuse(_ slot: Int, _ refusal: Refusal, line: Int = 0, number: UInt64 = 0) {
    let listener = sessions.connections[slot].listener
    statistics[listener, .received] &+= 1
    switch refusal {
    case .tooLarge, .eventTooLarge: statistics[listener, .refusedSize] &+= 1
    case .busy: statistics[listener, .refusedBusy] &+= 1
    default: statistics[listener, .refused] &+= 1
    }
    var told = refusalAnswer(refusal, line: line)
    told.first = refusal == .tooOld ? journals.memory.floor : number
    answer(slot, told)
  }

  /// Without the end of a line there is no next request: answers it and closes.
  private mutating func refuseEndlessLine(_ slot: Int) {
    sessions.releaseFrame(slot)
    refuse(slot, .lineTooLong)
    finishAfterAnswers(slot)
  }

  /// Reads nothing more of the connection and closes it once its answers have gone out.
  mutating func finishAfterAnswers(_ slot: Int) {
    guard sessions.connections[slot].isOpen else { return }
    sessions.connections[slot].hasEnded = true
  }
}
