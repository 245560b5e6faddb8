// A rate held for minutes, with the archiver beside it: whether it keeps up, what it takes, and how
// far it is behind.
//
// Lag is events that are durable and not in a table. The run ends early when the disk would be full
// before its time: an archiver that does not keep up is then told as one that did not.

internal import PenstockCore

/// Minutes of ingest with the archiver beside it.
package struct ArchiveSustained {
  private let options: ArchiveOptions
  private let rate: Int
  private let milliseconds: Int
  /// One look a second.
  private var looks: [Look] = []

  private struct Look {
    var at: Int64
    var stored: UInt64
    var archived: UInt64
  }

  private static let lookMilliseconds = 1000
  /// Rows of the table of lags.
  private static let rowCount = 15
  /// Share of the rate that counts as holding it: clocks of two processes.
  private static let rateShareMin = 0.99
  private static let memoryMax = 96.0
  /// Free bytes below which the run ends.
  private static let freeByteCountMin = 8 << 30

  /// - Parameters:
  ///   - rate: events a second.
  ///   - seconds: how long.
  package init(_ options: ArchiveOptions, rate: Int, seconds: Double) {
    self.options = options
    self.rate = rate
    milliseconds = Int(seconds * 1000)
  }

  /// Runs it.
  /// - Parameter say: told now and then how it stands.
  package mutating func measure(_ say: (String) -> Void) throws -> ArchiveFindings {
    var plan = LoadPlan(.line)
    plan.connections = 8
    plan.rate = rate
    plan.eventsPerPut = 64
    plan.window = 1024
    plan.sleeps = true
    plan.measuredMilliseconds = milliseconds
    var load = try ArchiveLoad.start(
      program: options.program, folder: options.folder + "/run", plan, serving: [])
    let outcome: Result<ArchiveFindings, any Error>
    do {
      outcome = .success(try watch(&load, say))
    } catch {
      outcome = .failure(error)
    }
    try load.stop()
    return try outcome.get()
  }

  private mutating func watch(_ load: inout ArchiveLoad, _ say: (String) -> Void) throws
    -> ArchiveFindings
  {
    let first = try load.sampleShard()
    let end = first.at + Int64(milliseconds) * 1_000_000
    var shard = first
    var archiver = try load.sampleArchiver()
    let archiverStart = archiver
    var isCut = false
    while shard.at < end {
      let left = Int((end - shard.at) / 1_000_000) + 1
      try Interruption.sleep(milliseconds: min(left, ArchiveSustained.lookMilliseconds))
      archiver = try load.sampleArchiver()
      shard = try load.sampleShard()
      let stored = shard[.eventsStored]
      looks.append(
        Look(at: shard.at - first.at, stored: stored, archived: archiver.archivedCount))
      say("\((shard.at - first.at) / 1_000_000_000) s: \(stored - archiver.archivedCount) behind")
      if try load.freeByteCount() < ArchiveSustained.freeByteCountMin {
        isCut = true
        load.stopSending()
        break
      }
    }
    let peak = load.archiverPeakByteCount
    let result = try load.finishSending()
    let seconds = Double(shard.at - first.at) / 1e9
    let stored = shard[.eventsStored] - first[.eventsStored]
    var findings = ArchiveFindings()
    lags(&findings)
    findings.add("sent, refused", "\(result[.sent]), \(result[.refused])")
    if isCut { findings.add("ended early", "the disk was about to be full") }
    let archived = archiver.archivedCount - archiverStart.archivedCount
    let processor = Double(archiver.processorNanoseconds - archiverStart.processorNanoseconds)
    let shardProcessor = Double(shard.processorNanoseconds - first.processorNanoseconds)
    findings.add(
      "processor time", "\(perEvent(processor, archived)) ns an archived event",
      "\(perEvent(shardProcessor, stored)) ns an ingested event")
    let achieved = Double(stored) / seconds
    findings.judge(
      "rate of durable events", achieved / 1000,
      atLeast: Double(rate) / 1000 * ArchiveSustained.rateShareMin, unit: "k events/s")
    findings.judge("seconds it was held", seconds, atLeast: Double(milliseconds) / 1000, unit: "s")
    findings.judge(
      "archived of what came", 100 * Double(archived) / Double(max(1, stored)),
      atLeast: 90, unit: "%")
    findings.judge(
      "memory of the archiver", Double(peak) / 1e6, atMost: ArchiveSustained.memoryMax, unit: "MB")
    return findings
  }

  private func perEvent(_ nanoseconds: Double, _ count: UInt64) -> String {
    Decimal.text(nanoseconds / Double(max(1, count)), digits: 0)
  }

  /// The lag over time, in a few rows.
  private func lags(_ findings: inout ArchiveFindings) {
    let step = max(1, looks.count / ArchiveSustained.rowCount)
    for index in stride(from: step - 1, to: looks.count, by: step) {
      let look = looks[index]
      findings.add(
        "after \(Decimal.text(Double(look.at) / 1e9, digits: 0)) s",
        "\(look.stored) events durable", "\(look.archived) archived",
        "\(look.stored - min(look.stored, look.archived)) behind")
    }
  }
}
