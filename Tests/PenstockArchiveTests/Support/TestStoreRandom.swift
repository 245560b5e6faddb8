// Random stores, and the archiver run on them.

import PenstockArchive
import PenstockCore
import Synchronization

extension TestStore {
  private static let streams = [
    "syslog/web-1", "syslog/web-2", "/orders/42", "metrics", "odd\\sname",
  ]
  private static let types = ["-", "sshd", "OrderPlaced"]

  /// A store of random events over several logs and segments, proved, and the events in order.
  static func random(_ random: inout TestRandom, logCount: UInt8 = 3, batchCountMax: Int = 40)
    throws -> (TestStore, [TestEvent])
  {
    let store = try TestStore()
    var events: [TestEvent] = []
    for _ in 0..<Int.random(in: 5...batchCountMax, using: &random) {
      let log = store.log(UInt8.random(in: 0..<logCount, using: &random))
      if log.segment == .none || log.room < 64 << 10 || random.chance(20) {
        try log.startSegment()
      }
      events += try store.appendRandomBatch(to: log, &random)
    }
    for number in 0..<logCount where store.log(number).segment > .none {
      try store.log(number).prove()
    }
    return (store, events.sorted { $0.key < $1.key })
  }

  private func appendRandomBatch(to log: TestLog, _ random: inout TestRandom) throws -> [TestEvent]
  {
    let skip = random.chance(10) ? UInt64.random(in: 1...1000, using: &random) : 0
    var events: [TestEvent] = []
    var lines: [String] = []
    for index in 0..<Int.random(in: 0...30, using: &random) {
      let second = 1_763_000_000 + Int64.random(in: 0...400, using: &random)
      let key = EventKey(
        time: Timestamp(seconds: second, nanoseconds: 0), log: log.log,
        sequence: log.sequence.advanced(by: skip + UInt64(index) + 1))
      let event = TestEvent(
        key, stream: TestStore.streams.randomElement(using: &random) ?? "",
        type: TestStore.types.randomElement(using: &random) ?? "",
        attributes: random.chance(50) ? "severity=\(random.chance(50) ? "err" : "info") n=1" : "",
        payload: "payload \(Int.random(in: 0...99, using: &random)) of some length")
      events.append(event)
      lines.append(event.line)
      if random.chance(5) { lines.append("#listener somewhere") }
    }
    try log.append(lines, skip: skip)
    return events
  }

  /// Hands every settled segment to the archive.
  func archive() throws {
    try TestStore.archive(layout, store)
  }

  static func archive(_ layout: StoreLayout, _ store: StoreIdentifier) throws {
    var archiver = try Archiver(LinuxFileSystem(), layout, store: store)
    while try archiver.pass().segmentCount > 0 {}
  }

  /// Begins a new segment in every log, so that the ones before can be archived.
  func sealAll() throws {
    for number: UInt8 in 0..<8 where log(number).segment > .none {
      try log(number).startSegment()
      try log(number).prove()
    }
  }
}

/// A file system that archives everything right before the `count`-th open of a live segment.
func archivingFiles(_ store: TestStore, atOpen count: Int) -> HookedFiles {
  let layout = store.layout
  let identifier = store.store
  let opens = Mutex(0)
  return HookedFiles { path in
    guard path.hasPrefix(layout.live), path.hasSuffix(".log") else { return }
    let number = opens.withLock { value in
      value += 1
      return value
    }
    if number == count {
      // A failure shows as events that are missing.
      _ = try? TestStore.archive(layout, identifier)
    }
  }
}
