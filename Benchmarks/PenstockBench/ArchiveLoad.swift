// A store that is served and loaded while its archiver is looked at.
//
// The generator is another process; shard and generator have a processor of their own where there
// are two, and the archiver takes what they leave.

internal import CShims
internal import LoadGenerator
internal import PenstockArchive
internal import PenstockCore

/// What the archiver has done.
struct ArchiverSample {
  /// Monotonic nanoseconds.
  var at: Int64
  var archivedCount: UInt64
  var processorNanoseconds: Int64
}

/// A served store under load.
struct ArchiveLoad: ~Copyable {
  private var served: ServedStore
  private var generator: ChildProcess
  private let plan: LoadPlan
  private var manifest = Manifest()
  private let archiver: Int32

  static let sigstop: Int32 = 19
  static let sigcont: Int32 = 18

  /// Serves a store in `folder`, and loads it.
  /// - Parameter isStopped: the archiver does nothing.
  static func start(
    program: String, folder: String, _ plan: LoadPlan, serving arguments: [String],
    isStopped: Bool = false
  ) throws -> ArchiveLoad {
    let served = try ServedStore.start(program: program, folder: folder, arguments: arguments)
    do {
      let archiver = try served.role("archiver")
      if isStopped { penstock_signal(archiver.processIdentifier, sigstop) }
      var plan = plan
      plan.port = try served.port(of: "line-tcp")
      var generator = try ChildProcess.start(
        [program, "generate"] + plan.words, processor: System.processorCount > 1 ? 1 : nil,
        readsOutput: true)
      guard try generator.waitForOutput(LoadResult.connectedLine, milliseconds: 10_000) else {
        throw BenchFailure("the load generator did not connect")
      }
      return ArchiveLoad(served, generator, plan, archiver.processIdentifier)
    } catch {
      try? served.stop()
      throw error
    }
  }

  private init(
    _ served: consuming ServedStore, _ generator: consuming ChildProcess, _ plan: LoadPlan,
    _ archiver: Int32
  ) {
    self.served = served
    self.generator = generator
    self.plan = plan
    self.archiver = archiver
  }

  /// The shard's counters now.
  func sampleShard() throws -> ShardSample { try served.sample() }

  /// What the archiver has done by now.
  mutating func sampleArchiver() throws -> ArchiverSample {
    try manifest.refresh(LinuxFileSystem(), served.layout)
    return ArchiverSample(
      at: System.monotonicNanoseconds(),
      archivedCount: manifest.coveredThrough(LogNumber(0)).value,
      processorNanoseconds: penstock_processor_nanoseconds(archiver))
  }

  /// The archiver's resident bytes at their highest.
  var archiverPeakByteCount: Int { Int(penstock_resident_bytes(archiver, true)) }

  /// Free bytes where the store lies.
  func freeByteCount() throws -> Int { try LinuxFileSystem().space(served.layout.root).free }

  /// Ends the sending before its time.
  func stopSending() { generator.terminate() }

  /// Waits until the generator is done: what it sent.
  mutating func finishSending() throws -> LoadResult {
    let limit = plan.warmupMilliseconds + plan.measuredMilliseconds + 60_000
    guard try generator.wait(milliseconds: limit) != nil else {
      throw BenchFailure("the load generator did not end")
    }
    return try LoadResult(text: generator.outputText)
  }

  /// Ends the store and removes it.
  consuming func stop() throws {
    // A stopped archiver does not hear that it is to end.
    penstock_signal(archiver, ArchiveLoad.sigcont)
    try served.stop()
  }
}
