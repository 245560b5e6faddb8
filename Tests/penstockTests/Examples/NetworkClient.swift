import Penstock
import Testing

/// The code of the article of this name.
@Suite(.ownThreads) struct NetworkClient {
  @Test func example() async throws {
    let served = try ServedStore()
    try served.start(shards: 2)
    let url = "line+tcp://127.0.0.1:\(served.port)"

    // snippet
    let client = try await Client.connect(to: [LineAddress(url: url)])
    let receipt = try await client.put([
      NewEvent(stream: "app/web", type: "Login", payload: "anna"),
      NewEvent(stream: "app/web", type: "Login", payload: "berta"),
    ])
    print("\(receipt.count) events from \(receipt.sequence ?? 0) on are durable")
    // end

    // snippet
    try await withThrowingTaskGroup { group in
      for number in 1...100 {
        group.addTask {
          try await client.put([NewEvent(stream: "app/metrics", payload: "\(number)")])
        }
      }
      try await group.waitForAll()
    }
    // end

    // snippet
    let (number, _) = try await client.transaction(on: "/orders/42", retries: 10) { tx, head in
      try tx.put(stream: "/orders/42", type: "Placed", payload: "behind \(head.last ?? 0)")
      return head.last
    }
    // end
    #expect(number == 0)

    // snippet
    do {
      try await client.commit(
        [NewEvent(stream: "/orders/42", type: "Paid", payload: "")], since: 0,
        [.ifNone(["Cancelled"], in: "/orders/42", after: 0)])
    } catch StoreError.conflict(let conflict) {
      print("\(conflict.type ?? "an event") at \(conflict.position) came first")
    }
    // end

    // snippet
    for try await event in try client.read("/orders/42", limit: 100) {
      print("\(event.sequence): \(event.type) \(event.text)")
    }
    // end

    // snippet
    var position: String?
    let events = try client.follow("app/*", from: position.map { .position($0) } ?? .beginning)
    for try await event in events {
      print("\(event.stream): \(event.text)")
      if event.stream == "app/metrics" { break }
    }
    position = events.position
    // end
    #expect(position != nil)

    // snippet
    do {
      try await client.put([NewEvent(stream: "app/web", payload: "once or not at all")])
    } catch StoreError.unknownOutcome(let reason) {
      print("read, and decide: \(reason)")
    } catch StoreError.unreachable(let reason) {
      print("not stored: \(reason)")
    }
    // end

    // snippet
    var options = Client.Options()
    options.producer = .random
    // end
    #expect(options.producer == .random)
    client.close()
    #expect(try served.run("query", "--stream", "/orders/*").lines.count == 2)
    #expect(try served.run("query", "--stream", "app/*").lines.count == 103)
    #expect(served.stop() == 0)
  }
}
