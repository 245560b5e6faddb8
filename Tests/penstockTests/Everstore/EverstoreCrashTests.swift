import Foundation
import Testing

/// Everstore's protocol while shards and the server itself come and go.
@Suite struct EverstoreCrashTests {
  private func store(shards: Int = 2) throws -> ServedStore {
    let store = try ServedStore()
    try store.start(
      shards: shards, listeners: [ServedStore.lineListener, ServedStore.everstoreListener])
    return store
  }

  /// Waits until both shards serve again.
  private func waitForShards(_ store: ServedStore) throws {
    try store.wait("the shards are back: \(store.said.suffix(500))") {
      try store.run("status").status == 0 && store.roles().keys.contains("shard 1")
        && store.roles().keys.contains("shard 0")
    }
  }

  /// Bytes of events in a journal's text.
  private func size(_ events: [String]) -> UInt32 {
    events.reduce(0) { $0 + 25 + UInt32($1.utf8.count) }
  }

  @Test("a commit is there when it is answered with success, and once, while shards are killed")
  func killedShards() throws {
    let store = try store()
    var told: Set<String> = []
    var doubted: Set<String> = []
    var number = 0
    for round in 0..<6 {
      let client = try store.everstore()
      var asked: [UInt32: String] = [:]
      for step in 0..<240 {
        // Some are asked before the shard dies, while it is away, and when it is back.
        if step == 60 {
          let victim = try #require(try store.roles()["shard \(round % 2)"])
          ServedStore.signal(victim, 9)
        }
        let name = "/killed/\(number % 20)"
        let (_, transaction) = try client.open(name)
        try client.rollback(name, transaction)
        let (_, again) = try client.open(name)
        let request = try client.send(5, client.commitBody(name, again, "K\(number)", "e\(number)"))
        asked[request] = "e\(number)"
        number += 1
        let answer = try client.answer()
        let found = asked.removeValue(forKey: answer.request)
        let event = try #require(found)
        if answer.type == 5, answer.number(0) == 1 {
          told.insert(event)
        } else {
          doubted.insert(event)
        }
      }
      // And many without waiting, before, while and after the shard is gone.
      var open: [(String, UInt32)] = []
      for _ in 0..<300 {
        let name = "/killed/\(number % 20)/\(number)"
        open.append((name, try client.open(name).transaction))
        number += 1
      }
      ServedStore.signal(try #require(try store.roles()["shard \((round + 1) % 2)"]), 9)
      for (name, transaction) in open {
        Thread.sleep(forTimeInterval: 0.0001)
        asked[try client.send(5, client.commitBody(name, transaction, "K", "many\(name)"))] =
          "many\(name)"
      }
      for _ in open {
        let answer = try client.answer()
        let found = asked.removeValue(forKey: answer.request)
        let event = try #require(found)
        if answer.type == 5, answer.number(0) == 1 {
          told.insert(event)
        } else {
          doubted.insert(event)
        }
      }
      try waitForShards(store)
    }
    #expect(store.stop() == 0)
    let lines = try store.run("query", "--stream", "/killed/**").lines
    let stored = lines.compactMap { $0.split(separator: "\t").last.map(String.init) }
    #expect(Set(stored).count == stored.count, "nothing is there twice")
    #expect(told.isSubset(of: Set(stored)), "\(told.subtracting(stored).prefix(5))")
    #expect(Set(stored).isSubset(of: told.union(doubted)))
    #expect(told.count > 600, "\(told.count) of \(number)")
  }

  @Test("who was told of a commit finds it, also right after its shard was killed")
  func foundAfterDeath() throws {
    let store = try store()
    var model: [String: [String]] = [:]
    for round in 0..<6 {
      let client = try store.everstore()
      for number in 0..<6 {
        let name = "/found/\(number)"
        let (size, transaction) = try client.open(name)
        #expect(size == self.size(model[name] ?? []), "\(name), round \(round)")
        let event = "\(round)-\(number)"
        #expect(try client.commit(name, transaction, "F", event).success)
        model[name, default: []].append(event)
      }
      for shard in 0..<2 {
        ServedStore.signal(try #require(try store.roles()["shard \(shard)"]), 9)
      }
      for (name, events) in model {
        let (size, transaction) = try client.open(name)
        #expect(size == self.size(events), "\(name), round \(round)")
        #expect(try client.read(name, to: size) == events)
        try client.rollback(name, transaction)
      }
      try waitForShards(store)
    }
    #expect(store.stop() == 0)
  }

  @Test("what is erased is not read any more, though its segment was kept open")
  func erased() throws {
    let store = try store(shards: 1)
    let client = try store.everstore()
    for name in ["/gone", "/kept"] {
      let (_, transaction) = try client.open(name)
      #expect(try client.commit(name, transaction, "E", "one\ntwo").success)
    }
    #expect(try store.run("seal").status == 0)
    // Archived, and still read where it stood.
    for name in ["/gone", "/kept"] {
      let (size, _) = try client.open(name)
      #expect(try client.read(name, to: size) == ["one", "two"])
    }
    #expect(try store.run("erase", "--stream", "/gone", "--before", "2099-01-01").status == 0)
    try store.wait("the events are erased") {
      try store.run("query", "--stream", "/gone").lines.isEmpty
    }
    try store.wait("nothing is read of it") {
      let (size, _) = try client.open("/gone")
      return (try? client.read("/gone", to: size))?.isEmpty ?? true
    }
    let (size, _) = try client.open("/kept")
    #expect(try client.read("/kept", to: size) == ["one", "two"])
    #expect(store.stop() == 0)
  }

  @Test("events that were archived before the index met them count")
  func overtaken() throws {
    let store = try store(shards: 1)
    let client = try store.everstore()
    let (_, transaction) = try client.open("/late")
    #expect(try client.commit("/late", transaction, "L", "first").success)
    let role = try #require(try store.roles()["everstore"])
    ServedStore.signal(role, SIGSTOP)
    let wire = try Wire(tcp: UInt16(store.port))
    for number in 0..<20 {
      let line = "- /late L\tarchived \(number)\n- /other/\(number) L\tx\n"
      try wire.send("COMMIT \(line.utf8.count)\n\(line)")
      #expect(try #require(try wire.readLine()).hasPrefix("OK "))
    }
    #expect(try store.run("seal").status == 0)
    let line = "- /late L\tlast\n"
    try wire.send("COMMIT \(line.utf8.count)\n\(line)")
    #expect(try #require(try wire.readLine()).hasPrefix("OK "))
    ServedStore.signal(role, SIGCONT)
    let events = ["first"] + (0..<20).map { "archived \($0)" } + ["last"]
    let (size, _) = try client.open("/late")
    #expect(size == self.size(events))
    #expect(try client.read("/late", to: size) == events)
    #expect(try client.open("/other/7").size == self.size(["x"]))
    #expect(store.stop() == 0)
  }

  @Test("sizes stay through seals, archiving, restarts and the death of a shard")
  func restarts() throws {
    let store = try store()
    var model: [String: [String]] = [:]
    var number = 0
    for round in 0..<4 {
      var client = try store.everstore()
      for _ in 0..<40 {
        let name = "/kept/\(number % 5)"
        let events = (0...(number % 3)).map { "\(number)-\($0)" }
        let (size, transaction) = try client.open(name)
        #expect(size == self.size(model[name] ?? []), "\(name), round \(round)")
        #expect(try client.commit(name, transaction, "K", events.joined(separator: "\n")).success)
        model[name, default: []] += events
        number += 1
      }
      switch round {
      case 0: #expect(try store.run("seal").status == 0)
      case 1:
        let victim = try #require(try store.roles()["shard 0"])
        ServedStore.signal(victim, 9)
        try store.wait("shard 0 is back") {
          guard let now = try? store.roles()["shard 0"] else { return false }
          return now != victim && (try? store.run("status").status) == 0
        }
        client = try store.everstore()
      case 2:
        #expect(store.stop() == 0)
        try store.start(listeners: [ServedStore.lineListener, ServedStore.everstoreListener])
        client = try store.everstore()
      default: break
      }
      for (name, events) in model {
        let (size, transaction) = try client.open(name)
        #expect(size == self.size(events), "\(name), round \(round)")
        #expect(try client.read(name, to: size) == events)
        // From the size of any event on.
        let middle = events.count / 2
        let start = self.size(Array(events[..<middle]))
        #expect(try client.read(name, from: start, to: size) == Array(events[middle...]))
        try client.rollback(name, transaction)
      }
    }
    #expect(store.stop() == 0)
  }
}
