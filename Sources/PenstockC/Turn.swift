// Who uses a cursor or a follower now: one thread, and no second one.

internal import Penstock
internal import Synchronization

/// One thread's turn at something.
final class Turn: Sendable {
  private let isTaken = Atomic(false)
  private let name: String

  /// - Parameter name: what it is a turn at, for errors.
  init(_ name: String) { self.name = name }

  /// - Throws: `invalid` when another thread has it.
  func take() throws(StoreError) {
    guard !isTaken.exchange(true, ordering: .acquiring) else {
      throw .invalid("another thread uses the \(name) now: open one for each thread")
    }
  }

  func give() { isTaken.store(false, ordering: .releasing) }
}
