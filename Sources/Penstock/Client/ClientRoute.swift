// A client's way to one shard, or to any: its connection, what waits for it and what is in flight.
//
//     any shard     connect ─ HELLO ─ [PRODUCER] ─ ready
//     shard N       at its own address, once that is known:  connect ─ HELLO ─ [PRODUCER] ─ ready
//                   else: connect to the server's ─ HELLO moved ─┬─ it is N ──────┐
//                                                                └─ HEAD journal ─┤
//                         MOVED with an address: there   ◀───────────────────────┤
//                         anything else: stay, the shard passes on ◀─ HELLO ◀─────┘
//
// Requests proper are sent to a connection that passes on what is another shard's: where they go
// decides how quick they are, never whether they are right. A request stays on its route, under the
// route's own producer, for as long as it lives.
//
// Answers come in the order of the requests and repeat their tags; one that does not fit ends the
// connection. An answer of several lines would be taken in `takeAnswer`, by its request, which then
// stays first in flight until the last of them.

internal import PenstockCore

/// One way to a server; used by the client's thread only.
final class ClientRoute {
  private enum Phase {
    case idle
    case connecting, hello, probing, producer, ready
  }

  /// Where the connection goes that is being made.
  private enum Goal: Equatable {
    /// Any of the server's addresses.
    case server
    /// One of these, to learn the shard's own.
    case search
    /// The shard's own.
    case own(LineAddress, shard: Int)
  }

  private let settings: ClientSettings
  /// Which shard's requests it takes; nil for those of none in particular.
  private let shard: Int?
  /// A journal that belongs to the shard, as far as the client knows.
  private let journal: [UInt8]
  private let start: Goal
  private var goal: Goal
  private var phase = Phase.idle
  private(set) var connection: ClientConnection?
  private var requests = RouteQueue()
  private var lastTag = 0
  private var lastCounter = ClientProducer.counterBefore()
  private var epoch: Int64
  /// The server has forgotten the producer, and all epochs up to this: once nothing is in flight that
  /// was counted in the present one, a later one is taken.
  private var forgottenEpoch: Int64?
  /// Shards the server said it has; 0 before it said anything.
  private(set) var shardCount = 0
  private var addressIndex = 0
  /// The shard's own address that could not be reached last.
  private var unreached: LineAddress?
  private var pause = RetryPause()
  /// When the next attempt to connect may be made, and when sending goes on after the server was busy.
  private var retryAt: Int64 = 0
  private var busyUntil: Int64 = 0
  private var busyPause = ClientRoute.busyNanosecondsMin
  /// When the connection has to be ready.
  private var readyBy: Int64 = 0
  private var lastReason = "no connection was made yet"

  /// Bytes that wait for the kernel before requests are turned into more of them.
  static let outboxByteCountTarget = 64 << 10
  private static let busyNanosecondsMin: Int64 = 1_000_000
  private static let busyNanosecondsMax: Int64 = 1_000_000_000

  init(_ settings: ClientSettings, shard: Int? = nil, journal: [UInt8] = []) {
    self.settings = settings
    self.shard = shard
    self.journal = journal
    epoch = settings.producer?.epoch ?? 0
    start = shard == nil ? .server : .search
    goal = start
    addressIndex = Int(System.random() % UInt64(settings.addresses.count))
  }

  // MARK: - The client's thread

  func append(_ request: ClientRequest) {
    if phase == .ready, request.kind == .connection {
      request.settle(.success(.hello(shard: 0, shardCount: shardCount)))
    } else {
      requests.append(request)
    }
  }

  var wantsWrite: Bool {
    phase == .connecting || (connection.map { $0.unsentCount > 0 } ?? false)
  }

  /// Does what is due, and sends what can be sent.
  func advance(_ now: Int64) {
    expire(now)
    do throws(ClientConnection.Failure) {
      if phase == .idle, requests.hasWork, now >= retryAt { try connect(now) }
      if phase != .idle, phase != .ready, now >= readyBy {
        throw ClientConnection.Failure(reason: "it did not answer HELLO in time")
      }
      if phase == .ready { try fill(now) }
    } catch {
      lose(error.reason, now)
    }
  }

  /// The socket is ready for something.
  func takeReadiness(readable: Bool, writable: Bool, _ now: Int64) {
    guard let connection else { return }
    do throws(ClientConnection.Failure) {
      if phase == .connecting {
        guard readable || writable else { return }
        try connection.checkConnected()
        try greet(connection)
      }
      if readable {
        try connection.receive { line throws(ClientConnection.Failure) in
          try take(line, now)
          return self.connection === connection
        }
      }
      if writable { try connection.send() }
    } catch {
      // It may have been left for another one, which may not even have been begun.
      if self.connection == nil || self.connection === connection { lose(error.reason, now) }
    }
  }

  /// When `advance` has something to do although nothing comes, in monotonic nanoseconds.
  func wakeAt(_ now: Int64) -> Int64 {
    var at = requests.deadline(settings)
    if phase == .idle, requests.hasWork { at = min(at, retryAt) }
    if phase != .idle, phase != .ready { at = min(at, readyBy) }
    if phase == .ready, requests.hasWork, busyUntil > now { at = min(at, busyUntil) }
    return at
  }

  /// Lets go of requests that were cancelled before they were sent.
  func dropAbandoned() { requests.dropAbandoned() }

  /// Settles everything: the client ends.
  func end() {
    let reason = "the client was closed before the answer came"
    requests.takeBack(sentCount: connection?.sentCount ?? 0, settings, reason)
    requests.failAll(reason, .closed)
    connection = nil
  }

  /// Fails what has waited too long.
  private func expire(_ now: Int64) {
    if requests.isOverdue(now, settings) { lose("no answer came in time", now) }
    requests.failExpired(now, lastReason, unreachable)
  }

  private var unreachable: StoreError {
    .unreachable("\(serverName) cannot be reached: \(lastReason)")
  }

  private var serverName: String {
    settings.addresses.map(\.description).joined(separator: ", ")
  }

  // MARK: - Connecting

  private func connect(_ now: Int64) throws(ClientConnection.Failure) {
    let address: LineAddress
    if case .own(let own, _) = goal {
      address = own
    } else {
      address = settings.addresses[addressIndex % settings.addresses.count]
    }
    readyBy = now + settings.connectNanoseconds
    // A failure here has no connection yet, but a goal that was not reached.
    phase = .connecting
    connection = try ClientConnection.open(address)
  }

  private func greet(_ connection: ClientConnection) throws(ClientConnection.Failure) {
    let token = settings.token.map { " token=" + $0 } ?? ""
    let moved = goal == .search ? " moved" : ""
    connection.append(Array("HELLO penstock/1\(moved)\(token)\n".utf8))
    phase = .hello
    try connection.send()
  }

  private func takeHello(_ answer: LineAnswer, _ now: Int64) throws(ClientConnection.Failure) {
    if case .refused(let code, let text) = answer {
      requests.failAll("HELLO was refused: \(code): \(text)", .refused(code: code, text: text))
      throw ClientConnection.Failure(reason: "it refused HELLO: \(code): \(text)")
    }
    guard let connection, case .hello(let number, let count) = answer else {
      throw ClientConnection.Failure(reason: "it did not answer HELLO as penstock/1 does")
    }
    switch goal {
    case .server:
      shardCount = count
      try nameProducer(connection)
    case .own(_, let shard):
      guard number == shard else {
        throw ClientConnection.Failure(reason: "shard \(number) listens there, not shard \(shard)")
      }
      try nameProducer(connection)
    case .search where number == shard:
      goal = .server
      try greet(connection)
    case .search:
      connection.append(Array("HEAD ".utf8) + journal + [Byte.lineFeed])
      phase = .probing
      try connection.send()
    }
  }

  /// Where the journal is: there, or here as far as this connection is concerned.
  private func takePlace(_ answer: LineAnswer, _ now: Int64) throws(ClientConnection.Failure) {
    guard let connection else { return }
    switch answer {
    case .moved(let shard, let text?):
      guard let own = LineAddress(ofShard: text, from: connection.address), own != unreached else {
        fallthrough
      }
      self.connection = nil
      goal = .own(own, shard: shard)
      try connect(now)
    case .moved, .head, .refused:
      unreached = nil
      goal = .server
      try greet(connection)
    default:
      throw ClientConnection.Failure(reason: "it did not answer HEAD as penstock/1 does")
    }
  }

  private func nameProducer(_ connection: ClientConnection) throws(ClientConnection.Failure) {
    guard let producer = settings.producer else { return beReady() }
    connection.append(producer.request(shard: shard, epoch: epoch))
    phase = .producer
    try connection.send()
  }

  private func beReady() {
    phase = .ready
    requests.settleConnections(.success(.hello(shard: 0, shardCount: shardCount)))
  }

  /// The connection, or the attempt at one, has ended.
  private func lose(_ reason: String, _ now: Int64) {
    let wasReady = phase == .ready
    let address = connection?.address ?? settings.addresses[addressIndex % settings.addresses.count]
    lastReason = "the connection to \(address) was lost (\(reason))"
    if !wasReady { lastReason = "\(address): \(reason)" }
    requests.takeBack(sentCount: connection?.sentCount ?? 0, settings, lastReason)
    connection = nil
    phase = .idle
    forgottenEpoch = nil
    if case .own(let own, _) = goal {
      lastReason = "\(own): \(reason)"
      // Somebody else may know where the shard is now.
      if !wasReady {
        unreached = own
        goal = start
      }
    } else {
      addressIndex += 1
      goal = start
    }
    retryAt =
      now
      + pause.fail(
        addressCount: settings.addresses.count, nanosecondsMax: settings.pauseNanosecondsMax)
    // Who opens a client is told at once that there is nobody.
    if pause.failureCount >= settings.addresses.count {
      requests.settleConnections(.failure(unreachable))
    }
  }

  // MARK: - Requests and answers

  private func fill(_ now: Int64) throws(ClientConnection.Failure) {
    guard let connection else { return }
    if let forgottenEpoch { return try beginEpoch(after: forgottenEpoch, connection, now) }
    var goesOn = true
    while goesOn {
      let hadRoom = connection.unsentCount < ClientRoute.outboxByteCountTarget
      var hasTaken = false
      while now >= busyUntil, connection.unsentCount < ClientRoute.outboxByteCountTarget,
        let next = requests.next(now, settings)
      {
        send(next, connection)
        hasTaken = true
      }
      try connection.send()
      // Nothing else comes back here when the kernel has taken all of it.
      goesOn =
        connection.unsentCount < ClientRoute.outboxByteCountTarget && (hasTaken || !hadRoom)
    }
  }

  /// Goes on as a later producer of the same name, once all that the former one sent is answered.
  private func beginEpoch(after floor: Int64, _ connection: ClientConnection, _ now: Int64)
    throws(ClientConnection.Failure)
  {
    try connection.send()
    guard !requests.hasInFlight, now >= busyUntil else { return }
    requests.forgetCounters("the server has forgotten the producer")
    epoch = max(ClientProducer.nextEpoch(), floor + 1, epoch + 1)
    forgottenEpoch = nil
    readyBy = now + settings.connectNanoseconds
    try nameProducer(connection)
  }

  private func send(_ request: ClientRequest, _ connection: ClientConnection) {
    lastTag = lastTag % ClientRoute.tagMax + 1
    request.tag = lastTag
    connection.append(request.head)
    if request.isStore, settings.producer != nil {
      if request.counter == 0 {
        lastCounter += 1
        request.counter = lastCounter
      }
      connection.append(ClientProducer.option(request.counter))
    }
    connection.append(request.options)
    connection.append(Array(" tag=\(lastTag)\n".utf8))
    connection.append(request.body)
    request.end = connection.queuedCount
  }

  /// Tags go round far beyond what is ever in flight.
  private static let tagMax = 999_999_999
  /// Bytes of " tag=" and the largest tag.
  static let tagByteCountMax = 5 + 9

  private func take(_ line: AnswerLine, _ now: Int64) throws(ClientConnection.Failure) {
    switch phase {
    case .hello: try takeHello(line.answer, now)
    case .probing: try takePlace(line.answer, now)
    case .producer:
      if case .refused(let code, let text) = line.answer {
        refuseProducer(code, text)
        throw ClientConnection.Failure(reason: "it refused the producer: \(code): \(text)")
      }
      guard line.isPositive else {
        throw ClientConnection.Failure(reason: "it did not answer PRODUCER as penstock/1 does")
      }
      beReady()
    case .ready: try takeAnswer(line.answer, tag: line.tag, now)
    case .idle, .connecting:
      throw ClientConnection.Failure(reason: "it spoke before it was asked")
    }
  }

  private func refuseProducer(_ code: String, _ text: String) {
    requests.failAll(
      "the producer was refused: \(code): \(text)", .refused(code: code, text: text))
  }

  private func takeAnswer(_ answer: LineAnswer, tag: Int?, _ now: Int64)
    throws(ClientConnection.Failure)
  {
    guard let request = requests.answeredNext, tag == request.tag, request.fits(answer) else {
      throw ClientConnection.Failure(reason: "it gave an answer that does not fit the request")
    }
    requests.removeAnswered(now)
    pause.reset()
    guard case .refused(let code, let text) = answer else {
      busyPause = ClientRoute.busyNanosecondsMin
      return request.settle(.success(answer))
    }
    switch code {
    case "busy":
      // Certainly not done, this time.
      if !request.isInDoubt { request.counter = 0 }
      putOff(request, now)
    case "unavailable" where request.isStore:
      request.isInDoubt = true
      guard settings.producer != nil else { return request.fail(.unknownOutcome(text)) }
      putOff(request, now)
    case "unavailable": putOff(request, now)
    default:
      let floor = settings.producer == nil ? nil : ClientProducer.floor(code, text)
      if let floor { forgottenEpoch = max(floor, forgottenEpoch ?? 0) }
      if request.isInDoubt, !ClientProducer.settlesDoubt(code) {
        request.fail(.unknownOutcome("\(code): \(text)"))
      } else if floor != nil, request.isStore {
        putOff(request, now)
      } else {
        request.settle(.success(answer))
      }
    }
  }

  /// Sends a request once more, after a pause.
  private func putOff(_ request: ClientRequest, _ now: Int64) {
    lastReason = "the server was busy, or a journal's shard was not there"
    requests.appendAgain(request)
    busyUntil = now + busyPause
    busyPause = min(busyPause * 2, ClientRoute.busyNanosecondsMax)
  }
}
