// Many ordered sources read as one: a binary heap of the sources' next events.
//
//     waiting ──(the read reaches its bound)──▶ in the heap ──(exhausted)──▶ gone
//
// A source is opened only when the read gets to the earliest time it can hold (the latest, in
// reverse), so an archive of a hundred thousand tables costs what the tables overlapping the
// current time cost. Every event comes out exactly once because every event is in one source.

internal import PenstockCore

/// What came of going on with a read.
package enum ReadStep: Sendable {
  case event, end
  /// Nothing yet: it was time for something else.
  case pause
}

/// The merge of event sources, in one direction.
package struct MergedCursor: ~Copyable {
  /// A source's next event, by its key. Small and without references: the heap moves these about,
  /// while events and sources stay where they are.
  private struct Head: BitwiseCopyable {
    var key: EventKey
    var slot: Int
  }

  private let direction: ReadDirection
  /// Not yet opened, the next to open last.
  private var waiting: [any EventSource]
  /// A heap: no head precedes its parent.
  private var heads: [Head] = []
  /// By slot: the open sources, and the next event of each.
  private var sources: [any EventSource] = []
  private var events: [StoredEvent] = []
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
    try step(&event, until: .max) == .event
  }

  /// The same, with a pause: sources may be many, and hold nothing that is asked for.
  /// - Parameter deadline: when to pause, in monotonic nanoseconds; one source is opened in any case.
  mutating func step(_ event: inout StoredEvent, until deadline: Int64) throws(ReadError)
    -> ReadStep
  {
    if isFirstSpent { try refillFirst() }
    while let source = waiting.last, isDue(source) {
      try open(source)
      waiting.removeLast()
      if deadline < .max, System.monotonicNanoseconds() >= deadline { return .pause }
    }
    guard !heads.isEmpty else { return .end }
    swap(&event, &events[heads[0].slot])
    isFirstSpent = true
    return .event
  }

  private func isDue(_ source: any EventSource) -> Bool {
    guard let first = heads.first else { return true }
    return direction == .forward ? source.bound <= first.key.time : source.bound >= first.key.time
  }

  private mutating func open(_ source: any EventSource) throws(ReadError) {
    var event = StoredEvent()
    guard try source.next(&event) else { return }
    heads.append(Head(key: event.key, slot: sources.count))
    sources.append(source)
    events.append(event)
    siftUp(heads.count - 1)
  }

  private mutating func refillFirst() throws(ReadError) {
    let slot = heads[0].slot
    if try sources[slot].next(&events[slot]) {
      let key = events[slot].key
      assert(heads[0].key.precedes(key, direction), "a source gives events in order")
      heads[0].key = key
    } else {
      heads.swapAt(0, heads.count - 1)
      heads.removeLast()
      let last = sources.count - 1
      if slot != last, let moved = heads.firstIndex(where: { $0.slot == last }) {
        heads[moved].slot = slot
      }
      sources.swapAt(slot, last)
      events.swapAt(slot, last)
      sources.removeLast()
      events.removeLast()
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
    guard let moving = heads.first else { return }
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < heads.count else { break }
      if child + 1 < heads.count, heads[child + 1].key.precedes(heads[child].key, direction) {
        child += 1
      }
      guard heads[child].key.precedes(moving.key, direction) else { break }
      heads[parent] = heads[child]
      parent = child
    }
    heads[parent] = moving
  }
}
