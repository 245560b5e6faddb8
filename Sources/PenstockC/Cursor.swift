// A cursor of C's, and the event it gave last.

internal import CPenstock
internal import Penstock
internal import Synchronization

/// Reads for one thread at a time, and refuses a second one. What is stored in it is used only by
/// the thread that has set `isBusy`.
final class Cursor: @unchecked Sendable {
  private let isBusy = Atomic(false)
  private let events: EventCursor
  private var memory = EventMemory()

  init(_ events: EventCursor) { self.events = events }

  /// Gives the next event; false at the end.
  func next(_ place: UnsafeMutablePointer<penstock_event>) throws(StoreError) -> Bool {
    try enter()
    defer { leave() }
    guard let event = try events.next() else { return false }
    unsafe place.pointee = memory.view(event)
    return true
  }

  /// Places that were damaged and left out so far.
  func damageCount() throws(StoreError) -> Int {
    try enter()
    defer { leave() }
    return events.damage.count
  }

  private func enter() throws(StoreError) {
    guard !isBusy.exchange(true, ordering: .acquiring) else {
      throw .invalid("another thread uses the cursor now: open one for each thread")
    }
  }

  private func leave() { isBusy.store(false, ordering: .releasing) }
}
