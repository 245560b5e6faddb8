import PenstockSimulator
import Testing

/// A few seeds of the simulation, as a part of every test run; `make simulate` runs many.
@Suite struct SimulationTests {
  @Test(arguments: [1, 2, 3] as [UInt64])
  func `nothing is found`(seed: UInt64) {
    let report = Simulation(seed: seed).run(lives: 4)
    #expect(report.finding == nil, "seed \(seed)")
    // A simulation in which nothing happens finds nothing.
    #expect(report.acknowledgedPuts > 50, "seed \(seed)")
    #expect(report.eventsFound > 100, "seed \(seed)")
    #expect(report.lives == 4)
    #expect(report.resentPuts > 5 && report.repeatedAnswers > 0, "seed \(seed)")
  }

  /// On a full disk a stop ends at its deadline, and may not claim that everything is durable.
  @Test func `a stop that could not finish does not say that it did`() {
    let report = Simulation(seed: 1313).run(lives: 10)
    #expect(report.finding == nil)
  }

  @Test func `a seed decides everything`() {
    let reports = (0..<2).map { _ in Simulation(seed: 11).run(lives: 3) }
    #expect(reports[0] == reports[1])
    #expect(Simulation(seed: 12).run(lives: 3) != reports[0])
  }

  /// Those that a short run finds; `make simulate` tries them all.
  @Test(arguments: [
    Canary.appendToRecovered, .noFolderSync, .earlyUnlink, .reusedNumbers, .producersForgotten,
  ])
  func `a broken rule is found`(_ canary: Canary) {
    let findings = (1...3 as ClosedRange<UInt64>).lazy.compactMap {
      Simulation(seed: $0, canary: canary).run(lives: 7).finding
    }
    #expect(findings.first != nil, "\(canary.rawValue)")
  }
}
