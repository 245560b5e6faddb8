// A cursor of C's, and the event it gave last.

internal import CPenstock
internal import Penstock

/// Reads for one thread at a time, and refuses a second one. What is stored in it is used only by
/// the thread that has the turn.
final class Cursor: @unchecked Sendable {
  private let turn = Turn("cursor")
  private let events: EventCursor
  private var memory = EventMemory()

  init(_ events: EventCursor) { self.events = events }

  /// Gives the next event; false at the end.
  func next(_ place: UnsafeMutablePointer<penstock_event>) throws(StoreError) -> Bool {
    try turn.take()
    defer { turn.give() }
    guard let event = try events.next() else { return false }
    unsafe place.pointee = memory.view(event)
    return true
  }

  /// Places that were damaged and left out so far.
  func damageCount() throws(StoreError) -> Int {
    try turn.take()
    defer { turn.give() }
    return events.damage.count
  }
}
