// The shard's clean stop: what was sent is read, made durable and answered.

extension Shard where Machine: ~Copyable {
  /// Connections that wait to be accepted when a stop begins are accepted too: their senders
  /// believe that they are served, and what they sent would be lost.
  var isAccepting: Bool {
    if case .finishing = stopping { return false }
    return true
  }

  mutating func beginStop() {
    guard stopping == .no else { return }
    stopping = .draining(deadline: now + Shard.drainNanosecondsMax)
    receivedAt = now
    // What sits unread in a dead server's socket is lost: tell the senders, and read on.
    for slot in 0..<limits.connectionCountMax where sessions.connections[slot].isOpen {
      if sessions.connections[slot].kind == .syslogStream {
        io.finishSending(sessions.connections[slot].socket)
      }
    }
  }

  /// Longest time a clean stop reads on, and the silence that ends it sooner, in nanoseconds.
  static var drainNanosecondsMax: Int64 { 2_000_000_000 }
  static var drainSilenceNanoseconds: Int64 { 100_000_000 }
  /// Longest time a clean stop waits for clients to take their last answers.
  static var finishNanosecondsMax: Int64 { 5_000_000_000 }

  /// Moves a clean stop on; true when everything is durable and answered.
  mutating func advanceStop() -> Bool {
    switch stopping {
    case .no: return false
    case .draining(let deadline):
      // Without listeners and connections nobody is left who could send.
      let isAlone = configuration.listeners.isEmpty && sessions.openCount == 0
      let isSilent = isAlone || now - receivedAt >= Shard.drainSilenceNanoseconds
      guard pending.isEmpty, isSilent || now >= deadline else {
        if now >= deadline + Shard.drainNanosecondsMax { break }
        return false
      }
    case .finishing(let deadline):
      if now >= deadline { return true }
      let hasEvents = batches[openSlot].eventCount > 0
      guard inFlight == 0, !hasEvents, pending.isEmpty, !isSealing else { return false }
      guard hasClosingBatch else {
        // An empty batch says that the last one is durable.
        hasClosingBatch = submitOpenBatch()
        return false
      }
      return answering.isEmpty && !isAnySending
    }
    stopping = .finishing(deadline: now + Shard.finishNanosecondsMax)
    if configuration.seal.onStop { requestSeal() }
    return false
  }

  private var isAnySending: Bool {
    for slot in 0..<limits.connectionCountMax where sessions.connections[slot].isOpen {
      if sessions.connections[slot].isSending { return true }
    }
    return false
  }
}
