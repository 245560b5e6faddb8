// Everstore's protocol as a process of its own: clients of that server run unchanged on this store.
//
//     client ─▶ NEW_TRANSACTION, READ, EXISTS ─▶ index of all journals (JournalIndex) ─▶ client
//            ─▶ COMMIT ─▶ the line protocol of the shard that owns the journal ─▶ durable ─▶ client
//
// One loop and one thread. A transaction is a position: what the journal's log held durably when it
// was opened. So opening one costs no shard anything, any connection may touch any journal, and a
// commit is checked by its shard against all that was written since, over whatever protocol. The index
// takes in what is durable before requests are looked at: whoever was told of a commit finds it.

internal import CShims
internal import PenstockArchive
internal import PenstockCore

/// Runs the server of Everstore's protocol in this process.
enum EverstoreProcess {
  /// Clients served at once; more wait to be accepted.
  static let clientCountMax = 512

  /// Runs until the control pipe ends or says stop; the exit status.
  static func run(
    layout: StoreLayout, shardCount: Int, width: Int, control: Int32, listener: Int32,
    access: EverstoreAccess?
  ) -> Int32 {
    penstock_ignore_write_signals()
    _ = penstock_set_nonblocking(control, true)
    _ = penstock_set_nonblocking(listener, true)
    do {
      let reader = try StoreReader(LinuxFileSystem(), layout)
      let server = EverstoreServer(
        JournalIndex(reader, width: width), layout, shardCount: shardCount, control, listener,
        access)
      return server.run()
    } catch {
      ShardProcess.say("everstore", "cannot start: \(error)")
      return ShardProcess.Status.failed.rawValue
    }
  }
}

/// The server's loop.
final class EverstoreServer {
  /// A commit that waits for its shard.
  struct Waiter {
    weak var session: EverstoreSession?
    var header: EverstoreHeader
    var number: UInt32
    var transaction: EverstoreTransaction
  }

  private let index: JournalIndex<LinuxFileSystem>
  private let control: Int32
  private let listener: Int32
  private var sessions: [EverstoreSession] = []
  private let shards: [ShardSession<Waiter>]
  private var lastTransaction: UInt32 = 0
  /// Who may do what; nil lets everybody do everything.
  private var access: EverstoreAccess?

  init(
    _ index: JournalIndex<LinuxFileSystem>, _ layout: StoreLayout, shardCount: Int,
    _ control: Int32, _ listener: Int32, _ access: EverstoreAccess?
  ) {
    self.access = access
    self.index = index
    self.control = control
    self.listener = listener
    shards = (0..<shardCount).map {
      ShardSession(layout.shardSocket(LogNumber(UInt8($0))), secret: access?.peerSecret ?? [])
    }
  }

  func run() -> Int32 {
    while true {
      for shard in shards { shard.connect() }
      let ready = wait()
      if ready[0] != 0, takeControl() { return 0 }
      if ready[1] != 0 { accept() }
      for (number, session) in sessions.enumerated() where ready.count > number + 2 + shards.count {
        let events = Int32(ready[number + 2 + shards.count])
        if events & Int32(PENSTOCK_POLL_ENDED) != 0, !session.hasEnded { session.receive() }
        if events & Int32(PENSTOCK_POLL_READ) != 0 { session.receive() }
      }
      var answers: [(Waiter, CommitAnswer)] = []
      for shard in shards { shard.receive { answers.append(($0, $1)) } }
      do {
        try index.refresh()
      } catch {
        ShardProcess.say("everstore", "the store's journals cannot be read: \(error)")
        return ShardProcess.Status.failed.rawValue
      }
      for (waiter, answer) in answers { settle(waiter, answer) }
      for session in sessions { serve(session) }
      for shard in shards { shard.send() }
      for session in sessions where session.hasOutput { session.send() }
      sessions.removeAll(where: \.isOver)
    }
  }

  /// Waits until something can be done; what is ready: control, listener, shards, sessions.
  private func wait() -> [UInt8] {
    var descriptors = [control, listener]
    let read = UInt8(PENSTOCK_POLL_READ)
    let write = UInt8(PENSTOCK_POLL_WRITE)
    var wanted = [read, sessions.count < EverstoreProcess.clientCountMax ? read : 0]
    for shard in shards {
      descriptors.append(shard.descriptor)
      wanted.append(shard.hasOutput ? read | write : read)
    }
    var isBusy = false
    for session in sessions {
      descriptors.append(session.descriptor)
      let takes = session.isReady && !session.hasEnded && canCommit
      wanted.append((takes ? read : 0) | (session.hasOutput ? write : 0))
      if session.isReady, session.hasMessage, canCommit { isBusy = true }
      if session.read != nil, !session.hasOutput { isBusy = true }
    }
    // A shard that is gone is looked for again soon.
    let isWhole = shards.allSatisfy(\.isConnected)
    var ready = [UInt8](repeating: 0, count: descriptors.count)
    _ = unsafe descriptors.withUnsafeBufferPointer { descriptors in
      unsafe wanted.withUnsafeBufferPointer { wanted in
        unsafe ready.withUnsafeMutableBufferPointer { ready in
          unsafe penstock_poll(
            descriptors.baseAddress, wanted.baseAddress, ready.baseAddress,
            Int32(descriptors.count), isBusy ? 0 : isWhole ? 1_000_000_000 : 20_000_000)
        }
      }
    }
    return ready
  }

  /// Takes a word of the host; whether it is to stop.
  private func takeControl() -> Bool {
    let byte = penstock_read_byte(control)
    guard byte == Int32(ControlByte.reload) else { return byte != -System.again }
    guard let translate = access?.reload() else { return false }
    for session in sessions where session.grant != .none {
      session.grant = translate(session.grant)
      if session.grant == .none { session.drop() }
    }
    return false
  }

  private var canCommit: Bool { shards.allSatisfy(\.hasRoom) }

  private func accept() {
    while sessions.count < EverstoreProcess.clientCountMax {
      let descriptor = penstock_accept(listener)
      guard descriptor >= 0 else { return }
      sessions.append(EverstoreSession(descriptor, wantsAuth: access != nil))
    }
  }

  // MARK: - Requests

  private func serve(_ session: EverstoreSession) {
    while true {
      if let read = session.read {
        guard read.advance(session) else { return }
        session.read = nil
      }
      guard session.isReady, canCommit else { return }
      let isTaken = session.next { header, span, body in
        do throws(EverstoreError) {
          guard let request = EverstoreRequest(header.type, span, body) else { throw .unknown }
          try take(request, header, span, session)
        } catch {
          session.put(error: error, header)
        }
      }
      guard isTaken else { return }
    }
  }

  private func take(
    _ request: EverstoreRequest, _ header: EverstoreHeader, _ span: RawSpan,
    _ session: EverstoreSession
  ) throws(EverstoreError) {
    switch request {
    case .authenticate(let user, let secret):
      guard let access else { return }
      session.grant = access.grant(user: span.extracting(user), secret: span.extracting(secret))
      // A guess costs a connection. Who is let in is told nothing: adapters wait for no answer.
      guard session.grant != .none else {
        session.refuse()
        throw .authenticationFailed
      }
    case .newTransaction(let name):
      try open(try self.name(span.extracting(name), session), header, session)
    case .exists(let name):
      let name = try self.name(span.extracting(name), session)
      let size = try size(name)
      session.put(
        .exists, header.request, worker: worker(name), [], byte: size.byteCount > 0 ? 1 : 0)
    case .rollback(let transaction):
      session.transactions[transaction] = nil
      session.put(.rollback, header.request, worker: header.worker, [], byte: 1)
    case .read(let name, let from, let size):
      let name = try self.name(span.extracting(name), session)
      try read(name, from: from, size: size, header, session)
    case .commit(let name, let types, let events, let transaction):
      let lines = try commit(
        try self.name(span.extracting(name), session, writing: true), transaction, session,
        types: span.extracting(types), events: span.extracting(events))
      try ask(lines, transaction, header, session)
    }
  }

  /// A journal's name, escaped, when the client may use it so.
  private func name(_ span: RawSpan, _ session: EverstoreSession, writing: Bool = false)
    throws(EverstoreError) -> [UInt8]
  {
    let name = try EverstoreCommit.name(span)
    guard access?.allows(session.grant, name, writing: writing) ?? true else {
      throw .authenticationFailed
    }
    return name
  }

  private func size(_ name: [UInt8]) throws(EverstoreError) -> JournalSize {
    do {
      let size = try index.state(of: name)
      guard size.byteCount <= UInt64(UInt32.max) else {
        ShardProcess.say(
          "everstore",
          "\(String(decoding: name, as: UTF8.self)) is longer than 4 GiB, which Everstore's protocol "
            + "cannot tell; read it with the line protocol")
        throw EverstoreError.unreadable
      }
      return size
    } catch let error as EverstoreError {
      throw error
    } catch {
      ShardProcess.say("everstore", "a journal cannot be read: \(error)")
      throw .unreadable
    }
  }

  private func worker(_ name: [UInt8]) -> UInt32 { UInt32(index.owner(of: name).value) + 1 }

  private func open(
    _ name: [UInt8], _ header: EverstoreHeader, _ session: EverstoreSession
  ) throws(EverstoreError) {
    guard session.transactions.count < EverstoreSession.transactionCountMax else {
      throw .journalClosed
    }
    let size = try size(name)
    repeat {
      lastTransaction = lastTransaction == .max ? 1 : lastTransaction + 1
    } while session.transactions[lastTransaction] != nil
    session.transactions[lastTransaction] = EverstoreTransaction(
      name: name, position: size.position, byteCount: size.byteCount)
    session.put(
      .newTransaction, header.request, worker: worker(name),
      [UInt32(size.byteCount), lastTransaction])
  }

  private func read(
    _ name: [UInt8], from: UInt32, size: UInt32, _ header: EverstoreHeader,
    _ session: EverstoreSession
  ) throws(EverstoreError) {
    guard from <= size else { throw .unreadable }
    let whole = try self.size(name).byteCount
    let end = min(UInt64(size), whole)
    do {
      let text = try index.text(
        of: name, min(UInt64(from), end)..<end,
        includesTimes: header.properties & EverstoreHeader.includesTimes != 0)
      session.read = EverstoreRead(header, worker: worker(name), text)
    } catch {
      ShardProcess.say("everstore", "a journal cannot be read: \(error)")
      throw .unreadable
    }
  }

  // MARK: - Commits

  private func commit(
    _ name: [UInt8], _ number: UInt32, _ session: EverstoreSession, types: RawSpan, events: RawSpan
  ) throws(EverstoreError) -> [UInt8]? {
    guard let transaction = session.transactions[number], transaction.name == name else {
      throw .noTransaction
    }
    return try EverstoreCommit.lines(
      name: name, types: types, events: events, since: transaction.position)
  }

  private func ask(
    _ lines: [UInt8]?, _ number: UInt32, _ header: EverstoreHeader, _ session: EverstoreSession
  ) throws(EverstoreError) {
    guard let transaction = session.transactions.removeValue(forKey: number) else {
      throw .noTransaction
    }
    guard let lines else {
      // Nothing to be written is written at once.
      let size = try size(transaction.name)
      session.put(
        .commit, header.request, worker: worker(transaction.name), [1, UInt32(size.byteCount)])
      return
    }
    let owner = Int(index.owner(of: transaction.name).value)
    guard owner < shards.count else { throw .unknown }
    session.commitCount += 1
    shards[owner].ask(
      lines,
      Waiter(session: session, header: header, number: number, transaction: transaction))
  }

  private func settle(_ waiter: Waiter, _ answer: CommitAnswer) {
    guard let session = waiter.session else { return }
    session.commitCount -= 1
    let name = waiter.transaction.name
    do {
      switch answer {
      case .stored(let last):
        let size = try index.byteCount(of: name, through: SequenceNumber(last))
        session.put(
          .commit, waiter.header.request, worker: worker(name), [1, UInt32(clamping: size)])
      case .conflict, .tooOld:
        // It stays open until the client rolls it back.
        session.transactions[waiter.number] = waiter.transaction
        let size = try size(name)
        session.put(
          .commit, waiter.header.request, worker: worker(name), [0, UInt32(size.byteCount)])
      case .refused, .unavailable: session.put(error: .unknown, waiter.header)
      }
    } catch {
      session.put(error: .unreadable, waiter.header)
    }
  }
}
