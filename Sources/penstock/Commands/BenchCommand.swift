// `penstock bench`: what this machine makes of Penstock, and of the C prototype beside it.

import ArgumentParser
internal import CShims
internal import PenstockBench
internal import PenstockCore

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure speed on this machine.",
    subcommands: [
      BenchIngest.self, BenchParse.self, BenchRecovery.self, BenchCompress.self, BenchArchive.self,
      BenchJournals.self, BenchEmbed.self, BenchEverstore.self,
    ])
}

struct BenchParse: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "parse",
    abstract: "Measure framing and parsing alone, from memory to memory on this processor.")

  @Option(help: "Rounds of about a hundredth of a second a kind, 1 to 10,000.")
  var rounds = 51

  func run() throws {
    guard (1...10_000).contains(rounds) else {
      throw ValidationError("--rounds takes 1 to 10,000")
    }
    var suite = try ParseSuite()
    suite.look()
    for _ in 0..<rounds { suite.runRound() }
    print(suite.table, terminator: "")
  }
}

struct BenchRecovery: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recovery",
    abstract: "Measure how quickly recovery reads open segments, and how soon a store serves.",
    discussion: """
      Recovers a log past the page cache, reads the same file without looking at it, and starts a \
      real 'penstock serve' on such a log, in every round.
      """)

  @Option(help: "Folder on the file system to measure.")
  var data = "."

  @Option(help: "Rounds, 1 to 100.")
  var rounds = 9

  @Option(help: "Size of the open segment, 4MiB to 512MiB.")
  var segment = "64MiB"

  @Option(help: "I/O backend: auto, or poll, which reads without io_uring.")
  var io = "auto"

  @Flag(help: "Do not start 'penstock serve'.")
  var noStart = false

  func run() throws {
    guard (1...100).contains(rounds) else { throw ValidationError("--rounds takes 1 to 100") }
    guard let size = Quantity.bytes(segment),
      (4 << 20...SegmentPreparation.byteCountMax).contains(size)
    else { throw ValidationError("--segment takes 4MiB to 512MiB, not '\(segment)'") }
    guard let backend = BackendChoice(rawValue: io), backend != .ring else {
      throw ValidationError("--io takes auto or poll, not '\(io)'")
    }
    let program = noStart ? nil : Machine.realPath("/proc/self/exe")
    let folder = data + "/penstock-bench-\(System.processIdentifier)"
    Interruption.watch()
    defer { ScratchFolder.remove(folder) }
    do {
      try LinuxFileSystem().makeDirectory(folder)
      var suite = try RecoverySuite(
        folder: Machine.realPath(folder) ?? folder, segmentByteCount: size, program: program,
        usesRing: backend == .auto)
      for _ in 0..<rounds { try suite.runRound() }
      let report = RecoveryReport(suite)
      print(report.text)
      print(report.barText, terminator: "")
    } catch {
      throw CommandFailure("\(error)")
    }
  }
}

struct BenchCompress: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compress",
    abstract:
      "Measure how small tables are, beside lz4, zstd and xz, and how quickly they are read.")

  @Option(help: "Folder on the file system to measure.")
  var data = "."

  @Option(help: "Rounds of speed, 1 to 100.")
  var rounds = 3

  @Flag(help: "Few lines, and little of them.")
  var quick = false

  @Option(help: "Folder of log files; default: ../shared/corpora when it is there.")
  var corpora: String?

  func run() throws {
    guard (1...100).contains(rounds) else { throw ValidationError("--rounds takes 1 to 100") }
    let folder = data + "/penstock-bench-\(System.processIdentifier)"
    Interruption.watch()
    defer { ScratchFolder.remove(folder) }
    do {
      try LinuxFileSystem().makeDirectory(folder)
      let found = CompressCorpus.locate(given: corpora)
      if found == nil {
        let place = corpora ?? "../shared/corpora"
        print("no log files: \(place) holds no folder loghub; only lines made here")
      }
      let all =
        (found.map { CompressCorpus.files(in: $0) } ?? [])
        + CompressCorpus.generated(eventCount: quick ? 500 : 20_000)
      var suite = try CompressSuite(
        folder: folder, all, speedByteCount: quick ? 256 << 10 : 16 << 20)
      for _ in 0..<rounds { try suite.runRound() }
      print(suite.table)
      print(suite.barText, terminator: "")
    } catch {
      throw CommandFailure("\(error)")
    }
  }
}

struct BenchIngest: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ingest",
    abstract: "Measure taking events in: durable throughput, receipts, CPU, memory, loss.",
    discussion: """
      Starts a real 'penstock serve' of one shard for every run, loads it from another process and \
      removes its store. Writes up to 12 GB a run beside --data.
      """)

  @Flag(help: "Three cases, one round of one second.")
  var quick = false

  @Option(help: "Write every figure of every round to this file.")
  var json: String?

  @Option(help: "Seconds measured for each case, 0.2 to 60.")
  var seconds: Double?

  @Option(help: "Rounds, 1 to 100.")
  var rounds: Int?

  @Option(help: "Folder on the file system to measure.")
  var data = "."

  @Option(help: "Folder of the C prototype's sources; default: ../shared/ceiling when it is there.")
  var ceiling: String?

  @Flag(help: "Do not build and run the C prototype, which writes 4 GiB first.")
  var noCeiling = false

  @Option(name: .customLong("case"), help: "Only cases whose name contains this.")
  var only: String?

  @Option(help: "I/O backend of the store: auto, ring or poll.")
  var io = "auto"

  func run() throws {
    var options = try checked()
    Interruption.watch()
    defer { ScratchFolder.remove(options.folder) }
    do {
      try LinuxFileSystem().makeDirectory(options.folder)
      if let ceiling, CeilingPrototype.locate(given: ceiling) == nil {
        throw BenchFailure("\(ceiling) holds no e2e.c")
      }
      let machine = Machine.look(folder: options.folder)
      print(IngestReport.conditions(machine, options))
      flushOutput()
      options.folder = Machine.realPath(options.folder) ?? options.folder
      var suite = try IngestSuite(options)
      for round in 1...options.rounds {
        try suite.runRound { name in Progress.show("round \(round)/\(options.rounds): \(name)") }
      }
      Progress.show(nil)
      let report = IngestReport(suite, machine, options)
      print("backend      \(suite.backend)\n")
      print(report.table)
      print(report.barText)
      if let json { try write(report.json, to: json) }
    } catch {
      Progress.show(nil)
      throw CommandFailure("\(error)")
    }
  }

  private func checked() throws -> IngestOptions {
    let length = seconds ?? (quick ? 1 : 2)
    guard (0.2...60).contains(length) else { throw ValidationError("--seconds takes 0.2 to 60") }
    let count = rounds ?? (quick ? 1 : 3)
    guard (1...100).contains(count) else { throw ValidationError("--rounds takes 1 to 100") }
    guard BackendChoice(rawValue: io) != nil else {
      throw ValidationError("--io takes auto, ring or poll, not '\(io)'")
    }
    guard let program = Machine.realPath("/proc/self/exe") else {
      throw CommandFailure("cannot find this program again: /proc is not mounted")
    }
    var options = IngestOptions(
      program: program, folder: data + "/penstock-bench-\(System.processIdentifier)")
    options.isQuick = quick
    options.measuredMilliseconds = Int(length * 1000)
    options.rounds = count
    options.ceiling = ceiling
    options.hasCeiling = !noCeiling
    options.only = only
    options.serveArguments = ["--io", io]
    return options
  }

  private func write(_ text: String, to path: String) throws(FileError) {
    let files = LinuxFileSystem()
    let file = try files.open(path, .createIfMissing)
    defer { files.close(file) }
    let bytes = Array(text.utf8)
    var memory = AlignedBuffer(byteCount: bytes.count)
    memory.copy(bytes.rawSpan, to: 0)
    try files.truncate(file, byteCount: 0)
    try files.write(file, from: memory, 0..<bytes.count, at: 0)
  }
}
