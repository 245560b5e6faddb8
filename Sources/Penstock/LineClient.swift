// A client of the line protocol: blocking, with a window of requests in flight.
//
//     append(event)… → request full: flush → window full: wait for an answer → … → finish
//
// A request is one PUT; its events are stored together or not at all, and its answer comes once
// they are durable. `append` returns at once while there is room in the window: what it returned
// for is sent or about to be, and durable only when `acknowledgedCount` says so. Counts are in
// events and only grow; sent = acknowledged + refused once nothing waits.
//
// A request larger than `Options.requestByteCountMax` holds one large event. The server has few
// places to collect such requests and answers `busy` when they are taken; so it is sent when
// nothing else is in flight, and again until it is taken: the order of events is kept.
//
// Not here: reconnecting. A lost connection is an error that says how many were acknowledged.

internal import CShims
internal import PenstockCore

/// A connection to a server that speaks the line protocol.
public struct LineClient: ~Copyable {
  /// How much is sent ahead of the answers.
  public struct Options: Sendable {
    /// Requests in flight at most, 1 to 4096.
    public var requestsInFlightMax = 64
    /// Events of one request at most.
    public var eventsPerRequestMax = 256
    /// Bytes of one request that holds more than one event: what the server collects without
    /// taking one of its few large slots.
    public var requestByteCountMax = 16 << 10
    /// How long the server may take to say HELLO, in milliseconds.
    public var helloTimeoutMilliseconds = 10_000
    /// The secret that a server with tokens wants, 1 to 128 printable bytes without a space; nil says
    /// none.
    public var token: String?
    public init() {}
  }

  /// What the server said about a request it stored.
  public struct Receipt: Equatable, Sendable {
    public var shard: Int
    /// Sequence number of the request's first event in its shard's log.
    public var first: UInt64
    public var count: Int
  }

  /// What the server said about a request it did not store.
  public struct Refusal: Equatable, Sendable, CustomStringConvertible {
    /// The word for programs.
    public var code: String
    /// What was wrong and what was expected.
    public var text: String
    /// Events that were refused with it.
    public var eventCount: Int
    public var description: String { "\(code): \(text)" }
  }

  public let address: LineAddress
  /// The shard that answers, of so many.
  public private(set) var shard = 0
  public private(set) var shardCount = 1
  /// Events handed to the kernel, made durable, and refused.
  public private(set) var sentCount = 0
  public private(set) var acknowledgedCount = 0
  public private(set) var refusedCount = 0
  /// The first refusal, which explains most that follow.
  public private(set) var firstRefusal: Refusal?
  public private(set) var lastReceipt: Receipt?

  private let connection: Connection
  private let options: Options
  /// Room for the request line, then the event lines of the open request.
  private var request: AlignedBuffer
  private var requestEnd = LineClient.headByteCountMax
  private var requestEventCount = 0
  /// Events of each request in flight, oldest first.
  private var inFlight: FixedQueue<Int>
  private var inbox: AlignedBuffer
  private var inboxCount = 0
  private var state = State.hello

  /// The socket, closed with its client.
  private struct Connection: ~Copyable {
    let descriptor: Int32
    deinit { _ = penstock_close(descriptor) }
  }

  private enum State { case hello, open, alone, busy }

  /// Room in front of the event lines for "PUT ", the count and LF.
  private static let headByteCountMax = 16
  private static let pauseNanosecondsMax: Int64 = 1_000_000_000

  /// Connects and says HELLO. Not an `init`: one of a noncopyable type cannot throw halfway.
  public static func connect(to address: LineAddress, options: Options = Options())
    throws(LineClientError) -> LineClient
  {
    precondition((1...4096).contains(options.requestsInFlightMax))
    precondition(options.eventsPerRequestMax > 0 && options.requestByteCountMax > 0)
    if let token = options.token {
      guard AccessToken.canBeSaid(Array(token.utf8)) else { throw .badToken }
    }
    let descriptor: Int32
    switch address.place {
    case .tcp(let host, let port): descriptor = unsafe penstock_connect_tcp(host, port)
    case .unix(let path): descriptor = unsafe penstock_connect_unix(path)
    }
    guard descriptor >= 0 else {
      throw .cannotConnect(address, reason: System.message(for: -descriptor))
    }
    var client = LineClient(address, Connection(descriptor: descriptor), options)
    try client.sayHello()
    return client
  }

  private init(
    _ address: LineAddress, _ connection: consuming Connection, _ options: Options
  ) {
    self.address = address
    self.options = options
    self.connection = connection
    inbox = AlignedBuffer(byteCount: 16 << 10)
    request = AlignedBuffer(byteCount: LineClient.headByteCountMax + options.requestByteCountMax)
    inFlight = FixedQueue(capacity: options.requestsInFlightMax, repeating: 0)
  }

  /// The connection's descriptor, to wait for answers together with other input.
  public var fileDescriptor: Int32 { connection.descriptor }
  /// Requests whose answers have not come.
  public var requestsInFlight: Int { inFlight.count }
  /// Whether events wait for their request to be filled or flushed.
  public var hasUnsentEvents: Bool { requestEventCount > 0 }

  // MARK: - Sending

  /// Adds one event; sends the request it fills, waiting for room in the window.
  public mutating func append(_ header: EventHeader, payload: RawSpan) throws(LineClientError) {
    let count = payload.byteCount
    let hasLineFeed = payload.firstIndex(of: Byte.lineFeed, from: 0, to: count) < count
    if hasLineFeed || payload.firstIndex(of: Byte.null, from: 0, to: count) < count {
      let encoded = Escape.encode(payload, .payload)
      try append(header.escaped.rawSpan, encoded.rawSpan)
    } else {
      try append(header.plain.rawSpan, payload)
    }
    let byteCount = requestEnd - LineClient.headByteCountMax
    if requestEventCount >= options.eventsPerRequestMax || byteCount >= options.requestByteCountMax
    {
      try flush()
    }
  }

  private mutating func append(_ header: RawSpan, _ payload: RawSpan) throws(LineClientError) {
    let count = header.byteCount + payload.byteCount + 1
    let limit = LineClient.headByteCountMax + options.requestByteCountMax
    if requestEventCount > 0, requestEnd + count > limit { try flush() }
    if requestEnd + count > request.byteCount {
      // Only an open request without events comes here: nothing is left behind.
      request = AlignedBuffer(byteCount: requestEnd + count)
    }
    request.copy(header, to: requestEnd)
    request.copy(payload, to: requestEnd + header.byteCount)
    request.store(Byte.lineFeed, at: requestEnd + count - 1)
    requestEnd += count
    requestEventCount += 1
  }

  /// Sends the open request, however few its events are.
  public mutating func flush() throws(LineClientError) {
    guard requestEventCount > 0 else { return }
    let byteCount = requestEnd - LineClient.headByteCountMax
    let head = Array("PUT \(byteCount)\n".utf8)
    let start = LineClient.headByteCountMax - head.count
    request.copy(head.rawSpan, to: start)
    if byteCount > options.requestByteCountMax {
      try sendAlone(start..<requestEnd)
    } else {
      while inFlight.count >= options.requestsInFlightMax { try waitForAnswers() }
      inFlight.append(requestEventCount)
      sentCount += requestEventCount
      try send(start..<requestEnd)
    }
    requestEnd = LineClient.headByteCountMax
    requestEventCount = 0
  }

  /// Sends a large request, again as long as the server has no slot for it.
  private mutating func sendAlone(_ range: ByteRange) throws(LineClientError) {
    while inFlight.count > 0 { try waitForAnswers() }
    sentCount += requestEventCount
    var pause: Int64 = 1_000_000
    repeat {
      if state == .busy {
        System.sleep(nanoseconds: pause)
        pause = min(pause * 2, LineClient.pauseNanosecondsMax)
      }
      state = .alone
      inFlight.append(requestEventCount)
      try send(range)
      while inFlight.count > 0 { try waitForAnswers() }
    } while state == .busy
    state = .open
  }

  /// Sends what is open and waits for every answer.
  public mutating func finish() throws(LineClientError) {
    try flush()
    while inFlight.count > 0 { try waitForAnswers() }
  }

  /// Sends bytes of the request, taking answers whenever the server waits for that.
  private mutating func send(_ range: ByteRange) throws(LineClientError) {
    var start = range.lowerBound
    while start < range.upperBound {
      let rest = start..<range.upperBound
      let result = unsafe penstock_send(connection.descriptor, request.address(rest), rest.count)
      if result >= 0 {
        start += Int(result)
      } else if result == Int64(-System.again) {
        let ready = penstock_await(connection.descriptor, true, -1)
        if ready & Int32(PENSTOCK_READABLE) != 0 { try takeAnswers() }
      } else {
        // What the server said before it hung up explains more than the broken pipe.
        try takeAnswers()
        throw lost(System.message(for: Int32(-result)))
      }
    }
  }

  // MARK: - Answers

  private mutating func waitForAnswers() throws(LineClientError) {
    _ = penstock_await(connection.descriptor, false, -1)
    try takeAnswers()
  }

  /// Takes the answers that have come, without waiting.
  public mutating func takeAnswers() throws(LineClientError) {
    var hasTaken = false
    while true {
      let room = inboxCount..<inbox.byteCount
      let result = unsafe penstock_receive(connection.descriptor, inbox.address(room), room.count)
      if result == Int64(-System.again) { return }
      guard result > 0 else {
        // An end behind the last answer loses nothing; whoever goes on learns of it.
        if hasTaken, inFlight.count == 0, state != .hello { return }
        let reason = result == 0 ? "the server closed it" : System.message(for: Int32(-result))
        throw lost(reason)
      }
      hasTaken = true
      inboxCount += Int(result)
      var start = 0
      while start < inboxCount {
        let end = inbox.bytes.firstIndex(of: Byte.lineFeed, from: start, to: inboxCount)
        guard end < inboxCount else { break }
        try take(start..<end)
        start = end + 1
      }
      inbox.move(start..<inboxCount, to: 0)
      inboxCount -= start
      if inboxCount == inbox.byteCount { throw .unexpectedAnswer(address, "a line without end") }
    }
  }

  private mutating func take(_ line: ByteRange) throws(LineClientError) {
    if state == .hello { return try takeHello(line) }
    let answer = LineAnswer(inbox.bytes, line)
    guard inFlight.count > 0, answer != .unknown else { throw unexpected(line) }
    let count = inFlight.first
    inFlight.removeFirst()
    switch answer {
    case .stored(let receipt):
      guard receipt.count == count else { throw unexpected(line) }
      acknowledgedCount += count
      lastReceipt = receipt
    case .refused(let code, _) where code == "busy" && state == .alone:
      state = .busy
    case .refused(let code, let text):
      refusedCount += count
      if firstRefusal == nil {
        firstRefusal = Refusal(code: code, text: text, eventCount: count)
      }
    case .hello, .head, .exists, .conflict, .moved, .unknown: throw unexpected(line)
    }
  }

  // MARK: - Beginning and end

  private mutating func sayHello() throws(LineClientError) {
    let token = options.token.map { " token=" + $0 } ?? ""
    let hello = Array("HELLO penstock/1\(token)\n".utf8)
    if request.byteCount < hello.count { request = AlignedBuffer(byteCount: hello.count) }
    request.copy(hello.rawSpan, to: 0)
    try send(0..<hello.count)
    let deadline =
      System.monotonicNanoseconds() + Milliseconds.nanoseconds(options.helloTimeoutMilliseconds)
    while state == .hello {
      let left = (deadline - System.monotonicNanoseconds()) / 1_000_000
      guard left > 0 else { throw .noHello(address) }
      let ready = penstock_await(connection.descriptor, false, Int32(min(left + 1, 60_000)))
      if ready & Int32(PENSTOCK_READABLE) != 0 { try takeAnswers() }
    }
  }

  private mutating func takeHello(_ line: ByteRange) throws(LineClientError) {
    let answer = LineAnswer(inbox.bytes, line)
    if case .refused(let code, let text) = answer, code == "unauthorized" {
      throw .unauthorized(address, text)
    }
    guard case .hello(let shard, let shardCount) = answer else { throw unexpected(line) }
    self.shard = shard
    self.shardCount = shardCount
    state = .open
  }

  private func unexpected(_ line: ByteRange) -> LineClientError {
    let shown = line.lowerBound..<min(line.upperBound, line.lowerBound + 200)
    return .unexpectedAnswer(address, String(span: inbox.bytes(shown)))
  }

  private func lost(_ reason: String) -> LineClientError {
    .connectionLost(
      address, reason: reason, sent: sentCount, acknowledged: acknowledgedCount,
      refusal: firstRefusal?.description)
  }
}

/// Why a client cannot go on.
public enum LineClientError: Error, Equatable, Sendable, CustomStringConvertible {
  case cannotConnect(LineAddress, reason: String)
  /// Something listens there and does not answer.
  case noHello(LineAddress)
  /// The option `token` holds what no token can.
  case badToken
  /// The server wants a token, or another one.
  case unauthorized(LineAddress, String)
  case unexpectedAnswer(LineAddress, String)
  /// The connection ended; events sent and not acknowledged may or may not be stored.
  case connectionLost(
    LineAddress, reason: String, sent: Int, acknowledged: Int, refusal: String?)

  public var description: String {
    switch self {
    case .cannotConnect(let address, let reason):
      "cannot connect to \(address): \(reason); start 'penstock serve' or name another address"
    case .noHello(let address):
      "\(address) does not answer HELLO; is it a listener of the line protocol?"
    case .badToken: "a token is 1 to 128 printable bytes without a space"
    case .unauthorized(let address, let text):
      "\(address) does not let this client in: \(text)"
    case .unexpectedAnswer(let address, let line):
      "\(address) answered '\(line)', which is not penstock/1; is it the right address?"
    case .connectionLost(let address, let reason, let sent, let acknowledged, let refusal):
      "the connection to \(address) was lost (\(reason)) with \(acknowledged) of \(sent) events "
        + "acknowledged" + (refusal.map { "; the server had said \($0)" } ?? "")
    }
  }
}
