import Foundation
import Penstock
import Synchronization
import Testing

/// What a client reads and follows, of scripted servers and of a real daemon of two shards.
@Suite(.serialized, .ownThreads) struct ClientReadTests {
  private func connect(
    _ urls: [String], _ change: (inout Client.Options) -> Void = { _ in }
  ) async throws -> Client {
    var options = Client.Options()
    change(&options)
    return try await Client.connect(to: try urls.map { try LineAddress(url: $0) }, options: options)
  }

  private func url(_ store: ServedStore) -> String { "line+tcp://127.0.0.1:\(store.port)" }

  private static let time = "2026-11-21T03:47:52.123456789Z"

  /// A piece of an answer with events of such payloads at positions of log 0.
  private static func piece(_ payloads: [(Int, String)], at position: String? = nil) -> String {
    let lines = payloads.map { "\(time) s/a T k=v _at=0:\($0.0)\t\($0.1)\n" }.joined()
    return "EVENTS \(lines.utf8.count) count=\(payloads.count)"
      + (position.map { " at=\($0)" } ?? "") + "\n" + lines
  }

  /// The connection of the client for requests, which these tests do not use.
  private static let idle: ScriptedServer.Script = { wire in
    try wire.sayHello()
    _ = wire.readAll()
  }

  // MARK: - READ

  @Test func `a read gives the events, and their positions and times`() async throws {
    let server = ScriptedServer(
      Self.idle,
      { wire in
        try wire.expect("HELLO penstock/1", "OK penstock/1 shard=0 shards=1")
        let request = try wire.readLine()
        #expect(
          request == "READ /a\\sb from=3 to=\(Self.time) limit=9 reverse positions", "\(request)")
        wire.write(Self.piece([(7, "seven"), (9, "nine")]))
        wire.write(Self.piece([(12, "twelve")]) + "OK count=3 at=0:12\n")
        #expect(wire.readAll().isEmpty)
      })
    let client = try await connect([server.url])
    var events: [Event] = []
    let time: Int64 = 1_795_232_872_123_456_789
    for try await event in try client.read(
      "/a b", from: .position(3), to: .time(time), limit: 9, reverse: true)
    {
      events.append(event)
    }
    #expect(events.map(\.text) == ["seven", "nine", "twelve"])
    #expect(events.map(\.sequence) == [7, 9, 12])
    let first = try #require(events.first)
    #expect(first.stream == "s/a" && first.type == "T" && first.log == 0 && first.time == time)
    #expect(first.attributes == [.init("k", "v")])
    client.close()
    try server.finish()
    #expect(throws: StoreError.self) { try client.read("plain", from: .position(3)) }
    #expect(throws: StoreError.self) { try client.read("") }
  }

  @Test func `a read that no event was given of is made again, one in the middle fails`()
    async throws
  {
    let server = ScriptedServer(
      Self.idle,
      { wire in
        try wire.sayHello()
        wire.write("EVENTS 5000 count=9\n\(Self.time) cut")
      },
      { wire in
        try wire.sayHello()
        wire.write("ERR no-reader the reader is not there\n")
      },
      { wire in
        try wire.sayHello()
        wire.write(Self.piece([(1, "one")]) + "OK count=1 at=0:1\n")
        _ = wire.readAll()
      },
      { wire in
        try wire.sayHello()
        wire.write(Self.piece([(1, "one"), (2, "two")]) + "EVENTS 90 count=1\n\(Self.time)")
      },
      { wire in
        try wire.sayHello()
        wire.write("ERR forbidden the token gives no right to read this\n")
        _ = wire.readAll()
      })
    let client = try await connect([server.url])
    var texts: [String] = []
    for try await event in try client.read("s") { texts.append(event.text) }
    #expect(texts == ["one"])
    let cut = try client.read("s")
    #expect(try await cut.next()?.text == "one")
    #expect(try await cut.next()?.text == "two")
    await #expect {
      _ = try await cut.next()
    } throws: { error in
      if case StoreError.failed(let text) = error { text.contains("in the middle") } else { false }
    }
    #expect(try await cut.next() == nil)
    let text = "the token gives no right to read this"
    await #expect(throws: StoreError.refused(code: "forbidden", text: text)) {
      _ = try await client.read("s").next()
    }
    client.close()
    try server.finish()
  }

  @Test func `what is not asked for is not received`() async throws {
    let sent = Counter()
    let server = ScriptedServer(
      Self.idle,
      { wire in
        try wire.sayHello()
        // 64 MB, far beyond what sockets hold.
        let payload = String(repeating: "x", count: 64_000)
        for number in 1...1000 {
          wire.writeAll(Self.piece([(number, payload)]))
          sent.add(1)
        }
        wire.write("OK count=1000 at=0:1000\n")
        _ = wire.readAll()
      })
    let client = try await connect([server.url])
    let events = try client.read("s")
    #expect(try await events.next()?.sequence == 1)
    var last = -1
    while last != sent.value {
      last = sent.value
      try await Task.sleep(for: .milliseconds(300))
    }
    #expect(last < 500, "\(last)")
    var count = 1
    while let event = try await events.next() {
      count += 1
      #expect(event.sequence == UInt64(count))
    }
    #expect(count == 1000)
    client.close()
    try server.finish()
  }

  private final class Counter: Sendable {
    private let count = Atomic(0)
    var value: Int { count.load(ordering: .relaxed) }
    func add(_ more: Int) { count.add(more, ordering: .relaxed) }
  }

  /// How often each text came.
  private final class Seen: Sendable {
    private let state = Mutex<[String: Int]>([:])
    var counts: [String: Int] { state.withLock { $0 } }
    func add(_ text: String) { state.withLock { $0[text, default: 0] += 1 } }
  }

  // MARK: - FOLLOW

  @Test func `a follow goes on behind the last whole piece`() async throws {
    let middle = "0:1;0:9;\(Self.time);0:3"
    let server = ScriptedServer(
      Self.idle,
      { wire in
        try wire.expect("HELLO penstock/1", "OK penstock/1 shard=0 shards=1")
        try wire.expect("FOLLOW s/* positions", "EVENTS 0 count=0 at=0:1")
        wire.write(Self.piece([(2, "two"), (3, "three")], at: middle))
        wire.write(String(Self.piece([(4, "four"), (5, "five")], at: "0:5").dropLast()))
      },
      { wire in
        try wire.expect("HELLO penstock/1", "ERR busy try again")
      },
      { wire in
        try wire.expect("HELLO penstock/1", "OK penstock/1 shard=0 shards=1")
        try wire.expect("FOLLOW s/* positions from=\(middle)", "EVENTS 0 count=0 at=\(middle)")
        wire.write(Self.piece([(4, "four")], at: "0:4"))
      },
      { wire in
        try wire.expect("HELLO penstock/1", "OK penstock/1 shard=0 shards=1")
        try wire.expect("FOLLOW s/* positions from=0:4", "EVENTS 0 count=0 at=0:4")
        wire.write(Self.piece([(5, "five")], at: "0:5"))
        #expect(wire.readAll().isEmpty)
      })
    let client = try await connect([server.url])
    let events = try client.follow("s/*")
    #expect(events.position == nil)
    #expect(try await events.next()?.text == "two")
    #expect(events.position == "0:1")
    for text in ["three", "four", "five"] { #expect(try await events.next()?.text == text) }
    #expect(events.position == "0:4")
    client.close()
    await #expect(throws: StoreError.closed) { _ = try await events.next() }
    #expect(events.position == "0:5")
    #expect(try await events.next() == nil)
    try server.finish()
    #expect(throws: StoreError.self) { try client.follow("[a") }
    #expect(throws: StoreError.self) { try client.follow("a b") }
    #expect(throws: StoreError.self) { try client.follow(from: .position("x")) }
  }

  @Test func `a server that says nothing for too long is left for another`() async throws {
    let server = ScriptedServer(
      Self.idle,
      { wire in
        try wire.sayHello()
        wire.write(Self.piece([(1, "one")], at: "0:1"))
        // As if the machine had gone: nothing comes, and nothing ends.
        _ = wire.readAll()
      },
      { wire in
        try wire.expect("HELLO penstock/1", "OK penstock/1 shard=0 shards=1")
        try wire.expect("FOLLOW * positions from=0:1", "EVENTS 0 count=0 at=0:1")
        wire.write(Self.piece([(2, "two")], at: "0:2"))
        _ = wire.readAll()
      })
    let client = try await connect([server.url]) { $0.followSilenceMilliseconds = 500 }
    let events = try client.follow(from: .beginning)
    #expect(try await events.next()?.text == "one")
    #expect(try await events.next()?.text == "two")
    client.close()
    try server.finish()
  }

  @Test func `a task that is cancelled, or leaves its loop, ends its connection`() async throws {
    let ended = Counter()
    let server = ScriptedServer(
      Self.idle,
      { wire in
        try wire.sayHello()
        wire.write(Self.piece([(1, "one")], at: "0:1"))
        _ = try wire.readLine()
        #expect(wire.readAll().isEmpty)
        ended.add(1)
      },
      { wire in
        try wire.sayHello()
        wire.write(Self.piece([(1, "one"), (2, "two")], at: "0:2"))
        _ = try wire.readLine()
        #expect(wire.readAll().isEmpty)
        ended.add(1)
      })
    let client = try await connect([server.url])
    let seen = Counter()
    try await withThrowingTaskGroup { group in
      group.addTask {
        for try await _ in try client.follow() { seen.add(1) }
      }
      while seen.value == 0 { try await Task.sleep(for: .milliseconds(5)) }
      group.cancelAll()
      await #expect(throws: CancellationError.self) { try await group.waitForAll() }
    }
    func first() async throws -> String? {
      for try await event in try client.follow() { return event.text }
      return nil
    }
    #expect(try await first() == "one")
    // Both connections have ended while the client lives.
    for _ in 0..<12_000 where ended.value < 2 { try await Task.sleep(for: .milliseconds(5)) }
    #expect(ended.value == 2)
    client.close()
    try server.finish()
  }

  @Test func `when nobody answers a follow ends with what was wrong`() async throws {
    let server = ScriptedServer(
      Self.idle,
      { wire in
        try wire.sayHello()
        wire.write(Self.piece([(1, "one")], at: "0:1"))
      })
    let client = try await connect([server.url]) { $0.patienceMilliseconds = 300 }
    let events = try client.follow()
    #expect(try await events.next()?.text == "one")
    await #expect {
      _ = try await events.next()
    } throws: { error in
      if case StoreError.unreachable = error { true } else { false }
    }
    #expect(events.position == "0:1")
    client.close()
    try server.finish()
  }

  @Test func `a read that is not answered fails once the client's patience is over`() async throws {
    let server = ScriptedServer(
      Self.idle,
      { wire in
        try wire.sayHello()
        _ = wire.readAll()
      })
    let client = try await connect([server.url]) { $0.patienceMilliseconds = 300 }
    await #expect {
      _ = try await client.read("s").next()
    } throws: { error in
      if case StoreError.unreachable = error { true } else { false }
    }
    client.close()
    try server.finish()
  }

  @Test func `an answer that is none ends what reads it`() async throws {
    let answers = [
      "EVENTS 99999999 count=1\n", "EVENTS -1 count=1\n", "EVENTS 6 count=1\nabcdef",
      "EVENTS 6 count=1\nabcde\n", "EVENTS 45 count=1\n\(Self.time) s -\tno position\n",
      String(repeating: "x", count: 40_000), "nonsense\n", "EVENTS\n",
    ]
    for answer in answers {
      let server = ScriptedServer(
        Self.idle,
        { wire in
          try wire.sayHello()
          wire.writeAll(answer)
          _ = wire.readAll()
        })
      let client = try await connect([server.url]) { $0.patienceMilliseconds = 300 }
      await #expect(throws: StoreError.self, "\(answer.prefix(40))") {
        _ = try await client.read("s").next()
      }
      client.close()
      try server.finish()
    }
  }

  /// Reads within an actor.
  private actor Collector {
    func texts(_ client: Client, _ stream: String) async throws -> [String] {
      var texts: [String] = []
      for try await event in try client.read(stream) { texts.append(event.text) }
      return texts
    }
  }

  // MARK: - A real daemon

  @Test func `what was put is read back, whole and in parts`() async throws {
    let store = try ServedStore()
    try store.start(shards: 2)
    let client = try await connect([url(store)])
    var receipts: [Receipt] = []
    for number in 0..<50 {
      receipts.append(
        try await client.put([
          NewEvent(
            stream: "/orders/4 2", type: "Placed", attributes: [.init("n", "\(number)")],
            payload: "line\nof \(number)")
        ]))
      if number == 20 { #expect(try store.run("seal").status == 0) }
    }
    var events: [Event] = []
    for try await event in try client.read("/orders/4 2") { events.append(event) }
    #expect(events.map(\.text) == (0..<50).map { "line\nof \($0)" })
    #expect(events.map(\.sequence) == receipts.map { $0.sequence ?? 0 })
    #expect(events.map { $0.value("n") } == (0..<50).map { "\($0)" })
    var part: [String] = []
    let from = try #require(receipts[30].sequence)
    for try await event in try client.read("/orders/4 2", from: .position(from), limit: 2) {
      part.append(event.value("n") ?? "")
    }
    for try await event in try client.read(
      "/orders/4 2", to: .time(events[10].time), limit: 2, reverse: true)
    {
      part.append(event.value("n") ?? "")
    }
    #expect(part == ["30", "31", "9", "8"])
    let large = String(repeating: "z", count: 900_000)
    _ = try await client.put([NewEvent(stream: "large", payload: large)])
    #expect(try await Collector().texts(client, "large") == [large])
    client.close()
    #expect(store.stop() == 0)
  }

  @Test("a follow gives every event once while shards and the reader are killed")
  func killed() async throws {
    let store = try ServedStore()
    try store.start(shards: 2)
    let address = url(store)
    let client = try await connect([address]) { $0.producer = .random }
    let padding = String(repeating: "p", count: 700)
    // Some megabytes that are read before anything is live, half of them archived.
    for part in 0..<40 {
      let events = (0..<100).map {
        NewEvent(stream: "old/\($0 % 7)", payload: "\(part * 100 + $0) \(padding)")
      }
      _ = try await client.put(events)
      if part == 20 { #expect(try store.run("seal").status == 0) }
    }
    let seen = Seen()
    let total = 4000 + 6 * 200
    try await withThrowingTaskGroup { group in
      group.addTask {
        let events = try client.follow(from: .beginning)
        while seen.counts.count < total {
          guard let event = try await events.next() else { break }
          let text = String(event.text.prefix { $0 != " " })
          seen.add(text)
        }
      }
      for round in 0..<6 {
        let victim = round == 3 ? "reader" : "shard \(round % 2)"
        if let process = try store.roles()[victim] { ServedStore.signal(process, 9) }
        try await withThrowingTaskGroup { puts in
          for number in 0..<200 {
            puts.addTask {
              _ = try await client.put([
                NewEvent(stream: "/new/\(number % 9)", payload: "\(4000 + round * 200 + number)")
              ])
            }
          }
          try await puts.waitForAll()
        }
      }
      try await group.waitForAll()
    }
    let counts = seen.counts
    #expect(counts.count == total)
    #expect(counts.values.allSatisfy { $0 == 1 }, "\(counts.filter { $0.value != 1 }.count)")
    client.close()
    #expect(store.stop() == 0)
  }
}
