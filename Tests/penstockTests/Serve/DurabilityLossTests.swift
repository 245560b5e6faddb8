import Foundation
import PenstockCore
import Testing

/// A shard whose writes the kernel refuses: nothing is acknowledged after it, it ends with a status
/// of its own, is started again, and after three times in a minute is left down while the others
/// go on and everything is read. The refusal is real: a limit on the size of files, set from outside
/// on the running process, cuts one write short and fails the next.
@Suite(.serialized) struct DurabilityLossTests {
  /// Below it writes succeed; segments are larger.
  private static let limit = 512 << 10

  private func refuseWrites(_ process: Int32) throws {
    let limiter = Process()
    limiter.executableURL = URL(fileURLWithPath: "/usr/bin/prlimit")
    limiter.arguments = ["--pid", "\(process)", "--fsize=\(DurabilityLossTests.limit)"]
    let result = try ServedStore.capture(limiter)
    try #require(result.status == 0, "\(result.errors)")
  }

  /// Puts events to shard 0 until it has lost durability so often.
  private func putUntilRefused(_ store: ServedStore, losses: Int) throws {
    let line = "- own -\t" + String(repeating: "x", count: 9_000)
    try store.wait("shard 0 ends, loss \(losses): \(store.said.suffix(2000))") {
      if let session = try? LineSession(Wire(tcp: UInt16(store.port))), session.shard == 0 {
        for _ in 0..<100 {
          guard (try? session.send([line])) != nil, let answer = try? session.receipt(),
            answer.count == 1
          else { break }
        }
      }
      return store.said.components(separatedBy: "shard 0: durability lost: writing batch").count
        > losses
    }
  }

  private func shardZero(_ store: ServedStore) throws -> [String: Any] {
    let json = try store.run("status", "--format", "json")
    let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
    let shards = try #require((object as? [String: Any])?["shards"] as? [[String: Any]])
    return try #require(shards.first)
  }

  @Test(
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/prlimit")),
    arguments: Backend.allCases)
  func `a shard that loses durability three times is left down, and the rest goes on`(
    _ io: Backend
  ) throws {
    let store = try ServedStore()
    try store.start(shards: 2, io: io, listeners: [ServedStore.lineListener])
    let writers = Writers(port: store.ports["line-tcp"] ?? 0, count: 6, paddingByteCount: 2000)
    let other = try store.roles()["shard 1"]
    for loss in 1...3 {
      var process: Int32 = 0
      try store.wait("shard 0 serves before loss \(loss): \(store.said.suffix(2000))") {
        process = try store.roles()["shard 0"] ?? 0
        return process > 0 && store.said.components(separatedBy: "shard 0: serving").count > loss
      }
      #expect(try shardZero(store)["left_down"] as? Bool == false)
      try refuseWrites(process)
      // The writers have gone over to the other shard by now.
      try putUntilRefused(store, losses: loss)
    }
    try store.wait("the host leaves shard 0 down: \(store.said.suffix(2000))") {
      store.said.contains("shard 0 lost durability 3 times within a minute; it is left down")
    }
    #expect(
      store.said.components(separatedBy: "shard 0 ended with status 70; starting it again").count
        == 3)
    #expect(try store.roles()["shard 1"] == other, "the other shard goes on")
    #expect(try store.run("status").output.contains("LEFT DOWN"))
    #expect(try shardZero(store)["left_down"] as? Bool == true)
    let seen = writers.acknowledgedEvents
    try store.wait("new connections are the other shard's: \(store.said.suffix(2000))") {
      writers.acknowledgedEvents > seen + 500
    }
    let puts = writers.finish()
    try store.check(puts, "with a shard left down, \(io)")
    #expect(store.stop() == 0)
    try store.start(shards: 2, io: io)
    try store.check(puts, "started again, \(io)")
    #expect(store.stop() == 0)
    let verified = try store.run("verify")
    #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
  }
}
