// What Everstore's protocol takes: `penstock bench everstore`.
//
//     small    transactions of one event, 66 in flight on 6 connections
//     write    6000 journals × 120 events, 120 a commit
//     read     open, read all, roll back each of them: the benchmark of Everstore's own adapters
//     long     the same with 100 journals × 12,000 events
//
// Everything is durable when it is answered. On the machine the bars were set on Everstore itself wrote
// 37,600 and 1.67 million events a second, with no sync at all, and read 2.6 to 3.2 million, 6 with long
// journals.

internal import CShims
internal import PenstockCore

/// Measures Everstore's protocol.
package struct EverstoreSuite {
  private let options: ArchiveOptions
  private let scale: Int

  private static let smallEventsMin = 150_000.0
  private static let writeEventsMin = 3_000_000.0
  private static let readEventsMin = 6_000_000.0

  package init(_ options: ArchiveOptions) {
    self.options = options
    scale = options.isQuick ? 20 : 1
  }

  /// Runs everything, `say` being told what it is at.
  package func measure(_ say: (String) -> Void) throws -> ArchiveFindings {
    var findings = ArchiveFindings()
    say("transactions of one event")
    let small = try served { port in
      try rate(
        EverstorePlan(
          window: 11, journals: 6000, eventsPerCommit: 1, transactions: 200_000 / scale), port)
    }
    findings.add("one event a transaction, 66 in flight", "\(Int(small)) events/s")
    findings.judge(
      "one event a transaction", small, atLeast: EverstoreSuite.smallEventsMin, unit: "events/s")
    let journals = 6000 / scale
    say("\(journals) journals of 120 events")
    try measure(
      "\(journals) × 120",
      EverstorePlan(
        window: 16, journals: journals, eventsPerCommit: 120, transactions: journals), &findings)
    // More journals than connections: two transactions in one would conflict.
    let long = options.isQuick ? 10 : 100
    say("\(long) journals of 12,000 events")
    try measure(
      "\(long) × 12,000",
      EverstorePlan(window: 1, journals: long, eventsPerCommit: 600, transactions: 20 * long),
      &findings)
    return findings
  }

  /// Events a second of one plan.
  private func rate(_ plan: EverstorePlan, _ port: UInt16) throws -> Double {
    let result = try EverstoreLoad.run(plan, port)
    return Double(result.events) / result.seconds
  }

  /// Writes, then reads all of it some times, in a store of its own.
  private func measure(
    _ name: String, _ plan: EverstorePlan, _ findings: inout ArchiveFindings
  ) throws {
    var read = plan
    read.eventsPerCommit = 0
    read.window = 16
    read.transactions = plan.journals
    var rates: [Double] = []
    let written = try served { port in
      let written = try rate(plan, port)
      for _ in 0..<(options.isQuick ? 1 : options.rounds) {
        let result = try EverstoreLoad.run(read, port)
        guard result.events == plan.transactions * plan.eventsPerCommit else {
          throw BenchFailure("\(result.events) events were read")
        }
        rates.append(Double(result.events) / result.seconds)
      }
      return written
    }
    let median = Spread(rates)?.median ?? 0
    findings.add("\(name) written", "\(Int(written)) events/s")
    findings.add("\(name) opened, read, rolled back", "\(Int(median)) events/s")
    if plan.eventsPerCommit == 120 {
      findings.judge(
        "\(name) written", written, atLeast: EverstoreSuite.writeEventsMin, unit: "events/s")
    }
    findings.judge("\(name) read", median, atLeast: EverstoreSuite.readEventsMin, unit: "events/s")
  }

  /// Events a second of what is done on a store of its own.
  private func served(_ body: (UInt16) throws -> Double) throws -> Double {
    let served = try ServedStore.start(
      program: options.program, folder: options.folder + "/everstore",
      arguments: ["--listen", "everstore+tcp://127.0.0.1:0"])
    let outcome = Result { try body(try served.port(of: "everstore-tcp")) }
    try served.stop()
    return try outcome.get()
  }
}
