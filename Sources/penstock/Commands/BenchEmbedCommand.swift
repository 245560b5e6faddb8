// `penstock bench embed`: what the library writes, without a daemon.

import ArgumentParser
internal import CShims
internal import PenstockBench
internal import PenstockCore

struct BenchEmbed: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "embed",
    abstract: "Measure the embedded store: threads and processes that write through the library.",
    discussion: """
      Every thread waits for each of its records to be durable, one at a time; the last shape waits \
      for none until the end. A barrier of the drive alone stands above.
      """)

  @Option(help: "Records of each thread that waits, 1 to 1,000,000.")
  var records = 5000

  @Option(help: "Records of the thread that does not, 1 to 100,000,000.")
  var unawaited = 2_000_000

  @Option(help: "Rounds, 1 to 100.")
  var rounds = 3

  @Option(help: "Folder on the file system to measure.")
  var data = "."

  // What a process it starts is told.
  @Option(help: .hidden) var write: String?
  @Option(help: .hidden) var threads = 1
  @Flag(help: .hidden) var synced = false
  @Flag(help: .hidden) var written = false

  /// What one thread that waits for each record is to reach, in records a second, where a barrier
  /// takes 31 µs, and one that waits for none.
  private static let syncedBar = 20_000.0
  private static let unawaitedBar = 2_000_000.0

  func validate() throws {
    guard (1...100).contains(rounds), (1...1_000_000).contains(records) || write != nil,
      (1...100_000_000).contains(unawaited)
    else {
      throw ValidationError("--rounds takes 1 to 100, --records 1 to 1,000,000")
    }
  }

  func run() throws {
    if let write {
      let shape = EmbedShape(
        threads: threads, processes: 1, records: records, isSynced: synced && !written)
      return try EmbedSuite.write(shape, folder: write)
    }
    let folder = data + "/penstock-bench-\(System.processIdentifier)"
    Interruption.watch()
    defer { ScratchFolder.remove(folder) }
    do {
      guard let program = Machine.realPath("/proc/self/exe") else {
        throw BenchFailure("cannot find this program again: /proc is not mounted")
      }
      try LinuxFileSystem().makeDirectory(folder)
      try measure(program, Machine.realPath(folder) ?? folder)
    } catch {
      throw CommandFailure("\(error)")
    }
  }

  private func measure(_ program: String, _ root: String) throws {
    let shapes = EmbedSuite.shapes(records: records, unawaited: unawaited)
    var rates: [[Double]] = Array(repeating: [], count: shapes.count)
    var barriers: [Double] = []
    var durable: [Double] = []
    var own: [Double] = []
    for round in 0..<rounds {
      barriers.append(Machine.look(folder: root).barrier4KiB)
      for (index, shape) in shapes.enumerated() {
        let folder = root + "/\(round)-\(index)"
        let rate = try EmbedSuite.measure(shape, program: program, folder: folder)
        rates[index].append(shape.isSynced ? rate.durable : rate.taken)
        if index == 0 { own.append(rate.barrier) }
        if !shape.isSynced { durable.append(rate.durable) }
        ScratchFolder.remove(folder)
      }
    }
    let barrier = Spread(barriers)?.median ?? 0
    print("a barrier of the drive alone: \(Decimal.text(barrier, digits: 1)) µs median")
    print(
      "a barrier of one thread's shard: \(Decimal.text(Spread(own)?.median ?? 0, digits: 1)) µs mean"
    )
    let medians = rates.map { Spread($0)?.median ?? 0 }
    for (shape, rate) in zip(shapes, medians) {
      let kind = shape.isSynced ? "each durable" : "none waited for, taken"
      print("\(shape.name), \(kind): \(Readable.count(Int(rate))) records/s")
    }
    let all = Spread(durable)?.median ?? 0
    print("the same, until all are durable: \(Readable.count(Int(all))) records/s")
    tell("one thread, each durable", medians[0], Self.syncedBar)
    for index in 1...3 { tell(shapes[index].name, medians[index], medians[0]) }
    tell("one thread, none waited for", medians[4], Self.unawaitedBar)
  }

  private func tell(_ name: String, _ rate: Double, _ bar: Double) {
    let verdict = rate >= bar ? "held" : "MISSED"
    print("\(verdict): \(name), \(Readable.count(Int(rate))) of \(Readable.count(Int(bar)))")
  }
}
