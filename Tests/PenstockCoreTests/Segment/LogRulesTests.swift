import PenstockCore
import Testing

struct LogRulesTests {
  @Test func `every combination of facts about a header meets exactly one row`() {
    for reading in HeaderFacts.Reading.allCases {
      for bits in 0..<8 {
        let facts = HeaderFacts(
          reading: reading, isAtHome: bits & 1 != 0, hasFirstBatch: bits & 2 != 0,
          hasContent: bits & 4 != 0)
        let rows = HeaderRule.rows.filter { $0.fits(facts) }
        #expect(rows.count == 1, "\(facts)")
        #expect(rows.first?.verdict == expected(facts), "\(facts)")
      }
    }
  }

  private func expected(_ facts: HeaderFacts) -> HeaderVerdict {
    switch facts.reading {
    case .newer: .leave
    case .intact: facts.isAtHome ? .use : .misplaced
    case .damaged:
      facts.hasFirstBatch ? .useBySalt : facts.hasContent ? .unreadable : .empty
    }
  }

  @Test func `every combination of facts about the log meets exactly one row`() {
    for found in LogFacts.Found.allCases {
      for proved in LogFacts.Proved.allCases {
        for bits in 0..<4 {
          let facts = LogFacts(
            found: found, isEnded: bits & 1 != 0, isInTail: bits & 2 != 0, proved: proved)
          let rows = LogRule.rows.filter { $0.fits(facts) }
          #expect(rows.count == 1, "\(facts)")
          #expect(rows.first?.verdict == expected(facts), "\(facts)")
        }
      }
    }
  }

  private func expected(_ facts: LogFacts) -> LogVerdict {
    if facts.isEnded { return .passOver }
    if facts.isInTail { return .drop }
    return switch (facts.found, facts.proved) {
    case (.batch, .all): .serve
    case (.batch, _): .carry
    case (.strayBytes, _): .report
    case (.gap, .all), (.contradiction, .all): .rot
    case (.gap, .some), (.damagedEnd, .all), (.damagedEnd, .some): .rotThenTail
    case (.gap, .nothing), (.damagedEnd, .nothing), (.contradiction, _): .tail
    }
  }

  @Test func `every row is met by something`() {
    #expect(Set(HeaderRule.rows.map(\.verdict)).count == 6)
    #expect(
      Set(LogRule.rows.map(\.verdict))
        == [.passOver, .drop, .serve, .carry, .report, .rot, .rotThenTail, .tail])
  }
}
