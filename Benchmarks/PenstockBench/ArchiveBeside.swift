// What receipts take while the archiver works beside them, and while it does not.
//
// A real `penstock serve` with small segments, so that the archiver has something to do all the
// time, is loaded at a fixed rate; once with the archiver, once with it stopped, in turns which
// comes first. The ratio is that of the medians over all rounds.

internal import PenstockCore

/// Receipts beside the archiver, timed.
struct ArchiveBeside {
  private let options: ArchiveOptions

  private static let ratioMax = 2.0
  /// Bytes of a segment.
  private static let segment = "4MiB"
  /// Events a second, and how many of them one PUT holds.
  private static let rates = [(rate: 10_000, eventsPerPut: 1), (rate: 200_000, eventsPerPut: 16)]

  init(_ options: ArchiveOptions) { self.options = options }

  func measure() throws -> ArchiveFindings {
    var findings = ArchiveFindings()
    for (rate, eventsPerPut) in ArchiveBeside.rates {
      var with: [LoadResult] = []
      var without: [LoadResult] = []
      var archived: UInt64 = 0
      for round in 0..<(options.isQuick ? 1 : options.rounds) {
        for isStopped in round % 2 == 0 ? [true, false] : [false, true] {
          let run = try load(rate, eventsPerPut, isStopped: isStopped)
          if isStopped { without.append(run.result) } else { with.append(run.result) }
          archived += run.archivedCount
        }
      }
      report(rate, with, without, archived, &findings)
    }
    return findings
  }

  private func load(_ rate: Int, _ eventsPerPut: Int, isStopped: Bool) throws -> (
    result: LoadResult, archivedCount: UInt64
  ) {
    try Interruption.check()
    var plan = LoadPlan(.line)
    plan.connections = 8
    plan.rate = rate
    plan.eventsPerPut = eventsPerPut
    plan.window = 8192
    // Segments have to be full before there is something to archive.
    plan.warmupMilliseconds = options.isQuick ? 300 : 3000
    plan.measuredMilliseconds = options.isQuick ? 500 : 10_000
    var load = try ArchiveLoad.start(
      program: options.program, folder: options.folder + "/run", plan,
      serving: ["--seal-bytes", ArchiveBeside.segment], isStopped: isStopped)
    let outcome: Result<(result: LoadResult, archivedCount: UInt64), any Error>
    do {
      outcome = .success((try load.finishSending(), try load.sampleArchiver().archivedCount))
    } catch {
      outcome = .failure(error)
    }
    try load.stop()
    return try outcome.get()
  }

  private func report(
    _ rate: Int, _ with: [LoadResult], _ without: [LoadResult], _ archived: UInt64,
    _ findings: inout ArchiveFindings
  ) {
    func spread(_ results: [LoadResult], _ share: Double) -> Spread? {
      Spread(results.compactMap { $0.latencies.percentile(share).map { $0 / 1000 } })
    }
    func text(_ spread: Spread) -> String {
      "\(Decimal.text(spread.median, digits: 0)) "
        + "(\(Decimal.text(spread.least, digits: 0)) … \(Decimal.text(spread.most, digits: 0))) µs"
    }
    let name = "\(rate / 1000) k events/s"
    for share in [0.5, 0.99, 0.999] {
      guard let beside = spread(with, share), let alone = spread(without, share) else { continue }
      let ratio = beside.median / max(alone.median, 1e-3)
      findings.add(
        "\(name), p\(Decimal.text(share * 100, digits: share == 0.999 ? 1 : 0))",
        "\(text(beside)) beside the archiver", "\(text(alone)) without",
        "\(Decimal.text(ratio, digits: 2)) times")
      if share == 0.99 {
        findings.judge(
          "p99 beside the archiver, \(name)", ratio, atMost: ArchiveBeside.ratioMax, unit: "times")
      }
    }
    findings.add("\(name), archived meanwhile", "\(archived) events")
  }
}
