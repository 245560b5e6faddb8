// A follower of C's, and the event it gave last.

internal import CPenstock
internal import Penstock
internal import Synchronization

/// Follows for one thread at a time, and refuses a second one. What is stored in it is used only by
/// the thread that has the turn.
final class Follower: @unchecked Sendable {
  private let turn = Turn("follower")
  private let isClosed = Atomic(false)
  private let events: EventFollower
  private var memory = EventMemory()

  /// How long it waits before it looks whether it was closed, in milliseconds.
  private static let lookMilliseconds = 50

  init(_ events: EventFollower) { self.events = events }

  /// Ends the wait of whoever waits.
  func close() { isClosed.store(true, ordering: .relaxed) }

  /// Gives the next event; false when none came in time.
  /// - Parameter milliseconds: nil for as long as it takes.
  func next(waiting milliseconds: Int?, _ place: UnsafeMutablePointer<penstock_event>)
    throws(StoreError) -> Bool
  {
    try turn.take()
    defer { turn.give() }
    var left = milliseconds
    while !isClosed.load(ordering: .relaxed) {
      let wait = min(left ?? Follower.lookMilliseconds, Follower.lookMilliseconds)
      if let event = try events.next(waiting: wait) {
        unsafe place.pointee = memory.view(event)
        return true
      }
      left = left.map { $0 - wait }
      if let left, left <= 0 { return false }
    }
    throw .closed
  }
}
