// Writes events to the log it leased. Shared by all threads and tasks of a program: what they put
// while one barrier is on its way goes under the next one together.

internal import CShims
internal import PenstockCore

/// A leased log, to be written to.
public final class Writer: Sendable {
  private let store: Store
  private let shard: EmbeddedShard
  private let link: Link

  /// Takes a shard over and waits until it serves.
  init(_ store: Store, _ shard: EmbeddedShard) throws(StoreError) {
    self.store = store
    self.shard = shard
    link = Link(socket: shard.socket)
    do throws(StoreError) {
      // Another log's journals are told apart, not passed on.
      let hello = try link.ask(Array("HELLO penstock/1 moved\n".utf8).rawSpan, eventCount: 0)
      guard case .hello = hello else { throw StoreError(hello, journal: nil) }
      shard.noteServing()
    } catch {
      end()
      throw .failed("log \(shard.log.value) cannot be written: \(shard.lastWords)")
    }
  }

  deinit {
    // What could not be stored was to be learnt of by `flush` or `close`.
    _ = try? close()
  }

  /// The number of the leased log.
  public var log: Int { Int(shard.log.value) }

  // MARK: - Events

  /// Stores an event.
  /// - Parameters:
  ///   - stream: 1 to 1024 bytes once escaped. A name that begins with "/" is a journal's; its
  ///     events are always waited for.
  ///   - type: empty for none.
  ///   - attributes: keys, none of which begins with "_", and values, in order.
  ///   - id: a number of the caller's, which readers get as ``Event/id``; nil for none.
  ///   - payload: any bytes, 1 MiB at most together with the rest.
  ///   - durability: whether to wait until the event is on stable storage.
  /// - Returns: where it is stored; without a sequence number when it was not waited for.
  /// - Throws: `invalid`, `tooLarge`, `ownedElsewhere`, `closed`, `forked`, `writerLost`.
  @discardableResult
  public func put(
    stream: String, type: String = "", attributes: [(key: String, value: String)] = [],
    id: UInt32? = nil, payload: RawSpan, _ durability: Durability = .synced
  ) throws(StoreError) -> Receipt {
    try put(
      .given(stream: stream, type: type, attributes: attributes, id: id), payload, durability)
  }

  /// Stores an event whose payload is an array of bytes.
  @discardableResult
  public func put(
    stream: String, type: String = "", attributes: [(key: String, value: String)] = [],
    id: UInt32? = nil, payload: [UInt8], _ durability: Durability = .synced
  ) throws(StoreError) -> Receipt {
    try put(
      .given(stream: stream, type: type, attributes: attributes, id: id), payload.rawSpan,
      durability)
  }

  /// Stores an event whose payload is text.
  @discardableResult
  public func put(
    stream: String, type: String = "", attributes: [(key: String, value: String)] = [],
    id: UInt32? = nil, payload: String, _ durability: Durability = .synced
  ) throws(StoreError) -> Receipt {
    try put(
      .given(stream: stream, type: type, attributes: attributes, id: id), payload.utf8.rawSpan,
      durability)
  }

  /// Stores an event whose stream, type and attributes were encoded once.
  @discardableResult
  public func put(_ header: EventHeader, payload: RawSpan, _ durability: Durability = .synced)
    throws(StoreError) -> Receipt
  {
    try put(.header(header), payload, durability)
  }

  /// Stores an event whose stream, type and attributes were encoded once.
  @discardableResult
  public func put(_ header: EventHeader, payload: [UInt8], _ durability: Durability = .synced)
    throws(StoreError) -> Receipt
  {
    try put(.header(header), payload.rawSpan, durability)
  }

  private func put(_ fields: EventFields, _ payload: RawSpan, _ durability: Durability)
    throws(StoreError) -> Receipt
  {
    if fields.isJournal {
      let transaction = Transaction(link.isForked)
      try transaction.put(fields, payload)
      return try commit(transaction)
    }
    switch durability {
    case .synced:
      let (answer, index) = try link.put(fields, payload)
      return try Writer.receipt(answer, index)
    case .written:
      try link.putUnawaited(fields, payload)
      return Receipt(log: log, sequence: nil, count: 1)
    }
  }

  /// Stores an event and suspends the task until it is on stable storage.
  @discardableResult
  public func put(
    stream: String, type: String = "", attributes: [(key: String, value: String)] = [],
    id: UInt32? = nil, payload: [UInt8]
  ) async throws(StoreError) -> Receipt {
    let fields = EventFields.given(stream: stream, type: type, attributes: attributes, id: id)
    guard !fields.isJournal else {
      let transaction = Transaction(link.isForked)
      try transaction.put(fields, payload.rawSpan)
      return try await commitSuspending(transaction)
    }
    let (answer, index) = try await link.putSuspending(fields, payload)
    return try Writer.receipt(answer, index)
  }

  private static func receipt(_ answer: LineAnswer, _ index: Int) throws(StoreError) -> Receipt {
    guard case .stored(let stored) = answer else { throw StoreError(answer, journal: nil) }
    return Receipt(log: stored.shard, sequence: stored.first + UInt64(index), count: 1)
  }

  /// Waits until everything put so far is on stable storage.
  /// - Throws: why the first event that was not waited for was not stored.
  public func flush() throws(StoreError) { try link.flush() }

  // MARK: - Transactions

  /// What a log knows of a journal.
  public struct Head: Equatable, Sendable {
    /// Sequence number of the journal's last event: 0 when there is none, nil when it lies further
    /// back than the log remembers.
    public var last: UInt64?
    /// The position up to which this is so: a transaction since then sees what came later.
    public var at: UInt64
  }

  /// The last event of a journal.
  /// - Throws: `ownedElsewhere`, `invalid`, `closed`, `forked`, `writerLost`.
  public func head(of journal: String) throws(StoreError) -> Head {
    let request = try Writer.headRequest(journal)
    return try Writer.head(try link.ask(request.rawSpan, eventCount: 0), journal)
  }

  /// The last event of a journal; the task is suspended until it is known.
  public func head(of journal: String) async throws(StoreError) -> Head {
    let request = try Writer.headRequest(journal)
    return try Writer.head(try await link.askSuspending(request, eventCount: 0), journal)
  }

  private static func headRequest(_ journal: String) throws(StoreError) -> [UInt8] {
    Array("HEAD ".utf8) + (try Transaction.encoded(journal: journal)) + [Byte.lineFeed]
  }

  private static func head(_ answer: LineAnswer, _ journal: String) throws(StoreError) -> Head {
    guard case .head(let last, let at) = answer else { throw StoreError(answer, journal: journal) }
    return Head(last: last, at: at)
  }

  /// Stores what `body` puts together, or nothing: events of journals of this writer's log, with
  /// conditions, or of plain streams. When `body` throws nothing is stored.
  ///
  /// Inside, `tx.transaction` nests: an inner one adds to the outer, and one that throws takes only
  /// its own back.
  /// - Parameter since: a position: the transaction conflicts with an event of one of its own types,
  ///   in its journals, that came after it.
  /// - Returns: what `body` returned, and where the events are stored; no receipt without events.
  /// - Throws: what `body` throws, or a `StoreError`: `conflict`, `tooOld`, `ownedElsewhere`, ….
  // In a task the other form is meant, also where the closure awaits nothing.
  @_disfavoredOverload
  @discardableResult
  public func transaction<Value>(
    since position: UInt64? = nil, _ body: (Transaction) throws -> Value
  ) throws -> (value: Value, receipt: Receipt?) {
    let transaction = Transaction(link.isForked)
    transaction.since = position
    defer { transaction.end() }
    let value = try body(transaction)
    guard transaction.eventCount > 0 else { return (value, nil) }
    return (value, try commit(transaction))
  }

  /// The same for tasks: `body` may await, and the task, not its thread, waits until the events are on
  /// stable storage. Once `body` has returned they are stored also when the task is cancelled.
  @discardableResult
  nonisolated(nonsending) public func transaction<Value>(
    since position: UInt64? = nil,
    _ body: nonisolated(nonsending) (Transaction) async throws -> Value
  ) async throws -> (value: Value, receipt: Receipt?) {
    let transaction = Transaction(link.isForked)
    transaction.since = position
    defer { transaction.end() }
    let value = try await body(transaction)
    guard transaction.eventCount > 0 else { return (value, nil) }
    return (value, try await commitSuspending(transaction))
  }

  private func commit(_ transaction: Transaction) throws(StoreError) -> Receipt {
    let request = try transaction.request()
    let answer = try link.ask(request.rawSpan, eventCount: transaction.eventCount)
    return try Writer.receipt(answer, of: transaction)
  }

  nonisolated(nonsending) private func commitSuspending(_ transaction: Transaction)
    async throws(StoreError) -> Receipt
  {
    let request = try transaction.request()
    let answer = try await link.askSuspending(request, eventCount: transaction.eventCount)
    return try Writer.receipt(answer, of: transaction)
  }

  private static func receipt(_ answer: LineAnswer, of transaction: Transaction)
    throws(StoreError) -> Receipt
  {
    guard case .stored(let stored) = answer else {
      throw StoreError(answer, journal: transaction.firstJournal)
    }
    return Receipt(log: stored.shard, sequence: stored.first, count: stored.count)
  }

  // MARK: - The end

  /// Makes everything put so far durable and gives the log back. Nothing can be written afterwards.
  /// - Throws: why something put before was not stored.
  public func close() throws(StoreError) {
    // The threads are the other process's, and so is the log.
    if link.isForked { return }
    defer { end() }
    try link.close()
  }

  private func end() {
    // A link that failed has nothing more to say.
    _ = try? link.close()
    shard.stop()
    store.forget(shard)
  }
}
