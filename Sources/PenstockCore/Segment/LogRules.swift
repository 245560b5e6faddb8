// What counts: the two decision tables by which recovery, and every reader, reads a log.
//
// 1. The header table: what is done with one file of the live folder that has a segment's name.
//
//     header    at home  first batch  content   verdict
//     intact    yes      –            –         use         its batches count
//     intact    no       –            –         misplaced   nothing in it counts; copied, reported
//     newer     –        –            –         leave       never touched; reported
//     damaged   –        yes          –         useBySalt   the first batch tells the salt
//     damaged   –        no           yes       unreadable  all of it is damaged bytes
//     damaged   –        no           no        empty       its preparation was never finished
//
//    At home: the header names this file's log and number, and this store. Content: bytes behind the
//    header block that are not filler.
//
// 2. The log table: the log is walked in order of segments and offsets, and at each thing found the
//    one row that fits says what is done. D is the highest `durable` of the valid batches from the
//    newest back to the first segment that holds one it proves. A batch is proved when its number is
//    ≤ D or the frontier covers its events, and so is everything in front of it, since barriers
//    complete in order; everything in front of a recovery batch that is not ended is proved as well,
//    since recovery leaves nothing else in place.
//
//     found          ended  in tail  proved      verdict
//     anything       yes    –        –           passOver     an older recovery decided it
//     anything       no     yes      –           drop         part of the tail
//     batch          no     no       all         serve        in place
//     batch          no     no       some, none  carry        provisional; recovery copies it
//     stray bytes    no     no       –           report       bytes copied; no batch is missing
//     gap            no     no       all         rot          bytes copied; the rest is served
//     gap            no     no       some        rotThenTail  the rest cannot be told apart
//     gap            no     no       none        tail         from here on everything is dropped
//     contradiction  no     no       all         rot
//     contradiction  no     no       some, none  tail
//     damaged end    no     no       all, some   rotThenTail  acknowledged, and nothing behind it
//     damaged end    no     no       none        tail         the torn end of a crash
//
//    Ended: at or behind the offset an `#end` line of a batch states for its segment that is not
//    ended itself. So a recovery batch is never part of a tail: it counts, or a newer one ended it.
//    Gap: batches are missing between two valid ones, with or without damaged bytes. Stray bytes:
//    damaged bytes between two batches of which the second follows the first. Contradiction: two
//    batches of which the second is not behind the first. Damaged end: damaged bytes, or batches the
//    frontier proves missing, behind the last valid batch of the log.
//
// The tables are data: `rows` are the comment above, and every combination of facts meets exactly
// one row, which a test shows by trying all of them.

/// A set of a small enumeration's cases, or all of them.
private func any<Fact: CaseIterable & Hashable>(_ type: Fact.Type) -> Set<Fact> {
  Set(Fact.allCases)
}

/// Both answers to a yes-or-no fact.
private let either: Set<Bool> = [true, false]

// MARK: - Header

/// What becomes of a segment's file.
package enum HeaderVerdict: Hashable, Sendable {
  case use, useBySalt, empty, unreadable, misplaced, leave

  /// Whether what the scan found belongs to the log.
  package var counts: Bool { self == .use || self == .useBySalt || self == .unreadable }
}

/// What is known of a segment's file.
package struct HeaderFacts: Hashable, Sendable {
  package enum Reading: CaseIterable, Hashable, Sendable { case intact, newer, damaged }
  package var reading: Reading
  package var isAtHome = false
  package var hasFirstBatch = false
  package var hasContent = false

  package init(
    reading: Reading, isAtHome: Bool = false, hasFirstBatch: Bool = false, hasContent: Bool = false
  ) {
    self.reading = reading
    self.isAtHome = isAtHome
    self.hasFirstBatch = hasFirstBatch
    self.hasContent = hasContent
  }
}

/// The header table.
package enum HeaderRule {
  package struct Row: Sendable {
    var reading: HeaderFacts.Reading
    var atHome = either
    var firstBatch = either
    var content = either
    package var verdict: HeaderVerdict

    package func fits(_ facts: HeaderFacts) -> Bool {
      reading == facts.reading && atHome.contains(facts.isAtHome)
        && firstBatch.contains(facts.hasFirstBatch)
        && content.contains(facts.hasContent)
    }
  }

  package static let rows: [Row] = [
    Row(reading: .intact, atHome: [true], verdict: .use),
    Row(reading: .intact, atHome: [false], verdict: .misplaced),
    Row(reading: .newer, verdict: .leave),
    Row(reading: .damaged, firstBatch: [true], verdict: .useBySalt),
    Row(reading: .damaged, firstBatch: [false], content: [true], verdict: .unreadable),
    Row(reading: .damaged, firstBatch: [false], content: [false], verdict: .empty),
  ]

  package static func verdict(_ facts: HeaderFacts) -> HeaderVerdict {
    guard let row = rows.first(where: { $0.fits(facts) }) else {
      preconditionFailure("the header table has no row for \(facts)")
    }
    return row.verdict
  }
}

// MARK: - Log

/// What becomes of a thing found in the log.
package enum LogVerdict: Hashable, Sendable {
  case passOver, drop, serve, carry, report, rot, rotThenTail, tail
}

/// What is known of a thing found in the log.
package struct LogFacts: Hashable, Sendable {
  package enum Found: CaseIterable, Hashable, Sendable {
    case batch, strayBytes, gap, contradiction, damagedEnd
  }
  /// How many of the batches it stands for are proved durable.
  package enum Proved: CaseIterable, Hashable, Sendable { case all, some, nothing }
  package var found: Found
  package var isEnded = false
  package var isInTail = false
  package var proved: Proved

  package init(found: Found, isEnded: Bool = false, isInTail: Bool = false, proved: Proved) {
    self.found = found
    self.isEnded = isEnded
    self.isInTail = isInTail
    self.proved = proved
  }
}

/// The log table.
package enum LogRule {
  package struct Row: Sendable {
    var found = any(LogFacts.Found.self)
    var ended: Set<Bool> = [false]
    var inTail: Set<Bool> = [false]
    var proved = any(LogFacts.Proved.self)
    package var verdict: LogVerdict

    package func fits(_ facts: LogFacts) -> Bool {
      found.contains(facts.found) && ended.contains(facts.isEnded)
        && inTail.contains(facts.isInTail) && proved.contains(facts.proved)
    }
  }

  package static let rows: [Row] = [
    Row(ended: [true], inTail: either, verdict: .passOver),
    Row(inTail: [true], verdict: .drop),
    Row(found: [.batch], proved: [.all], verdict: .serve),
    Row(found: [.batch], proved: [.some, .nothing], verdict: .carry),
    Row(found: [.strayBytes], verdict: .report),
    Row(found: [.gap], proved: [.all], verdict: .rot),
    Row(found: [.gap], proved: [.some], verdict: .rotThenTail),
    Row(found: [.gap], proved: [.nothing], verdict: .tail),
    Row(found: [.contradiction], proved: [.all], verdict: .rot),
    Row(found: [.contradiction], proved: [.some, .nothing], verdict: .tail),
    Row(found: [.damagedEnd], proved: [.all, .some], verdict: .rotThenTail),
    Row(found: [.damagedEnd], proved: [.nothing], verdict: .tail),
  ]

  package static func verdict(_ facts: LogFacts) -> LogVerdict {
    guard let row = rows.first(where: { $0.fits(facts) }) else {
      preconditionFailure("the log table has no row for \(facts)")
    }
    return row.verdict
  }
}
