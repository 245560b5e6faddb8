import Foundation
import Penstock
import Synchronization
import Testing

/// What tasks were told.
private final class Told: Sendable {
  struct State {
    var done: Set<String> = []
    var unknown: Set<String> = []
    var other: [String] = []
    var turns = 0
    var isOver = false
  }
  let state = Mutex(State())

  var doneCount: Int { state.withLock { $0.done.count } }
  var isOver: Bool { state.withLock { $0.isOver } }
}

/// The client and a real daemon of two shards.
@Suite(.serialized, .ownThreads) struct ClientServeTests {
  private func connect(
    _ store: ServedStore, _ change: (inout Client.Options) -> Void = { _ in }
  ) async throws -> Client {
    var options = Client.Options()
    change(&options)
    return try await Client.connect(
      to: [LineAddress(url: "line+tcp://127.0.0.1:\(store.port)")], options: options)
  }

  /// How often each payload is there.
  private func payloads(_ store: ServedStore, _ stream: String) throws -> [String: Int] {
    var counts: [String: Int] = [:]
    for line in try store.run("query", "--stream", stream, "--format", "text").lines {
      counts[String(line.split(separator: "\t").last ?? ""), default: 0] += 1
    }
    return counts
  }

  @Test func `what fifty tasks put is there once, where its receipt says`() async throws {
    let store = try ServedStore()
    try store.start(shards: 2)
    let client = try await connect(store) { $0.requestsInFlightMax = 16 }
    let places = try await withThrowingTaskGroup(of: [String: Receipt].self) { group in
      for task in 0..<50 {
        group.addTask {
          var places: [String: Receipt] = [:]
          for number in 0..<40 {
            let texts = (0...(number % 3)).map { "\(task)-\(number)-\($0)" }
            let receipt = try await client.put(
              texts.map { NewEvent(stream: "load/\(task)", type: "T", payload: $0) })
            #expect(receipt.count == texts.count)
            for (index, text) in texts.enumerated() {
              places[text] = Receipt(
                log: receipt.log, sequence: receipt.sequence.map { $0 + UInt64(index) }, count: 1)
            }
          }
          return places
        }
      }
      return try await group.reduce(into: [:]) { $0.merge($1) { old, _ in old } }
    }
    client.close()
    var found: [String: Receipt] = [:]
    for line in try store.run("query", "--stream", "load/*", "--format", "ndjson").lines {
      let event = try #require(
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      let payload = try #require(event["payload"] as? String)
      #expect(found[payload] == nil, "\(payload) is there twice")
      found[payload] = Receipt(
        log: try #require(event["shard"] as? Int),
        sequence: UInt64(try #require(event["sequence"] as? Int)), count: 1)
    }
    #expect(found == places)
    #expect(store.stop() == 0)
  }

  @Test func `commits go to their shard by themselves, and nothing is passed on`() async throws {
    let store = try ServedStore()
    try store.start(shards: 3)
    let client = try await connect(store)
    try await withThrowingTaskGroup { group in
      for number in 0..<60 {
        group.addTask {
          let journal = "/org/\(number)"
          #expect(try await client.exists(journal) == false)
          let receipt = try await client.commit(
            [NewEvent(stream: journal, type: "Made", payload: "\(number)")], since: 0)
          #expect(try await client.head(of: journal).last == receipt.sequence)
          #expect(try await client.exists(journal) == true)
          let expected = Conflict(
            journal: journal, type: "Made", position: try #require(receipt.sequence))
          await #expect(throws: StoreError.conflict(expected)) {
            try await client.commit(
              [NewEvent(stream: journal, type: "Made", payload: "again")], since: 0)
          }
          await #expect(throws: StoreError.conflict(expected)) {
            try await client.commit(
              [NewEvent(stream: journal, payload: "again")],
              [.ifNone(["Other", "Made"], in: journal, after: 0)])
          }
        }
      }
      try await group.waitForAll()
    }
    client.close()
    var stored = 0
    for shard in 0..<3 {
      #expect(try store.listener("shard-unix", shard: shard)["received"] as? Int == 0)
      for name in ["line-tcp", "shard-tcp"] {
        stored += try store.listener(name, shard: shard)["stored"] as? Int ?? 0
      }
    }
    #expect(stored == 60)
    #expect(try payloads(store, "/org/*").count == 60)
    #expect(store.stop() == 0)
  }

  @Test func `over a unix socket shards are reached by their paths`() async throws {
    let store = try ServedStore()
    let path = store.folder + "/a socket"
    try store.start(shards: 2, listeners: ["line+unix://" + path])
    let wire = try Wire(unix: path)
    try wire.send("HELLO penstock/1 moved\n" + (0..<20).map { "HEAD /o/\($0)\n" }.joined())
    #expect(try wire.readLine()?.hasPrefix("OK penstock/1 ") == true)
    var addresses: Set<String> = []
    for _ in 0..<20 {
      let answer = try #require(try wire.readLine())
      if answer.hasPrefix("MOVED ") { addresses.insert(String(answer.split(separator: " ")[2])) }
    }
    #expect(addresses.count == 1 && addresses.first?.hasPrefix("address=/") == true, "\(addresses)")
    let client = try await Client.connect(to: [LineAddress(.unix(path: path))])
    for number in 0..<20 {
      let receipt = try await client.put([NewEvent(stream: "/o/\(number)", payload: "\(number)")])
      #expect(try await client.head(of: "/o/\(number)").last == receipt.sequence)
    }
    client.close()
    #expect(store.stop() == 0)
  }

  @Test func `a transaction reads, decides, and is done again when it was outrun`() async throws {
    let store = try ServedStore()
    try store.start(shards: 2)
    let client = try await connect(store)
    let told = Told()
    try await withThrowingTaskGroup { group in
      for _ in 0..<10 {
        group.addTask {
          for _ in 0..<5 {
            let (number, receipt) = try await client.transaction(on: "/counter", retries: 1000) {
              tx, head in
              told.state.withLock { $0.turns += 1 }
              await Task.yield()
              try tx.put(stream: "/counter", type: "Counted", payload: "from \(head.last ?? 0)")
              return head.last
            }
            #expect(receipt?.count == 1 && number != receipt?.sequence)
          }
        }
      }
      try await group.waitForAll()
    }
    // Each commit stood on the one before it, so that none says the same.
    let counts = try payloads(store, "/counter")
    #expect(counts.count == 50 && counts.values.allSatisfy { $0 == 1 })
    #expect(told.state.withLock { $0.turns } >= 50)
    // Without retries a conflict is the caller's.
    await #expect(throws: StoreError.self) {
      try await client.transaction(on: "/counter") { tx, _ in
        try await client.put([NewEvent(stream: "/counter", type: "Counted", payload: "between")])
        try tx.put(stream: "/counter", type: "Counted", payload: "outrun")
      }
    }
    #expect(try await client.transaction(on: "/counter") { _, _ in 7 }.receipt == nil)
    client.close()
    #expect(try payloads(store, "/counter")["outrun"] == nil)
    #expect(store.stop() == 0)
  }

  @Test(
    "a shard that is killed costs no commit, doubles none, and with a producer leaves no doubt",
    arguments: Backend.allCases, [Client.Producer.none, .random])
  func killedShard(_ io: Backend, _ producer: Client.Producer) async throws {
    let store = try ServedStore()
    try store.start(shards: 2, io: io)
    let client = try await connect(store) { $0.producer = producer }
    let told = Told()
    try await withThrowingTaskGroup { group in
      for task in 0..<20 {
        group.addTask {
          var number = 0
          while !told.isOver {
            let payload = "\(task)-\(number)"
            number += 1
            do {
              let stream = number % 2 == 0 ? "/run/\(number % 40)" : "run/\(task)"
              _ = try await client.put([NewEvent(stream: stream, type: "T", payload: payload)])
              told.state.withLock { _ = $0.done.insert(payload) }
            } catch StoreError.unknownOutcome {
              told.state.withLock { _ = $0.unknown.insert(payload) }
            } catch {
              told.state.withLock { $0.other.append("\(error)") }
            }
          }
        }
      }
      for round in 0..<8 {
        if let victim = try store.roles()["shard \(round % 2)"] { ServedStore.signal(victim, 9) }
        // Tasks get through after each kill, a minute at most: they share the machine.
        let before = told.doneCount
        for _ in 0..<12_000 where told.doneCount < before + 200 {
          try await Task.sleep(for: .milliseconds(5))
        }
        #expect(told.doneCount >= before + 200, "round \(round)")
      }
      told.state.withLock { $0.isOver = true }
      try await group.waitForAll()
    }
    client.close()
    #expect(store.stop() == 0)
    var counts = try payloads(store, "/run/*")
    counts.merge(try payloads(store, "run/*")) { $0 + $1 }
    let end = told.state.withLock { $0 }
    let (done, unknown, other) = (end.done, end.unknown, end.other)
    #expect(other.isEmpty, "\(other.prefix(3))")
    #expect(done.count >= 1600)
    #expect(unknown.isEmpty == (producer == .random), "\(unknown.count)")
    let doubled = counts.filter { $0.value != 1 }
    #expect(doubled.isEmpty, "\(doubled.count): \(doubled.keys.sorted().prefix(10))")
    #expect(done.allSatisfy { counts[$0] == 1 })
    #expect(counts.keys.allSatisfy { done.contains($0) || unknown.contains($0) })
  }
}
