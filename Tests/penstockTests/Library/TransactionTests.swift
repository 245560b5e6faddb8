import Penstock
import Testing

private struct Refused: Error, Equatable {}

@Suite struct TransactionTests {
  @Test func `an inner transaction merges outward, and one that throws drops only itself`() throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try store.writer()
    let (value, receipt) = try writer.transaction { tx in
      try tx.put(stream: "/o/1", type: "Placed", payload: "1")
      try tx.transaction { inner in try inner.put(stream: "/o/2", type: "Placed", payload: "2") }
      #expect(throws: Refused.self) {
        try tx.transaction { inner in
          try inner.put(stream: "/o/3", payload: "dropped")
          try inner.ifUnchanged("/o/1", after: 0)
          try inner.transaction { try $0.put(stream: "/o/4", payload: "dropped too") }
          throw Refused()
        }
      }
      try tx.put(stream: "/o/1", type: "Paid", payload: "3")
      return 7
    }
    #expect(value == 7 && receipt?.count == 3)
    #expect(try store.read(stream: "/o/*").map(\.text) == ["1", "2", "3"])
    #expect(try store.read(stream: "/o/*").first?.sequence == receipt?.sequence)
  }

  @Test func `a transaction that throws stores nothing`() throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try store.writer()
    #expect(throws: Refused.self) {
      _ = try writer.transaction { tx in
        try tx.put(stream: "/o/1", payload: "1")
        throw Refused()
      }
    }
    #expect(try writer.transaction { _ in }.receipt == nil)
    #expect(try store.read().isEmpty)
    #expect(try writer.head(of: "/o/1").last == 0)
  }

  @Test func `plain streams are stored together or not at all, without conditions`() throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try store.writer()
    let receipt = try writer.transaction { tx in
      for index in 0..<3 { try tx.put(stream: "s\(index)", payload: "\(index)") }
    }.receipt
    #expect(receipt?.count == 3)
    #expect(throws: StoreError.self) {
      _ = try writer.transaction { tx in
        try tx.put(stream: "s", payload: "")
        try tx.put(stream: "/o/1", payload: "")
      }
    }
    #expect(throws: StoreError.self) {
      _ = try writer.transaction(since: 1) { try $0.put(stream: "s", payload: "") }
    }
    #expect(try store.read().count == 3)
  }

  @Test func `a condition that does not hold names the event that broke it`() throws {
    let folder = try StoreFolder()
    let writer = try folder.open().writer()
    let start = try writer.head(of: "/cart/1 a").at
    let placed = try writer.put(stream: "/cart/1 a", type: "Placed it", payload: "")
    let expected = Conflict(
      journal: "/cart/1 a", type: "Placed it", position: try #require(placed.sequence))
    #expect(throws: StoreError.conflict(expected)) {
      _ = try writer.transaction(since: start) {
        try $0.put(stream: "/cart/1 a", type: "Placed it", payload: "")
      }
    }
    #expect(throws: StoreError.conflict(expected)) {
      _ = try writer.transaction { tx in
        try tx.put(stream: "/other", payload: "")
        try tx.ifNone(["Paid", "Placed it"], in: "/cart/1 a", after: start)
      }
    }
    var unchanged = expected
    unchanged.type = nil
    #expect(throws: StoreError.conflict(unchanged)) {
      _ = try writer.transaction { tx in
        try tx.put(stream: "/other", payload: "")
        try tx.ifUnchanged("/cart/1 a", after: start)
      }
    }
    let head = try writer.head(of: "/cart/1 a")
    #expect(head.last == placed.sequence)
    #expect(
      try writer.transaction(since: head.at) { tx in
        try tx.put(stream: "/cart/1 a", type: "Placed it", payload: "")
        try tx.ifNone(["Paid"], in: "/cart/1 a", after: start)
      }.receipt?.count == 1)
  }

  @Test func `conditions from before what is remembered are too old`() throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    try store.writer(.number(0)).put(stream: "/o/1", payload: "")
    let writer = try store.writer(.number(0), waiting: 5000)
    try store.archive()
    try writer.close()
    let later = try store.writer(.number(0), waiting: 5000)
    let from = try later.head(of: "/o/2").at
    #expect(throws: StoreError.self) {
      _ = try later.transaction(since: 1) { try $0.put(stream: "/o/1", payload: "") }
    }
    #expect(
      try later.transaction(since: from) { try $0.put(stream: "/o/1", payload: "") }.receipt != nil)
  }

  @Test func `a journal of another log is told apart`() throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let owner = try store.writer()
    let other = try store.writer()
    let expected = StoreError.ownedElsewhere(journal: "/o/1", log: 0)
    #expect(throws: expected) { try other.put(stream: "/o/1", payload: "") }
    #expect(throws: expected) { try other.head(of: "/o/1") }
    try owner.put(stream: "/o/1", payload: "")
    try owner.close()
    #expect(try store.writer(.owner(of: "/o/1"), waiting: 5000).log == 0)
  }
}
