import Foundation
import Penstock
import Synchronization
import Testing

/// What a client says of requests whose fate could be mistaken.
@Suite(.ownThreads) struct ClientDoubtTests: ClientSuite {
  /// Two producers that count alike under one name and epoch are given each other's answers.
  @Test func `no two clients of one name count alike`() async throws {
    let told = Mutex<(epochs: Set<String>, counters: Set<Int>)>(([], []))
    let script: ScriptedServer.Script = { connection in
      try connection.sayHello()
      let epoch = try connection.readLine().split(separator: " ").last.map(String.init)
      connection.write("OK shard=0 producer\n")
      let put = try connection.readRequest()
      told.withLock { told in
        told.epochs.insert(epoch ?? "")
        told.counters.insert(put.counter ?? 0)
      }
      connection.acknowledge(put)
    }
    let server = ScriptedServer(script, script, script, script, script, script, script, script)
    let address = try LineAddress(url: server.url)
    try await withThrowingTaskGroup { group in
      for number in 0..<8 {
        group.addTask {
          var options = Client.Options()
          options.producer = .named("me")
          try await Client.withConnection(to: [address], options: options) { client in
            _ = try await client.put([event("\(number)")])
          }
        }
      }
      try await group.waitForAll()
    }
    try server.finish()
    #expect(told.withLock { $0.epochs.count } == 8)
    #expect(told.withLock { $0.counters.count } == 8)
  }

  @Test func `a name cannot be that of another client's way to a shard`() async throws {
    var options = Client.Options()
    options.producer = .named("me|1")
    let error = await #expect(throws: StoreError.self) {
      _ = try await Client.connect(to: [.standard], options: options)
    }
    guard case .invalid = error else {
      Issue.record("\(error as Any)")
      return
    }
  }

  /// The answer is lost, and then the same request is refused before its counter was looked at.
  @Test(arguments: [
    ("forbidden", true), ("unauthorized", true), ("too-large", true), ("line-too-long", true),
    ("epoch-ahead", true), ("not-served", true), ("fenced", true), ("bad-type", false),
    ("too-old", false),
  ])
  func `a refusal of what is in doubt says only what it proves`(_ code: String, _ isOpen: Bool)
    async throws
  {
    let server = ScriptedServer(
      { connection in
        try connection.sayHello()
        _ = try connection.readLine()
        connection.write("OK shard=0 producer\n")
        _ = try connection.readRequest()
      },
      { connection in
        try connection.sayHello()
        _ = try connection.readLine()
        connection.write("OK shard=0 producer\n")
        let again = try connection.readRequest()
        connection.write("ERR \(code) \(again.tag) no\n")
        // What was not sent before is certainly not stored.
        let fresh = try connection.readRequest()
        connection.write("ERR \(code) \(fresh.tag) no\n")
      })
    let client = try await connect(server) { $0.producer = .named("me") }
    for isDoubtful in [isOpen, false] {
      let error = await #expect(throws: StoreError.self) { try await client.put([event("x")]) }
      if case .unknownOutcome = error {
        #expect(isDoubtful)
      } else {
        #expect(!isDoubtful, "\(error as Any)")
      }
    }
    try server.finish()
  }

  @Test func `a token is said to every shard, and a server that wants another says so`()
    async throws
  {
    let server = ScriptedServer(
      { connection in
        try connection.expect("HELLO penstock/1 token=s3cret", "OK penstock/1 shard=0 shards=1")
        connection.acknowledge(try connection.readRequest())
      },
      { connection in
        try connection.expect(
          "HELLO penstock/1 token=s3cret", "ERR unauthorized this server wants one of its tokens")
      })
    let client = try await connect(server) { $0.token = "s3cret" }
    try await client.put([event("x")])
    // The first connection ends; what is put before that is noticed is in doubt.
    let refused = StoreError.refused(
      code: "unauthorized", text: "this server wants one of its tokens")
    var error = await #expect(throws: StoreError.self) { try await client.put([event("y")]) }
    if error != refused {
      error = await #expect(throws: StoreError.self) { try await client.put([event("y")]) }
    }
    #expect(error == refused)
    try server.finish()
    let without = ScriptedServer { connection in
      try connection.expect("HELLO penstock/1", "ERR unauthorized say who you are")
    }
    await #expect(throws: StoreError.refused(code: "unauthorized", text: "say who you are")) {
      _ = try await connect(without)
    }
    try without.finish()
  }

  @Test(arguments: ["", "two words", "\n", String(repeating: "x", count: 129)])
  func `what no token can be is not sent`(_ text: String) async throws {
    var options = Client.Options()
    options.token = text
    await #expect(
      throws: StoreError.invalid("a token is 1 to 128 printable bytes without a space")
    ) { _ = try await Client.connect(to: [.standard], options: options) }
  }

  @Test func `the longest waits are no trap`() async throws {
    let server = ScriptedServer { connection in
      try connection.sayHello()
      connection.acknowledge(try connection.readRequest())
    }
    let client = try await connect(server) { options in
      options.patienceMilliseconds = .max
      options.connectTimeoutMilliseconds = .max
      options.reconnectPauseMaxMilliseconds = .max
    }
    try await client.put([event("x")])
    client.close()
    try server.finish()
  }
}
