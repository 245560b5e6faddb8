import Foundation
import Penstock
import PenstockCore
import Testing

/// A daemon and programs with the same store inside.
@Suite(.serialized) struct StoreServeTests {
  /// Who recovers the log of a program that was killed.
  enum Heir: CaseIterable { case daemon, program }

  private let endless = ["2", "100000000"]

  /// Starts a program that writes, and waits until it was told of some events.
  private func writing(_ store: ServedStore, _ name: String) throws -> StoreVictim {
    let victim = try StoreVictim(store.data, name, endless)
    try store.wait("nothing was acknowledged") { try victim.acknowledged().count == 2 }
    return victim
  }

  private func keepsWriting(_ victim: StoreVictim, _ store: ServedStore) throws {
    let before = try victim.acknowledged().values.map(\.count).reduce(0, +)
    try store.wait("the program was held up") {
      try victim.acknowledged().values.map(\.count).reduce(0, +) > before
    }
  }

  /// Expects every acknowledged event once, and those of each thread whole and in order.
  private func check(_ store: ServedStore, _ acknowledged: [String: [Int]]) throws {
    let found = try Store.open(store.data).read()
      .sorted { ($0.log, $0.sequence) < ($1.log, $1.sequence) }
      .reduce(into: [String: [Int]]()) { $0[$1.stream, default: []].append(Int($1.text) ?? -1) }
    for (stream, numbers) in acknowledged {
      let kept = found[stream] ?? []
      #expect(kept.starts(with: numbers), "\(stream): \(kept.count) of \(numbers.count)")
      #expect(kept == Array(0..<kept.count), "\(stream) is whole, in order and there once")
    }
    #expect(try store.run("verify").status == 0)
  }

  @Test(arguments: Heir.allCases)
  func `a daemon does not take a log that a program writes`(_ heir: Heir) throws {
    let store = try ServedStore()
    let victim = try writing(store, "p")
    #expect(try victim.said().first == "log 0")
    let refused = try ServedStore.run([
      "serve", "--data", store.data, "--shards", "1", "--listen", ServedStore.lineListener,
    ])
    #expect(refused.status == 1)
    #expect(refused.errors.contains("log 0 of"), "\(refused.errors)")
    #expect(refused.errors.contains("process \(victim.process.processIdentifier)"))
    try keepsWriting(victim, store)
    victim.kill()
    let acknowledged = try victim.acknowledged()
    if heir == .program { try Store.open(store.data).writer(.number(0)).close() }
    try store.start(shards: 1)
    try check(store, acknowledged)
    try store.put(["- other -\tx"])
    #expect(try store.run("seal").status == 0)
    try check(store, acknowledged)
    #expect(store.stop() == 0)
    try check(store, acknowledged)
  }

  @Test(arguments: Heir.allCases)
  func `a program that is killed beside a daemon loses nothing`(_ heir: Heir) throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    let victim = try writing(store, "p")
    #expect(try victim.said().first == "log 1")
    try store.put(["- other -\tx"])
    victim.kill()
    let acknowledged = try victim.acknowledged()
    try check(store, acknowledged)
    if heir == .program {
      let writer = try Store.open(store.data).writer()
      #expect(writer.log == 1)
      try writer.close()
    } else {
      #expect(store.stop() == 0)
      try store.start(shards: 1)
      try store.wait("the log was not recovered: \(store.said)") {
        store.said.contains("shard 1: stopped")
      }
    }
    try check(store, acknowledged)
    #expect(try store.run("seal").status == 0)
    try check(store, acknowledged)
    #expect(store.stop() == 0)
  }

  @Test func `a log that a program writes is none a daemon has to recover`() throws {
    let store = try ServedStore()
    let own = try Store.open(store.data).writer()
    #expect(own.log == 0)
    let victim = try writing(store, "p")
    #expect(try victim.said().first == "log 1")
    try own.close()
    try store.start(shards: 1)
    #expect(try store.roles()["shard 0"] != nil)
    #expect(!store.said.contains("shard 1:") && !store.said.contains("retired"), "\(store.said)")
    try keepsWriting(victim, store)
    #expect(store.stop() == 0)
    try keepsWriting(victim, store)
    victim.kill()
    let acknowledged = try victim.acknowledged()
    try store.start(shards: 1)
    try store.wait("the log was not recovered: \(store.said)") {
      store.said.contains("shard 1: stopped")
    }
    try check(store, acknowledged)
    #expect(store.stop() == 0)
  }

  @Test func `a program takes no log of a daemon, not even between two starts of its shard`() throws
  {
    let store = try ServedStore()
    try store.start(shards: 2)
    let opened = try Store.open(store.data)
    for _ in 0..<10 {
      var shard: Int32?
      try store.wait("shard 0 is gone") {
        shard = try store.roles()["shard 0"]
        return shard != nil
      }
      ServedStore.signal(try #require(shard), SIGKILL)
      #expect(try opened.tryWriter(.number(0)) == nil)
      let writer = try opened.writer()
      #expect(writer.log == 2)
      try writer.close()
    }
    try store.put(["- s -\tx"])
    #expect(store.stop() == 0)
  }

  @Test func `the logs of a daemon are free once it has gone`() throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let layout = StoreLayout(root: folder.path)
    try FileManager.default.createDirectory(atPath: layout.run, withIntermediateDirectories: true)
    let lock = try HostLock.acquire(layout, shardCount: 2)
    #expect(throws: HostLock.Failure.self) { try HostLock.acquire(layout, shardCount: 1) }
    #expect(try store.tryWriter(.number(0)) == nil)
    #expect(try store.tryWriter(.number(1)) == nil)
    let beside = try store.writer()
    #expect(beside.log == 2)
    LinuxFileSystem().close(lock)
    #expect(try store.tryWriter(.number(1))?.log == 1)
  }
}
