// What the recovery suite measured, as lines for people and as bars to hold.

/// The figures of a recovery suite, in words.
package struct RecoveryReport {
  private let suite: RecoverySuite

  /// Bytes a second, and nanoseconds from starting the program to serving.
  private static let rateMin = 1e9
  private static let startMax = 500e6

  package init(_ suite: RecoverySuite) { self.suite = suite }

  /// GB/s at which the segment went by in `nanoseconds` of each round.
  private func rate(_ nanoseconds: (RecoverySuite.Round) -> Int64) -> Spread? {
    Spread(
      suite.rounds.map {
        Double(suite.segmentByteCount) / Double(max(1, nanoseconds($0)))
      })
  }

  private func milliseconds(_ nanoseconds: (RecoverySuite.Round) -> Int64?) -> Spread? {
    Spread(suite.rounds.compactMap(nanoseconds).map { Double($0) / 1e6 })
  }

  private var all: Spread? { rate(\.nanoseconds) }
  private var starts: Spread? { milliseconds(\.startNanoseconds) }

  private func text(_ spread: Spread?, _ unit: String, digits: Int) -> String {
    guard let spread else { return "not measured" }
    func number(_ value: Double) -> String { Decimal.text(value, digits: digits) }
    return "\(number(spread.median)) \(unit) (\(number(spread.least)) … \(number(spread.most)))"
  }

  /// A line for each thing measured; median (least … most).
  package var text: String {
    guard let last = suite.rounds.last else { return "no rounds\n" }
    let size = suite.segmentByteCount >> 20
    let writing = milliseconds { $0.nanoseconds - $0.readingNanoseconds }
    var lines = """
      recovery     \(text(all, "GB/s of open segments", digits: 2)) in \(suite.rounds.count) \
      rounds, \(size) MiB and \(last.eventCount) events a round
        reading    \(text(milliseconds(\.readingNanoseconds), "ms", digits: 1)): \
      \(text(rate(\.readingNanoseconds), "GB/s", digits: 2))
        writing    \(text(writing, "ms", digits: 1)): fresh segment and recovery batch
        memory     \(last.peakByteCount >> 20) MiB at its peak, this program's own included
      drive        \(text(rate(\.driveNanoseconds), "GB/s", digits: 2)): the same file in the same \
      rounds, 1 MiB at a time, nothing done with it

      """
    if starts != nil {
      lines += """
        start        \(text(starts, "ms", digits: 0)) until the shard serves, with \
        \(RecoverySuite.preparedCount) prepared segments of \(size) MiB behind the open one

        """
    }
    return lines
  }

  /// What has to be held.
  package var bars: [Bar] {
    let rate = all?.median ?? 0
    var bars = [
      Bar(
        name: "recovery", wanted: "≥ 1 GB/s of open segments",
        measured: Decimal.text(rate, digits: 2) + " GB/s",
        isHeld: rate * 1e9 >= RecoveryReport.rateMin)
    ]
    if let most = starts?.most {
      bars.append(
        Bar(
          name: "start", wanted: "≤ 500 ms, every round",
          measured: Decimal.text(most, digits: 0) + " ms",
          isHeld: most * 1e6 <= RecoveryReport.startMax))
    }
    return bars
  }

  /// The bars as lines.
  package var barText: String { IngestReport.aligned(bars.map(\.row)) }
}
