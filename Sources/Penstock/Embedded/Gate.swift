// A lock with queues to wait in, and threads: the only places of the library that hold C memory.

internal import CShims

/// A lock, and queues of threads that wait under it. Whoever holds state behind a gate touches it
/// between `lock` and `unlock` only.
@safe
final class Gate: @unchecked Sendable {
  /// What a thread waits for.
  enum Queue: Int32 {
    /// Answers, or a turn at sending and reading.
    case answers
    /// Room for another request.
    case room
    /// Something to send that nobody waits for.
    case sender
    /// Answers nobody waits for.
    case reader
  }

  /// Made once, freed once, and used by C's own locking only.
  private let gate: OpaquePointer

  init() {
    guard let made = unsafe penstock_gate_make() else { preconditionFailure("no memory") }
    unsafe gate = made
  }

  deinit { unsafe penstock_gate_free(gate) }

  func lock() { unsafe penstock_gate_lock(gate) }
  func unlock() { unsafe penstock_gate_unlock(gate) }

  /// Lets go of the lock until the queue is woken, or `nanoseconds` have passed.
  func wait(_ queue: Queue, nanoseconds: Int64 = -1) {
    unsafe penstock_gate_wait(gate, queue.rawValue, nanoseconds)
  }

  func wake(_ queue: Queue) { unsafe penstock_gate_wake(gate, queue.rawValue, true) }
}

/// A thread of the library's own, on which no signal of the program is delivered.
@safe
package final class LibraryThread: @unchecked Sendable {
  /// Valid until `join`, which is called once.
  private let thread: OpaquePointer
  private let forkDepth = penstock_fork_depth()

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Starts it.
  package init(_ run: @escaping @Sendable () -> Void) throws(StoreError) {
    // The thread takes the reference over.
    let body = unsafe Unmanaged.passRetained(Body(run))
    var started: OpaquePointer?
    let result = unsafe penstock_thread_start(
      &started,
      { context in
        guard let context = unsafe context else { return }
        unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
      }, body.toOpaque())
    guard result == 0, let made = unsafe started else {
      unsafe body.release()
      throw .failed("no thread could be started: errno \(-result)")
    }
    unsafe thread = made
  }

  /// Whether this process is a fork of the one the thread runs in: threads are not forked.
  var isElsewhere: Bool { penstock_fork_depth() != forkDepth }

  /// Waits until it has ended.
  package func join() {
    if isElsewhere { return }
    unsafe penstock_thread_join(thread)
  }

  /// Does something that blocks on a thread of its own, while the task is suspended.
  static func run<Value: Sendable>(_ body: @escaping @Sendable () -> Result<Value, StoreError>)
    async throws(StoreError) -> Value
  {
    var thread: LibraryThread?
    let result: Result<Value, StoreError> = await withCheckedContinuation { task in
      do throws(StoreError) {
        thread = try LibraryThread { task.resume(returning: body()) }
      } catch {
        task.resume(returning: .failure(error))
      }
    }
    thread?.join()
    return try result.get()
  }
}
