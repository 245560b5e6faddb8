import Penstock
import Testing

private struct NoDiscount: Error {}

/// The code of the article of this name.
@Suite struct Transactions {
  @Test func example() throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try store.writer()

    // snippet
    try writer.transaction { tx in
      try tx.put(stream: "/orders/42", type: "Placed", payload: #"{"sku":"A1"}"#)
      try? tx.transaction { inner in
        try inner.put(stream: "/orders/42", type: "Discounted", payload: "10 %")
        throw NoDiscount()
      }
    }
    // end
    #expect(try store.read().map(\.type) == ["Placed"])

    // snippet
    let position = try writer.head(of: "/orders/42").at
    do {
      try writer.transaction(since: position) { tx in
        try tx.put(stream: "/orders/42", type: "Paid", payload: "12.50")
      }
    } catch StoreError.conflict(let conflict) {
      print("event \(conflict.position) of \(conflict.journal) came first")
    }
    // end
    #expect(try store.read().map(\.type) == ["Placed", "Paid"])

    // snippet
    try writer.transaction { tx in
      try tx.put(stream: "/orders/42", type: "Shipped", payload: "")
      try tx.ifNone(["Cancelled"], in: "/orders/42", after: position)
      try tx.ifUnchanged("/stock/A1", after: position)
    }
    // end
    #expect(try store.read().map(\.type) == ["Placed", "Paid", "Shipped"])
  }

  @Test(.ownThreads) func ofTasks() async throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try await store.writer()
    func price(of article: String) async -> Int { 3 }

    // snippet
    let position = try await writer.head(of: "/orders/42").at
    let (total, _) = try await writer.transaction(since: position) { tx in
      let total = await price(of: "A1") * 4
      try tx.put(stream: "/orders/42", type: "Paid", payload: "\(total)")
      return total
    }
    // end
    #expect(total == 12)
    #expect(try store.read().map(\.text) == ["12"])
    try writer.close()
  }
}
