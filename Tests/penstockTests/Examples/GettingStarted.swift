import Penstock
import Testing

/// The code of the article of this name.
@Suite(.ownThreads) struct GettingStarted {
  @Test func example() throws {
    let folder = try StoreFolder()
    let path = folder.path

    // snippet
    let store = try Store.open(path)
    let writer = try store.writer()
    let receipt = try writer.put(stream: "app/web", type: "Login", payload: "anna")
    print("event \(receipt.sequence ?? 0) of log \(receipt.log)")
    // end

    // snippet
    for event in try store.read(stream: "app/*", limit: 10, reverse: true) {
      print(event.stream, event.type, event.text)
    }
    // end
    #expect(try store.read(stream: "app/*").map(\.text) == ["anna"])

    // snippet
    for number in 1...1000 {
      try writer.put(stream: "app/metrics", payload: "\(number)", .written)
    }
    try writer.flush()
    // end
    #expect(try store.read(stream: "app/metrics").count == 1000)
  }

  @Test func following() async throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let reading = Task {
      // snippet
      for try await event in try store.follow(stream: "app/*") {
        print(event.text)
      }
      // end
    }
    reading.cancel()
    await #expect(throws: CancellationError.self) { try await reading.value }
  }
}
