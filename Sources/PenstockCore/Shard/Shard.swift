// The shard: one loop that takes events in, makes them durable and answers. Read this file first.
//
//     submit and wait → take completions → failed commit? end
//       → retire batches in order: publish the frontier, release answers
//       → consume what was received: frame → parse → append to the open batch
//       → close the batch when the policy says so → queue receives, sends → again
//
// One thread, one `IO`, one log held by a lease. Stages return values and do not call each other;
// only the functions of this type know the order. Between receive and receipt nothing allocates,
// locks, logs or formats through String. Three watermarks, each only growing: submitted, durable
// (published), acknowledged.
//
// What the shard is not: it opens no sockets (the host does, or whoever embeds it), prepares no segments (the preparer
// does) and reads no events back (the reader does).

/// How a shard's loop ended.
package enum ShardEnd: Equatable, Sendable {
  /// Stopped on request: everything received is durable and answered.
  case stopped
  /// Stopped on request, at the deadline: something received could not be made durable by then.
  case stoppedShort
  /// The host is gone.
  case orphaned
  /// A write or sync failed: nothing was acknowledged after it. Recovery is the only retry.
  case durabilityLost(batch: BatchNumber, code: Int32)
  /// The kernel refused the loop itself.
  case failed(FileError)
}

/// Bytes that were received and wait to be consumed, in the order of their arrival.
struct Pending: BitwiseCopyable {
  enum Kind: UInt8, BitwiseCopyable { case stream, datagrams, end }
  var kind: Kind
  var buffer: Int
  /// Connection slot, or listener for datagrams.
  var slot: Int
  var generation: UInt32
  var offset: Int
  var end: Int
  var segmentByteCount: Int
}

/// The segment that is written to.
struct ActiveSegment: BitwiseCopyable {
  var number: SegmentNumber
  var salt: UInt64
  var alignment: Int
  var byteCount: Int
  var slot: FileSlot
  /// Where the next batch goes.
  var offset: Int
  /// Whether direct writes are proved here; else one barrier at a time.
  var isDirect: Bool
  var hasEvents = false
  var startedAt: Int64 = 0
}

/// One shard.
package struct Shard<Machine: IO & ~Copyable>: ~Copyable {
  // The backend goes first: it is ended before the memory its operations name.
  var io: Machine
  var memory: ShardMemory
  let limits: Limits
  let configuration: ShardConfiguration
  let control: Socket
  var statistics: Statistics
  var frontier: Frontier

  var sessions: Sessions
  var contexts: [SyslogContext] = []
  var answers: AnswerPool
  var relays: Relays
  /// The tokens clients may say, when the configuration asks for them.
  var access = Tokens.none
  /// The connection to the reader, or -1.
  var readerSlot = -1
  /// Connections with answers waiting.
  var answering: FixedQueue<Int32>
  /// Connections whose receive found no buffer, and where the next turn begins to look for them.
  var starvedCount = 0
  var starvedCursor = 0
  var pending: FixedQueue<Pending>
  /// Stream buffers the kernel filled and the shard has not given back.
  var heldStreamBuffers = 0
  var heldDatagramBuffers = 0
  var listenerIsArmed: Table<Bool>
  /// Counts of each batch slot by listener, for the ledger.
  var batchCounts: Table<UInt32>

  var batches: Table<Batch>
  var openSlot = 0
  var oldestSlot = 0
  var inFlight = 0
  var groupCommit: GroupCommit
  /// The watermarks: what was submitted, what is durable. They only grow.
  var submittedNumber: BatchNumber
  var durableNumber: BatchNumber
  var durableSequence: SequenceNumber
  /// Checksum of the batch submitted last, the next one's `prev`.
  var lastChecksum: UInt32
  var active: ActiveSegment
  var next: ActiveSegment?
  /// The journals this shard owns.
  var journals: Journals
  /// What was known of them when the open batch was opened.
  var journalsBefore: JournalState
  /// The first batch in the active segment has yet to say it.
  var journalsLineIsDue = true
  /// The producers whose counters this shard keeps, and who speaks for which.
  var producers: Producers
  var producerSessions: ProducerSessions
  /// The first batch in the active segment has yet to tell them.
  var producersAreDue: Bool
  var nextLookAt: Int64 = 0
  var scratch = AlignedBuffer(byteCount: 2 * SegmentHeader.alignmentMin)

  var now: Int64 = 0
  var wallTime = Timestamp(seconds: 0, nanoseconds: 0)
  var lingerUntil: Int64?
  var failure: (batch: BatchNumber, code: Int32)?
  var isSealing = false
  /// What is pending waits for room in a batch.
  var isHeldUp = false
  /// There is no segment to go on with.
  var isStalled = false
  var stalledAt: Int64 = 0
  var hasSaidStall = false
  /// The empty batch that proves the last one durable was submitted.
  var hasClosingBatch = false
  var stopping = Stopping.no
  var isOrphaned = false
  var tickAt: Int64 = 0
  var stuckLookAt: Int64 = 0
  /// When something was last received, for the drain on stop.
  var receivedAt: Int64 = 0

  /// How far a clean stop has come.
  enum Stopping: Equatable {
    case no
    /// What senders have already sent is still read, by connections in the queue as well.
    case draining(deadline: Int64)
    /// Nothing is read any more; the last batches and answers go out.
    case finishing(deadline: Int64)
  }

  /// Takes over a log that was recovered. The caller has put the lease into slot 0 of `io`.
  package init(
    io: consuming Machine, memory: consuming ShardMemory, configuration: ShardConfiguration,
    control: Socket, statistics: consuming Statistics, frontier: consuming Frontier,
    recovered: Recovered
  ) throws(FileError) {
    var io = io
    let limits = configuration.limits
    limits.check()
    let header = recovered.header
    let opened = try SegmentOpening.open(
      io.files, configuration.layout.segment(header.name))
    try io.keep(opened.file, in: FileSlot(1))
    active = ActiveSegment(
      number: header.name.number, salt: header.salt, alignment: header.alignment,
      byteCount: header.byteCount, slot: FileSlot(1), offset: recovered.nextOffset,
      isDirect: opened.isDirect, hasEvents: recovered.eventsRecovered > 0)
    lastChecksum = recovered.lastChecksum
    durableNumber = recovered.lastBatch
    submittedNumber = recovered.lastBatch
    durableSequence = recovered.lastDurableSequence
    let key = System.random() | 1
    journals = Journals(
      JournalRebuild.run(
        io.files, configuration.layout, log: configuration.log,
        after: configuration.archivedThrough, newest: header.name.number,
        nextSequence: recovered.nextSequence, entryCountMax: limits.journalEntryCountMax, key: key),
      key: key, shard: Int(configuration.log.value), width: configuration.journalHashWidth)
    journalsBefore = journals.state
    producers = Producers(countMax: limits.producerCountMax)
    producers.take(table: recovered.producers)
    producersAreDue = recovered.producers.isEmpty
    producerSessions = ProducerSessions(slotCount: limits.connectionCountMax)
    self.io = io
    self.memory = memory
    self.limits = limits
    self.configuration = configuration
    self.control = control
    self.statistics = statistics
    self.frontier = frontier
    groupCommit = GroupCommit(paddingByteRate: limits.paddingByteRate)
    sessions = Sessions(limits)
    relays = Relays(shardCount: configuration.shardCount)
    answers = AnswerPool(capacity: limits.answerRecordCount)
    answering = FixedQueue(capacity: limits.connectionCountMax, repeating: 0)
    let idle = Pending(
      kind: .end, buffer: 0, slot: 0, generation: 0, offset: 0, end: 0, segmentByteCount: 0)
    pending = FixedQueue(
      capacity: limits.streamBufferCount + limits.datagramBufferCount
        + limits.connectionCountMax, repeating: idle)
    listenerIsArmed = Table(count: Limits.listenerCountMax, repeating: false)
    batchCounts = Table(
      count: limits.batchSlotCount * Limits.listenerCountMax, repeating: 0)
    batches = Table(count: limits.batchSlotCount, repeating: Batch(slot: 0, limits: limits))
    for slot in 0..<limits.batchSlotCount { batches[slot] = Batch(slot: slot, limits: limits) }
    batches[0].open(
      number: recovered.lastBatch.advanced(by: 1), firstSequence: recovered.nextSequence,
      alignment: header.alignment, limits: limits)
    precondition(configuration.listeners.count <= Limits.listenerCountMax)
    if let configured = configuration.access {
      access = configured.tokensAtStart { text in
        configuration.tell("shard \(configuration.log.value)", text)
      }
    }
    for listener in configuration.listeners {
      contexts.append(SyslogContext(template: listener.template, rules: listener.times))
    }
    self.frontier.publish(durableSequence, durableNumber)
    begin(recovered)
  }

  private mutating func begin(_ recovered: Recovered) {
    now = io.monotonicNanoseconds()
    wallTime = io.now()
    active.startedAt = now
    bookLosses(recovered)
    statistics[.recoveredEvents] = UInt64(recovered.eventsRecovered)
    statistics[.quarantinedStretches] += UInt64(recovered.damage.count)
    statistics[.recoveryNanoseconds] = UInt64(recovered.durationNanoseconds)
    statistics[.processIdentifier] = UInt64(System.processIdentifier)
    statistics[.startedAt] = UInt64(max(0, wallTime.seconds))
    statistics[.activeSegment] = active.number.value
    statistics[.activeBytes] = UInt64(active.offset)
    statistics[.durableBatch] = durableNumber.value
    statistics[.segmentsStarted] += 1
    statistics[.connectionsOpen] = 0
    statistics[.isStalled] = 0
    io.watch(control, token: Token(.control, slot: 0))
    for index in configuration.listeners.indices { armListener(index) }
    for socket in configuration.connections {
      armReceive(sessions.open(socket, listener: 0, kind: .line, now: now))
    }
    statistics[.isServing] = 1
  }

  /// Runs until it is told to stop, the host is gone, or durability is lost; then closes its
  /// connections.
  package mutating func run() -> ShardEnd {
    let end = serve()
    for slot in 0..<limits.connectionCountMax where sessions.connections[slot].isOpen {
      io.close(sessions.connections[slot].socket)
      sessions.close(slot)
    }
    return end
  }

  private mutating func serve() -> ShardEnd {
    while true {
      do throws(FileError) {
        if pending.isEmpty || isHeldUp {
          try io.submitAndWait(count: 1, timeoutNanoseconds: waitNanoseconds())
        } else {
          try io.submitAndWait(count: 0, timeoutNanoseconds: 0)
        }
      } catch {
        return .failed(error)
      }
      now = io.monotonicNanoseconds()
      wallTime = io.now()
      while let completion = io.nextCompletion() { take(completion) }
      // Every completion of the turn is checked before any receipt of it leaves.
      if let failure {
        statistics[.isServing] = 0
        return .durabilityLost(batch: failure.batch, code: failure.code)
      }
      if isOrphaned { return .orphaned }
      retireDurableBatches()
      consumePending()
      closeBatchIfDue()
      sendAnswers()
      armStarved()
      armDatagrams()
      if now >= tickAt { tick() }
      if advanceStop() {
        statistics[.isServing] = 0
        let isThrough = inFlight == 0 && batches[openSlot].eventCount == 0 && pending.isEmpty
        return isThrough ? .stopped : .stoppedShort
      }
    }
  }

  /// How long the next wait may last, in nanoseconds.
  private func waitNanoseconds() -> Int64 {
    if let lingerUntil { return max(0, lingerUntil &- now) }
    if isStalled || isSealing { return 1_000_000 }
    return max(0, min(tickAt &- now, 100_000_000))
  }

  /// What has to be done now and then, ten times a second.
  private mutating func tick() {
    tickAt = now &+ 100_000_000
    statistics[.activeBytes] = UInt64(active.offset)
    statistics[.connectionsOpen] = UInt64(sessions.openCount)
    for (index, listener) in configuration.listeners.enumerated()
    where listener.kind == .syslogDatagram {
      bookDrops(index, listener.socket)
    }
    for index in configuration.listeners.indices { armListener(index) }
    endStuckConnections()
    noticeStall()
    sealByAge()
    lookForNextSegment()
  }

  /// The kernel's own count may start anew with a new socket; the ledger's only grows.
  private mutating func bookDrops(_ listener: Int, _ socket: Socket) {
    let count = UInt64(io.droppedBuffers(socket))
    let seen = statistics[listener, .droppedSeen]
    statistics[listener, .dropped] += count >= seen ? count - seen : count
    statistics[listener, .droppedSeen] = count
  }

  /// Books what an earlier process of this boot had received: what recovery found beyond the
  /// frontier it published was stored, the rest is lost. Events, not a difference of sequence
  /// numbers: recovery leaves some out.
  private mutating func bookLosses(_ recovered: Recovered) {
    var found = UInt64(recovered.eventsRecovered)
    for listener in 0..<Limits.listenerCountMax {
      let received = statistics[listener, .received]
      let settled = statistics.settledCount(listener)
      statistics[listener, .pending] = 0
      guard received > settled else { continue }
      let stored = min(found, received - settled)
      found -= stored
      statistics[listener, .stored] += stored
      statistics[listener, .lost] += received - settled - stored
    }
  }
}
