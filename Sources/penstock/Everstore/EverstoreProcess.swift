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
    octetCountMax: Int, access: EverstoreAccess?
  ) -> Int32 {
    penstock_ignore_write_signals()
    _ = penstock_set_nonblocking(control, true)
    _ = penstock_set_nonblocking(listener, true)
    do {
      let reader = try StoreReader(LinuxFileSystem(), layout)
      let server = EverstoreServer(
        JournalIndex(reader, width: width), layout, shardCount: shardCount, control, listener,
        EverstoreLimits(octetCountMax: octetCountMax), access)
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
  final class Waiter {
    let session: EverstoreSession
    let header: EverstoreHeader
    /// The journal, escaped, and its shard.
    let name: [UInt8]
    let owner: LogNumber
    let number: UInt32
    let transaction: EverstoreTransaction
    /// What the shard is asked.
    let request: [UInt8]

    init(
      _ session: EverstoreSession, _ header: EverstoreHeader, name: [UInt8], owner: LogNumber,
      number: UInt32, _ transaction: EverstoreTransaction, request: [UInt8]
    ) {
      self.session = session
      self.header = header
      self.name = name
      self.owner = owner
      self.number = number
      self.transaction = transaction
      self.request = request
    }
  }

  /// A commit that is stored and not in the index yet.
  struct Stored {
    var waiter: Waiter
    var last: SequenceNumber
    var since: Int64
  }

  let index: JournalIndex<LinuxFileSystem>
  let control: Int32
  let listener: Int32
  let limits: EverstoreLimits
  var sessions: [EverstoreSession] = []
  let shards: [ShardSession<Waiter>]
  /// Commits to be asked again, and when.
  var refused: [Waiter] = []
  var askAgainAt: Int64 = 0
  var stored: [Stored] = []
  var lastTransaction: UInt32 = 0
  /// Who may do what; nil lets everybody do everything.
  var access: EverstoreAccess?
  /// Since when requests are taken without a break.
  private var takesSince: Int64 = 0
  private var acceptsAt: Int64 = 0

  /// How soon a held request, and a commit a shard had no room for, are looked at again, in
  /// nanoseconds.
  static let retryNanoseconds: Int64 = 5_000_000
  /// How long an answer waits for the index to hold what was acknowledged, in nanoseconds: a shard
  /// that was killed is back within this.
  static let holdNanoseconds: Int64 = 5_000_000_000
  /// Pause when no connection can be accepted, in nanoseconds: the process has no descriptor left.
  private static let acceptNanoseconds: Int64 = 100_000_000

  init(
    _ index: JournalIndex<LinuxFileSystem>, _ layout: StoreLayout, shardCount: Int,
    _ control: Int32, _ listener: Int32, _ limits: EverstoreLimits, _ access: EverstoreAccess?
  ) {
    self.limits = limits
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
      let now = System.monotonicNanoseconds()
      if ready[0] != 0, takeControl() { return 0 }
      if ready[1] != 0 { accept(now) }
      for (number, session) in sessions.enumerated() where ready.count > number + 2 + shards.count {
        if ready[number + 2 + shards.count] & ~UInt8(PENSTOCK_POLL_WRITE) != 0, !session.hasEnded {
          session.receive(now)
        }
      }
      var answers: [(Waiter, CommitAnswer)] = []
      for shard in shards { shard.receive { answers.append(($0, $1)) } }
      do {
        try index.refresh()
      } catch {
        ShardProcess.say("everstore", "the store's journals cannot be read: \(error)")
        return ShardProcess.Status.failed.rawValue
      }
      for note in index.takeDamage() { ShardProcess.say("everstore", note) }
      for (waiter, answer) in answers { settle(waiter, answer, now) }
      settleStored(now)
      askAgain(now)
      for session in sessions { serve(session, now) }
      for shard in shards { shard.send() }
      for session in sessions where session.hasOutput { session.send() }
      sessions.removeAll { $0.isOver || ($0.isLate(now, readSince: takesSince) && canCommit) }
    }
  }

  /// Waits until something can be done; what is ready: control, listener, shards, sessions.
  private func wait() -> [UInt8] {
    let now = System.monotonicNanoseconds()
    var descriptors = [control, listener]
    let read = UInt8(PENSTOCK_POLL_READ)
    let write = UInt8(PENSTOCK_POLL_WRITE)
    let canAccept = now >= acceptsAt && (hasPlace || sessions.contains { $0.isIdle(now) })
    var wanted = [read, canAccept ? read : 0]
    for shard in shards {
      descriptors.append(shard.descriptor)
      wanted.append(shard.hasOutput ? read | write : read)
    }
    let canCommit = canCommit
    if !canCommit { takesSince = now }
    // A shard that is gone is looked for again soon, as are those who wait to be accepted.
    var timeout: Int64 = shards.allSatisfy(\.isConnected) && canAccept ? 1_000_000_000 : 20_000_000
    if !stored.isEmpty || !refused.isEmpty { timeout = EverstoreServer.retryNanoseconds }
    for session in sessions {
      let takes = session.isReady && !session.hasEnded && canCommit
      let isHungry = takes && (!session.waitsForRoom || limits.hasLargeRoom)
      let flags = (isHungry ? read : 0) | (session.hasOutput ? write : 0)
      // An ended connection says so without being asked.
      descriptors.append(session.hasEnded && flags == 0 ? -1 : session.descriptor)
      wanted.append(flags)
      if session.isReady, session.hasMessage, canCommit {
        timeout = min(timeout, session.isHeld ? EverstoreServer.retryNanoseconds : 0)
      }
      if session.read != nil, !session.hasOutput { timeout = 0 }
    }
    var ready = [UInt8](repeating: 0, count: descriptors.count)
    _ = unsafe descriptors.withUnsafeBufferPointer { descriptors in
      unsafe wanted.withUnsafeBufferPointer { wanted in
        unsafe ready.withUnsafeMutableBufferPointer { ready in
          unsafe penstock_poll(
            descriptors.baseAddress, wanted.baseAddress, ready.baseAddress,
            Int32(descriptors.count), timeout)
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

  var canCommit: Bool { shards.allSatisfy(\.hasRoom) }
  private var hasPlace: Bool { sessions.count < EverstoreProcess.clientCountMax }

  private func accept(_ now: Int64) {
    while true {
      if !hasPlace {
        let idle = sessions.indices.filter { sessions[$0].isIdle(now) }
        guard let longest = idle.min(by: { sessions[$0].heardAt < sessions[$1].heardAt }) else {
          return
        }
        sessions.remove(at: longest)
      }
      let descriptor = penstock_accept(listener)
      guard descriptor >= 0 else {
        if descriptor != -System.again { acceptsAt = now + EverstoreServer.acceptNanoseconds }
        return
      }
      sessions.append(EverstoreSession(descriptor, wantsAuth: access != nil, limits, now))
    }
  }
}
