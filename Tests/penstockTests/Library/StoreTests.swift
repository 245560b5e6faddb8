import Foundation
import Penstock
import PenstockCore
import Testing

/// A store's folder that goes with its test.
final class StoreFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "penstock-store-" + UUID().uuidString
  }

  deinit {
    if let bytes = FileManager.default.contents(atPath: path + "/penstock.json"),
      let object = try? JSONSerialization.jsonObject(with: bytes) as? [String: Any],
      let store = object["uuid"] as? String
    {
      try? FileManager.default.removeItem(atPath: "/dev/shm/penstock-" + store)
    }
    try? FileManager.default.removeItem(atPath: path)
  }

  func open(_ change: (inout Store.Options) -> Void = { _ in }) throws -> Store {
    var options = Store.Options()
    change(&options)
    return try Store.open(path, options)
  }
}

@Suite struct StoreTests {
  @Test(arguments: [Store.InputOutput.automatic, .poll])
  func `what was put is read back with its place`(_ io: Store.InputOutput) throws {
    let folder = try StoreFolder()
    let store = try folder.open { $0.io = io }
    let writer = try store.writer()
    #expect(writer.log == 0)
    let first = try writer.put(
      stream: "app/web", type: "Login", attributes: [("user", "a b"), ("k=v", "")],
      payload: "two\nlines\0")
    let second = try writer.put(stream: "app/web", payload: [UInt8](0...255))
    #expect(first.sequence.map { $0 + 1 } == second.sequence)
    let events = try store.read(stream: "app/*")
    #expect(events.map(\.sequence) == [first.sequence, second.sequence])
    #expect(events[0].type == "Login" && events[0].text == "two\nlines\0")
    #expect(events[0].value("user") == "a b" && events[0].value("k=v") == "")
    #expect(events[1].payload == [UInt8](0...255) && events[1].type == "")
    #expect(try store.read(limit: 1, reverse: true).map(\.sequence) == [second.sequence])
    #expect(try store.read(to: events[1].time).map(\.sequence) == [first.sequence])
    try writer.close()
    #expect(throws: Penstock.StoreError.closed) { try writer.put(stream: "a", payload: "") }
  }

  @Test func `an id goes with its event`() throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try store.writer()
    try writer.put(stream: "s", attributes: [("k", "v")], id: 0xC0FFEE, payload: "1")
    try writer.transaction { tx in
      try tx.put(NewEvent(stream: "s", id: .max, payload: "2"))
      try tx.put(NewEvent(stream: "s", payload: "3"))
    }
    let events = try store.read(stream: "s")
    #expect(events.map(\.id) == [0xC0FFEE, .max, nil])
    #expect(events[0].attributes.map(\.key) == ["k", "_id"])
    let many = (0..<256).map { (key: "k\($0)", value: "") }
    try writer.put(stream: "t", attributes: many, payload: "256")
    #expect(throws: Penstock.StoreError.self) {
      try writer.put(stream: "t", attributes: many, id: 1, payload: "")
    }
  }

  @Test func `each writer has a log of its own, and a closed one is leased again`() throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writers = try (0..<3).map { _ in try store.writer() }
    #expect(writers.map(\.log) == [0, 1, 2])
    for writer in writers { try writer.put(stream: "s", payload: "log \(writer.log)") }
    #expect(try store.tryWriter(.number(1)) == nil)
    #expect(throws: Penstock.StoreError.self) { try store.writer(.number(1), waiting: 20) }
    try writers[1].close()
    let again = try #require(try store.tryWriter(.number(1)))
    try again.put(stream: "s", payload: "log 1 again")
    #expect(try store.read(stream: "s").count == 4)
  }

  @Test func `the ledger knows what a program has put`() throws {
    let folder = try StoreFolder()
    let writer = try folder.open().writer()
    for _ in 0..<10 { try writer.put(stream: "s", payload: "") }
    try writer.close()
    let layout = StoreLayout(root: folder.path)
    let name = try StoreDescription.open(LinuxFileSystem(), layout, journalHashWidth: 1).store
    guard
      let page = SharedPage(
        reading: layout.statisticsPage(name, LogNumber(0)), magic: Statistics.magic,
        boot: System.bootIdentifier(), valueCount: Statistics.valueCount)
    else {
      Issue.record("there is no page")
      return
    }
    let counts = Statistics(page)
    let booked = [counts[0, .received], counts[0, .stored], counts[0, .pending]]
    #expect(booked == [10, 10, 0])
  }

  @Test func `a writer that is let go gives its log back`() throws {
    let folder = try StoreFolder()
    for round in 0..<3 {
      let writer = try folder.open().writer()
      #expect(writer.log == 0)
      try writer.put(stream: "s", payload: "\(round)", .written)
    }
    #expect(try folder.open().read().map(\.text) == ["0", "1", "2"])
  }

  @Test(.ownThreads) func `tasks suspend until their events are durable`() async throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try await store.writer()
    let numbers = try await withThrowingTaskGroup(of: UInt64?.self) { group in
      for index in 0..<500 {
        group.addTask {
          try await writer.put(stream: "t/\(index % 7)", payload: Array("\(index)".utf8)).sequence
        }
      }
      return try await group.reduce(into: [UInt64?]()) { $0.append($1) }
    }
    #expect(Set(numbers.compactMap { $0 }).count == 500)
    #expect(try store.read(stream: "t/*").count == 500)
  }

  @Test func `events nobody waits for are durable after a flush, in their order`() throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try store.writer()
    let header = try EventHeader(stream: "s", type: "N")
    for index in 0..<20_000 {
      let receipt = try writer.put(header, payload: Array("\(index)".utf8), .written)
      #expect(receipt.sequence == nil)
    }
    try writer.flush()
    #expect(try store.read().map(\.text) == (0..<20_000).map { "\($0)" })
  }

  @Test func `the largest event fits, and a larger one is refused alone`() throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try store.writer()
    let largest = [UInt8](repeating: 7, count: (1 << 20) - 100)
    try writer.put(stream: "s", payload: largest)
    #expect(throws: Penstock.StoreError.tooLarge(byteCountMax: 1 << 20)) {
      try writer.put(stream: "s", payload: [UInt8](repeating: 7, count: 1 << 20))
    }
    #expect(throws: Penstock.StoreError.tooLarge(byteCountMax: 1 << 20)) {
      try writer.put(stream: "s", payload: [UInt8](repeating: 0, count: 800_000))
    }
    try writer.put(stream: "s", payload: "small")
    #expect(try store.read().map(\.payload.count) == [largest.count, 5])
  }

  @Test func `what no event can have is told before anything is sent`() throws {
    let folder = try StoreFolder()
    let writer = try folder.open().writer()
    for stream in ["", "_penstock/x", String(repeating: "x", count: 1025)] {
      #expect(throws: Penstock.StoreError.self) { try writer.put(stream: stream, payload: "") }
    }
    #expect(throws: Penstock.StoreError.self) {
      try writer.put(stream: "s", attributes: [("_id", "1")], payload: "")
    }
    #expect(try writer.put(stream: "s", payload: "").count == 1)
  }

  @Test(.ownThreads) func `what becomes durable is followed`() async throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try await store.writer()
    try writer.put(stream: "a", payload: "before")
    let follower = try store.follow(stream: "a*")
    #expect(try follower.next(waiting: 5) == nil)
    for index in 0..<10 {
      try writer.put(stream: "a\(index)", payload: "\(index)")
      try writer.put(stream: "b", payload: "other")
    }
    for index in 0..<10 { #expect(try await follower.next()?.text == "\(index)") }
    let other = try await store.writer()
    try other.put(stream: "a", payload: "of another log")
    #expect(try follower.next(waiting: 5000)?.log == 1)
  }

  @Test func `a store archives itself, on request and as it grows`() throws {
    let folder = try StoreFolder()
    let store = try folder.open {
      $0.segmentByteCount = 4 << 20
      $0.liveByteCountMax = 32 << 20
    }
    let writer = try store.writer()
    try writer.put(stream: "s", payload: "first")
    #expect(try store.archive())
    #expect(try tables(folder) > 0)
    try writer.put(stream: "s", payload: "second")
    #expect(try store.read().map(\.text) == ["first", "second"])
    let payload = [UInt8](repeating: 65, count: 10_000)
    for _ in 0..<6000 { try writer.put(stream: "s", payload: payload, .written) }
    try writer.flush()
    let deadline = Date() + 20
    while try liveByteCount(folder) > 32 << 20, Date() < deadline { usleep(10_000) }
    #expect(try liveByteCount(folder) <= 32 << 20)
    #expect(try store.read().count == 6002)
  }

  private func tables(_ folder: StoreFolder) throws -> Int {
    let names = try FileManager.default.subpathsOfDirectory(atPath: folder.path + "/archive")
    return names.filter { $0.hasSuffix(".table") }.count
  }

  private func liveByteCount(_ folder: StoreFolder) throws -> Int {
    let live = folder.path + "/live"
    return try FileManager.default.contentsOfDirectory(atPath: live).reduce(0) { sum, name in
      let attributes = try? FileManager.default.attributesOfItem(atPath: live + "/" + name)
      return sum + (attributes?[.size] as? Int ?? 0)
    }
  }
}
