// The shard's connections: taking completions, arming receives, sending answers, ending.

extension Shard where Machine: ~Copyable {
  // MARK: - Completions

  /// Takes one completion: notes what happened. Consequences follow later in the turn.
  mutating func take(_ completion: Completion) {
    switch completion.token.kind {
    case .commit: takeCommit(completion)
    case .receive: takeReceived(completion)
    case .datagram: takeDatagrams(completion)
    case .send: takeSent(completion)
    case .accept: takeAccepted(completion)
    case .control: takeControl()
    case .cancel, .commitWrite, nil: break
    }
  }

  private mutating func takeAccepted(_ completion: Completion) {
    let listener = completion.token.slot
    listenerIsArmed[listener] = false
    if completion.result >= 0 {
      let socket = Socket(descriptor: completion.result)
      guard isAccepting, sessions.hasRoom else {
        io.close(socket)
        armListener(listener)
        return
      }
      let slot = sessions.open(
        socket, listener: listener, kind: configuration.listeners[listener].kind, now: now)
      sessions.connections[slot].grant = firstGrant
      statistics[.connectionsAccepted] += 1
      if stopping != .no {
        // It was made before the stop and may have sent all it has.
        receivedAt = now
        if sessions.connections[slot].kind == .syslogStream { io.finishSending(socket) }
      }
      armReceive(slot)
      armListener(listener)
    }
    // After an error (no descriptors left, say) the next tick tries again.
  }

  private mutating func takeReceived(_ completion: Completion) {
    let slot = completion.token.slot
    let isCurrent = sessions.connections[slot].generation == completion.token.generation
    if completion.buffer >= 0 { heldStreamBuffers += 1 }
    guard isCurrent, sessions.connections[slot].isOpen else {
      if completion.buffer >= 0 { giveBackStream(completion.buffer) }
      return
    }
    sessions.connections[slot].isReceiving = false
    if completion.result == -IOCode.noBuffers {
      statistics[.bufferShortages] += 1
      sessions.connections[slot].isStarved = true
      starvedCount += 1
      return
    }
    if completion.result <= 0 {
      if completion.buffer >= 0 { giveBackStream(completion.buffer) }
      sessions.connections[slot].hasEnded = true
      guard !sessions.connections[slot].endIsPending else { return }
      sessions.connections[slot].endIsPending = true
      pending.append(
        Pending(
          kind: .end, buffer: -1, slot: slot, generation: completion.token.generation, offset: 0,
          end: 0, segmentByteCount: 0))
      return
    }
    receivedAt = now
    sessions.connections[slot].progressAt = now
    sessions.connections[slot].hasSent = true
    pending.append(
      Pending(
        kind: .stream, buffer: completion.buffer, slot: slot,
        generation: completion.token.generation, offset: completion.payload.lowerBound,
        end: completion.payload.upperBound, segmentByteCount: 0))
  }

  private mutating func takeDatagrams(_ completion: Completion) {
    let listener = completion.token.slot
    if !completion.hasMore { listenerIsArmed[listener] = false }
    guard completion.buffer >= 0 else { return }
    heldDatagramBuffers += 1
    receivedAt = now
    pending.append(
      Pending(
        kind: .datagrams, buffer: completion.buffer, slot: listener, generation: 0,
        offset: completion.payload.lowerBound, end: completion.payload.upperBound,
        segmentByteCount: max(1, completion.segmentByteCount)))
  }

  private mutating func takeSent(_ completion: Completion) {
    let slot = completion.token.slot
    guard sessions.connections[slot].generation == completion.token.generation,
      sessions.connections[slot].isOpen
    else { return }
    if sessions.connections[slot].peer >= 0 { return takeSentRequests(slot, completion.result) }
    sessions.connections[slot].isSending = false
    guard completion.result >= 0 else {
      endConnection(slot)
      return
    }
    if completion.result > 0 { sessions.connections[slot].progressAt = now }
    sessions.connections[slot].sendStart += Int(completion.result)
    if sessions.connections[slot].sendStart < sessions.connections[slot].sendEnd {
      queueSend(slot)
    } else {
      sessions.connections[slot].sendStart = 0
      sessions.connections[slot].sendEnd = 0
      noteAnswering(slot)
    }
  }

  private mutating func takeControl() {
    while true {
      switch io.takeControl(control) {
      case .byte(UInt8(ascii: "T")): beginStop()
      case .byte(UInt8(ascii: "S")): requestSeal()
      case .byte(ControlByte.reload): reloadTokens()
      case .byte: break
      case .empty:
        io.watch(control, token: Token(.control, slot: 0))
        return
      case .end:
        isOrphaned = true
        return
      }
    }
  }

  // MARK: - Arming

  /// Queues what a listener waits with: an accept while there is room, or datagrams.
  mutating func armListener(_ index: Int) {
    guard isAccepting, !listenerIsArmed[index] else { return }
    let listener = configuration.listeners[index]
    switch listener.kind {
    case .syslogDatagram:
      listenerIsArmed[index] = true
      io.receiveDatagrams(listener.socket, token: Token(.datagram, slot: index))
    case .syslogStream, .line, .relp:
      guard sessions.hasRoom else { return }
      listenerIsArmed[index] = true
      io.accept(listener.socket, token: Token(.accept, slot: index))
    }
  }

  /// Queues a receive unless one is queued or the connection's answers pile up.
  mutating func armReceive(_ slot: Int) {
    let connection = sessions.connections[slot]
    guard connection.isOpen, !connection.isReceiving, !connection.hasEnded else { return }
    if case .finishing = stopping { return }
    guard connection.answers.count < limits.answersWaitingMax else {
      sessions.connections[slot].isPaused = true
      return
    }
    sessions.connections[slot].isPaused = false
    sessions.connections[slot].isReceiving = true
    io.receive(
      connection.socket, token: Token(.receive, slot: slot, generation: connection.generation))
  }

  /// Lets connections that found no buffer try again, in turn, as many as there are buffers.
  mutating func armStarved() {
    var free = limits.streamBufferCount - heldStreamBuffers
    var looked = 0
    while free > 0, starvedCount > 0, looked < limits.connectionCountMax {
      let slot = starvedCursor
      starvedCursor = (starvedCursor + 1) % limits.connectionCountMax
      looked += 1
      guard sessions.connections[slot].isStarved else { continue }
      sessions.connections[slot].isStarved = false
      starvedCount -= 1
      armReceive(slot)
      free -= 1
    }
  }

  /// Datagrams are received again once half the buffers are back.
  mutating func armDatagrams() {
    guard heldDatagramBuffers * 2 <= limits.datagramBufferCount else { return }
    for index in configuration.listeners.indices
    where configuration.listeners[index].kind == .syslogDatagram && !listenerIsArmed[index] {
      if case .finishing = stopping { return }
      listenerIsArmed[index] = true
      io.receiveDatagrams(
        configuration.listeners[index].socket, token: Token(.datagram, slot: index))
    }
  }

  mutating func giveBackStream(_ buffer: Int) {
    io.giveBack(buffer, to: .streams)
    heldStreamBuffers -= 1
  }

  // MARK: - Answers

  /// Queues an answer behind those of earlier requests of the connection.
  mutating func answer(_ slot: Int, _ answer: Answer) {
    var answer = answer
    answer.tag = sessions.connections[slot].tag
    answer.shard = configuration.log.value
    noteAnswer(slot, isKept: answers.append(answer, to: &sessions.connections[slot].answers))
  }

  /// An answer was kept for the connection, or found no room.
  mutating func noteAnswer(_ slot: Int, isKept: Bool) {
    guard isKept else {
      // The pool is for many clients; one that does not read its answers has used it up.
      statistics[.connectionsUnread] += 1
      endConnection(slot)
      return
    }
    noteAnswering(slot)
  }

  func refusalAnswer(_ refusal: Refusal, line: Int = 0) -> Answer {
    Answer(kind: .refused, refusal: refusal, line: UInt32(line))
  }

  mutating func noteAnswering(_ slot: Int) {
    guard !sessions.connections[slot].isAnswering else { return }
    sessions.connections[slot].isAnswering = true
    answering.append(Int32(slot))
  }

  /// Sends the answers whose batches are durable, and ends connections that are through.
  mutating func sendAnswers() {
    for _ in 0..<answering.count {
      let slot = Int(answering.first)
      answering.removeFirst()
      sessions.connections[slot].isAnswering = false
      guard sessions.connections[slot].isOpen else { continue }
      if !sessions.connections[slot].isSending, !sessions.connections[slot].isLent {
        fillAnswers(slot)
      }
      let connection = sessions.connections[slot]
      guard connection.isOpen else { continue }
      if connection.answers.count > 0, !connection.isSending, !connection.isLent {
        noteAnswering(slot)
      }
      if connection.isPaused { armReceive(slot) }
      if connection.hasEnded { endIfThrough(slot) }
    }
  }

  /// Writes the answers that may leave into the connection's answer memory and sends them.
  private mutating func fillAnswers(_ slot: Int) {
    let base = slot * limits.answerByteCount
    var writer = EventWriter(offset: base, limit: base + limits.answerByteCount)
    while let answer = answers.first(of: sessions.connections[slot].answers) {
      guard answer.batchOrdinal <= durableNumber.value else { break }
      if answer.kind == .read {
        // What is written goes out first: from then on the reader sends.
        if writer.offset == base { lend(slot, answer) }
        break
      }
      let mark = writer.offset
      write(answer, &writer)
      if writer.isFull {
        writer.offset = mark
        break
      }
      answers.removeFirst(of: &sessions.connections[slot].answers)
    }
    guard writer.offset > base else { return }
    sessions.connections[slot].sendStart = 0
    sessions.connections[slot].sendEnd = writer.offset - base
    queueSend(slot)
  }

  mutating func queueSend(_ slot: Int) {
    let base = slot * limits.answerByteCount
    let connection = sessions.connections[slot]
    sessions.connections[slot].isSending = true
    io.send(
      connection.socket, (base + connection.sendStart)..<(base + connection.sendEnd),
      token: Token(.send, slot: slot, generation: connection.generation))
  }

  // MARK: - Ending

  /// Ends a connection whose peer is through once its answers have gone out.
  mutating func endIfThrough(_ slot: Int) {
    let connection = sessions.connections[slot]
    guard connection.isOpen, connection.hasEnded, !connection.endIsPending,
      connection.answers.count == 0, !connection.isSending
    else { return }
    endConnection(slot)
  }

  /// Ends a connection now, whatever it has in flight.
  mutating func endConnection(_ slot: Int) {
    guard sessions.connections[slot].isOpen else { return }
    noteEndOfPeer(slot)
    noteEndOfReader(slot)
    if sessions.connections[slot].phase == .collecting, sessions.connections[slot].peer < 0 {
      statistics[sessions.connections[slot].listener, .unfinished] += 1
    }
    if sessions.connections[slot].isStarved {
      sessions.connections[slot].isStarved = false
      starvedCount -= 1
    }
    answers.removeAll(of: &sessions.connections[slot].answers)
    io.close(sessions.connections[slot].socket)
    sessions.close(slot)
    for index in configuration.listeners.indices where !listenerIsArmed[index] {
      if configuration.listeners[index].kind != .syslogDatagram { armListener(index) }
    }
  }

  /// Ends connections that hold something and make no progress, that never say anything, or that
  /// are idle while others find no place.
  mutating func endStuckConnections() {
    guard sessions.openCount > 0, now >= stuckLookAt else { return }
    stuckLookAt = now + 1_000_000_000
    var idlest = -1
    for slot in 0..<limits.connectionCountMax where sessions.connections[slot].isOpen {
      let connection = sessions.connections[slot]
      guard !connection.endIsPending, !connection.isReader else { continue }
      let silence = now - connection.progressAt
      if connection.isSending, silence > limits.progressDeadlineNanoseconds {
        statistics[.connectionsUnread] += 1
        endConnection(slot)
      } else if connection.phase != .ready && silence > limits.progressDeadlineNanoseconds
        || !connection.hasSent && silence > limits.silenceDeadlineNanoseconds
      {
        statistics[.connectionsTimedOut] += 1
        endConnection(slot)
      } else if connection.phase == .ready, connection.answers.count == 0,
        idlest < 0 || connection.progressAt < sessions.connections[idlest].progressAt
      {
        idlest = slot
      }
    }
    guard !sessions.hasRoom, idlest >= 0,
      now - sessions.connections[idlest].progressAt > limits.crowdedDeadlineNanoseconds
    else { return }
    statistics[.connectionsTimedOut] += 1
    endConnection(idlest)
  }
}

/// Error numbers the shard tells apart.
enum IOCode {
  static let noBuffers: Int32 = 105
}
