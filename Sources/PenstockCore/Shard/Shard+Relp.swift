// RELP sessions: each syslog frame becomes an event, and is answered when that is durable.
//
//     open    ─▶ "200 OK", the offers
//     syslog  ─▶ an event in the open batch ─▶ durable ─▶ "200 OK", where it stands
//     close   ─▶ answered behind everything before it, then the connection ends
//
// Nothing is ever refused for a passing trouble: a full disk stops the reading, a dying shard ends the
// session, and the sender sends again what has no answer. A frame that came only in part is no event:
// its sender knows that it has no answer.

extension Shard where Machine: ~Copyable {
  /// Consumes whole frames; keeps the beginning of the last one.
  mutating func consumeRelp(_ slot: Int, _ item: inout Pending) -> Bool {
    let listener = sessions.connections[slot].listener
    let start = item.offset
    defer { bookReceived(listener, 0, UInt64(item.offset - start)) }
    while item.offset < item.end {
      switch RelpFrame.step(memory.streams.bytes, item.offset, item.end) {
      case .head(let frame):
        guard frame.byteCount <= item.end - item.offset else {
          sessions.beginFrame(
            slot, wholeCount: frame.byteCount, isPut: false, now: now)
          keepRelp(slot, item.offset..<item.end)
          item.offset = item.end
          return true
        }
        let data = item.offset + frame.headByteCount
        let end = data + frame.dataByteCount
        guard memory.streams.bytes.byte(at: end) == Byte.lineFeed else {
          refuseRelp(slot)
          item.offset = item.end
          return true
        }
        guard take(frame, slot, .streams, data..<end) else { return false }
        item.offset = end + 1
        guard !sessions.connections[slot].hasEnded else {
          item.offset = item.end
          return true
        }
      case .open:
        sessions.beginFrame(slot, wholeCount: -1, isPut: false, now: now)
        keepRelp(slot, item.offset..<item.end)
        item.offset = item.end
      case .bad:
        refuseRelp(slot)
        item.offset = item.end
      }
    }
    return true
  }

  /// Adds to a frame that was cut; false when the batch has no room for it.
  mutating func collectRelp(_ slot: Int, _ item: inout Pending) -> Bool {
    let connection = sessions.connections[slot]
    guard connection.wholeCount < 0 else {
      let missing = connection.wholeCount - connection.keptCount - connection.droppedCount
      let count = min(missing, item.end - item.offset)
      keepRelp(slot, item.offset..<(item.offset + count))
      item.offset += count
      return count < missing || finishCollectedRelp(slot)
    }
    // Its head is not whole yet: byte by byte until it is.
    keepRelp(slot, item.offset..<(item.offset + 1))
    item.offset += 1
    let kept = sessions.keptRange(slot)
    switch RelpFrame.step(sessions.frames.bytes, kept.lowerBound, kept.upperBound) {
    case .open: return true
    case .bad:
      refuseRelp(slot)
      item.offset = item.end
      return true
    case .head(let frame):
      sessions.connections[slot].wholeCount = frame.byteCount
      sessions.makeRoom(slot, for: min(frame.byteCount, relpByteCountMax))
      guard kept.count == frame.byteCount else { return true }
      return finishCollectedRelp(slot)
    }
  }

  private var relpByteCountMax: Int { limits.eventByteCountMax + RelpFrame.headByteCountMax + 1 }

  private mutating func keepRelp(_ slot: Int, _ range: ByteRange) {
    sessions.keep(range, in: memory.streams, of: slot, limit: relpByteCountMax, now: now)
  }

  private mutating func finishCollectedRelp(_ slot: Int) -> Bool {
    let kept = sessions.keptRange(slot)
    let dropped = sessions.connections[slot].droppedCount
    guard
      case .head(let frame) = RelpFrame.step(
        sessions.frames.bytes, kept.lowerBound, kept.upperBound)
    else { preconditionFailure("a collected frame has a head") }
    let data = kept.lowerBound + frame.headByteCount
    let end = min(data + frame.dataByteCount, kept.upperBound)
    guard dropped > 0 || sessions.frames.bytes.byte(at: end) == Byte.lineFeed else {
      refuseRelp(slot)
      return true
    }
    guard take(frame, slot, .frames, data..<end) else { return false }
    sessions.releaseFrame(slot)
    return true
  }

  /// Does what a frame asks for; false when the batch has no room.
  private mutating func take(
    _ frame: RelpFrame, _ slot: Int, _ source: Source, _ data: ByteRange
  ) -> Bool {
    switch frame.command {
    case .open:
      guard !sessions.connections[slot].isRelpOpen, offersSyslog(source, data) else {
        refuseRelp(slot)
        return true
      }
      sessions.connections[slot].isRelpOpen = true
      answer(slot, Answer(kind: .relpOpen, at: UInt64(frame.transaction)))
    case .syslog:
      guard sessions.connections[slot].isRelpOpen else {
        refuseRelp(slot)
        return true
      }
      return storeRelp(frame, slot, source, data)
    case .close:
      answer(slot, Answer(kind: .relpClosed, at: UInt64(frame.transaction)))
      finishAfterAnswers(slot)
    case .other:
      statistics[sessions.connections[slot].listener, .received] &+= 1
      statistics[sessions.connections[slot].listener, .refused] &+= 1
      answer(slot, Answer(kind: .relpUnknown, at: UInt64(frame.transaction)))
    }
    return true
  }

  private func offersSyslog(_ source: Source, _ data: ByteRange) -> Bool {
    source == .frames
      ? RelpFrame.offersSyslog(sessions.frames.bytes, data)
      : RelpFrame.offersSyslog(memory.streams.bytes, data)
  }

  private mutating func storeRelp(
    _ frame: RelpFrame, _ slot: Int, _ source: Source, _ data: ByteRange
  ) -> Bool {
    let listener = sessions.connections[slot].listener
    // The LF several senders end their messages with is framing, as in octet-counted syslog.
    let message =
      source == .frames
      ? StreamFraming.withoutFinalLineFeed(sessions.frames.bytes, data.lowerBound, data.upperBound)
      : StreamFraming.withoutFinalLineFeed(memory.streams.bytes, data.lowerBound, data.upperBound)
    let stripped = data.count - message.count
    let before = batches[openSlot].nextSequence
    guard
      storeSyslog(
        source, message, originalByteCount: frame.dataByteCount - stripped, listener)
    else { return false }
    bookReceived(listener, 1, 0)
    // Where the event is: last in the open batch, or in the one that it filled.
    let open = batches[openSlot]
    guard open.nextSequence > before else {
      // It fits no batch at all, however short it is cut: nobody says that it is stored.
      finishAfterAnswers(slot)
      return true
    }
    let batch = open.eventCount > 0 ? open.number.value : open.number.value - 1
    answer(
      slot,
      Answer(
        kind: .relpStored, first: open.nextSequence.value - 1, batchOrdinal: batch,
        at: UInt64(frame.transaction)))
    return true
  }

  /// What came is no frame: the session ends behind its answers, and its sender begins a new one.
  private mutating func refuseRelp(_ slot: Int) {
    let listener = sessions.connections[slot].listener
    statistics[listener, .received] &+= 1
    statistics[listener, .refused] &+= 1
    sessions.releaseFrame(slot)
    answer(slot, Answer(kind: .relpEnded))
    finishAfterAnswers(slot)
  }

  // MARK: - Answers

  /// Writes an answer of a RELP session.
  mutating func writeRelp(_ answer: Answer, _ writer: inout EventWriter) {
    let transaction = Int(answer.at)
    switch answer.kind {
    case .relpOpen:
      let text: StaticString = "200 OK\nrelp_version=0\nrelp_software=penstock\ncommands=syslog"
      putRelp(transaction, text.utf8CodeUnitCount, &writer)
      writer.put(text, &memory.answers)
    case .relpStored:
      let position = Int(answer.first)
      let shard = Int(answer.shard)
      let count =
        "200 OK shard= position=".utf8.count + EventWriter.digitCount(position)
        + EventWriter.digitCount(shard)
      putRelp(transaction, count, &writer)
      writer.put("200 OK shard=", &memory.answers)
      writer.put(decimal: shard, &memory.answers)
      writer.put(" position=", &memory.answers)
      writer.put(decimal: position, &memory.answers)
    case .relpUnknown:
      let text: StaticString = "500 this command is not known here"
      putRelp(transaction, text.utf8CodeUnitCount, &writer)
      writer.put(text, &memory.answers)
    case .relpClosed:
      writer.put(decimal: transaction, &memory.answers)
      writer.put(" rsp 0\n0 serverclose 0", &memory.answers)
    default:
      writer.put("0 serverclose 0", &memory.answers)
    }
    writer.put(Byte.lineFeed, &memory.answers)
  }

  private mutating func putRelp(_ transaction: Int, _ count: Int, _ writer: inout EventWriter) {
    writer.put(decimal: transaction, &memory.answers)
    writer.put(" rsp ", &memory.answers)
    writer.put(decimal: count, &memory.answers)
    writer.put(Byte.space, &memory.answers)
  }
}
