import Foundation
import PenstockCore
import Testing

/// kill -9 in a loop, under load: what was acknowledged is there, once, where its receipt says.
@Suite(.serialized) struct KillTests {
  private static let roundCount = 20

  private func counters(_ store: ServedStore, shard: Int) throws -> Statistics? {
    let layout = StoreLayout(root: store.data)
    let description = try #require(try StoreDescription.read(LinuxFileSystem(), layout))
    guard
      let page = SharedPage(
        reading: layout.statisticsPage(description.store, LogNumber(UInt8(shard))),
        magic: Statistics.magic, boot: System.bootIdentifier(), valueCount: Statistics.valueCount)
    else { return nil }
    return Statistics(page)
  }

  @Test(arguments: Backend.allCases)
  func `a killed shard is back at once, and nothing acknowledged is lost`(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(
      shards: 2, io: io, listeners: [ServedStore.lineListener] + ServedStore.syslogListeners)
    let writers = Writers(port: store.ports["line-tcp"] ?? 0, count: 6)
    let datagrams = try Wire(udp: store.ports["syslog-udp"] ?? 0)
    var generator = SystemRandomNumberGenerator()
    var pauses: [Int64] = []
    for round in 0..<KillTests.roundCount {
      Thread.sleep(forTimeInterval: Double.random(in: 0.02...0.3, using: &generator))
      for index in 0..<20 { try datagrams.send("<14>1 - h app - - - datagram \(round)-\(index)") }
      if round % 6 == 5 {
        let sealed = try store.run("seal")
        #expect(sealed.status == 0, "\(sealed.errors)")
      }
      let shard = round % 2
      let before = try store.roles()
      let victim = try #require(before["shard \(shard)"])
      let other = before["shard \(1 - shard)"]
      let killedAt = System.monotonicNanoseconds()
      ServedStore.signal(victim, 9)
      try store.wait("round \(round): the shard is back: \(store.said.suffix(2000))") {
        guard let statistics = try counters(store, shard: shard) else { return false }
        return statistics[.isServing] == 1
          && statistics[.processIdentifier] != UInt64(UInt32(bitPattern: victim))
      }
      pauses.append((System.monotonicNanoseconds() - killedAt) / 1_000_000)
      #expect(try store.roles()["shard \(1 - shard)"] == other, "the other shard goes on")
    }
    let typical = pauses.sorted()[pauses.count / 2]
    #expect(typical < 500, "milliseconds until a killed shard serves again: \(pauses)")
    let puts = writers.finish()
    try store.check(puts, "beside the daemon, \(io)")
    try store.checkLedger(["line-tcp", "syslog-udp"])
    #expect(store.stop() == 0, "\(store.said.suffix(3000))")
    try store.check(puts, "stopped, \(io)")
    let verified = try store.run("verify")
    #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
  }

  @Test(arguments: Backend.allCases)
  func `a killed host takes all with it, and the next one finds everything`(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(shards: 2, io: io)
    let listener = "line+tcp://127.0.0.1:\(store.port)"
    let writers = Writers(port: store.ports["line-tcp"] ?? 0, count: 4)
    var generator = SystemRandomNumberGenerator()
    for round in 0..<KillTests.roundCount {
      let seen = writers.acknowledgedEvents
      try store.wait("round \(round): writers get through: \(store.said.suffix(2000))") {
        writers.acknowledgedEvents > seen
      }
      Thread.sleep(forTimeInterval: Double.random(in: 0...0.2, using: &generator))
      store.kill()
      // The next one may have another number of shards.
      try store.start(shards: 1 + round % 2, io: io, listeners: [listener])
    }
    let puts = writers.finish()
    try store.check(puts, "beside the daemon, \(io)")
    let sealed = try store.run("seal")
    #expect(sealed.status == 0, "\(sealed.errors) \(store.said.suffix(2000))")
    try store.check(puts, "sealed, \(io)")
    #expect(store.stop() == 0)
    let verified = try store.run("verify")
    #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
  }

  @Test func `preparer and archiver are replaced as well, and everything goes on`() throws {
    let store = try ServedStore()
    try store.start(
      shards: 2, listeners: [ServedStore.lineListener], "--seal-bytes", "2MiB")
    let writers = Writers(port: store.ports["line-tcp"] ?? 0, count: 4)
    for round in 0..<KillTests.roundCount {
      Thread.sleep(forTimeInterval: 0.1)
      for name in ["preparer", "archiver"] {
        if let process = try store.roles()[name] { ServedStore.signal(process, 9) }
      }
      let seen = writers.acknowledgedEvents
      try store.wait("round \(round): writers get through: \(store.said.suffix(2000))") {
        writers.acknowledgedEvents > seen + 200
      }
    }
    let puts = writers.finish()
    let sealed = try store.run("seal")
    #expect(sealed.status == 0, "\(sealed.errors) \(store.said.suffix(2000))")
    try store.check(puts, "after all")
    #expect(store.stop() == 0)
    let verified = try store.run("verify")
    #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
  }

  @Test func `a shard that hangs is killed at the deadline of a stop, and nothing is lost`() throws
  {
    let store = try ServedStore()
    try store.start(shards: 1)
    try store.put((0..<100).map { "- hang - n=\($0)\tpayload \($0)" })
    ServedStore.signal(try #require(try store.roles()["shard 0"]), SIGSTOP)
    let daemon = try #require(store.daemon)
    daemon.interrupt()
    Thread.sleep(forTimeInterval: 0.7)
    // A second signal is a deadline that has passed.
    #expect(store.stop() == 1)
    #expect(store.said.contains("killing shard 0"))
    try store.start(shards: 1)
    #expect(try store.run("query").lines.count == 100)
  }

  /// The page of the process before says that the last batch was acknowledged, though no batch
  /// behind it does.
  @Test func `an acknowledged last batch that cannot be read is called rot`() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    try store.put(["- a t\tfirst"])
    try store.put(["- a t\tlast, to be damaged"])
    store.kill()
    let live = store.data + "/live/"
    let names = try FileManager.default.contentsOfDirectory(atPath: live).sorted()
    let name = try #require(names.first { $0.hasSuffix(".log") })
    var bytes = try Data(contentsOf: URL(fileURLWithPath: live + name))
    let place = try #require(bytes.range(of: Data("to be damaged".utf8)))
    bytes[place.lowerBound] ^= 0x20
    try bytes.write(to: URL(fileURLWithPath: live + name))
    try store.start(shards: 1)
    try store.wait("recovery says what it found: \(store.said)") {
      store.said.contains("had been acknowledged and cannot be read")
    }
    #expect(try store.run("query").lines.count == 1)
  }
}
