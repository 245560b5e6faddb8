// The one connection of a writer to its shard, shared by all threads and tasks of the program.
//
//     put ─▶ outbox ─▶ (one sends at a time) ─▶ socket ─▶ shard
//                                                           │ in order
//     wait ◀─ ticket ◀─ (one reads at a time) ◀─ socket ◀───┘
//
// Whoever waits does the work: the first thread sends what all have put, and one that waits reads
// the answers of all. What threads put while one sends goes out together, and the shard stores it
// under one barrier. Events that no thread waits for, and tasks, are served by two threads that are
// started when they are first needed.
//
// Requests in flight are few enough that the shard can always hand over their answers: so it goes
// on reading, and sending waits for nothing but the disk.

internal import CShims
internal import PenstockCore

/// A pipelined connection to a shard.
final class Link: @unchecked Sendable {
  // Everything below is guarded by the gate, but for an outbox while it is sent and the inbox while
  // it is read.
  private let gate = Gate()
  private let socket: Int32
  private let forkDepth = penstock_fork_depth()
  private var filling = Outbox()
  private var spare: Outbox? = Outbox()
  /// Requests sent and not answered, oldest first, from `inFlightStart` on.
  private var inFlight: [Ticket] = []
  private var inFlightStart = 0
  private var unawaitedInFlight = 0
  private var isSending = false
  private var isReading = false
  private var inbox = AlignedBuffer(byteCount: 64 << 10)
  private var inboxCount = 0
  /// Why nothing can be written any more.
  private var failure: StoreError?
  /// The first event nobody waited for that was not stored.
  private var lostUnawaited: StoreError?
  private var helpers: [LibraryThread] = []
  private var isClosing = false
  private var roomTasks: [CheckedContinuation<Void, Never>] = []

  /// Requests in flight beyond which none are sent: a quarter of the answers a shard keeps for one
  /// connection.
  private static let inFlightMax = 1024
  /// How long events that nobody waits for are collected, in nanoseconds, and the bytes that end it.
  private static let lingerNanoseconds: Int64 = 100_000
  private static let lingerByteCount = 32 << 10
  /// Outboxes one thread sends in a row for others before it looks for its own answer.
  private static let turnsMax = 4

  /// - Parameter socket: the program's end; closed with the link.
  init(socket: Int32) { self.socket = socket }

  deinit { _ = penstock_close(socket) }

  /// Whether this process is a fork of the one that made the link.
  var isForked: Bool { penstock_fork_depth() != forkDepth }

  private func enter() throws(StoreError) {
    if isForked { throw .forked }
    gate.lock()
    guard let refusal else { return }
    gate.unlock()
    throw refusal
  }

  /// Why nothing more is taken. What was taken before the end began is still stored.
  private var refusal: StoreError? { failure ?? (isClosing ? .closed : nil) }

  // MARK: - Threads

  /// Stores an event and waits until it is durable.
  func put(_ fields: EventFields, _ payload: RawSpan) throws(StoreError) -> (LineAnswer, Int) {
    try enter()
    defer { gate.unlock() }
    let (ticket, index) = try place(fields, payload)
    filling.isAwaited = true
    return (try wait(for: ticket).get(), index)
  }

  /// Takes an event that nobody waits for.
  func putUnawaited(_ fields: EventFields, _ payload: RawSpan) throws(StoreError) {
    try enter()
    defer { gate.unlock() }
    try startHelpers()
    let byteCount = filling.byteCount
    let (ticket, _) = try place(fields, payload)
    ticket.isUnawaited = true
    ticket.isToldByFlush = true
    if byteCount == 0
      || byteCount < Link.lingerByteCount && filling.byteCount >= Link.lingerByteCount
    {
      gate.wake(.sender)
    }
  }

  /// Sends a whole request and waits for its answer.
  func ask(_ request: RawSpan, eventCount: Int) throws(StoreError) -> LineAnswer {
    try enter()
    defer { gate.unlock() }
    while true {
      if let refusal { throw refusal }
      switch filling.append(request, eventCount: eventCount) {
      case .placed(let ticket, _):
        filling.isAwaited = true
        return try wait(for: ticket).get()
      case .larger: try enlarge()
      case .noRoom: makeRoom()
      }
    }
  }

  /// Waits until everything put so far is durable.
  func flush() throws(StoreError) {
    try enter()
    defer { gate.unlock() }
    if let lost = settleAll() { throw lost }
  }

  /// Waits until everything taken so far is durable; tells what is not.
  private func settleAll() -> StoreError? {
    if let last = filling.tickets.last ?? inFlight.last { _ = wait(for: last) }
    defer { lostUnawaited = nil }
    return lostUnawaited ?? failure
  }

  private func place(_ fields: EventFields, _ payload: RawSpan) throws(StoreError)
    -> (Ticket, Int)
  {
    while true {
      if let refusal { throw refusal }
      switch try filling.put(fields, payload) {
      case .placed(let ticket, let index): return (ticket, index)
      case .larger: try enlarge()
      case .noRoom: makeRoom()
      }
    }
  }

  private func enlarge() throws(StoreError) {
    guard filling.memory.byteCount < Outbox.byteCountMax else {
      throw .tooLarge(byteCountMax: Outbox.requestByteCountMax)
    }
    filling = Outbox(byteCount: Outbox.byteCountMax)
  }

  private func makeRoom() {
    if canSend {
      sendOnce()
    } else if inFlightCount >= Link.inFlightMax, !isReading {
      readOnce()
    } else {
      gate.wait(.room)
    }
  }

  /// Waits for the answer to a request, doing what has to be done meanwhile.
  private func wait(for ticket: Ticket) -> Ticket.Outcome {
    var turns = 0
    while true {
      if let outcome = ticket.outcome { return outcome }
      if let failure { return .failure(failure) }
      if canSend, !filling.isEmpty, !ticket.isSent || turns < Link.turnsMax {
        turns += 1
        sendOnce()
      } else if !isReading, inFlightCount > 0 {
        readOnce()
      } else {
        gate.wait(.answers)
      }
    }
  }

  // MARK: - Tasks

  /// Stores an event; the task is suspended until it is durable.
  func putSuspending(_ fields: EventFields, _ payload: [UInt8]) async throws(StoreError)
    -> (LineAnswer, Int)
  {
    let (ticket, index) = try await placeForTask { box throws(StoreError) in
      try box.put(fields, payload.rawSpan)
    }
    return (try await outcome(of: ticket).get(), index)
  }

  /// Sends a whole request; the task is suspended until its answer is there.
  func askSuspending(_ request: [UInt8], eventCount: Int) async throws(StoreError) -> LineAnswer {
    let (ticket, _) = try await placeForTask { box throws(StoreError) in
      box.append(request.rawSpan, eventCount: eventCount)
    }
    return try await outcome(of: ticket).get()
  }

  private func placeForTask(_ take: (Outbox) throws(StoreError) -> Outbox.Taken)
    async throws(StoreError) -> (Ticket, Int)
  {
    while true {
      if let placed = try placeNow(take) { return placed }
      await withCheckedContinuation { task in waitForRoom(task) }
    }
  }

  /// Places what a task has; nil when what is there has to be sent first.
  private func placeNow(_ take: (Outbox) throws(StoreError) -> Outbox.Taken) throws(StoreError)
    -> (Ticket, Int)?
  {
    try enter()
    defer { gate.unlock() }
    try startHelpers()
    while true {
      switch try take(filling) {
      case .placed(let ticket, let index):
        ticket.isUnawaited = true
        filling.isAwaited = true
        gate.wake(.sender)
        return (ticket, index)
      case .larger: try enlarge()
      case .noRoom: return nil
      }
    }
  }

  private func outcome(of ticket: Ticket) async -> Ticket.Outcome {
    await withCheckedContinuation { task in
      gate.lock()
      defer { gate.unlock() }
      if let outcome = ticket.outcome {
        task.resume(returning: outcome)
      } else {
        ticket.tasks.append(task)
      }
    }
  }

  private func waitForRoom(_ task: CheckedContinuation<Void, Never>) {
    gate.lock()
    defer { gate.unlock() }
    // What is there is sent some time, and whoever sends it wakes those that wait here.
    guard failure == nil, !filling.isEmpty else { return task.resume() }
    roomTasks.append(task)
    gate.wake(.sender)
  }

  // MARK: - Sending and reading, one thread at a time

  private var inFlightCount: Int { inFlight.count - inFlightStart }
  private var canSend: Bool {
    !isSending && failure == nil && inFlightCount < Link.inFlightMax
  }

  /// Sends the outbox that is being filled; the gate is open meanwhile.
  private func sendOnce() {
    guard !filling.isEmpty else { return }
    isSending = true
    let box = filling
    filling = spare ?? Outbox()
    spare = nil
    box.closePut()
    for ticket in box.tickets {
      ticket.isSent = true
      if ticket.isUnawaited { unawaitedInFlight += 1 }
    }
    inFlight.append(contentsOf: box.tickets)
    wakeForRoom()
    if unawaitedInFlight > 0, !isReading { gate.wake(.reader) }
    gate.unlock()
    let range = 0..<box.byteCount
    let result = unsafe penstock_send_waiting(socket, box.memory.address(range), range.count)
    gate.lock()
    box.reset()
    spare = box.memory.byteCount > Outbox.byteCount ? Outbox() : box
    isSending = false
    if result < 0 { fail(lost) }
    wakeForRoom()
    gate.wake(.answers)
    if !filling.isEmpty { gate.wake(.sender) }
  }

  private func wakeForRoom() {
    gate.wake(.room)
    for task in roomTasks { task.resume() }
    roomTasks.removeAll(keepingCapacity: true)
  }

  /// Waits for answers and hands them out; the gate is open while it waits.
  private func readOnce() {
    isReading = true
    gate.unlock()
    let room = inboxCount..<inbox.byteCount
    let count = unsafe penstock_receive_waiting(socket, inbox.address(room), room.count)
    gate.lock()
    if count > 0 {
      inboxCount += Int(count)
      takeAnswers()
    } else {
      fail(lost)
    }
    isReading = false
    gate.wake(.answers)
    gate.wake(.room)
    if unawaitedInFlight > 0 { gate.wake(.reader) }
    // What waits for the window goes out.
    if !filling.isEmpty { gate.wake(.sender) }
  }

  private func takeAnswers() {
    var start = 0
    while start < inboxCount {
      let end = inbox.bytes.nearIndex(of: Byte.lineFeed, from: start, to: inboxCount)
      guard end < inboxCount else { break }
      take(LineAnswer(inbox.bytes, start..<end))
      start = end + 1
    }
    inbox.move(start..<inboxCount, to: 0)
    inboxCount -= start
  }

  private func take(_ answer: LineAnswer) {
    guard inFlightCount > 0 else {
      return fail(.writerLost("the shard answered what was not asked"))
    }
    let ticket = inFlight[inFlightStart]
    inFlightStart += 1
    if inFlightStart == inFlight.count {
      inFlight.removeAll(keepingCapacity: true)
      inFlightStart = 0
    } else if inFlightStart >= Link.inFlightMax {
      inFlight.removeFirst(inFlightStart)
      inFlightStart = 0
    }
    settle(ticket, .success(answer))
  }

  private func settle(_ ticket: Ticket, _ outcome: Ticket.Outcome) {
    ticket.outcome = outcome
    if ticket.isUnawaited, ticket.isSent { unawaitedInFlight -= 1 }
    if ticket.isToldByFlush, lostUnawaited == nil {
      switch outcome {
      case .success(.stored): break
      case .success(let answer): lostUnawaited = StoreError(answer, journal: nil)
      case .failure(let error): lostUnawaited = error
      }
    }
    for task in ticket.tasks { task.resume(returning: outcome) }
    ticket.tasks = []
  }

  // MARK: - The end

  private var lost: StoreError {
    .writerLost(
      "the log cannot be written any more: what was not acknowledged is stored or not, as its "
        + "recovery finds; open a writer again")
  }

  /// Nothing can be written any more: everybody who waits is told.
  private func fail(_ error: StoreError) {
    guard failure == nil else { return }
    failure = error
    let waiting = Array(inFlight[inFlightStart...]) + filling.tickets
    inFlight = []
    inFlightStart = 0
    for ticket in waiting where ticket.outcome == nil { settle(ticket, .failure(error)) }
    wakeAll()
  }

  private func wakeAll() {
    wakeForRoom()
    for queue in [Gate.Queue.answers, .sender, .reader] { gate.wake(queue) }
  }

  /// Makes everything put so far durable and ends. Afterwards nothing can be written.
  /// - Throws: what was not stored.
  func close() throws(StoreError) {
    if isForked { return }
    gate.lock()
    let isFirst = !isClosing
    isClosing = true
    let trouble = settleAll()
    fail(.closed)
    let threads = helpers
    helpers = []
    wakeAll()
    gate.unlock()
    if isFirst { penstock_shut_down(socket) }
    for thread in threads { thread.join() }
    if let trouble, trouble != .closed { throw trouble }
  }

  // MARK: - What nobody waits for

  private func startHelpers() throws(StoreError) {
    if helpers.isEmpty { helpers.append(try LibraryThread { [self] in sendForAll() }) }
    // The second may have failed the last time.
    if helpers.count == 1 { helpers.append(try LibraryThread { [self] in readForAll() }) }
  }

  private func sendForAll() {
    gate.lock()
    defer { gate.unlock() }
    while failure == nil {
      guard !filling.isEmpty, canSend else {
        gate.wait(.sender)
        continue
      }
      if !filling.isAwaited, filling.byteCount < Link.lingerByteCount {
        gate.wait(.sender, nanoseconds: Link.lingerNanoseconds)
      }
      if canSend { sendOnce() }
    }
  }

  private func readForAll() {
    gate.lock()
    defer { gate.unlock() }
    while failure == nil {
      if unawaitedInFlight > 0, !isReading {
        readOnce()
      } else {
        gate.wait(.reader)
      }
    }
  }
}
