// What must be true of commits.
//
//     stored                   its condition held where it stands: nothing it asked about lies between
//                              the position it named and its first event
//     broken                   it is not there, and the event its answer names is, for ever
//     too old                  it is not there, and the position lies before what the answer says
//     times                    of journals ascend with their numbers, one time a commit

internal import PenstockCore

extension Oracle {
  /// A commit: all of its events are of one journal and one type.
  struct Commit {
    enum Rule {
      case none
      /// None of its own type behind the position.
      case own(UInt64)
      /// Nothing in its journal behind the position.
      case unchanged(UInt64)
    }

    var journal: String
    var type: String
    var rule: Rule

    /// The option of the request.
    var condition: String {
      switch rule {
      case .none: ""
      case .own(let position): " since=\(position)"
      case .unchanged(let position): " if-unchanged@\(position)"
      }
    }

    /// The position it was read at; nil without a condition.
    var position: UInt64? {
      switch rule {
      case .none: nil
      case .own(let position), .unchanged(let position): position
      }
    }

    /// The type a conflict names.
    var brokenType: String {
      if case .unchanged = rule { "*" } else { type }
    }

    /// Whether an event breaks it.
    func isBroken(by event: ReadEvent) -> Bool {
      guard event.stream == journal, let position, event.sequence > position else { return false }
      if case .own = rule { return event.type == type }
      return true
    }
  }

  /// The event a conflict was told about.
  struct Quote {
    var journal: String
    /// Nil for any.
    var type: String?
  }

  /// Takes the answer to a commit whose condition did not hold.
  mutating func takeConflict(_ line: String, _ number: Int) throws(Finding) {
    var values: [Substring: Substring] = [:]
    for word in line.split(separator: " ") {
      let pair = word.split(separator: "=", maxSplits: 1)
      if pair.count == 2 { values[pair[0]] = pair[1] }
    }
    guard let commit = puts[number].commit, let since = commit.position,
      let position = values["position"].flatMap({ UInt64($0) }), position > since,
      values["journal"].map(String.init) == commit.journal,
      values["type"].map(String.init) == commit.brokenType
    else { throw Finding("commit \(number) got the answer \(line)") }
    puts[number].isRefused = true
    let type = values["type"].map(String.init)
    quotes[position] = Quote(journal: commit.journal, type: type == "*" ? nil : type)
    lastPosition = max(lastPosition, position)
  }

  /// Takes the answer to a commit about what was forgotten.
  mutating func takeTooOld(_ line: String, _ number: Int) throws(Finding) {
    guard let since = puts[number].commit?.position,
      let from = line.split(separator: "=").last.flatMap({ UInt64($0) }), since < from
    else { throw Finding("commit \(number) got the answer \(line)") }
    puts[number].isRefused = true
    lastPosition = max(lastPosition, from)
  }

  /// Checks all events, in the order of their numbers.
  func checkCommits(_ events: [ReadEvent]) throws(Finding) {
    var last: [String: [ReadEvent]] = [:]
    var before: (mark: Mark, time: Timestamp)?
    for event in events {
      guard let mark = Mark(event.payload), !mark.isMessage,
        let commit = puts[mark.number].commit
      else { continue }
      if let before {
        let isSame = before.mark.number == mark.number
        guard isSame ? before.time == event.time : before.time < event.time else {
          throw Finding("the time of \(mark) is not behind that of \(before.mark)")
        }
      }
      before = (mark, event.time)
      if mark.index == 0 {
        if let breaker = last[commit.journal]?.last(where: { commit.isBroken(by: $0) }) {
          throw Finding(
            "commit \(mark.number) is there although number \(breaker.sequence) breaks it")
        }
      }
      last[event.stream, default: []].append(event)
    }
    try checkQuotes(events)
  }

  private func checkQuotes(_ events: [ReadEvent]) throws(Finding) {
    var found: [UInt64: ReadEvent] = [:]
    for event in events where quotes[event.sequence] != nil { found[event.sequence] = event }
    for (position, quote) in quotes {
      guard let event = found[position] else {
        // What was damaged on purpose may have been it.
        if excused.isEmpty { throw Finding("a conflict named number \(position), which is gone") }
        continue
      }
      guard event.stream == quote.journal, quote.type == nil || quote.type == event.type else {
        throw Finding("a conflict named number \(position), which is another event")
      }
    }
  }
}
