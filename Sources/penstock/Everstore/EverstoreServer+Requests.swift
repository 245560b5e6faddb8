// What clients of Everstore ask for, and what they are told.
//
// A request that reads is held, and its client's later ones with it, while the index may lack what the
// journal's log has acknowledged: when a shard was killed, its successor says what was durable only
// after it has recovered. Likewise a commit is answered when the index holds it.

internal import PenstockArchive
internal import PenstockCore

extension EverstoreServer {
  // MARK: - Requests

  func serve(_ session: EverstoreSession, _ now: Int64) {
    while true {
      if let read = session.read {
        guard read.advance(session) else { return }
        session.read = nil
      }
      guard session.isReady, canCommit else { return }
      let isTaken = session.next(now) { header, span, body in
        do throws(EverstoreError) {
          guard let request = EverstoreRequest(header.type, span, body) else { throw .unknown }
          if try isHeld(request, span) { return false }
          try take(request, header, span, session)
        } catch {
          session.put(error: error, header)
        }
        return true
      }
      guard isTaken else { return }
    }
  }

  /// Whether a request that reads has to wait for the index.
  private func isHeld(_ request: EverstoreRequest, _ span: RawSpan) throws(EverstoreError) -> Bool {
    switch request {
    case .newTransaction(let name), .exists(let name), .read(let name, _, _):
      let owner = index.owner(of: try EverstoreCommit.name(span.extracting(name)))
      // A log without a shard does not change.
      guard Int(owner.value) < shards.count else { return false }
      let broken = index.brokenNanoseconds(owner)
      guard broken < EverstoreServer.holdNanoseconds else { throw .unreadable }
      return broken > 0
    case .authenticate, .commit, .rollback: return false
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
      session.close(transaction)
      session.put(.rollback, header.request, worker: header.worker, [], byte: 1)
    case .read(let name, let from, let size):
      let name = try self.name(span.extracting(name), session)
      try read(name, from: from, size: size, header, session)
    case .commit(let name, let types, let events, let number):
      let name = try self.name(span.extracting(name), session, writing: true)
      guard let transaction = session.transactions[number],
        transaction.journal == index.number(of: name)
      else { throw .noTransaction }
      let lines = try EverstoreCommit.lines(
        name: name, types: span.extracting(types), events: span.extracting(events),
        since: transaction.position, byteCountMax: limits.octetCountMax)
      try ask(lines, name, number, header, session)
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
    let size = try size(name)
    repeat {
      lastTransaction = lastTransaction == .max ? 1 : lastTransaction + 1
    } while session.transactions[lastTransaction] != nil
    let transaction = EverstoreTransaction(
      journal: index.number(of: name), position: size.position)
    guard session.open(lastTransaction, transaction) else { throw .journalClosed }
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

  private func ask(
    _ lines: [UInt8]?, _ name: [UInt8], _ number: UInt32, _ header: EverstoreHeader,
    _ session: EverstoreSession
  ) throws(EverstoreError) {
    let owner = index.owner(of: name)
    guard Int(owner.value) < shards.count else { throw .unknown }
    guard let lines else {
      // Nothing to be written is written at once.
      let size = try size(name)
      session.close(number)
      session.put(
        .commit, header.request, worker: worker(name), [1, UInt32(size.byteCount)])
      return
    }
    guard let transaction = session.close(number) else { throw .noTransaction }
    session.commitCount += 1
    shards[Int(owner.value)].ask(
      lines,
      Waiter(
        session, header, name: name, owner: owner, number: number, transaction, request: lines))
  }

  /// Asks the shards once more which had no room.
  func askAgain(_ now: Int64) {
    guard !refused.isEmpty, now >= askAgainAt else { return }
    let again = refused
    refused = []
    for waiter in again {
      shards[Int(waiter.owner.value)].ask(waiter.request, waiter)
    }
  }

  func settle(_ waiter: Waiter, _ answer: CommitAnswer, _ now: Int64) {
    let session = waiter.session
    switch answer {
    case .stored(let last):
      stored.append(Stored(waiter: waiter, last: SequenceNumber(last), since: now))
      return
    case .busy:
      if refused.isEmpty { askAgainAt = now + EverstoreServer.retryNanoseconds }
      refused.append(waiter)
      return
    case .conflict, .tooOld:
      do throws(EverstoreError) {
        let size = try size(waiter.name)
        // It stays open until the client rolls it back.
        guard session.open(waiter.number, waiter.transaction) else { throw .journalClosed }
        session.put(
          .commit, waiter.header.request, worker: worker(waiter.name), [0, UInt32(size.byteCount)])
      } catch {
        session.put(error: error, waiter.header)
      }
    case .refused, .unavailable: session.put(error: .unknown, waiter.header)
    }
    session.commitCount -= 1
  }

  /// Tells of the stored commits that the index holds.
  func settleStored(_ now: Int64) {
    guard !stored.isEmpty else { return }
    var left: [Stored] = []
    for commit in stored {
      let name = commit.waiter.name
      let isThere = index.position(of: commit.waiter.owner) >= commit.last
      guard isThere || now - commit.since >= EverstoreServer.holdNanoseconds else {
        left.append(commit)
        continue
      }
      let session = commit.waiter.session
      session.commitCount -= 1
      do {
        // Without its size the client could not read what it wrote.
        guard isThere else { throw EverstoreError.unreadable }
        let size = try index.byteCount(of: name, through: commit.last)
        session.put(
          .commit, commit.waiter.header.request, worker: worker(name),
          [1, UInt32(clamping: size)])
      } catch {
        session.put(error: .unreadable, commit.waiter.header)
      }
    }
    stored = left
  }
}
