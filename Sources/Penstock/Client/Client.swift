// A client of a served store, for any number of tasks.
//
//     let client = try await Client.connect(to: [LineAddress(url: "line+tcp://127.0.0.1:6930")])
//     let receipt = try await client.put([NewEvent(stream: "app/web", type: "Login", payload: "anna")])
//     try await client.transaction(on: "/orders/42", retries: 3) { tx, head in
//       try tx.put(stream: "/orders/42", type: "Placed", payload: #"{"sku":"A1"}"#)
//     }
//
// Requests of all tasks are pipelined on few connections; a task is suspended until its answer is
// there, which for what is stored means: until it is on stable storage. When a window of requests is
// in flight the others wait. A connection that ends is made again, with growing pauses, to any of the
// addresses, and shards are gone to directly for their journals.
//
// What was sent and not answered when a connection ended is in doubt. With a producer it is sent again
// and stored once; without one its task gets `StoreError.unknownOutcome`. A task that is cancelled
// stops waiting; what it had sent may be stored all the same.

internal import PenstockCore
internal import Synchronization

/// A connection to a store that is served, with its reconnections.
public final class Client: Sendable {
  /// What makes retries exact.
  public enum Producer: Equatable, Sendable {
    /// Nothing: a request that was sent when a connection ended has an unknown outcome.
    case none
    /// A name nobody else has.
    case random
    /// This name, 1 to 60 visible ASCII characters without "|". Of two clients with one name the later one counts,
    /// so that a program that was started again takes over from itself.
    case named(String)
  }

  /// How a client behaves.
  public struct Options: Sendable {
    /// Requests in flight on one connection at most, 1 to 1024; with a producer no more than 64.
    public var requestsInFlightMax = 256
    /// Bytes of requests in flight on one connection at most; one larger request goes alone.
    public var bytesInFlightMax = 4 << 20
    /// How long a request waits to be sent, connecting again included, and how long a server may take
    /// to its next answer, in milliseconds.
    public var patienceMilliseconds = 30_000
    /// How long a server may take to accept a connection and to say HELLO, in milliseconds.
    public var connectTimeoutMilliseconds = 5_000
    /// Longest pause between two attempts to connect, in milliseconds.
    public var reconnectPauseMaxMilliseconds = 1_000
    /// Whether shards are gone to directly for their journals, instead of having others pass requests
    /// on to them.
    public var routesToOwners = true
    public var producer = Producer.none
    /// How long a server that is followed may say nothing before another connection is made, in
    /// milliseconds: it says something every 10 seconds.
    public var followSilenceMilliseconds = 25_000
    /// The secret that a server with tokens wants, 1 to 128 printable bytes without a space; nil says
    /// none. It goes over the connection as it is.
    public var token: String?
    public init() {}
  }

  private let loop: ClientLoop
  /// Nil once it was ended.
  private let thread: Mutex<LibraryThread?>
  let options: Options
  /// For what is read: each read has a connection of its own (Client+Read.swift).
  let addresses: [LineAddress]
  let waiter: SocketWaiter

  /// Connects to a server.
  /// - Parameter addresses: where the server is reached; one is enough, of several any is tried
  ///   first. Names are looked up when a connection is made.
  /// - Throws: `unreachable` when there is nobody at any of them, `refused` when the server does not
  ///   know producers, or wants another token; `invalid` for a token or a producer's name that is none.
  public static func connect(to addresses: [LineAddress], options: Options = Options())
    async throws -> Client
  {
    let client = try Client(addresses, options)
    do {
      _ = try await client.ask(ClientRequest(.connection, deadline: client.deadline))
    } catch {
      client.close()
      throw error
    }
    return client
  }

  /// Connects, does something, and closes the client however that ends.
  nonisolated(nonsending) public static func withConnection<Value>(
    to addresses: [LineAddress], options: Options = Options(),
    _ body: nonisolated(nonsending) (Client) async throws -> Value
  ) async throws -> Value {
    let client = try await connect(to: addresses, options: options)
    defer { client.close() }
    return try await body(client)
  }

  private init(_ addresses: [LineAddress], _ options: Options) throws(StoreError) {
    precondition((1...1024).contains(options.requestsInFlightMax), "1 to 1024 requests in flight")
    precondition(options.bytesInFlightMax > 0 && options.patienceMilliseconds > 0)
    precondition(options.connectTimeoutMilliseconds > 0)
    precondition(options.reconnectPauseMaxMilliseconds > 0)
    guard !addresses.isEmpty else { throw .invalid("a client needs an address") }
    precondition(options.followSilenceMilliseconds > 0)
    if let token = options.token, !AccessToken.canBeSaid(Array(token.utf8)) {
      throw .invalid("\(LineClientError.badToken)")
    }
    self.options = options
    self.addresses = addresses
    waiter = try SocketWaiter()
    let producer: ClientProducer? =
      switch options.producer {
      case .none: nil
      case .random: try ClientProducer(name: nil)
      case .named(let name): try ClientProducer(name: name)
      }
    let loop = try ClientLoop(
      ClientSettings(
        addresses: addresses,
        requestsInFlightMax: min(
          options.requestsInFlightMax,
          producer == nil ? options.requestsInFlightMax : ClientProducer.requestsInFlightMax),
        bytesInFlightMax: options.bytesInFlightMax,
        patienceNanoseconds: Milliseconds.nanoseconds(options.patienceMilliseconds),
        connectNanoseconds: Milliseconds.nanoseconds(options.connectTimeoutMilliseconds),
        pauseNanosecondsMax: Milliseconds.nanoseconds(options.reconnectPauseMaxMilliseconds),
        routesToOwners: options.routesToOwners, token: options.token, producer: producer))
    self.loop = loop
    thread = Mutex(try LibraryThread { loop.run() })
  }

  deinit { close() }

  // MARK: - Storing

  /// Stores events together or not at all, and suspends the task until they are on stable storage.
  /// - Parameter events: of plain streams, or of journals of one shard; at most 1 MiB.
  /// - Throws: `invalid`, `tooLarge`; `unreachable`, `refused` when they are not stored;
  ///   `unknownOutcome` when nobody knows; `CancellationError`.
  @discardableResult
  public func put(_ events: [NewEvent]) async throws -> Receipt { try await commit(events) }

  /// Stores events of journals of one shard together, or nothing when a condition does not hold.
  /// - Parameters:
  ///   - position: no event of one of the events' own types came after it in their journals.
  ///   - conditions: what else has to hold.
  /// - Throws: also `conflict`, which names the event that broke a condition, and `tooOld`.
  @discardableResult
  public func commit(
    _ events: [NewEvent], since position: UInt64? = nil, _ conditions: [Condition] = []
  ) async throws -> Receipt {
    let transaction = Transaction(false)
    transaction.since = position
    for event in events { try transaction.put(event) }
    for condition in conditions { try transaction.require(condition) }
    guard transaction.eventCount > 0 else { throw StoreError.invalid("there is no event to store") }
    return try await store(try transaction.parts())
  }

  /// Reads the position of a journal, has events put together, and stores them unless one of their
  /// types was written to the journal meanwhile.
  /// - Parameters:
  ///   - journal: whose position the events are committed since.
  ///   - retries: how often all of it is done once more after a conflict.
  ///   - body: puts events, and further conditions, into the transaction it is given. What it throws
  ///     is thrown on, and nothing is stored.
  /// - Returns: what `body` returned, and where the events are; no receipt without events.
  /// - Throws: what `body` throws, or what `commit` does.
  @discardableResult
  nonisolated(nonsending) public func transaction<Value>(
    on journal: String, retries: Int = 0,
    _ body: nonisolated(nonsending) (Transaction, Writer.Head) async throws -> Value
  ) async throws -> (value: Value, receipt: Receipt?) {
    var retriesLeft = retries
    while true {
      let head = try await head(of: journal)
      let transaction = Transaction(false)
      transaction.since = head.at
      defer { transaction.end() }
      let value = try await body(transaction, head)
      guard transaction.eventCount > 0 else { return (value, nil) }
      do {
        return (value, try await store(try transaction.parts()))
      } catch let error as StoreError {
        guard retriesLeft > 0, error.isOutrun else { throw error }
        retriesLeft -= 1
      }
    }
  }

  // MARK: - Asking

  /// The last event of a journal.
  public func head(of journal: String) async throws -> Writer.Head {
    guard case .head(let last, let at) = try await tell("HEAD", .head, journal) else {
      throw StoreError.failed("HEAD was answered with something else")
    }
    return Writer.Head(last: last, at: at)
  }

  /// Whether a journal has an event; nil when its last one lies further back than the server
  /// remembers.
  public func exists(_ journal: String) async throws -> Bool? {
    guard case .exists(let exists) = try await tell("EXISTS", .exists, journal) else {
      throw StoreError.failed("EXISTS was answered with something else")
    }
    return exists
  }

  // MARK: - The end

  /// Ends the client. What waits for an answer is told `unknownOutcome`, what was not sent `closed`;
  /// reads end with `closed`.
  public func close() {
    waiter.close()
    let ending = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    // In a forked child there is no such thread, and the connections are the parent's.
    guard let ending, !ending.isElsewhere else { return }
    loop.close()
    ending.join()
  }

  // MARK: - Requests

  private var deadline: Int64 {
    System.monotonicNanoseconds() + Milliseconds.nanoseconds(options.patienceMilliseconds)
  }

  private func store(_ parts: Transaction.Parts) async throws -> Receipt {
    let verb = parts.isOfJournals ? "COMMIT" : "PUT"
    let head = Array("\(verb) \(parts.lines.count)".utf8)
    let room = ClientProducer.optionByteCountMax + ClientRoute.tagByteCountMax
    guard head.count + parts.options.count + room < Request.lineByteCountMax else {
      throw StoreError.invalid(
        "the conditions of one commit have \(Request.lineByteCountMax - room - head.count) bytes")
    }
    let request = ClientRequest(
      .store(eventCount: parts.eventCount), head: head, options: parts.options,
      body: parts.lines, journal: try parts.journal.map(Transaction.encoded(journal:)),
      deadline: deadline)
    let answer = try await ask(request)
    guard case .stored(let stored) = answer else {
      throw StoreError(answer, journal: parts.journal)
    }
    return Receipt(log: stored.shard, sequence: stored.first, count: stored.count)
  }

  private func tell(_ verb: String, _ kind: ClientRequest.Kind, _ journal: String) async throws
    -> LineAnswer
  {
    let name = try Transaction.encoded(journal: journal)
    let answer = try await ask(
      ClientRequest(
        kind, head: Array("\(verb) ".utf8) + name, journal: name, deadline: deadline))
    if case .refused = answer { throw StoreError(answer, journal: journal) }
    return answer
  }

  /// Submits a request and suspends the task until it is settled.
  private func ask(_ request: ClientRequest) async throws -> LineAnswer {
    try Task.checkCancellation()
    if thread.withLock({ $0?.isElsewhere ?? false }) { throw StoreError.forked }
    return try await withTaskCancellationHandler {
      loop.submit(request)
      return try await request.answer()
    } onCancel: {
      request.settle(.failure(CancellationError()))
      loop.noteCancellation()
    }
  }
}
