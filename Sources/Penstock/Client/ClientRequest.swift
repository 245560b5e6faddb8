// A request of a client's caller, from its submission to its answer.
//
//     submitted ─▶ queued ─▶ in flight ─▶ settled
//                    ▲           │ the connection ended: again, where that does no harm
//                    └───────────┘
//
// Settled once, by its answer, by a failure or by the cancellation of its task. One that was
// cancelled on its way stays in flight, so that the answers behind it are still matched.

internal import PenstockCore
internal import Synchronization

/// One request and who waits for it.
final class ClientRequest: @unchecked Sendable {
  /// What is asked, and so which answers fit.
  enum Kind: Equatable, Sendable {
    /// Nothing: it is settled as soon as there is a connection.
    case connection
    /// PUT or COMMIT of so many events.
    case store(eventCount: Int)
    case head, exists
  }

  let kind: Kind
  /// The verb and what stands behind it.
  let head: [UInt8]
  /// Options of a COMMIT, each with a space in front.
  let options: [UInt8]
  /// Event lines.
  let body: [UInt8]
  /// The journal whose owner it goes to, as it stands in requests; nil for none in particular.
  let journal: [UInt8]?
  /// When nobody waits for it any longer, in monotonic nanoseconds.
  let deadline: Int64

  // Touched by the client's thread only.
  /// What it is counted as by its producer; 0 before it is first sent.
  var counter: UInt64 = 0
  var tag = 0
  /// Where it ends among the bytes of its connection.
  var end = 0
  /// Whether it was sent on a connection that ended without its answer.
  var isInDoubt = false

  private enum Waiting {
    case not
    case task(CheckedContinuation<LineAnswer, any Error>)
    case settled(Result<LineAnswer, any Error>)
  }
  private let waiting = Mutex(Waiting.not)

  init(
    _ kind: Kind, head: [UInt8] = [], options: [UInt8] = [], body: [UInt8] = [],
    journal: [UInt8]? = nil, deadline: Int64
  ) {
    self.kind = kind
    self.head = head
    self.options = options
    self.body = body
    self.journal = journal
    self.deadline = deadline
  }

  var byteCount: Int { head.count + options.count + body.count }

  var isStore: Bool {
    if case .store = kind { true } else { false }
  }

  /// Whether nobody waits for it any more, and sending it would store something for nobody.
  var isAbandoned: Bool {
    !isInDoubt
      && waiting.withLock { waiting in
        if case .settled = waiting { true } else { false }
      }
  }

  /// Gives the answer to who waits; the first one counts.
  func settle(_ result: Result<LineAnswer, any Error>) {
    let task = waiting.withLock { waiting -> CheckedContinuation<LineAnswer, any Error>? in
      switch waiting {
      case .settled: return nil
      case .not:
        waiting = .settled(result)
        return nil
      case .task(let task):
        waiting = .settled(result)
        return task
      }
    }
    task?.resume(with: result)
  }

  func fail(_ error: StoreError) { settle(.failure(error)) }

  /// Suspends the task until it is settled.
  func answer() async throws -> LineAnswer {
    try await withCheckedThrowingContinuation { task in
      let known = waiting.withLock { waiting -> Result<LineAnswer, any Error>? in
        if case .settled(let result) = waiting { return result }
        waiting = .task(task)
        return nil
      }
      if let known { task.resume(with: known) }
    }
  }

  /// Whether an answer is one to what was asked.
  func fits(_ answer: LineAnswer) -> Bool {
    switch (kind, answer) {
    case (.store(let count), .stored(let receipt)): receipt.count == count
    case (.store, .conflict), (.head, .head), (.exists, .exists): true
    case (.store, .refused), (.head, .refused), (.exists, .refused): true
    default: false
    }
  }
}
