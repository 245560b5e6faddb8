// The requests of one route: those to be sent again, those to be sent, those in flight.
//
//     queue ─┬─▶ in flight ─▶ answered
//     again ─┘     │
//       ▲──────────┘ the connection ended, or the server was busy

internal import PenstockCore

/// Requests in the order they are sent in; used by the client's thread only.
struct RouteQueue {
  private var again = Fifo<ClientRequest>()
  private var queue = Fifo<ClientRequest>()
  private var inFlight = Fifo<ClientRequest>()
  private var inFlightByteCount = 0
  /// Requests in flight that were in flight before: until they are answered nothing new is sent, so
  /// that the server still knows their counters.
  private var doubtfulCount = 0
  /// When the last answer came, or what is in flight was begun to be sent, in monotonic nanoseconds.
  private var answeredAt: Int64 = 0

  /// Whether anything is to be sent.
  var hasWork: Bool { !again.isEmpty || !queue.isEmpty }

  /// When the first request has waited too long, in monotonic nanoseconds.
  func deadline(_ settings: ClientSettings) -> Int64 {
    let unsent = [again.first, queue.first].compactMap { $0?.deadline }.min() ?? .max
    return inFlight.isEmpty ? unsent : min(unsent, answeredAt + settings.patienceNanoseconds)
  }

  /// Whether the server has taken too long to the next answer.
  func isOverdue(_ now: Int64, _ settings: ClientSettings) -> Bool {
    !inFlight.isEmpty && now - answeredAt >= settings.patienceNanoseconds
  }

  mutating func append(_ request: ClientRequest) { queue.append(request) }

  /// Puts a request that was answered, and has to be sent once more, in front of those never sent.
  mutating func appendAgain(_ request: ClientRequest) {
    if !request.isAbandoned { again.append(request) }
  }

  /// Takes the next one to be sent; nil when there is none, or the window is full.
  mutating func next(_ now: Int64, _ settings: ClientSettings) -> ClientRequest? {
    while let request = again.first ?? queue.first {
      let hasRoom =
        inFlight.isEmpty
        || inFlight.count < settings.requestsInFlightMax
          && inFlightByteCount + request.byteCount <= settings.bytesInFlightMax
      let hasTurn = !again.isEmpty || doubtfulCount == 0
      guard hasRoom && hasTurn || request.isAbandoned else { return nil }
      _ = again.isEmpty ? queue.popFirst() : again.popFirst()
      if request.isAbandoned { continue }
      if inFlight.isEmpty { answeredAt = now }
      inFlight.append(request)
      inFlightByteCount += request.byteCount
      if request.isInDoubt { doubtfulCount += 1 }
      return request
    }
    return nil
  }

  /// The request whose answer comes next.
  var answeredNext: ClientRequest? { inFlight.first }

  mutating func removeAnswered(_ now: Int64) {
    guard let request = inFlight.popFirst() else { return }
    inFlightByteCount -= request.byteCount
    if request.isInDoubt { doubtfulCount -= 1 }
    answeredAt = now
  }

  /// The connection ended: what was in flight is sent again where that does no harm; of the rest
  /// nobody knows.
  mutating func takeBack(sentCount: Int, _ settings: ClientSettings, _ reason: String) {
    var back: [ClientRequest] = []
    for request in inFlight.popAll() {
      // The server acts on whole requests only.
      if request.isStore, request.end <= sentCount { request.isInDoubt = true }
      if request.isInDoubt, settings.producer == nil {
        request.fail(.unknownOutcome(reason))
      } else if !request.isAbandoned {
        back.append(request)
      }
    }
    again.prepend(back)
    inFlightByteCount = 0
    doubtfulCount = 0
  }

  var hasInFlight: Bool { !inFlight.isEmpty }

  // MARK: - Letting go

  /// Fails those in doubt that are to be sent again: their counters mean nothing any more. The others
  /// are counted anew.
  mutating func forgetCounters(_ reason: String) {
    again.removeAll { request in
      request.counter = 0
      if request.isInDoubt { request.fail(.unknownOutcome(reason)) }
      return request.isInDoubt
    }
  }

  /// Lets go of requests that were cancelled before they were sent.
  mutating func dropAbandoned() {
    again.removeAll { $0.isAbandoned }
    queue.removeAll { $0.isAbandoned }
  }

  /// Settles those that only wait for a connection.
  mutating func settleConnections(_ result: Result<LineAnswer, any Error>) {
    queue.removeAll { request in
      guard request.kind == .connection else { return false }
      request.settle(result)
      return true
    }
  }

  /// Fails those on no connection that have waited too long.
  mutating func failExpired(_ now: Int64, _ reason: String, _ error: StoreError) {
    while let first = again.first, first.deadline <= now {
      RouteQueue.fail(again.popFirst(), reason, error)
    }
    while let first = queue.first, first.deadline <= now {
      RouteQueue.fail(queue.popFirst(), reason, error)
    }
  }

  /// Fails all that are on no connection.
  mutating func failAll(_ reason: String, _ error: StoreError) {
    for request in again.popAll() + queue.popAll() { RouteQueue.fail(request, reason, error) }
  }

  private static func fail(_ request: ClientRequest?, _ reason: String, _ error: StoreError) {
    request?.fail(request?.isInDoubt == true ? .unknownOutcome(reason) : error)
  }
}
