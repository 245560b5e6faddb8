// The types of a journal's event. Mostly it is one; a type may be a list, one name a line, escaped as
// event lines have it ("Placed\nUrgent"): each of them counts for conditions, as if the event were of
// that type alone. So an event can be of all the kinds a program knows it as.

/// The types of one event, one after the other, with their numbers (JournalKey).
struct TypeNames {
  private let journal: UInt64
  private let first: UInt64
  private var offset: Int
  private let firstEnd: Int
  private let end: Int

  @inline(__always)
  init(_ event: CommitEvents.Event) {
    journal = event.journalNumber
    first = event.typeNumber
    offset = event.type.lowerBound
    firstEnd = event.firstTypeEnd
    end = event.type.upperBound
  }

  /// - Parameter range: where the type stands, escaped.
  init(_ span: RawSpan, _ range: ByteRange, in journal: UInt64, key: UInt64) {
    self.journal = journal
    offset = range.lowerBound
    firstEnd = TypeNames.end(span, range)
    end = range.upperBound
    first = JournalKey.type(span.extracting(range.lowerBound..<firstEnd), in: journal, key: key)
  }

  /// The next type: where it stands, and its number. An empty line is none.
  @inline(__always)
  mutating func next(in span: RawSpan, _ key: UInt64) -> (ByteRange, UInt64)? {
    guard offset < end else { return nil }
    if offset < firstEnd {
      let range = offset..<firstEnd
      offset = firstEnd &+ 2
      return (range, first)
    }
    return nextOfList(span, key)
  }

  private mutating func nextOfList(_ span: RawSpan, _ key: UInt64) -> (ByteRange, UInt64)? {
    while offset < end {
      let stop = TypeNames.end(span, offset..<end)
      let range = offset..<stop
      offset = stop &+ 2
      guard !range.isEmpty else { continue }
      return (range, JournalKey.type(span.extracting(range), in: journal, key: key))
    }
    return nil
  }

  /// Where the first of the types in `range` ends.
  @inline(__always)
  static func end(_ span: RawSpan, _ range: ByteRange) -> Int {
    var offset = range.lowerBound
    while true {
      offset = span.nearIndex(of: Byte.backslash, from: offset, to: range.upperBound)
      guard offset &+ 1 < range.upperBound else { return range.upperBound }
      if span.byte(at: offset &+ 1) == UInt8(ascii: "n") { return offset }
      // Another escape.
      offset &+= 2
    }
  }
}
