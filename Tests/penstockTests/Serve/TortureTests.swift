import Foundation
import PenstockCore
import Testing

/// kill -9 at random moments of every role and of the host, under mixed load, on both backends in
/// turn: what was acknowledged is there, once, where its receipt says, and the ledger closes.
///
///     PENSTOCK_TORTURE_ROUNDS   kills; default 4, which only shows that the loop works
///     PENSTOCK_TORTURE_SEED     which roles are killed when; the kernel decides the rest
@Suite(.serialized) struct TortureTests {
  /// Rounds on one store: what it holds at their end is read back several times.
  private static let roundsPerStore = 25
  /// Rounds between two looks at what is there.
  private static let roundsPerCheck = 8
  private static let listeners = ["line-tcp", "syslog-udp", "syslog-tcp"]

  private static func number(_ name: String) -> UInt64? {
    ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
  }

  @Test func `kills at any moment lose, double and alter nothing`() throws {
    let rounds = Int(TortureTests.number("PENSTOCK_TORTURE_ROUNDS") ?? 4)
    let seed = TortureTests.number("PENSTOCK_TORTURE_SEED") ?? System.random() >> 32
    print("torture: \(rounds) rounds, seed \(seed)")
    var random = TestRandom(seed: seed)
    var totals = Totals()
    var done = 0
    while done < rounds {
      let count = min(TortureTests.roundsPerStore, rounds - done)
      try torture(rounds: count, seed: seed, &random, &totals)
      done += count
      print("torture: \(done) of \(rounds) rounds, \(totals)")
    }
  }

  /// What was done and found.
  private struct Totals: CustomStringConvertible {
    var kills: [String: Int] = [:]
    var acknowledged = 0
    var streams = 0
    var datagrams = 0
    var slowestReturn = 0.0

    var description: String {
      let killed = kills.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
      return "kills: \(killed.joined(separator: ", ")); acknowledged \(acknowledged), "
        + "syslog over TCP \(streams), over UDP \(datagrams); slowest return of a shard "
        + "\(Int(slowestReturn * 1000)) ms"
    }
  }

  /// One store's rounds.
  private func torture(
    rounds: Int, seed: UInt64, _ random: inout TestRandom, _ totals: inout Totals
  ) throws {
    let store = try ServedStore()
    var io = random.chance(50) ? Backend.auto : .poll
    try start(store, io, [ServedStore.lineListener] + ServedStore.syslogListeners)
    let ports = store.ports
    let urls = try store.endpoints().filter { $0.shard == 0 && !$0.name.hasPrefix("shard-") }.map(
      \.url)
    let senders = SyslogSenders(
      tcp: ports["syslog-tcp"] ?? 0, tcpCount: 2, udp: ports["syslog-udp"] ?? 0)
    var puts: [WrittenPut] = []
    var writers = self.writers(ports, 0)
    for round in 1...rounds {
      Thread.sleep(forTimeInterval: Double.random(in: 0.01...0.4, using: &random))
      if random.chance(15) { _ = try store.run("seal") }
      let what = "seed \(seed), round \(round) on \(io)"
      // The last round of a short run, and every fifth: the host, so that both backends have turns.
      if round % 5 == 4 {
        totals.kills["host", default: 0] += 1
        store.kill()
        io = io == .auto ? .poll : .auto
        try start(store, io, urls)
      } else {
        try killRoles(store, what, &random, &totals)
      }
      let seen = writers.acknowledgedEvents
      try store.wait("\(what): writers get through: \(store.said.suffix(2000))") {
        writers.acknowledgedEvents > seen
      }
      guard round % TortureTests.roundsPerCheck == 0 else { continue }
      puts += writers.finish()
      try store.check(puts, "\(what), beside the daemon")
      writers = self.writers(ports, round)
    }
    puts += writers.finish()
    senders.finish()
    try finish(store, puts, senders, "seed \(seed), \(rounds) rounds", &totals)
  }

  /// Everything is looked at beside the daemon, archived, and with the daemon stopped.
  private func finish(
    _ store: ServedStore, _ puts: [WrittenPut], _ senders: SyslogSenders, _ what: String,
    _ totals: inout Totals
  ) throws {
    try store.checkLedger(TortureTests.listeners)
    try store.check(puts, "\(what), beside the daemon")
    let sealed = try store.run("seal")
    #expect(sealed.status == 0, "\(what): \(sealed.errors) \(store.said.suffix(2000))")
    try store.check(puts, "\(what), sealed")
    #expect(store.stop() == 0, "\(what): \(store.said.suffix(2000))")
    try store.check(puts, "\(what), stopped")
    let counts = try senders.check(store, what)
    #expect(counts.streams > 0 && counts.datagrams > 0, "\(what): syslog came through")
    let verified = try store.run("verify")
    #expect(verified.status == 0, "\(what): \(verified.output)\(verified.errors)")
    #expect(!store.said.contains("durability lost"), "\(what): \(store.said.suffix(2000))")
    totals.acknowledged += puts.filter { $0.place != nil }.reduce(0) { $0 + $1.payloads.count }
    totals.streams += counts.streams
    totals.datagrams += counts.datagrams
  }

  private func start(_ store: ServedStore, _ io: Backend, _ urls: [String]) throws {
    // Small segments: they fill, are sealed and archived all the time.
    try store.start(shards: 2, io: io, listeners: urls, "--seal-bytes", "2MiB")
  }

  private func writers(_ ports: [String: UInt16], _ round: Int) -> Writers {
    Writers(port: ports["line-tcp"] ?? 0, count: 4, name: "r\(round)", paddingByteCount: 700)
  }

  /// Kills one role or two; a shard has to serve again.
  private func killRoles(
    _ store: ServedStore, _ what: String, _ random: inout TestRandom, _ totals: inout Totals
  ) throws {
    let choices = [
      ["shard 0"], ["shard 1"], ["archiver"], ["preparer"], ["shard 0", "shard 1"],
      ["shard 0", "archiver"], ["shard 1", "preparer"],
    ]
    let names = choices[Int.random(in: 0..<choices.count, using: &random)]
    let roles = try store.roles()
    let killedAt = Date()
    for name in names {
      // One that is about to be started again cannot be killed.
      guard let process = roles[name] else { continue }
      totals.kills[String(name.prefix { $0 != " " }), default: 0] += 1
      ServedStore.signal(process, 9)
    }
    for name in names where name.hasPrefix("shard") {
      try store.wait("\(what): \(name) is back: \(store.said.suffix(2000))") {
        guard let process = try? store.roles()[name], process != roles[name] else { return false }
        return try store.isServing(name, process)
      }
      totals.slowestReturn = max(totals.slowestReturn, Date().timeIntervalSince(killedAt))
    }
  }
}

extension ServedStore {
  /// Whether the page of a shard, named as roles are, says that `process` serves.
  fileprivate func isServing(_ name: String, _ process: Int32) throws -> Bool {
    guard let shard = UInt8(name.dropFirst("shard ".count)) else { return false }
    let layout = StoreLayout(root: data)
    guard let description = try StoreDescription.read(LinuxFileSystem(), layout),
      let page = SharedPage(
        reading: layout.statisticsPage(description.store, LogNumber(shard)),
        magic: Statistics.magic, boot: System.bootIdentifier(), valueCount: Statistics.valueCount)
    else { return false }
    let statistics = Statistics(page)
    return statistics[.isServing] == 1
      && statistics[.processIdentifier] == UInt64(UInt32(bitPattern: process))
  }
}
