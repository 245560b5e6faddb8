// The thread that waits for the sockets of a client's reads, so that no task blocks.
//
//     tasks ─▶ "is it ready?" ─▶ thread: poll(2) of all ─▶ tasks go on, and read themselves
//
// A socket that nobody waits for is not looked at: what comes on it stays in the kernel, and its sender
// stops in time. So a read takes memory for what its task has asked for, and nothing beyond. Names are
// looked up on the thread, too.

internal import CShims
internal import PenstockCore
internal import Synchronization

/// Waits for sockets on behalf of tasks. The thread begins with the first wait, and ends with `close`.
final class SocketWaiter: @unchecked Sendable {
  /// How a wait ended.
  enum Outcome: Sendable {
    case ready
    /// The time was over.
    case late
    case cancelled
    /// The client was closed.
    case closed
  }

  /// One socket a task waits for. Settled once.
  private final class Wait: Sendable {
    let descriptor: Int32
    let wantsWrite: Bool
    let deadline: Int64
    private enum State {
      case not
      case task(CheckedContinuation<Outcome, Never>)
      case settled(Outcome)
    }
    private let state = Mutex(State.not)

    init(_ descriptor: Int32, wantsWrite: Bool, deadline: Int64) {
      self.descriptor = descriptor
      self.wantsWrite = wantsWrite
      self.deadline = deadline
    }

    var isSettled: Bool {
      state.withLock { state in
        if case .settled = state { true } else { false }
      }
    }

    func settle(_ outcome: Outcome) {
      let task = state.withLock { state -> CheckedContinuation<Outcome, Never>? in
        defer {
          if case .settled = state {} else { state = .settled(outcome) }
        }
        if case .task(let task) = state { return task }
        return nil
      }
      task?.resume(returning: outcome)
    }

    nonisolated(nonsending) func outcome() async -> Outcome {
      await withCheckedContinuation { task in
        let known = state.withLock { state -> Outcome? in
          if case .settled(let outcome) = state { return outcome }
          state = .task(task)
          return nil
        }
        if let known { task.resume(returning: known) }
      }
    }
  }

  private struct Shared {
    var submitted: [Wait] = []
    /// What is to be done on the thread; told whether the waiter is closed.
    var jobs: [@Sendable (Bool) -> Void] = []
    /// Sockets of the client's reads.
    var sockets: Set<Int32> = []
    var isWoken = false
    var isClosed = false
    var thread: LibraryThread?
  }

  private let shared = Mutex(Shared())
  private let waker: WakePipe
  /// Reads that are under way, for their number is limited.
  private let readCount = Atomic(0)

  /// Reads of one client at once: what one poll(2) here takes, beside the pipe.
  static let readCountMax = Int(PENSTOCK_AWAIT_MAX) - 1
  private static let waitNanosecondsMax: Int64 = 60_000_000_000

  init() throws(StoreError) {
    waker = try WakePipe()
  }

  var isClosed: Bool { shared.withLock { $0.isClosed } }

  /// Counts a read in; false when there are as many as can be.
  func beginRead() -> Bool {
    let count = readCount.add(1, ordering: .relaxed).newValue
    guard count > SocketWaiter.readCountMax else { return true }
    endRead()
    return false
  }

  func endRead() { readCount.subtract(1, ordering: .relaxed) }

  /// Takes note of a read's socket: the client's end is its end.
  func open(_ descriptor: Int32) {
    shared.withLock { shared in
      shared.sockets.insert(descriptor)
      if shared.isClosed { penstock_shut_down(descriptor) }
    }
  }

  /// Closes a read's socket.
  func close(_ descriptor: Int32) {
    shared.withLock { shared in
      shared.sockets.remove(descriptor)
      _ = penstock_close(descriptor)
    }
  }

  // MARK: - Tasks

  /// Suspends the task until the socket can be read, or written, or is at its end.
  nonisolated(nonsending) func wait(
    _ descriptor: Int32, wantsWrite: Bool = false, until deadline: Int64
  ) async throws(StoreError) -> Outcome {
    let wait = Wait(descriptor, wantsWrite: wantsWrite, deadline: deadline)
    try change { shared in
      if shared.isClosed { wait.settle(.closed) } else { shared.submitted.append(wait) }
    }
    return await withTaskCancellationHandler {
      await wait.outcome()
    } onCancel: {
      wait.settle(.cancelled)
      wake()
    }
  }

  /// Does something on the thread; nil when the client was closed.
  nonisolated(nonsending) func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value)
    async throws(StoreError) -> Value?
  {
    // The thread has to be there before a task is suspended for it.
    try change { _ in }
    return await withCheckedContinuation { task in
      let job: @Sendable (Bool) -> Void = { isClosed in
        task.resume(returning: isClosed ? nil : body())
      }
      let isTaken = shared.withLock { shared in
        if shared.isClosed { return false }
        shared.jobs.append(job)
        return true
      }
      if isTaken { wake() } else { job(true) }
    }
  }

  /// Ends every read and the thread.
  func close() {
    let thread = shared.withLock { shared in
      // In a forked child the connections are the parent's.
      let isElsewhere = shared.thread?.isElsewhere ?? false
      if !shared.isClosed, !isElsewhere {
        for descriptor in shared.sockets { penstock_shut_down(descriptor) }
      }
      shared.isClosed = true
      defer { shared.thread = nil }
      return isElsewhere ? nil : shared.thread
    }
    guard let thread else { return }
    wake()
    thread.join()
  }

  /// Changes what is shared, starts the thread when there is none, and wakes it.
  private func change(_ body: (inout Shared) -> Void) throws(StoreError) {
    try shared.withLock { shared throws(StoreError) in
      if shared.thread?.isElsewhere ?? false { throw .forked }
      body(&shared)
      if shared.thread == nil, !shared.isClosed {
        // Unretained: `close` joins it before this object may go.
        shared.thread = try LibraryThread { [unowned self] in serve() }
      }
    }
    wake()
  }

  private func wake() {
    let wakes = shared.withLock { shared in
      defer { shared.isWoken = true }
      return !shared.isWoken
    }
    if wakes { waker.wake() }
  }

  // MARK: - The thread

  private func serve() {
    var waits: [Wait] = []
    while true {
      let taken = shared.withLock { shared in
        defer {
          shared.submitted = []
          shared.jobs = []
          shared.isWoken = false
        }
        return (shared.submitted, shared.jobs, shared.isClosed)
      }
      waits += taken.0
      for job in taken.1 { job(taken.2) }
      if taken.2 {
        for wait in waits { wait.settle(.closed) }
        return
      }
      let now = System.monotonicNanoseconds()
      for wait in waits where wait.deadline <= now { wait.settle(.late) }
      waits.removeAll(where: \.isSettled)
      poll(waits, now)
    }
  }

  /// Waits until a socket is ready, or there is something else to do.
  private func poll(_ waits: [Wait], _ now: Int64) {
    let descriptors = [waker.descriptor] + waits.map(\.descriptor)
    let wantsWrite = [false] + waits.map(\.wantsWrite)
    let nanoseconds = min(
      (waits.map(\.deadline).min() ?? .max) - now, SocketWaiter.waitNanosecondsMax)
    var ready = [Int32](repeating: 0, count: descriptors.count)
    let result = unsafe penstock_await_any(
      descriptors, wantsWrite, &ready, Int32(descriptors.count),
      Int32(max(0, (nanoseconds + 999_999) / 1_000_000)))
    guard result == 0 else { return }
    if ready[0] != 0 { waker.take() }
    for (wait, state) in zip(waits, ready.dropFirst()) where state != 0 { wait.settle(.ready) }
  }
}
