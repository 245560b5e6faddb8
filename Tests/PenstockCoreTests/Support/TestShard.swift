// A shard in this process: a store in a temporary folder, listeners on kernel-chosen ports, the
// loop on a thread of its own.

import CShims
import Foundation
import PenstockCore
import Synchronization
import Testing

/// How a shard's thread ended.
private final class Outcome: Sendable {
  private let status = Mutex<ShardProcess.Status?>(nil)

  func set(_ value: ShardProcess.Status) { status.withLock { $0 = value } }
  var value: ShardProcess.Status? { status.withLock { $0 } }
}

/// A running shard.
final class TestShard {
  let folder: TestFolder
  let layout: StoreLayout
  let store: StoreIdentifier
  private(set) var ports: [ListenerKind: UInt16] = [:]
  private var control: Int32 = -1
  private let outcome = Outcome()
  private var descriptors: [Int32] = []

  init(
    _ backend: Backend, limits: Limits = .small, seal: SealRules = SealRules(),
    segmentCount: Int = 6, folder: TestFolder? = nil, hasReader: Bool = false
  ) throws {
    self.folder = try folder ?? TestFolder()
    layout = StoreLayout(root: self.folder.path + "/store")
    let files = LinuxFileSystem()
    store = try StoreDescription.open(files, layout, journalHashWidth: 1).store
    var configuration = ShardConfiguration(
      layout: layout, store: store, log: LogNumber(0), shardCount: 1, limits: limits, seal: seal,
      backend: backend.choice)
    configuration.hasReader = hasReader
    let template = try StreamTemplate(StreamTemplate.default)
    for kind in ListenerKind.allCases {
      let descriptor =
        kind == .syslogDatagram
        ? unsafe penstock_bind_udp("127.0.0.1", 0, 1 << 22, 0)
        : unsafe penstock_listen_tcp("127.0.0.1", 0, 128, 0)
      descriptors.append(descriptor)
      ports[kind] = UInt16(penstock_bound_port(descriptor))
      configuration.listeners.append(
        ListenerConfiguration(
          socket: Socket(descriptor: descriptor), kind: kind, name: "\(kind)", template: template))
    }
    var readEnd: Int32 = -1
    #expect(unsafe penstock_pipe(&readEnd, &control) == 0)
    descriptors.append(readEnd)
    // Recovery takes the next number; the shard goes on in these.
    let first = try SegmentCatalog(files, layout).nextNumber(of: LogNumber(0), after: .none)
    let started = configuration
    let socket = Socket(descriptor: readEnd)
    let outcome = outcome
    Thread { outcome.set(ShardProcess.run(started, control: socket)) }.start()
    waitUntilServing()
    for distance in 1...UInt64(segmentCount) {
      _ = try SegmentPreparation.prepare(
        files, layout,
        name: SegmentName(log: LogNumber(0), number: SegmentNumber(first.value + distance)),
        store: store, byteCount: 4 << 20, isFilled: distance % 2 == 0)
    }
  }

  deinit {
    if outcome.value == nil { stop() }
    for descriptor in descriptors { _ = penstock_close(descriptor) }
    try? FileManager.default.removeItem(atPath: StoreLayout.pages(store))
  }

  /// The shard's counters; nil before it has made its page.
  var statistics: Statistics? {
    guard
      let page = SharedPage(
        reading: layout.statisticsPage(store, LogNumber(0)), magic: Statistics.magic,
        boot: System.bootIdentifier(), valueCount: Statistics.valueCount)
    else { return nil }
    return Statistics(page)
  }

  func counter(_ counter: Counter) -> UInt64 {
    guard let statistics else { return 0 }
    return statistics[counter]
  }

  func counter(_ kind: ListenerKind, _ counter: ListenerCounter) -> UInt64 {
    let index = ListenerKind.allCases.firstIndex(of: kind) ?? 0
    guard let statistics else { return 0 }
    return statistics[index, counter]
  }

  private func waitUntilServing() {
    wait("the shard serves") { self.counter(.isServing) == 1 }
  }

  /// Waits until `condition` holds, at most ten seconds.
  func wait(_ what: String, _ condition: () -> Bool) {
    for _ in 0..<10_000 {
      if condition() || outcome.value != nil { return }
      usleep(1000)
    }
    Issue.record("waited in vain until \(what)")
  }

  func send(_ byte: Character) { _ = Wire.write(control, String(byte)) }

  /// Stops cleanly and gives the status.
  @discardableResult
  func stop() -> ShardProcess.Status? {
    send("T")
    wait("the shard stops") { false }
    _ = penstock_close(control)
    return outcome.value
  }

  /// A connection to a listener.
  func connect(_ kind: ListenerKind) -> Int32 {
    let port = ports[kind] ?? 0
    return kind == .syslogDatagram
      ? unsafe penstock_connect_udp("127.0.0.1", port)
      : unsafe penstock_connect_tcp("127.0.0.1", port)
  }

  /// All event lines of the log with their sequence numbers, as a reader without a daemon sees
  /// them.
  func lines() throws -> [(sequence: UInt64, text: String)] {
    let files = LinuxFileSystem()
    let view = try LogView.read(
      files, layout, log: LogNumber(0), after: .none, frontier: nil, store: store)
    #expect(view.damage.filter { !$0.isTail }.isEmpty)
    var reader = BatchReader(files)
    var out: [(UInt64, String)] = []
    for segment in view.segments {
      for extent in segment.batches {
        try reader.load(extent, of: segment)
        var content = BatchContent(firstSequence: extent.line.firstSequence)
        while let (sequence, range) = content.next(in: reader.content) {
          out.append((sequence.value, String(span: reader.content.extracting(range))))
        }
      }
    }
    return out
  }

  /// The payloads of the log in the order of their sequence numbers.
  func payloads() throws -> [String] {
    try lines().map {
      String($0.text.split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false)[1])
    }
  }
}
