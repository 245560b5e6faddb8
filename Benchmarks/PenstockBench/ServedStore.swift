// A real `penstock serve` on ports the kernel chose, with a store that is gone afterwards.
//
//     start → sample, sample, … → settle → stop (removes the store and its pages)

internal import CShims
internal import LoadGenerator
package import PenstockCore

/// One reading of a shard's counters, with the time it was taken.
package struct ShardSample: Sendable {
  /// Monotonic nanoseconds.
  package var at: Int64 = 0
  package var counters: [Counter: UInt64] = [:]
  /// Frames received and buffers the kernel dropped, over all listeners.
  package var received: UInt64 = 0
  package var dropped: UInt64 = 0
  /// CPU time of the shard's process, in nanoseconds.
  package var processorNanoseconds: Int64 = 0

  package subscript(counter: Counter) -> UInt64 { counters[counter] ?? 0 }
}

/// A running store of one shard.
package struct ServedStore: ~Copyable {
  package let layout: StoreLayout
  private let folder: String
  private let store: StoreIdentifier
  private var host: ChildProcess
  private let boot = System.bootIdentifier()
  private let log = LogNumber(0)

  /// How long a start and a stop may take, in milliseconds.
  private static let startMilliseconds = 10_000
  private static let stopMilliseconds = 20_000

  /// Starts a store in `folder`, which is made when it is missing.
  package static func start(program: String, folder: String, arguments: [String] = [])
    throws(BenchFailure) -> ServedStore
  {
    let layout = StoreLayout(root: folder + "/store")
    do {
      let files = LinuxFileSystem()
      try files.makeFolderIfMissing(folder)
      let errors = try files.open(folder + "/serve.log", .createIfMissing)
      defer { files.close(errors) }
      let words =
        [
          program, "serve", "--data", layout.root, "--shards", "1",
          "--listen", "syslog+tcp://127.0.0.1:0", "--listen", "syslog+udp://127.0.0.1:0",
          "--listen", "line+tcp://127.0.0.1:0",
        ] + arguments
      var host = try ChildProcess.start(words, errors: errors)
      let store = try waitUntilServing(layout, &host)
      return ServedStore(layout, folder, store, host)
    } catch let error as BenchFailure {
      let said = System.contents(ofFile: folder + "/serve.log").map {
        String(decoding: $0, as: UTF8.self)
      }
      _ = unsafe bench_remove_tree(folder)
      throw BenchFailure("\(error)\(said.map { $0.isEmpty ? "" : ": \($0)" } ?? "")")
    } catch {
      throw BenchFailure("\(error)")
    }
  }

  private init(
    _ layout: StoreLayout, _ folder: String, _ store: StoreIdentifier,
    _ host: consuming ChildProcess
  ) {
    self.layout = layout
    self.folder = folder
    self.store = store
    self.host = host
  }

  private static func waitUntilServing(_ layout: StoreLayout, _ host: inout ChildProcess)
    throws(BenchFailure) -> StoreIdentifier
  {
    let files = LinuxFileSystem()
    let deadline = System.monotonicNanoseconds() + Int64(startMilliseconds) * 1_000_000
    while System.monotonicNanoseconds() < deadline {
      if let status = try host.wait(milliseconds: 2) {
        throw BenchFailure("'penstock serve' ended with status \(status)")
      }
      guard let description = try? StoreDescription.read(files, layout),
        System.contents(ofFile: layout.endpoints) != nil,
        let page = SharedPage(
          reading: layout.statisticsPage(description.store, LogNumber(0)),
          magic: Statistics.magic, boot: System.bootIdentifier(),
          valueCount: Statistics.valueCount)
      else { continue }
      if Statistics(page)[.isServing] != 0 { return description.store }
    }
    throw BenchFailure("'penstock serve' did not serve within \(startMilliseconds / 1000) s")
  }

  // MARK: - Asking

  /// The port of the listener called `name`, like "syslog-tcp".
  package func port(of name: String) throws(BenchFailure) -> UInt16 {
    let text = System.contents(ofFile: layout.endpoints) ?? []
    for entry in String(decoding: text, as: UTF8.self).split(separator: "\n")
    where entry.contains("\"\(name)\"") {
      let url = entry.split(separator: "\"").first { $0.contains("://") } ?? ""
      if let port = UInt16(url.split(separator: ":").last ?? "") { return port }
    }
    throw BenchFailure("\(layout.endpoints) names no listener \(name)")
  }

  /// The shard's counters now.
  package func sample() throws(BenchFailure) -> ShardSample {
    guard
      let page = SharedPage(
        reading: layout.statisticsPage(store, log), magic: Statistics.magic, boot: boot,
        valueCount: Statistics.valueCount)
    else { throw BenchFailure("the shard's page of counters is gone") }
    let statistics = Statistics(page)
    var sample = ShardSample()
    for counter in Counter.allCases { sample.counters[counter] = statistics[counter] }
    for listener in 0..<Limits.listenerCountMax {
      sample.received += statistics[listener, .received]
      sample.dropped += statistics[listener, .dropped]
    }
    sample.at = System.monotonicNanoseconds()
    sample.processorNanoseconds = penstock_processor_nanoseconds(
      Int32(truncatingIfNeeded: statistics[.processIdentifier]))
    return sample
  }

  /// The host's pid.
  package var processIdentifier: Int32 { host.processIdentifier }

  /// Peak resident bytes of the host and of each role, by name.
  package func peakMemory() -> [(role: String, byteCount: Int)] {
    roles().map { ($0.role, Int(penstock_resident_bytes($0.processIdentifier, true))) }
  }

  /// The host and its roles, by name.
  package func roles() -> [(role: String, processIdentifier: Int32)] {
    var roles = [(role: "host", processIdentifier: host.processIdentifier)]
    let path = "/proc/\(host.processIdentifier)/task/\(host.processIdentifier)/children"
    let children = System.contents(ofFile: path) ?? []
    for child in String(decoding: children, as: UTF8.self).split(separator: " ") {
      guard let identifier = Int32(child),
        let words = System.contents(ofFile: "/proc/\(identifier)/cmdline")
      else { continue }
      // penstock NUL role NUL name NUL …
      let parts = words.split(separator: 0, maxSplits: 3)
      guard parts.count > 2 else { continue }
      let name = String(decoding: parts[2], as: UTF8.self)
      roles.append((name, identifier))
    }
    return roles
  }

  /// The role of this name, once it has been started.
  package func role(_ name: String) throws(BenchFailure) -> (role: String, processIdentifier: Int32)
  {
    let deadline = System.monotonicNanoseconds() + Int64(ServedStore.startMilliseconds) * 1_000_000
    while System.monotonicNanoseconds() < deadline {
      if let found = roles().first(where: { $0.role == name }) { return found }
      try Interruption.sleep(milliseconds: 5)
    }
    throw BenchFailure("the store has no \(name)")
  }

  // MARK: - Ending

  /// Waits until `expected` events are stored, or nothing has been stored for a while.
  package func settle(expected: UInt64, milliseconds: Int = 10_000) throws(BenchFailure)
    -> ShardSample
  {
    let deadline = System.monotonicNanoseconds() + Int64(milliseconds) * 1_000_000
    var last = try sample()
    var lastChange = last.at
    while last[.eventsStored] < expected, last.at < deadline {
      try Interruption.sleep(milliseconds: 20)
      let now = try sample()
      if now[.eventsStored] != last[.eventsStored] { lastChange = now.at }
      last = now
      // The kernel's drop counts are looked at ten times a second.
      if now.at - lastChange > 500_000_000 { break }
    }
    return last
  }

  /// Ends the store and removes it.
  /// - Parameter keepsStore: removes its pages only.
  package consuming func stop(keepsStore: Bool = false) throws(BenchFailure) {
    let folder = folder
    let pages = StoreLayout.pages(store)
    defer {
      if !keepsStore { _ = unsafe bench_remove_tree(folder) }
      _ = unsafe bench_remove_tree(pages)
    }
    host.terminate()
    if try host.wait(milliseconds: ServedStore.stopMilliseconds) == nil {
      throw BenchFailure("'penstock serve' did not stop within \(ServedStore.stopMilliseconds) ms")
    }
  }
}
