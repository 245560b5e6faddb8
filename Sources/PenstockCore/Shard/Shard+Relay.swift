// Passing requests on to the shards that own their journals.

extension Shard where Machine: ~Copyable {
  /// Passes a request on to the shard that owns its journal, or says which that is to a client that
  /// asked for it.
  /// - Parameter isCounted: it has a counter, and the other shard has to be told whose.
  mutating func passOn(
    _ slot: Int, _ source: Source, line: ByteRange, _ body: ByteRange, to owner: Int,
    isCounted: Bool = false
  ) {
    guard !sessions.connections[slot].wantsMoved, sessions.connections[slot].peer < 0 else {
      let listener = UInt64(sessions.connections[slot].listener)
      return answer(slot, Answer(kind: .moved, count: UInt32(owner), at: listener))
    }
    guard owner < configuration.shardCount else { return refuse(slot, .notServed) }
    guard connect(to: owner) else { return refuse(slot, .unavailable) }
    guard relays.hasRoom(owner), put(slot, source, line, body, owner, isCounted: isCounted)
    else {
      return refuse(slot, .busy)
    }
    var waiting = Answer(kind: .relayed, batchOrdinal: .max)
    waiting.tag = sessions.connections[slot].tag
    let record = answers.appendRecord(waiting, to: &sessions.connections[slot].answers)
    relays.append(
      RelayedRequest(
        slot: Int32(slot), generation: sessions.connections[slot].generation, record: record ?? -1),
      owner)
    noteAnswer(slot, isKept: record != nil)
    sendRequests(to: owner)
  }

  private mutating func connect(to owner: Int) -> Bool {
    if relays.peers[owner].slot >= 0 { return true }
    guard sessions.hasRoom, isAccepting,
      let socket = io.connect(configuration.layout.shardSocket(LogNumber(UInt8(owner))))
    else { return false }
    let slot = sessions.open(socket, listener: 0, kind: .line, now: now)
    sessions.connections[slot].peer = Int32(owner)
    relays.peers[owner] = Peer(slot: Int32(slot))
    greet(owner)
    armReceive(slot)
    return true
  }

  /// Asks a peer to say where journals are instead of passing requests on again: two shards that
  /// differ about an owner must not send a request back and forth for ever.
  private mutating func greet(_ owner: Int) {
    let room = requestMemory(owner)
    var writer = EventWriter(offset: room.lowerBound, limit: room.upperBound)
    writer.put("HELLO penstock/1 moved", &memory.answers)
    if let access = configuration.access {
      writer.put(" token=", &memory.answers)
      writer.put(verbatim: access.peerSecret.rawSpan, &memory.answers)
    }
    writer.put(Byte.lineFeed, &memory.answers)
    relays.peers[owner].end = writer.offset - room.lowerBound
    // Nobody waits for the answer.
    relays.append(RelayedRequest(slot: 0, generation: 0, record: -1), owner)
  }

  // MARK: - Requests

  /// Where what is sent to a peer lies in the answer memory.
  private func requestMemory(_ peer: Int) -> ByteRange {
    let start =
      limits.connectionCountMax * limits.answerByteCount + peer * limits.requestByteCount
    return start..<(start + limits.requestByteCount)
  }

  /// Puts a request behind those that wait to be sent; false when there is no room.
  private mutating func put(
    _ slot: Int, _ source: Source, _ line: ByteRange, _ body: ByteRange, _ owner: Int,
    isCounted: Bool
  ) -> Bool {
    let room = requestMemory(owner)
    var peer = relays.peers[owner]
    if !peer.isSending, peer.start > 0 {
      memory.answers.move(
        (room.lowerBound + peer.start)..<(room.lowerBound + peer.end), to: room.lowerBound)
      peer.end -= peer.start
      peer.start = 0
      relays.peers[owner] = peer
    }
    var writer = EventWriter(offset: room.lowerBound + peer.end, limit: room.upperBound)
    if source == .frames {
      RelayedBytes.put(sessions.frames, line, &writer, &memory.answers)
    } else {
      RelayedBytes.put(memory.streams, line, &writer, &memory.answers)
    }
    if isCounted { producerSessions.putOption(&writer, &memory.answers) }
    put(sessions.connections[slot].tag, &writer)
    writer.put(Byte.lineFeed, &memory.answers)
    if source == .frames {
      RelayedBytes.put(sessions.frames, body, &writer, &memory.answers)
    } else {
      RelayedBytes.put(memory.streams, body, &writer, &memory.answers)
    }
    guard !writer.isFull else { return false }
    relays.peers[owner].end = writer.offset - room.lowerBound
    return true
  }

  private mutating func sendRequests(to owner: Int) {
    let peer = relays.peers[owner]
    guard peer.slot >= 0, !peer.isSending, peer.start < peer.end else { return }
    let connection = sessions.connections[Int(peer.slot)]
    let start = requestMemory(owner).lowerBound
    relays.peers[owner].isSending = true
    io.send(
      connection.socket, (start + peer.start)..<(start + peer.end),
      token: Token(.send, slot: Int(peer.slot), generation: connection.generation))
  }

  /// The kernel took what it took of the requests to a peer.
  mutating func takeSentRequests(_ slot: Int, _ result: Int32) {
    let owner = Int(sessions.connections[slot].peer)
    relays.peers[owner].isSending = false
    guard result >= 0 else { return endConnection(slot) }
    relays.peers[owner].start += Int(result)
    if relays.peers[owner].start == relays.peers[owner].end {
      relays.peers[owner].start = 0
      relays.peers[owner].end = 0
    }
    sendRequests(to: owner)
  }

  // MARK: - Answers

  /// Takes the answers a peer sent; keeps the beginning of the last one.
  mutating func consumePeerAnswers(_ slot: Int, _ item: inout Pending) {
    while item.offset < item.end {
      let stop = memory.streams.bytes.firstIndex(
        of: Byte.lineFeed, from: item.offset, to: item.end)
      let range = item.offset..<stop
      item.offset = min(stop + 1, item.end)
      let isKept = sessions.connections[slot].phase == .collecting
      if !isKept, stop < item.end {
        settle(slot, PeerAnswer(memory.streams.bytes, range), .streams, range)
        continue
      }
      if !isKept { sessions.beginFrame(slot, wholeCount: -1, isPut: false, now: now) }
      sessions.keep(
        range, in: memory.streams, of: slot, limit: Request.lineByteCountMax, now: now)
      guard stop < item.end else { return }
      let kept = sessions.keptRange(slot)
      settle(slot, PeerAnswer(sessions.frames.bytes, kept), .frames, kept)
      sessions.releaseFrame(slot)
    }
  }

  /// Gives an answer to whom it belongs.
  private mutating func settle(
    _ slot: Int, _ said: PeerAnswer, _ source: Source, _ range: ByteRange
  ) {
    let owner = Int(sessions.connections[slot].peer)
    guard let request = relays.takeFirst(owner), isWaiting(request) else { return }
    switch said {
    case .stored(let first, let count):
      answers.settle(request.record) { answer in
        answer.kind = .stored
        answer.shard = UInt8(truncatingIfNeeded: owner)
        answer.first = first
        answer.count = count
      }
    case .other:
      let isKept =
        source == .frames
        ? RelayedBytes.settle(
          &answers, request.record, sessions.frames, range,
          &sessions.connections[Int(request.slot)].answers)
        : RelayedBytes.settle(
          &answers, request.record, memory.streams, range,
          &sessions.connections[Int(request.slot)].answers)
      if !isKept { settleUnavailable(request) }
    }
    noteAnswering(Int(request.slot))
  }

  private func isWaiting(_ request: RelayedRequest) -> Bool {
    let connection = sessions.connections[Int(request.slot)]
    return request.record >= 0 && connection.isOpen && connection.generation == request.generation
  }

  private mutating func settleUnavailable(_ request: RelayedRequest) {
    answers.settle(request.record) { answer in
      answer.kind = .refused
      answer.refusal = .unavailable
    }
    noteAnswering(Int(request.slot))
  }

  /// A connection to another shard has ended: what waited for it is not known to have been done.
  mutating func noteEndOfPeer(_ slot: Int) {
    let owner = Int(sessions.connections[slot].peer)
    guard owner >= 0 else { return }
    while let request = relays.takeFirst(owner) {
      if isWaiting(request) { settleUnavailable(request) }
    }
    relays.peers[owner] = Peer()
  }
}

/// What another shard answered.
enum PeerAnswer: Equatable {
  case stored(first: UInt64, count: UInt32)
  /// Anything else is passed on as it stands.
  case other

  /// Reads the usual answer: "OK shard=N first=N count=N", without a tag.
  init(_ span: RawSpan, _ range: ByteRange) {
    self = .other
    guard range.count > 9, span.hasBytes("OK shard=", at: range.lowerBound) else { return }
    let first = span.nearIndex(
      of: Byte.space, from: range.lowerBound + 9, to: range.upperBound)
    guard range.upperBound - first > 7, span.hasBytes(" first=", at: first) else { return }
    let firstEnd = span.nearIndex(of: Byte.space, from: first + 7, to: range.upperBound)
    guard range.upperBound - firstEnd > 7, span.hasBytes(" count=", at: firstEnd) else { return }
    let countEnd = span.nearIndex(of: Byte.space, from: firstEnd + 7, to: range.upperBound)
    guard let number = span.decimal((first + 7)..<firstEnd),
      let count = span.decimal((firstEnd + 7)..<countEnd, digitCountMax: 9)
    else { return }
    self = .stored(first: UInt64(number), count: UInt32(count))
  }
}

/// Takes bytes where they may be taken: a span of one stored property cannot be passed along with
/// another property of the same value.
private enum RelayedBytes {
  static func put(
    _ source: borrowing AlignedBuffer, _ range: ByteRange, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    writer.put(verbatim: source.bytes(range), &memory)
  }

  static func settle(
    _ answers: inout AnswerPool, _ record: Int32, _ source: borrowing AlignedBuffer,
    _ range: ByteRange, _ list: inout AnswerList
  ) -> Bool {
    answers.settle(record, text: source.bytes(range), of: &list)
  }
}
