// The shard's way in: received bytes → frames → events in the open batch.
//
// Pending buffers are consumed in the order of their arrival. When the open batch is full and
// cannot be closed, consuming stops where it is: buffers stay with the shard, receives find none,
// and senders feel it. Nothing is consumed twice: a frame counts when its event is in the batch.

extension Shard where Machine: ~Copyable {
  /// Consumes pending bytes until none are left or the batch has no room.
  mutating func consumePending() {
    isHeldUp = false
    var budget = Shard.turnByteCount
    while !pending.isEmpty, budget > 0 {
      var item = pending.first
      budget &-= item.end &- item.offset
      let isThrough: Bool
      switch item.kind {
      case .stream: isThrough = consumeStream(&item)
      case .datagrams: isThrough = consumeDatagrams(&item)
      case .end: isThrough = consumeEnd(item)
      }
      guard isThrough else {
        pending.first = item
        isHeldUp = true
        return
      }
      pending.removeFirst()
    }
  }

  /// Bytes consumed in one turn of the loop, about a fifth of a millisecond: with deferred task
  /// work the kernel starts a batch's linked fdatasync, and tells its end, only when it is entered.
  static var turnByteCount: Int { 128 << 10 }

  // MARK: - Datagrams

  private mutating func consumeDatagrams(_ item: inout Pending) -> Bool {
    let listener = item.slot
    var count: UInt64 = 0
    var byteCount: UInt64 = 0
    defer { bookReceived(listener, count, byteCount) }
    // An empty datagram is a message too: one that says nothing.
    repeat {
      let end = min(item.offset &+ item.segmentByteCount, item.end)
      let whole = item.offset..<end
      let range = StreamFraming.datagram(memory.datagrams.bytes, whole)
      let framing =
        range.count == whole.count
        ? DatagramFraming.none : DatagramFraming(memory.datagrams.bytes, whole, range)
      guard
        storeSyslog(.datagrams, range, originalByteCount: range.count, framing: framing, listener)
      else { return false }
      count &+= 1
      byteCount &+= UInt64(end &- item.offset)
      item.offset = end
    } while item.offset < item.end
    io.giveBack(item.buffer, to: .datagrams)
    heldDatagramBuffers -= 1
    return true
  }

  // MARK: - Streams

  private mutating func consumeStream(_ item: inout Pending) -> Bool {
    let slot = item.slot
    guard sessions.connections[slot].generation == item.generation,
      sessions.connections[slot].isOpen
    else {
      giveBackStream(item.buffer)
      return true
    }
    // A frame whose last byte was the buffer's may have found no room before.
    if sessions.connections[slot].peer >= 0 { consumePeerAnswers(slot, &item) }
    if sessions.connections[slot].isReader { consumeReaderWords(&item) }
    while item.offset < item.end || sessions.connections[slot].isFrameWhole {
      let isThrough: Bool
      switch sessions.connections[slot].phase {
      case .skipping:
        let count = min(sessions.connections[slot].skipCount, item.end - item.offset)
        item.offset += count
        sessions.connections[slot].skipCount -= count
        sessions.connections[slot].progressAt = now
        if sessions.connections[slot].skipCount == 0 {
          sessions.connections[slot].phase = .ready
        }
        isThrough = true
      case .collecting: isThrough = collect(slot, &item)
      case .ready:
        switch sessions.connections[slot].kind {
        case .line: isThrough = consumeRequests(slot, &item)
        case .relp: isThrough = consumeRelp(slot, &item)
        case .syslogStream, .syslogDatagram: isThrough = consumeFrames(slot, &item)
        }
      }
      guard isThrough else { return false }
      // The connection may have been ended by what it sent, or read to its end.
      guard sessions.connections[slot].generation == item.generation,
        !sessions.connections[slot].hasEnded
      else { break }
    }
    giveBackStream(item.buffer)
    if sessions.connections[slot].generation == item.generation { armReceive(slot) }
    return true
  }

  /// Consumes whole syslog frames; keeps the beginning of the last one.
  private mutating func consumeFrames(_ slot: Int, _ item: inout Pending) -> Bool {
    let listener = sessions.connections[slot].listener
    var framing = sessions.connections[slot].framing
    var count: UInt64 = 0
    let start = item.offset
    defer {
      sessions.connections[slot].framing = framing
      bookReceived(listener, count, UInt64(item.offset - start))
    }
    while item.offset < item.end {
      switch framing.step(memory.streams.bytes, item.offset, item.end) {
      case .frame(let range, let next):
        if !range.isEmpty {
          guard storeSyslog(.streams, range, originalByteCount: range.count, listener) else {
            return false
          }
          count &+= 1
        }
        item.offset = next
      case .counted(let start, let whole):
        sessions.beginFrame(slot, wholeCount: whole, isPut: false, now: now)
        keep(slot, start..<item.end)
        item.offset = item.end
      case .open:
        sessions.beginFrame(slot, wholeCount: -1, isPut: false, now: now)
        keep(slot, item.offset..<item.end)
        item.offset = item.end
      case .encrypted:
        refuseEncrypted(slot)
        return true
      }
    }
    return true
  }

  /// Ends a connection that speaks TLS: what it sends would be stored as garbage for hours.
  private mutating func refuseEncrypted(_ slot: Int) {
    let listener = sessions.connections[slot].listener
    bookReceived(listener, 1, 0)
    statistics[listener, .refusedEncrypted] += 1
    statistics[listener, .pending] -= 1
    sessions.releaseFrame(slot)
    endConnection(slot)
  }

  private mutating func keep(_ slot: Int, _ range: ByteRange) {
    let limit =
      sessions.connections[slot].kind == .line
      ? limits.octetCountMax + Request.lineByteCountMax : limits.eventByteCountMax
    sessions.keep(range, in: memory.streams, of: slot, limit: limit, now: now)
  }

  // MARK: - Partial frames

  /// Adds to a partial frame until it is whole, then consumes it.
  private mutating func collect(_ slot: Int, _ item: inout Pending) -> Bool {
    let connection = sessions.connections[slot]
    if connection.kind == .relp { return collectRelp(slot, &item) }
    if connection.wholeCount >= 0 {
      let missing = connection.wholeCount - connection.keptCount - connection.droppedCount
      let count = min(missing, item.end - item.offset)
      keep(slot, item.offset..<(item.offset + count))
      item.offset += count
      return count < missing || finishCollected(slot)
    }
    if connection.kind == .line { return collectRequestLine(slot, &item) }
    if connection.framing == .undecided || connection.framing == .octetCounted,
      connection.keptCount <= StreamFraming.countDigitsMax + 1
    {
      return collectCount(slot, &item)
    }
    return collectDelimited(slot, &item)
  }

  /// The count of an octet-counted frame was cut: adds byte by byte until it can be read.
  private mutating func collectCount(_ slot: Int, _ item: inout Pending) -> Bool {
    keep(slot, item.offset..<(item.offset + 1))
    item.offset += 1
    let kept = sessions.keptRange(slot)
    var framing = sessions.connections[slot].framing
    let step = framing.step(sessions.frames.bytes, kept.lowerBound, kept.upperBound)
    sessions.connections[slot].framing = framing
    switch step {
    case .open: return true
    case .counted(let start, let count):
      // The message has begun: what is kept of it moves to the front.
      sessions.dropKeptPrefix(slot, count: start - kept.lowerBound)
      let message = sessions.keptRange(slot)
      sessions.connections[slot].wholeCount = count
      sessions.connections[slot].frameEnd = .counted
      sessions.makeRoom(slot, for: count)
      return message.count < count || finishCollected(slot)
    case .frame(let range, _):
      sessions.connections[slot].wholeCount = range.count
      sessions.connections[slot].frameEnd = .taken
      sessions.dropKeptPrefix(slot, count: range.lowerBound - kept.lowerBound)
      sessions.connections[slot].keptCount = range.count
      return finishCollected(slot)
    case .encrypted:
      refuseEncrypted(slot)
      return true
    }
  }

  /// Adds up to the delimiter; at it the frame is whole.
  private mutating func collectDelimited(_ slot: Int, _ item: inout Pending) -> Bool {
    var framing = sessions.connections[slot].framing
    let stop = framing.delimiterIndex(memory.streams.bytes, from: item.offset, to: item.end)
    sessions.connections[slot].framing = framing
    keep(slot, item.offset..<stop)
    guard stop < item.end else {
      item.offset = item.end
      return true
    }
    let connection = sessions.connections[slot]
    sessions.connections[slot].wholeCount = connection.keptCount + connection.droppedCount
    guard finishCollected(slot) else {
      // The delimiter is left for the next try, which finds nothing more to add.
      sessions.connections[slot].wholeCount = -1
      item.offset = stop
      return false
    }
    item.offset = stop + 1
    return true
  }

  /// Consumes a frame that was collected whole; false when the batch has no room.
  private mutating func finishCollected(_ slot: Int) -> Bool {
    let connection = sessions.connections[slot]
    if connection.isPut { return finishCollectedPut(slot) }
    let range = frameRange(slot)
    if !range.isEmpty || connection.droppedCount > 0 {
      let whole = range.count + connection.droppedCount
      guard storeSyslog(.frames, range, originalByteCount: whole, connection.listener) else {
        return false
      }
      bookReceived(connection.listener, 1, UInt64(whole))
    }
    sessions.releaseFrame(slot)
    return true
  }

  /// The message of a frame that was collected, without what belongs to the framing.
  private func frameRange(_ slot: Int) -> ByteRange {
    let connection = sessions.connections[slot]
    let kept = sessions.keptRange(slot)
    guard connection.droppedCount == 0 else { return kept }
    switch connection.frameEnd {
    case .counted:
      return StreamFraming.withoutFinalLineFeed(
        sessions.frames.bytes, kept.lowerBound, kept.upperBound)
    case .delimited where connection.framing == .lineFeed || connection.framing == .octetCounted:
      return StreamFraming.withoutFinalReturn(
        sessions.frames.bytes, kept.lowerBound, kept.upperBound)
    case .delimited, .taken: return kept
    }
  }

  /// The peer is through: what it left behind without a delimiter is a frame too.
  private mutating func consumeEnd(_ item: Pending) -> Bool {
    let slot = item.slot
    let connection = sessions.connections[slot]
    // The slot may have a new connection by now, which may have ended as well.
    guard connection.isOpen, connection.hasEnded else {
      sessions.connections[slot].endIsPending = false
      return true
    }
    if connection.phase == .collecting {
      if connection.peer >= 0 {
        sessions.releaseFrame(slot)
      } else if connection.kind == .syslogStream, connection.keptCount > 0 {
        // A counted frame that was cut keeps its claimed size; a line is whole as it is.
        if connection.wholeCount >= 0 {
          sessions.connections[slot].droppedCount = connection.wholeCount - connection.keptCount
        }
        guard finishCollected(slot) else {
          sessions.connections[slot].droppedCount = connection.droppedCount
          return false
        }
      } else {
        statistics[connection.listener, .unfinished] += 1
        sessions.releaseFrame(slot)
      }
    }
    sessions.connections[slot].endIsPending = false
    endIfThrough(slot)
    return true
  }

  // MARK: - The open batch

  /// Where a message lies.
  enum Source { case streams, datagrams, frames }

  /// Appends one syslog message to the open batch; false when there is no room now.
  @inline(__always)
  mutating func storeSyslog(
    _ source: Source, _ range: ByteRange, originalByteCount: Int,
    framing: DatagramFraming = .none, _ listener: Int
  ) -> Bool {
    let cut = range.lowerBound..<min(range.upperBound, range.lowerBound &+ limits.eventByteCountMax)
    while true {
      let mark = batches[openSlot].writer.offset
      let outcome = appendSyslog(source, cut, originalByteCount, framing, listener)
      if outcome != .full {
        if outcome != .stored { book(outcome, listener) }
        bookEvents(listener, 1)
        if openBatchIsFull { _ = submitOpenBatch() }
        return true
      }
      rollBack(to: mark)
      guard batches[openSlot].eventCount > 0 else {
        // It does not fit an empty batch: escapes have swollen it. What fits is kept.
        return storeShortened(source, cut, originalByteCount, listener)
      }
      guard submitOpenBatch() else { return false }
    }
  }

  @inline(__always)
  private mutating func appendSyslog(
    _ source: Source, _ range: ByteRange, _ originalByteCount: Int, _ framing: DatagramFraming,
    _ listener: Int
  ) -> IngestOutcome {
    switch source {
    case .streams:
      SyslogSource.append(
        memory.streams, range, originalByteCount, framing, wallTime, &contexts[listener],
        &batches[openSlot].writer, &memory.commits)
    case .datagrams:
      SyslogSource.append(
        memory.datagrams, range, originalByteCount, framing, wallTime, &contexts[listener],
        &batches[openSlot].writer, &memory.commits)
    case .frames:
      SyslogSource.append(
        sessions.frames, range, originalByteCount, framing, wallTime, &contexts[listener],
        &batches[openSlot].writer, &memory.commits)
    }
  }

  /// Halves a message until its line fits; each half is far beyond any real message.
  @inline(never)
  private mutating func storeShortened(
    _ source: Source, _ range: ByteRange, _ originalByteCount: Int, _ listener: Int
  ) -> Bool {
    var count = range.count / 2
    while count > 0 {
      let mark = batches[openSlot].writer.offset
      let shortened = range.lowerBound..<(range.lowerBound + count)
      let outcome = appendSyslog(source, shortened, originalByteCount, .none, listener)
      if outcome != .full {
        book(outcome, listener)
        bookEvents(listener, 1)
        return true
      }
      rollBack(to: mark)
      count /= 2
    }
    statistics[listener, .refusedSize] &+= 1
    return true
  }

  /// Counts what is marked in an event that was stored.
  @inline(never)
  private mutating func book(_ outcome: IngestOutcome, _ listener: Int) {
    if outcome.contains(.malformed) { statistics[listener, .malformed] &+= 1 }
    if outcome.contains(.truncated) { statistics[listener, .truncated] &+= 1 }
    if outcome.contains(.timeReplaced) { statistics[listener, .timeReplaced] &+= 1 }
  }

  mutating func rollBack(to mark: Int) {
    batches[openSlot].writer.offset = mark
    batches[openSlot].writer.isFull = false
  }

  /// Counts events that are in the open batch now.
  @inline(__always)
  mutating func bookEvents(_ listener: Int, _ count: Int) {
    if batches[openSlot].eventCount == 0 { batches[openSlot].openedAt = now }
    batches[openSlot].eventCount &+= UInt32(count)
    batchCounts[openSlot &* Limits.listenerCountMax &+ listener] &+= UInt32(count)
  }

  @inline(__always)
  mutating func bookReceived(_ listener: Int, _ count: UInt64, _ byteCount: UInt64) {
    guard count > 0 || byteCount > 0 else { return }
    statistics[listener, .received] &+= count
    statistics[listener, .bytesReceived] &+= byteCount
    statistics[listener, .pending] &+= count
  }
}

/// Takes the span of a message where it may be taken: a span of one stored property cannot be
/// passed along with another property of the same value.
enum SyslogSource {
  @inline(__always)
  static func append(
    _ source: borrowing AlignedBuffer, _ range: ByteRange, _ originalByteCount: Int,
    _ framing: DatagramFraming, _ receivedAt: Timestamp, _ context: inout SyslogContext,
    _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) -> IngestOutcome {
    Syslog.append(
      source.bytes(range), originalByteCount: originalByteCount, framing: framing,
      receivedAt: receivedAt, &context, &writer, &memory)
  }
}
