import PenstockArchive
import PenstockCore
import Testing

/// A source over keys that stand in memory.
private final class ListSource: EventSource {
  private var keys: ArraySlice<EventKey>
  let bound: Timestamp
  private(set) var isOpen = false
  private let onOpen: (ListSource) -> Void

  init(_ keys: [EventKey], bound: Timestamp, onOpen: @escaping (ListSource) -> Void = { _ in }) {
    self.keys = keys[...]
    self.bound = bound
    self.onOpen = onOpen
  }

  func next(_ event: inout StoredEvent) throws(ReadError) -> Bool {
    if !isOpen {
      isOpen = true
      onOpen(self)
    }
    guard let key = keys.popFirst() else { return false }
    event.time = key.time
    event.log = key.log
    event.sequence = key.sequence
    return true
  }
}

@Suite struct MergedCursorTests {
  private func key(_ second: Int64, _ log: UInt8, _ sequence: UInt64) -> EventKey {
    EventKey(
      time: Timestamp(seconds: second, nanoseconds: 0), log: LogNumber(log),
      sequence: SequenceNumber(sequence))
  }

  private func drain(_ cursor: inout MergedCursor) throws -> [EventKey] {
    var keys: [EventKey] = []
    var event = StoredEvent()
    while try cursor.next(&event) { keys.append(event.key) }
    return keys
  }

  @Test(arguments: 0..<40)
  func `random sources come out as one sorted list, both ways`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    for direction in [ReadDirection.forward, .reverse] {
      var all: [EventKey] = []
      var sources: [any EventSource] = []
      for source in 0..<Int.random(in: 0...12, using: &random) {
        let count = Int.random(in: 0...30, using: &random)
        var keys = (0..<count).map { _ in
          key(
            Int64.random(in: 0...20, using: &random), UInt8.random(in: 0...2, using: &random),
            UInt64.random(in: 0...1_000_000, using: &random) * 16 + UInt64(source))
        }
        keys.sort { $0.precedes($1, direction) }
        all += keys
        let slack = Int64.random(in: 0...5, using: &random)
        let bound =
          direction == .forward
          ? (keys.first?.time ?? .earliest).adding(seconds: -slack)
          : (keys.first?.time ?? .latest).adding(seconds: slack)
        sources.append(ListSource(keys, bound: bound))
      }
      var cursor = MergedCursor(sources, direction)
      all.sort { $0.precedes($1, direction) }
      #expect(try drain(&cursor) == all, "seed \(seed) \(direction)")
    }
  }

  @Test func `a source is opened only when the read gets to it`() throws {
    var opened: [Int64] = []
    let sources: [any EventSource] = [30, 10, 20].map { (second: Int64) in
      ListSource(
        [key(second, 0, UInt64(second))], bound: Timestamp(seconds: second, nanoseconds: 0)
      ) { _ in opened.append(second) }
    }
    var cursor = MergedCursor(sources, .forward)
    var event = StoredEvent()
    #expect(try cursor.next(&event))
    #expect(opened == [10])
    #expect(try cursor.next(&event))
    #expect(opened == [10, 20])
    #expect(try cursor.next(&event))
    #expect(try !cursor.next(&event))
    #expect(opened == [10, 20, 30])
  }

  @Test func `a source that fails to open is not taken for an empty one`() throws {
    final class Failing: EventSource {
      var bound: Timestamp { .earliest }
      func next(_ event: inout StoredEvent) throws(ReadError) -> Bool { throw .changed("gone") }
    }
    var cursor = MergedCursor(
      [Failing(), ListSource([key(5, 0, 1)], bound: .earliest)], .forward)
    var event = StoredEvent()
    #expect(throws: ReadError.changed("gone")) { try next(&cursor, &event) }
    #expect(throws: ReadError.changed("gone")) { try next(&cursor, &event) }
  }

  private func next(_ cursor: inout MergedCursor, _ event: inout StoredEvent) throws -> Bool {
    try cursor.next(&event)
  }
}
