import Foundation
import Penstock
import Synchronization
import Testing

/// The client against servers that do as they please.
@Suite(.ownThreads) struct ClientTests: ClientSuite {
  /// The payload of a request of one event.
  private static func payload(_ request: ReadRequest) -> String {
    String(request.body.split(separator: "\t").last?.dropLast() ?? "")
  }

  @Test func `requests go out as the grammar says`() async throws {
    let server = ScriptedServer { connection in
      try connection.sayHello()
      let put = try connection.readRequest()
      #expect(put.verb == "PUT" && put.options.isEmpty)
      #expect(put.body == "- app/web Log\\sin user=a\\sb\tone\n- app/web - _escaped=\ta\\nb\n")
      connection.acknowledge(put, first: 7, shard: 3)
      let commit = try connection.readRequest()
      #expect(commit.verb == "COMMIT" && commit.body == "- /o/1 Placed\tx\n")
      #expect(
        commit.options == [
          "since=12", "in=/o/1", "if-type=Paid@3", "if-type=-@3", "in=/o/2", "if-unchanged@4",
        ])
      connection.acknowledge(commit)
      let head = try connection.readRequest()
      #expect(head.verb == "HEAD" && head.body == "/o/1")
      connection.write("OK shard=0 head=unknown at=17 \(head.tag)\n")
      for known in ["1", "0", "unknown"] {
        let exists = try connection.readRequest()
        #expect(exists.verb == "EXISTS" && exists.body == "/o/2")
        connection.write("OK shard=0 exists=\(known) at=17 \(exists.tag)\n")
      }
    }
    let client = try await connect(server)
    let receipt = try await client.put([
      NewEvent(
        stream: "app/web", type: "Log in", attributes: [.init("user", "a b")], payload: "one"),
      NewEvent(stream: "app/web", payload: "a\nb"),
    ])
    #expect(receipt == Receipt(log: 3, sequence: 7, count: 2))
    try await client.commit(
      [NewEvent(stream: "/o/1", type: "Placed", payload: "x")], since: 12,
      [.ifNone(["Paid", ""], in: "/o/1", after: 3), .ifUnchanged("/o/2", after: 4)])
    let head = try await client.head(of: "/o/1")
    #expect(head.last == nil && head.at == 17)
    #expect(try await client.exists("/o/2") == true)
    #expect(try await client.exists("/o/2") == false)
    #expect(try await client.exists("/o/2") == nil)
    try server.finish()
  }

  @Test func `what a server would refuse is not sent`() async throws {
    let server = ScriptedServer { connection in
      try connection.sayHello()
      #expect(connection.readAll().isEmpty)
    }
    try await Client.withConnection(to: [LineAddress(url: server.url)]) { client in
      await #expect(throws: StoreError.self) { try await client.put([]) }
      await #expect(throws: StoreError.self) { try await client.head(of: "plain") }
      await #expect(throws: StoreError.self) {
        try await client.commit([self.event("")], since: 1)
      }
      await #expect(throws: StoreError.self) {
        try await client.put([self.event(""), NewEvent(stream: "/o", payload: "")])
      }
      await #expect(throws: StoreError.tooLarge(byteCountMax: 1 << 20)) {
        try await client.put([self.event(String(repeating: "x", count: 1 << 20))])
      }
      await #expect(throws: StoreError.self) {
        try await client.commit(
          [NewEvent(stream: "/o", payload: "")],
          Array(repeating: .ifUnchanged("/o", after: 1), count: 300))
      }
    }
    try server.finish()
  }

  @Test func `answers are given to the tasks whose requests they are`() async throws {
    let server = ScriptedServer { connection in
      try connection.sayHello()
      // A hundred requests are on their way before the first answer.
      let requests = try (0..<100).map { _ in try connection.readRequest() }
      #expect(Set(requests.map(\.tag)).count == 100)
      for request in requests {
        let number = Int(ClientTests.payload(request)) ?? -1
        if number % 10 == 3 {
          connection.write("ERR bad-type \(request.tag) line 1: no\n")
        } else {
          connection.acknowledge(request, first: 1000 + number)
        }
      }
    }
    let client = try await connect(server)
    await withTaskGroup { group in
      for number in 0..<100 {
        group.addTask {
          do {
            let receipt = try await client.put([event("\(number)")])
            #expect(receipt.sequence == UInt64(1000 + number) && number % 10 != 3)
          } catch {
            #expect(error as? StoreError == .refused(code: "bad-type", text: "line 1: no"))
            #expect(number % 10 == 3)
          }
        }
      }
    }
    try server.finish()
  }

  @Test func `a conflict and what is too old are told apart`() async throws {
    let server = ScriptedServer { connection in
      try connection.sayHello()
      for answer in [
        "CONFLICT shard=0 position=9 journal=/o/a\\sb type=Log\\sin TAG",
        "CONFLICT shard=0 position=9 journal=/o/1 type=* TAG",
        "ERR too-old TAG the server does not remember so far back, from=77",
      ] {
        let request = try connection.readRequest()
        connection.write(answer.replacing("TAG", with: request.tag) + "\n")
      }
    }
    let client = try await connect(server)
    let expected: [StoreError] = [
      .conflict(Conflict(journal: "/o/a b", type: "Log in", position: 9)),
      .conflict(Conflict(journal: "/o/1", type: nil, position: 9)), .tooOld(from: 77),
    ]
    for error in expected {
      await #expect(throws: error) {
        try await client.commit([NewEvent(stream: "/o/1", payload: "")], since: 1)
      }
    }
    try server.finish()
  }

  @Test func `a window of requests, and of bytes, is in flight`() async throws {
    let server = ScriptedServer { connection in
      try connection.sayHello()
      var waiting = [try connection.readRequest(), try connection.readRequest()]
      for _ in 0..<6 {
        #expect(connection.isSilent(milliseconds: 50))
        connection.acknowledge(waiting.removeFirst())
        waiting.append(try connection.readRequest())
      }
      for request in waiting { connection.acknowledge(request) }
      // As large as the window of bytes: alone.
      let large = try connection.readRequest()
      #expect(connection.isSilent(milliseconds: 50))
      connection.acknowledge(large)
      let other = try connection.readRequest()
      #expect(connection.isSilent(milliseconds: 50))
      connection.acknowledge(other)
    }
    let client = try await connect(server) {
      $0.requestsInFlightMax = 2
      $0.bytesInFlightMax = 1000
    }
    try await withThrowingTaskGroup { group in
      for number in 0..<8 { group.addTask { try await client.put([event("\(number)")]) } }
      try await group.waitForAll()
      let large = String(repeating: "x", count: 1000)
      for _ in 0..<2 { group.addTask { try await client.put([event(large)]) } }
      try await group.waitForAll()
    }
    try server.finish()
  }

  @Test func `a task that is cancelled stops waiting, and the session goes on`() async throws {
    let isInFlight = DispatchSemaphore(value: 0)
    let isCancelled = DispatchSemaphore(value: 0)
    let server = ScriptedServer { connection in
      try connection.sayHello()
      let first = try connection.readRequest()
      #expect(ClientTests.payload(first) == "in flight")
      isInFlight.signal()
      isCancelled.wait()
      connection.acknowledge(first)
      // What waited for the window and was cancelled is never sent.
      let next = try connection.readRequest()
      #expect(ClientTests.payload(next) == "next")
      connection.acknowledge(next, first: 5)
    }
    let client = try await connect(server) { $0.requestsInFlightMax = 1 }
    let inFlight = Task(executorPreference: TestExecutor.shared) {
      try await client.put([event("in flight")])
    }
    await signalled(isInFlight)
    let queued = Task(executorPreference: TestExecutor.shared) {
      try await client.put([event("queued")])
    }
    try await Task.sleep(for: .milliseconds(50))
    queued.cancel()
    inFlight.cancel()
    await #expect(throws: CancellationError.self) { try await queued.value }
    await #expect(throws: CancellationError.self) { try await inFlight.value }
    isCancelled.signal()
    #expect(try await client.put([event("next")]).sequence == 5)
    try server.finish()
  }

  /// Waits on another thread than the tasks', as long as scripts do.
  private func signalled(_ semaphore: DispatchSemaphore) async {
    let isThere = await withCheckedContinuation { task in
      Thread.detachNewThread {
        let deadline = DispatchTime.now() + .milliseconds(Int(FakeConnection.patience))
        task.resume(returning: semaphore.wait(timeout: deadline) == .success)
      }
    }
    #expect(isThere)
  }

  @Test func `without a producer the outcome of what was sent is unknown`() async throws {
    let server = ScriptedServer(
      { connection in
        try connection.sayHello()
        _ = try connection.readRequest()
      },
      { connection in
        try connection.sayHello()
        let put = try connection.readRequest()
        #expect(ClientTests.payload(put) == "second")
        connection.acknowledge(put)
        // A question is asked again.
        #expect(try connection.readRequest().verb == "HEAD")
      },
      { connection in
        try connection.sayHello()
        let head = try connection.readRequest()
        connection.write("OK shard=0 head=1 at=2 \(head.tag)\n")
      })
    let client = try await connect(server)
    let error = await #expect(throws: StoreError.self) { try await client.put([event("first")]) }
    guard case .unknownOutcome = error else {
      Issue.record("\(error as Any)")
      return
    }
    try await client.put([event("second")])
    #expect(try await client.head(of: "/o").last == 1)
    try server.finish()
  }

  @Test func `a producer's request is sent again with its counter, in its order`() async throws {
    let isRead = DispatchSemaphore(value: 0)
    let base = Mutex(0)
    let server = ScriptedServer(
      { connection in
        try connection.sayHello()
        let hello = try connection.readLine().split(separator: " ")
        #expect(hello.count == 3 && hello[0] == "PRODUCER" && hello[1] == "me")
        connection.write("OK shard=0 producer\n")
        for counter in 1...5 {
          let put = try connection.readRequest()
          // Counting begins anywhere.
          if counter == 1 { base.withLock { $0 = (put.counter ?? 0) - 1 } }
          #expect(put.counter == base.withLock { $0 } + counter)
          #expect(Int(ClientTests.payload(put)) == counter)
          isRead.signal()
          if counter < 3 { connection.acknowledge(put, first: counter) }
        }
      },
      { connection in
        try connection.sayHello()
        #expect(try connection.readLine().hasPrefix("PRODUCER me "))
        connection.write("OK shard=0 producer\n")
        for counter in 3...6 {
          let put = try connection.readRequest()
          #expect(put.counter == base.withLock { $0 } + counter)
          #expect(Int(ClientTests.payload(put)) == counter)
          // The first was forgotten: then nobody knows.
          if counter == 3 {
            connection.write("ERR counter-too-old \(put.tag) it was long ago\n")
          } else {
            connection.acknowledge(put, first: counter)
          }
        }
      })
    let client = try await connect(server) { $0.producer = .named("me") }
    try await withThrowingTaskGroup { group in
      for number in 1...5 {
        group.addTask {
          do {
            let receipt = try await client.put([event("\(number)")])
            #expect(receipt.sequence == UInt64(number))
          } catch StoreError.unknownOutcome {
            #expect(number == 3)
          }
        }
        await signalled(isRead)
      }
      try await group.waitForAll()
    }
    #expect(try await client.put([event("6")]).sequence == 6)
    try server.finish()
  }

  @Test func `a producer that was forgotten goes on with a later epoch`() async throws {
    let floor: Int64 = 9_000_000_000_000
    let server = ScriptedServer(
      { connection in
        try connection.sayHello()
        #expect(try connection.readLine().hasPrefix("PRODUCER me "))
        connection.write("OK shard=0 producer\n")
        // Two are on their way when it is said; both come again, counted anew.
        let two = try (0..<2).map { _ in try connection.readRequest() }
        let last = two.compactMap(\.counter).max() ?? .max
        for put in two {
          connection.write("ERR unknown-producer \(put.tag) gone, floor=\(floor)\n")
        }
        let again = try connection.readLine()
        #expect(again == "PRODUCER me \(floor + 1)")
        connection.write("OK shard=0 producer\n")
        for put in two {
          let next = try connection.readRequest()
          #expect(next.body == put.body && (next.counter ?? 0) > last)
          connection.acknowledge(next)
        }
        // What is in doubt when it is forgotten stays so.
        _ = try connection.readRequest()
      },
      { connection in
        try connection.sayHello()
        #expect(try connection.readLine() == "PRODUCER me \(floor + 1)")
        connection.write("OK shard=0 producer\n")
        let put = try connection.readRequest()
        connection.write("ERR unknown-producer \(put.tag) gone, floor=\(floor + 7)\n")
        #expect(try connection.readLine() == "PRODUCER me \(floor + 8)")
        connection.write("OK shard=0 producer\n")
        connection.acknowledge(try connection.readRequest(), first: 8)
      })
    let client = try await connect(server) { $0.producer = .named("me") }
    try await withThrowingTaskGroup { group in
      for number in 0..<2 { group.addTask { try await client.put([event("\(number)")]) } }
      try await group.waitForAll()
    }
    let error = await #expect(throws: StoreError.self) { try await client.put([event("doubt")]) }
    guard case .unknownOutcome = error else {
      Issue.record("\(error as Any)")
      return
    }
    #expect(try await client.put([event("next")]).sequence == 8)
    try server.finish()
  }

  @Test(arguments: ["", "two words", "ü", String(repeating: "x", count: 61)])
  func `a name no producer can have is refused`(_ name: String) async throws {
    var options = Client.Options()
    options.producer = .named(name)
    await #expect(throws: StoreError.self) {
      _ = try await Client.connect(to: [.standard], options: options)
    }
  }

  @Test func `a server that knows no producers is told apart at once`() async throws {
    let server = ScriptedServer { connection in
      try connection.sayHello()
      _ = try connection.readLine()
      connection.write("ERR unknown-command unknown request\n")
    }
    await #expect(throws: StoreError.refused(code: "unknown-command", text: "unknown request")) {
      _ = try await connect(server) { $0.producer = .random }
    }
    try server.finish()
  }

  @Test func `busy is tried again, and a shard that is not there is a doubt`() async throws {
    let server = ScriptedServer { connection in
      try connection.sayHello()
      for _ in 0..<3 {
        let put = try connection.readRequest()
        connection.write("ERR busy \(put.tag) all slots are taken\n")
      }
      connection.acknowledge(try connection.readRequest(), first: 4)
      let commit = try connection.readRequest()
      connection.write("ERR unavailable \(commit.tag) the shard gave no answer\n")
      let head = try connection.readRequest()
      connection.write("ERR unavailable \(head.tag) the shard gave no answer\n")
      let again = try connection.readRequest()
      connection.write("OK shard=0 head=0 at=0 \(again.tag)\n")
    }
    let client = try await connect(server)
    #expect(try await client.put([event("x")]).sequence == 4)
    await #expect(throws: StoreError.unknownOutcome("the shard gave no answer")) {
      try await client.put([NewEvent(stream: "/o", payload: "")])
    }
    #expect(try await client.head(of: "/o").last == 0)
    try server.finish()
  }
}
