// Many ordered sources read as one: a binary heap of the sources' next events.
//
//     waiting ──(the read reaches its bound)──▶ in the heap ──(exhausted)──▶ gone
//
// A source is opened only when the read gets to the earliest time it can hold (the latest, in
// reverse), so an archive of a hundred thousand tables costs what the tables overlapping the
// current time cost. Every event comes out exactly once because every event is in one source.

internal import PenstockCore

/// The merge of event sources, in one direction.
package struct MergedCursor: ~Copyable {
  private struct Head {
    var key: EventKey
    var event: StoredEvent
    var source: any EventSource
  }

  private let direction: ReadDirection
  /// Not yet opened, the next to open last.
  private var waiting: [any EventSource]
  /// A heap: no head precedes its parent.
  private var heads: [Head] = []
  /// Whether the first head's event was given out and has to be replaced.
  private var isFirstSpent = false

  /// Merges `sources`, each of which gives events in `direction`.
  package init(_ sources: [any EventSource], _ direction: ReadDirection) {
    self.direction = direction
    waiting = sources.sorted {
      direction == .forward ? $0.bound > $1.bound : $0.bound < $1.bound
    }
  }

  /// The next event of all sources; false at the end. `event` gets the bytes by swap: what it
  /// held before is used again.
  package mutating func next(_ event: inout StoredEvent) throws(ReadError) -> Bool {
    if isFirstSpent { try refillFirst() }
    while let source = waiting.last, isDue(source) {
      try open(source)
      waiting.removeLast()
    }
    guard !heads.isEmpty else { return false }
    swap(&event, &heads[0].event)
    isFirstSpent = true
    return true
  }

  private func isDue(_ source: any EventSource) -> Bool {
    guard let first = heads.first else { return true }
    return direction == .forward ? source.bound <= first.key.time : source.bound >= first.key.time
  }

  private mutating func open(_ source: any EventSource) throws(ReadError) {
    var event = StoredEvent()
    guard try source.next(&event) else { return }
    heads.append(Head(key: event.key, event: event, source: source))
    siftUp(heads.count - 1)
  }

  private mutating func refillFirst() throws(ReadError) {
    let last = heads[0].key
    if try heads[0].source.next(&heads[0].event) {
      heads[0].key = heads[0].event.key
      assert(last.precedes(heads[0].key, direction), "a source gives events in order")
    } else {
      heads.swapAt(0, heads.count - 1)
      heads.removeLast()
    }
    isFirstSpent = false
    siftDown()
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard heads[child].key.precedes(heads[parent].key, direction) else { return }
      heads.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown() {
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heads.count {
        if heads[child].key.precedes(heads[least].key, direction) { least = child }
      }
      guard least != parent else { return }
      heads.swapAt(parent, least)
      parent = least
    }
  }
}
