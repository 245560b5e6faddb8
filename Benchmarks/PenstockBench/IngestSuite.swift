// `penstock bench ingest`: a real `penstock serve` of one shard, loaded from another process.
//
//     for each round, for each case:  serve → generate ─ warm-up ─┬─ measured ─┬─ → settle → stop
//                                                                 sample       sample
//     and right behind it the C prototype with the same load: A B A B …, so that both see the same
//     machine.
//
// Durable events are counted by the shard's own page of counters, and for the line protocol also
// by receipts at the client. The shard runs on processor 0 (the host pins it), the generator on
// processor 1.

internal import CShims
internal import LoadGenerator
internal import PenstockCore

/// One load, and what stands beside it.
package struct IngestCase: Sendable {
  package var name: String
  package var plan: LoadPlan
  /// The C prototype's arguments: protocol to rate, and batch to window.
  package var prototype: (load: [String], batch: [String])
  /// Whether `--quick` runs it.
  package var isQuick = false

  /// All cases, in the order of the table.
  package static let all: [IngestCase] = {
    var cases: [IngestCase] = []
    for connections in [1, 8, 64] {
      var plan = LoadPlan(.octet)
      plan.connections = connections
      cases.append(
        IngestCase(
          name: "tcp octet \(connections) conn", plan: plan,
          prototype: (["tcp", "octet", "fsync", "\(connections)", "0"], ["512", "2", "1024"]),
          isQuick: connections == 8))
    }
    var newline = LoadPlan(.newline)
    newline.connections = 8
    cases.append(
      IngestCase(
        name: "tcp newline 8 conn", plan: newline,
        prototype: (["tcp", "nl", "fsync", "8", "0"], ["512", "2", "1024"])))
    var saturated = LoadPlan(.line)
    saturated.connections = 8
    saturated.eventsPerPut = 64
    saturated.window = 16
    cases.append(
      IngestCase(
        name: "line 8 conn 1024 in flight", plan: saturated,
        prototype: (["tcp", "octet", "fsync", "8", "0"], ["512", "2", "1024"])))
    var paced = LoadPlan(.line)
    paced.connections = 8
    paced.rate = 10_000
    paced.window = 8192
    cases.append(
      IngestCase(
        name: "line 10 k/s paced", plan: paced,
        prototype: (["tcp", "octet", "fsync", "8", "10000"], ["256", "2"]), isQuick: true))
    var plain = LoadPlan(.datagrams)
    plain.rate = 400_000
    cases.append(
      IngestCase(
        name: "udp plain 0.4 M/s paced", plan: plain,
        prototype: (["udp", "x", "fsync", "1", "400000"], ["256", "2"]), isQuick: true))
    var segmented = LoadPlan(.segments)
    segmented.rate = 2_000_000
    cases.append(
      IngestCase(
        name: "udp GSO 2 M/s paced", plan: segmented,
        prototype: (["udp", "x", "fsync", "2", "2000000"], ["256", "4"])))
    return cases
  }()
}

/// What a run of the suite is given.
package struct IngestOptions: Sendable {
  package var program: String
  /// Where stores are made, on the file system to measure.
  package var folder: String
  package var isQuick = false
  package var measuredMilliseconds = 2000
  package var rounds = 3
  /// Given to `penstock serve`.
  package var serveArguments: [String] = []
  /// Only cases whose name contains this.
  package var only: String?
  /// Sources of the C prototype; nil looks for them.
  package var ceiling: String?
  /// Whether the prototype runs at all.
  package var hasCeiling = true
  package init(program: String, folder: String) {
    self.program = program
    self.folder = folder
  }
}

/// Runs the cases.
package struct IngestSuite {
  private let options: IngestOptions
  package let cases: [IngestCase]
  /// Ours and the prototype's figures of each case, round by round.
  package private(set) var measured: [[Figures]]
  package private(set) var ceiling: [[Figures]]
  /// Which backend the shard chose.
  package private(set) var backend = "unknown"
  /// Why there is no prototype beside ours; nil when there is.
  package private(set) var skipped: String?
  private var prototype: CeilingPrototype?

  /// Bytes one run may write: a run that fills the disk measures something else.
  private static let writtenByteCountMax: UInt64 = 12 << 30
  /// The generator runs a little longer than what is sampled.
  private static let marginMilliseconds = 60
  private static let samplingMilliseconds = 250

  /// Prepares: makes the folder of the runs and builds the prototype.
  package init(_ options: IngestOptions) throws(BenchFailure) {
    self.options = options
    cases = IngestCase.all.filter { one in
      (options.only.map { one.name.contains($0) } ?? (!options.isQuick || one.isQuick))
    }
    guard !cases.isEmpty else {
      let names = IngestCase.all.map(\.name).joined(separator: ", ")
      throw BenchFailure("no case is called '\(options.only ?? "")'; there are \(names)")
    }
    measured = Array(repeating: [], count: cases.count)
    ceiling = Array(repeating: [], count: cases.count)
    guard options.hasCeiling, let sources = CeilingPrototype.locate(given: options.ceiling) else {
      skipped = "skipped: no C prototype"
      return
    }
    prototype = try CeilingPrototype.build(sources: sources, folder: options.folder + "/ceiling")
  }

  /// Runs every case once.
  package mutating func runRound(_ say: (String) -> Void) throws(BenchFailure) {
    for index in cases.indices {
      say(cases[index].name)
      measured[index].append(try measure(cases[index]))
      if let prototype {
        try Interruption.check()
        ceiling[index].append(try CeilingRun.figures(prototype, cases[index], options))
      }
      try Interruption.check()
    }
  }

  // MARK: - One run

  private mutating func measure(_ one: IngestCase) throws(BenchFailure) -> Figures {
    let served = try ServedStore.start(
      program: options.program, folder: options.folder + "/run",
      arguments: options.serveArguments)
    let outcome: Result<Figures, BenchFailure>
    do throws(BenchFailure) {
      outcome = .success(try load(served, one))
    } catch {
      outcome = .failure(error)
    }
    try served.stop()
    return try outcome.get()
  }

  private mutating func load(_ served: borrowing ServedStore, _ one: IngestCase)
    throws(BenchFailure) -> Figures
  {
    var plan = one.plan
    let listener =
      plan.kind.isDatagram ? "syslog-udp" : plan.kind == .line ? "line-tcp" : "syslog-tcp"
    plan.port = try served.port(of: listener)
    plan.measuredMilliseconds = options.measuredMilliseconds + 2 * IngestSuite.marginMilliseconds
    var generator = try ChildProcess.start(
      [options.program, "generate"] + plan.words,
      processor: System.processorCount > 1 ? 1 : nil, readsOutput: true)
    guard try generator.waitForOutput(LoadResult.connectedLine, milliseconds: 10_000) else {
      throw BenchFailure("the load generator did not connect")
    }
    try Interruption.sleep(
      milliseconds: plan.warmupMilliseconds + IngestSuite.marginMilliseconds)
    let first = try served.sample()
    let end = first.at + Int64(options.measuredMilliseconds) * 1_000_000
    var last = first
    while last.at < end, last[.bytesWritten] < IngestSuite.writtenByteCountMax {
      let left = Int((end - last.at) / 1_000_000) + 1
      try Interruption.sleep(milliseconds: min(left, IngestSuite.samplingMilliseconds))
      last = try served.sample()
    }
    if last.at < end { generator.terminate() }
    guard try generator.wait(milliseconds: 30_000) != nil else {
      throw BenchFailure("the load generator did not end")
    }
    let result = try LoadResult(text: generator.outputText)
    let settled = try served.settle(expected: result[.sent])
    backend = settled[.backend] == 1 ? "io_uring" : settled[.backend] == 2 ? "epoll" : "unknown"
    var figures = IngestSuite.figures(plan, result, first, last, settled)
    for (role, byteCount) in served.peakMemory() {
      let megabytes = Double(byteCount) / 1e6
      switch role {
      case "shard": figures[.shardPeakMegabytes] = megabytes
      case "host": figures[.hostPeakMegabytes] = megabytes
      case "preparer": figures[.preparerPeakMegabytes] = megabytes
      case "archiver": figures[.archiverPeakMegabytes] = megabytes
      default: continue
      }
    }
    return figures
  }

  private static func figures(
    _ plan: LoadPlan, _ result: LoadResult, _ first: ShardSample, _ last: ShardSample,
    _ settled: ShardSample
  ) -> Figures {
    var figures = Figures()
    let elapsed = Double(last.at - first.at)
    func grown(_ counter: Counter) -> Double { Double(last[counter] &- first[counter]) }
    let events = grown(.eventsStored)
    let batches = grown(.batches)
    let payload = events * Double(LoadPlan.messageByteCount)
    let processor = Double(last.processorNanoseconds - first.processorNanoseconds)
    figures[.eventsPerSecond] = events / elapsed * 1e9
    figures[.megabytesPerSecond] = payload / elapsed * 1e3
    figures[.shardProcessorPercent] = processor / elapsed * 100
    if result[.sending] > 0 {
      figures[.generatorProcessorPercent] =
        Double(result[.processor]) / Double(result[.sending]) * 100
    }
    if events > 0 {
      figures[.processorNanosecondsPerEvent] = processor / events
      figures[.syncsPerEvent] = batches / events
      figures[.writtenPerPayloadByte] = grown(.bytesWritten) / payload
    }
    if batches > 0 {
      figures[.eventsPerSync] = events / batches
      figures[.barrierMicroseconds] = grown(.barrierNanoseconds) / batches / 1000
    }
    if plan.kind == .line {
      figures[.acknowledgedPerSecond] =
        Double(result[.acknowledgedMeasured]) / Double(plan.measuredMilliseconds) * 1000
      figures[.ackMicroseconds50] = result.latencies.percentile(0.5).map { $0 / 1000 }
      figures[.ackMicroseconds99] = result.latencies.percentile(0.99).map { $0 / 1000 }
      figures[.ackMicroseconds999] = result.latencies.percentile(0.999).map { $0 / 1000 }
    }
    figures[.sent] = Double(result[.sent])
    figures[.stored] = Double(settled[.eventsStored])
    figures[.lost] = Double(result[.sent]) - Double(settled[.eventsStored])
    figures[.droppedBuffers] = Double(settled.dropped)
    figures[.refused] = Double(result[.refused])
    figures[.late] = Double(result[.late])
    figures[.bufferShortages] = grown(.bufferShortages)
    figures[.segmentShortages] = grown(.segmentShortages)
    figures[.segmentsUnfilled] = grown(.segmentsUnfilled)
    return figures
  }
}

/// The prototype's run of a case.
enum CeilingRun {
  static func figures(_ prototype: CeilingPrototype, _ one: IngestCase, _ options: IngestOptions)
    throws(BenchFailure) -> Figures
  {
    let output = try prototype.run(
      one.prototype.load, milliseconds: options.measuredMilliseconds, batch: one.prototype.batch)
    return figures(output, one)
  }

  static func figures(_ output: CeilingPrototype.Output, _ one: IngestCase) -> Figures {
    var figures = Figures()
    let values = output.values
    figures[.eventsPerSecond] = values["committed_ev/s"]
    figures[.megabytesPerSecond] = values["MB/s_payload"]
    figures[.processorNanosecondsPerEvent] = values["ns_cpu/ev"]
    figures[.shardProcessorPercent] = values["proc_cpu"]
    figures[.generatorProcessorPercent] = values["cli_cpu"]
    if let events = values["committed_ev/s"], let batches = values["batches/s"], events > 0 {
      figures[.syncsPerEvent] = batches / events
      figures[.eventsPerSync] = batches > 0 ? events / batches : nil
    }
    if one.plan.kind == .line {
      figures[.ackMicroseconds50] = values["ack_p50us"]
      figures[.ackMicroseconds99] = values["p99us"]
      figures[.ackMicroseconds999] = values["p999us"]
    }
    figures[.droppedBuffers] = values["drops"]
    return figures
  }
}
