// The embedded store: processes that write with several threads, each through the library.
//
//     parent ─ starts processes ─▶ "ready" from each ─▶ the file "go" ─▶ each tells from when to when
//
// The rate of a shape is all its records over the time from the first start to the last end: of the
// puts, and of the flush behind them. Opening a store and leasing a log are not part of it.

internal import CShims
internal import Penstock
internal import PenstockCore

/// Threads and processes that write.
package struct EmbedShape: Sendable {
  package var threads: Int
  package var processes: Int
  /// Records of each thread.
  package var records: Int
  /// Whether each thread waits for each of its records to be durable.
  package var isSynced: Bool

  package init(threads: Int, processes: Int, records: Int, isSynced: Bool) {
    self.threads = threads
    self.processes = processes
    self.records = records
    self.isSynced = isSynced
  }

  /// "1 thread × 5 processes".
  package var name: String {
    "\(threads) thread\(threads == 1 ? "" : "s") × \(processes) process\(processes == 1 ? "" : "es")"
  }
}

package enum EmbedSuite {
  /// The shapes whose records are waited for, and the one whose are not.
  package static func shapes(records: Int, unawaited: Int) -> [EmbedShape] {
    let synced = [(1, 1), (1, 5), (5, 1), (5, 5)].map { threads, processes in
      EmbedShape(threads: threads, processes: processes, records: records, isSynced: true)
    }
    return synced + [EmbedShape(threads: 1, processes: 1, records: unawaited, isSynced: false)]
  }

  /// What was measured of one shape.
  package struct Rates: Sendable {
    /// Records a second.
    package var taken: Double
    package var durable: Double
    /// Mean time of the first log's barriers, in microseconds.
    package var barrier: Double
  }

  /// Bytes of a record's payload.
  package static let payloadByteCount = 100
  private static let patienceMilliseconds = 120_000

  /// Records a second of one shape, in a new store at `folder`: taken over by the writers, and
  /// durable.
  package static func measure(_ shape: EmbedShape, program: String, folder: String)
    throws(BenchFailure) -> Rates
  {
    var first = Int64.max
    var taken = Int64.min
    var last = Int64.min
    let words = [
      program, "bench", "embed", "--write", folder, "--threads", "\(shape.threads)", "--records",
      "\(shape.records)", shape.isSynced ? "--synced" : "--written",
    ]
    // Noncopyable values stand in no array: the processes' words do.
    let writers = try (0..<shape.processes).map { (_) throws(BenchFailure) in
      EmbedWriter(try ChildProcess.start(words, readsOutput: true))
    }
    for writer in writers { try writer.wait(for: "ready\n", patienceMilliseconds) }
    do throws(FileError) {
      let files = LinuxFileSystem()
      files.close(try files.open(folder + "/go", .createIfMissing))
    } catch {
      throw BenchFailure(error.description)
    }
    for writer in writers {
      try writer.wait(for: "done\n", patienceMilliseconds)
      let numbers = writer.numbers
      guard numbers.count == 3 else { throw BenchFailure("a writer did not tell its times") }
      first = min(first, numbers[0])
      taken = max(taken, numbers[1])
      last = max(last, numbers[2])
    }
    let count = Double(shape.threads * shape.processes * shape.records)
    return Rates(
      taken: count / Double(max(1, taken - first)) * 1e9,
      durable: count / Double(max(1, last - first)) * 1e9, barrier: barrier(folder))
  }

  /// What the first log's shard says of its barriers; 0 when it cannot be asked.
  private static func barrier(_ folder: String) -> Double {
    let layout = StoreLayout(root: folder)
    guard let description = try? StoreDescription.read(LinuxFileSystem(), layout),
      let page = SharedPage(
        reading: layout.statisticsPage(description.store, LogNumber(0)),
        magic: Statistics.magic, boot: System.bootIdentifier(), valueCount: Statistics.valueCount)
    else { return 0 }
    let statistics = Statistics(page)
    return Double(statistics[.barrierNanoseconds]) / Double(max(1, statistics[.batches])) / 1000
  }

  /// What one process does: writes, and tells from when to when.
  package static func write(_ shape: EmbedShape, folder: String) throws {
    let store = try Store.open(folder)
    let writer = try store.writer()
    tell("ready")
    while !LinuxFileSystem().isThere(folder + "/go") { System.sleep(nanoseconds: 100_000) }
    let began = System.monotonicNanoseconds()
    let threads = try (0..<shape.threads).map { index in
      try LibraryThread { write(writer, shape, "bench/\(index)") }
    }
    for thread in threads { thread.join() }
    let taken = System.monotonicNanoseconds()
    try writer.flush()
    tell("\(began) \(taken) \(System.monotonicNanoseconds())")
    try writer.close()
    tell("done")
  }

  private static func write(_ writer: Writer, _ shape: EmbedShape, _ stream: String) {
    let payload = [UInt8](repeating: UInt8(ascii: "x"), count: payloadByteCount)
    do throws(Penstock.StoreError) {
      for _ in 0..<shape.records {
        try writer.put(
          stream: stream, type: "Record", payload: payload, shape.isSynced ? .synced : .written)
      }
    } catch {
      ShardProcess.say("bench", error.description)
      penstock_exit(70)
    }
  }

  private static func tell(_ text: String) {
    let line = Array((text + "\n").utf8)
    _ = unsafe line.withUnsafeBytes { unsafe penstock_write(1, $0.baseAddress, $0.count) }
  }
}

/// A process that writes.
private final class EmbedWriter {
  private var process: ChildProcess

  init(_ process: consuming ChildProcess) { self.process = process }

  func wait(for text: String, _ milliseconds: Int) throws(BenchFailure) {
    guard try process.waitForOutput(text, milliseconds: milliseconds) else {
      throw BenchFailure("a process that writes ended early: '\(process.outputText)'")
    }
  }

  /// The times it told, in monotonic nanoseconds.
  var numbers: [Int64] {
    process.outputText.split(separator: "\n").filter { $0.contains(" ") }.first?
      .split(separator: " ").compactMap { Int64($0) } ?? []
  }
}

extension LinuxFileSystem {
  fileprivate func isThere(_ path: String) -> Bool { System.identity(ofFile: path) != nil }
}
