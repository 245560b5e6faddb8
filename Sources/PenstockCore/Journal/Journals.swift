// The journals a shard owns: who owns which, when they were written to, and whether a commit's
// conditions hold.
//
//     request line ─▶ conditions ┐
//     event lines ─▶ own types ──┴─▶ conflict | too old | holds ─▶ remember

/// The event that broke a condition.
package struct CommitConflict: Equatable, Sendable {
  /// Where the journal's name and the type stand in the request; the type is empty when the condition
  /// was about any event.
  package var journal: ByteRange
  package var type: ByteRange
  /// The last event's sequence number.
  package var position: UInt64
}

/// How a condition was found.
package enum ConditionOutcome: Equatable, Sendable {
  case holds
  case broken(CommitConflict)
  /// What it asks about was forgotten.
  case tooOld
  /// A condition is about a journal of another shard.
  case moved
  case malformed
}

/// The journals of one shard.
package struct Journals: ~Copyable {
  package private(set) var memory: JournalMemory
  /// The last event of any of them.
  package private(set) var state: JournalState
  private let key: UInt64
  private let shard: Int
  private let width: Int

  /// - Parameter width: logs journals are spread over.
  package init(_ rebuilt: consuming RebuiltJournals, key: UInt64, shard: Int, width: Int) {
    state = rebuilt.state
    memory = rebuilt.memory
    self.key = key
    self.shard = shard
    self.width = width
  }

  /// The shard that owns a journal; nil when it is this one.
  @inline(__always)
  package func otherOwner(_ name: RawSpan) -> Int? {
    guard width > 1 || shard > 0 else { return nil }
    let owner = JournalKey.owner(of: name, width: width)
    return owner == shard ? nil : owner
  }

  /// What is known of the journal whose name stands in `range`: the shard that owns it when that is
  /// another one, and when it was written to last; nil when that was before what is remembered.
  package func look(_ source: borrowing AlignedBuffer, _ range: ByteRange)
    -> (owner: Int?, head: UInt64?)
  {
    let name = source.bytes(range)
    if let owner = otherOwner(name) { return (owner, nil) }
    return switch memory.last(JournalKey.journal(name, key: key)) {
    case .at(let sequence): (nil, sequence)
    case .before: (nil, memory.floor == 0 ? 0 : nil)
    }
  }

  // MARK: - Conditions

  /// Checks the conditions of a commit.
  /// - Parameters:
  ///   - line: the request line, without its tag.
  ///   - body: the event lines, which follow the grammar.
  package func check(_ span: RawSpan, line: ByteRange, body: ByteRange) -> ConditionOutcome {
    var options = CommitOptions(span, line)
    var journal = CommitEvents(body).first(in: span)?.journal ?? 0..<0
    var since: UInt64?
    var isSubset = false
    while let option = options.next(in: span) {
      var outcome = ConditionOutcome.holds
      switch option {
      case .since(let position): since = position
      case .subset: isSubset = true
      case .journal(let name):
        journal = name
        if otherOwner(span.extracting(name)) != nil { return .moved }
      case .unchanged(let position): outcome = unchanged(span, journal, position)
      case .none(let types, let isList, let position):
        outcome = none(span, journal, types, isList: isList, position)
      case .producer: break
      case .bad: return .malformed
      }
      guard outcome == .holds else { return outcome }
    }
    guard let since else { return isSubset ? .malformed : .holds }
    return isSubset ? subset(span, body, since) : own(span, body, since)
  }

  private func unchanged(_ span: RawSpan, _ journal: ByteRange, _ position: UInt64)
    -> ConditionOutcome
  {
    outcome(
      JournalKey.journal(span.extracting(journal), key: key), position,
      CommitConflict(journal: journal, type: 0..<0, position: 0))
  }

  private func none(
    _ span: RawSpan, _ journal: ByteRange, _ types: ByteRange, isList: Bool, _ position: UInt64
  ) -> ConditionOutcome {
    let number = JournalKey.journal(span.extracting(journal), key: key)
    var offset = types.lowerBound
    while offset < types.upperBound {
      let end =
        isList
        ? span.nearIndex(of: UInt8(ascii: ","), from: offset, to: types.upperBound)
        : types.upperBound
      guard end > offset else { return .malformed }
      let type = offset..<end
      let found = outcome(
        JournalKey.type(span.extracting(type), in: number, key: key), position,
        CommitConflict(journal: journal, type: type, position: 0))
      guard found == .holds else { return found }
      offset = end &+ 1
    }
    return .holds
  }

  /// Whether any of the commit's own types was written behind `position`.
  private func own(_ span: RawSpan, _ body: ByteRange, _ position: UInt64) -> ConditionOutcome {
    var events = CommitEvents(body)
    while let event = events.next(in: span, key) {
      guard !event.isRepeated else { continue }
      var names = TypeNames(event)
      while let (type, number) = names.next(in: span, key) {
        let found = outcome(
          number, position, CommitConflict(journal: event.journal, type: type, position: 0))
        guard found == .holds else { return found }
      }
    }
    return .holds
  }

  /// Everstore's rule: broken only when every one of the commit's own types was written behind
  /// `position`; the last of them is named.
  private func subset(_ span: RawSpan, _ body: ByteRange, _ position: UInt64) -> ConditionOutcome {
    var events = CommitEvents(body)
    var newest: CommitConflict?
    var isUnknown = false
    while let event = events.next(in: span, key) {
      guard !event.isRepeated else { continue }
      var names = TypeNames(event)
      while let (type, number) = names.next(in: span, key) {
        switch memory.last(number) {
        case .at(let sequence) where sequence > position:
          if sequence > newest?.position ?? 0 {
            newest = CommitConflict(journal: event.journal, type: type, position: sequence)
          }
        case .before where position < memory.floor: isUnknown = true
        case .at, .before: return .holds
        }
      }
    }
    if isUnknown { return .tooOld }
    return newest.map { .broken($0) } ?? .holds
  }

  private func outcome(_ number: UInt64, _ position: UInt64, _ conflict: CommitConflict)
    -> ConditionOutcome
  {
    switch memory.last(number) {
    case .at(let sequence) where sequence > position:
      var conflict = conflict
      conflict.position = sequence
      return .broken(conflict)
    case .at: return .holds
    case .before: return position < memory.floor ? .tooOld : .holds
    }
  }

  // MARK: - Commits

  /// Remembers a commit that was taken: its events, numbered from `first`, and their time.
  package mutating func remember(
    _ source: borrowing AlignedBuffer, _ body: ByteRange, first: UInt64, time: Timestamp
  ) {
    var events = CommitEvents(body)
    var sequence = first
    var previous: CommitEvents.Event?
    while let event = events.next(in: source.bytes, key) {
      // Of a run of one type in one journal the last counts.
      if let before = previous, !event.isRepeated {
        put(source.bytes, before, sequence &- 1, first)
      }
      previous = event
      sequence &+= 1
    }
    if let previous { put(source.bytes, previous, sequence &- 1, first) }
    state = JournalState(last: sequence &- 1, time: time)
  }

  private mutating func put(
    _ span: RawSpan, _ event: CommitEvents.Event, _ sequence: UInt64, _ first: UInt64
  ) {
    memory.remember(event.journalNumber, sequence, commit: first)
    var names = TypeNames(event)
    while let (_, number) = names.next(in: span, key) {
      memory.remember(number, sequence, commit: first)
    }
  }
}

/// The event lines of a commit, as far as conditions are concerned; their grammar was checked.
package struct CommitEvents {
  package struct Event {
    var journal: ByteRange
    var type: ByteRange
    var journalNumber: UInt64
    /// The number of the type; of a list of types that of the first.
    var typeNumber: UInt64
    /// Where the first type of a list ends; the type's end when it is one.
    var firstTypeEnd: Int
    /// Whether journal and type are those of the event before.
    var isRepeated: Bool
  }

  private var offset: Int
  private let end: Int
  private var last = Event(
    journal: 0..<0, type: 0..<0, journalNumber: 0, typeNumber: 0, firstTypeEnd: 0,
    isRepeated: false)

  package init(_ body: ByteRange) {
    offset = body.lowerBound
    end = body.upperBound
  }

  /// Where the first event's names stand; nil when there is no line.
  package func first(in span: RawSpan) -> (journal: ByteRange, type: ByteRange)? {
    guard offset < end else { return nil }
    return CommitEvents.names(span, offset, end)
  }

  /// Journal and type of the line at `offset`, whose time is "-".
  @inline(__always)
  private static func names(_ span: RawSpan, _ offset: Int, _ end: Int)
    -> (journal: ByteRange, type: ByteRange)
  {
    let start = min(offset &+ 2, end)
    let stop = span.nearIndex(of: Byte.space, from: start, to: end)
    let typeStart = min(stop &+ 1, end)
    var typeEnd = typeStart
    while typeEnd < end {
      let byte = span.byte(at: typeEnd)
      if byte == Byte.space || byte == Byte.tab { break }
      typeEnd &+= 1
    }
    return (start..<stop, typeStart..<typeEnd)
  }

  /// The next event.
  @inline(__always)
  mutating func next(in span: RawSpan, _ key: UInt64) -> Event? {
    guard offset < end else { return nil }
    let (journal, type) = CommitEvents.names(span, offset, end)
    let isSameJournal =
      journal.count == last.journal.count
      && span.holds(journal.lowerBound, journal.count, of: span, at: last.journal.lowerBound)
    last.isRepeated =
      isSameJournal && type.count == last.type.count
      && span.holds(type.lowerBound, type.count, of: span, at: last.type.lowerBound)
    if !isSameJournal {
      last.journalNumber = JournalKey.journal(span.extracting(journal), key: key)
    }
    if !last.isRepeated {
      last.firstTypeEnd = TypeNames.end(span, type)
      last.typeNumber = JournalKey.type(
        span.extracting(type.lowerBound..<last.firstTypeEnd), in: last.journalNumber, key: key)
    } else {
      last.firstTypeEnd += type.lowerBound - last.type.lowerBound
    }
    last.journal = journal
    last.type = type
    offset = span.firstIndex(of: Byte.lineFeed, from: type.upperBound, to: end) &+ 1
    return last
  }
}
