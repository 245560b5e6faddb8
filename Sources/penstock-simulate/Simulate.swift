// `penstock-simulate`: runs simulations by seed and says what they found.

import ArgumentParser
import PenstockSimulator

@main
struct Simulate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "penstock-simulate",
    abstract: "Run the shard in a simulated world, one seed after the other.",
    discussion: """
      A seed decides everything: what clients send, how the disk tears and fails, who is killed
      when. A finding prints its seed; the same seed finds it again.
      """)

  @Option(help: "How many seeds to run.")
  var seeds = 2000

  @Option(help: "The first seed.")
  var from: UInt64 = 1

  @Option(help: "Stop after so many minutes, whatever is left.")
  var minutes: Double?

  @Option(help: "Lives of the shard in each simulation.")
  var lives = 12

  @Option(help: "Break a rule on purpose: one of the canaries, or all.")
  var canary: String?

  @Flag(help: "Say what every seed came to.")
  var verbose = false

  @Flag(help: "Say how every life began and ended.")
  var trace = false

  func run() throws {
    guard let canary else {
      guard try !campaign(nil) else { throw ExitCode(1) }
      return
    }
    let chosen =
      canary == "all" ? Canary.allCases : Canary.allCases.filter { $0.rawValue == canary }
    guard !chosen.isEmpty else {
      throw ValidationError(
        "there is no canary \(canary); there are all, "
          + Canary.allCases.map(\.rawValue).joined(separator: ", "))
    }
    var isSilent = false
    for one in chosen where try !campaign(one) {
      print("\(one.rawValue): NOT FOUND in \(seeds) seeds")
      isSilent = true
    }
    if isSilent { throw ExitCode(1) }
  }

  /// Runs the seeds; true when something was found.
  private func campaign(_ canary: Canary?) throws -> Bool {
    var totals = Totals()
    let clock = ContinuousClock()
    let start = clock.now
    for seed in from..<(from + UInt64(seeds)) {
      let simulation = Simulation(seed: seed, canary: canary)
      if trace { simulation.trace = { print($0) } }
      let report = simulation.run(lives: lives)
      totals.add(report)
      if verbose { print(totals.line(report)) }
      if let finding = report.finding {
        if let canary {
          print("\(canary.rawValue): found with seed \(seed): \(finding)")
        } else {
          print("seed \(seed): \(finding)")
          print("again: penstock-simulate --seeds 1 --from \(seed) --lives \(lives) --trace")
        }
        return true
      }
      if let minutes, (clock.now - start) > .seconds(minutes * 60) { break }
    }
    if canary == nil { print(totals.text) }
    return false
  }
}

/// Sums over all seeds.
struct Totals {
  private var seeds = 0
  private var steps = 0
  private var lives = 0
  private var puts = 0
  private var messages = 0
  private var recoveriesKilled = 0
  private var passes = 0
  private var joins = 0
  private var archiversKilled = 0
  private var endings: [String: Int] = [:]
  private var injected: [String: Int] = [:]

  mutating func add(_ report: SimulationReport) {
    seeds += 1
    steps += report.steps
    lives += report.lives
    puts += report.acknowledgedPuts
    messages += report.messagesSent
    recoveriesKilled += report.recoveriesKilled
    passes += report.archivePasses
    joins += report.joins
    archiversKilled += report.archiversKilled
    endings.merge(report.endings, uniquingKeysWith: +)
    injected.merge(report.injected, uniquingKeysWith: +)
  }

  func line(_ report: SimulationReport) -> String {
    "seed \(report.seed): \(report.lives) lives, \(report.steps) steps, "
      + "\(report.acknowledgedPuts) PUTs acknowledged, \(report.eventsFound) events"
  }

  var text: String {
    func list(_ counts: [String: Int]) -> String {
      counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }
    return """
      \(seeds) seeds, nothing found
      lives      \(lives): \(list(endings)); killed in recovery \(recoveriesKilled)
      steps      \(steps)
      clients    \(puts) PUTs acknowledged, \(messages) messages sent
      archiver   \(passes) passes, \(joins) joins of tables; archivers and preparers killed \(archiversKilled)
      disk       \(list(injected))
      """
  }
}
