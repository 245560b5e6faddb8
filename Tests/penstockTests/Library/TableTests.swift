import Foundation
import Penstock
import Testing

/// A table used on its own, without a store.
@Suite struct TableTests {
  private let folder = FileManager.default.temporaryDirectory
    .appendingPathComponent("penstock-table-" + UUID().uuidString)

  private func path() throws -> String {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder.appendingPathComponent("visits.table").path
  }

  private func remove() { try? FileManager.default.removeItem(at: folder) }

  private func event(
    _ key: String, _ time: Int64, _ payload: String, _ attributes: [String: String] = [:]
  ) -> TableEvent {
    TableEvent(
      key: key, time: time, type: "visit",
      attributes: attributes.sorted { $0.key < $1.key }.map { .init($0.key, $0.value) },
      payload: Array(payload.utf8))
  }

  @Test func `payloads are lent by key, group, time and index, whatever bytes they hold`() throws {
    let path = try path()
    defer { remove() }
    let writer = TableWriter(path: path, group: "host", indexes: ["type", "city"])
    try writer.add(event("a", 2_000, "two\nlines", ["host": "h1", "city": "oslo"]))
    try writer.add(event("a", 1_000, "first", ["host": "h1", "city": "rome"]))
    try writer.add(event("a", 3_000, "", ["host": "h2", "city": "oslo"]))
    try writer.add(event("b", 1_500, "other", ["city": "oslo"]))
    #expect(try writer.finish() == 4)
    let table = try TableReader(path: path)

    func texts(_ scan: ((Int64, RawSpan) -> Bool) throws -> Void, limit: Int = .max) rethrows
      -> [String]
    {
      var found: [String] = []
      try scan { time, payload in
        let bytes = unsafe payload.withUnsafeBytes { unsafe Array($0) }
        found.append("\(time) \(String(decoding: bytes, as: UTF8.self))")
        return found.count < limit
      }
      return found
    }
    #expect(
      try texts { try table.forEachPayload(of: "a", $0) }
        == ["1000 first", "2000 two\nlines", "3000 "])
    #expect(
      try texts { try table.forEachPayload(of: "a", order: .backward, $0) }
        == ["3000 ", "2000 two\nlines", "1000 first"])
    #expect(
      try texts({ try table.forEachPayload(of: "a", $0) }, limit: 1) == ["1000 first"])
    #expect(try texts { try table.forEachPayload(of: "a", group: "h2", $0) } == ["3000 "])
    #expect(
      try texts { try table.forEachPayload(of: "a", times: 1_500..<3_000, $0) }
        == ["2000 two\nlines"])
    #expect(
      try texts { try table.forEachPayload(of: "a", index: .init("city", "oslo"), $0) }
        == ["2000 two\nlines", "3000 "])
    #expect(
      try texts { try table.forEachPayload(of: "b", index: .init("type", "visit"), $0) }
        == ["1500 other"])
    #expect(try texts { try table.forEachPayload(of: "b", index: .init("city", "rome"), $0) } == [])
    #expect(throws: TableFailure.self) {
      try table.forEachPayload(of: "a", index: .init("host", "h1")) { _, _ in true }
    }
  }

  /// Write once, by key, group and index; find a key; scan it, a group of it, an index of it.
  @Test func `a table is written once and scanned by key, group and index`() throws {
    let path = try path()
    defer { remove() }
    let writer = TableWriter(path: path, group: "host", indexes: ["city"])
    try writer.add(event("a", 3_000, "third", ["host": "h1", "city": "rome"]))
    try writer.add(event("a", 1_000, "first", ["host": "h2", "city": "oslo"]))
    try writer.add(event("b", 2_000, "other", ["host": "h1", "city": "rome"]))
    try writer.add(event("a", 2_000, "second", ["host": "h1", "city": "oslo"]))
    try writer.add(event("a", 4_000, "no host"))
    #expect(try writer.finish() == 5)

    let table = try TableReader(path: path)
    #expect(table.eventCount == 5)
    #expect(try table.groups(of: "a").map(\.group) == [nil, "h1", "h2"])
    #expect(try table.groups(of: "c").isEmpty)

    func texts(_ scan: ((TableEvent) -> Bool) throws -> Void) rethrows -> [String] {
      var found: [String] = []
      try scan { event in
        found.append(String(decoding: event.payload, as: UTF8.self))
        return true
      }
      return found
    }
    #expect(try texts { try table.scan("a", $0) } == ["first", "second", "third", "no host"])
    #expect(
      try texts { try table.scan("a", order: .backward, $0) }
        == ["no host", "third", "second", "first"])
    #expect(try texts { try table.scan("a", group: "h1", $0) } == ["second", "third"])
    #expect(try texts { try table.scan("a", group: "", $0) } == ["no host"])
    #expect(
      try texts { try table.scan("a", times: 2_000..<4_000, $0) } == ["second", "third"])
    #expect(
      try texts { try table.scan(index: "city", value: "rome", $0) } == ["third", "other"])
    #expect(
      try texts { try table.scan(index: "city", value: "oslo", key: "a", order: .backward, $0) }
        == ["second", "first"])
    #expect(try table.count(index: "city", value: "oslo") == 2)
    var first: TableEvent?
    try table.scan("a") { event in
      first = event
      return false
    }
    #expect(first == event("a", 1_000, "first", ["host": "h2", "city": "oslo"]))
  }

  @Test func `an index scan gives every event, whatever block it is in`() throws {
    let path = try path()
    defer { remove() }
    let writer = TableWriter(path: path, indexes: ["user"])
    let count = 20_000
    for number in 0..<count {
      try writer.add(
        event(
          "k\(number % 3)", Int64(number % 977) * 1000, "\(number)", ["user": "u\(number / 333)"]))
    }
    try writer.finish()
    let table = try TableReader(path: path)
    for user in [0, 17, 60] {
      var seen: Set<String> = []
      try table.scan(index: "user", value: "u\(user)") { event in
        seen.insert(String(decoding: event.payload, as: UTF8.self))
        return true
      }
      let wanted = Set((0..<count).filter { $0 / 333 == user }.map { "\($0)" })
      #expect(seen == wanted)
    }
  }

  @Test func `any bytes and names come back, an empty payload too`() throws {
    let path = try path()
    defer { remove() }
    let events = [
      TableEvent(key: "with space\tand\n", time: -1, payload: [0, 10, 92, 255]),
      TableEvent(
        key: "\u{e4}", time: .max, type: "a b", attributes: [.init("k=\\", "\n \t")], payload: []),
      TableEvent(key: "\u{e4}", time: .min, payload: Array("x".utf8)),
    ]
    let writer = TableWriter(path: path)
    for event in events { try writer.add(event) }
    try writer.finish()
    let table = try TableReader(path: path)
    var read: [TableEvent] = []
    for key in ["with space\tand\n", "\u{e4}"] {
      try table.scan(key) { event in
        read.append(event)
        return true
      }
    }
    #expect(read == [events[0], events[2], events[1]])
  }

  @Test func `what cannot be is refused, and says why`() throws {
    let path = try path()
    defer { remove() }
    let writer = TableWriter(path: path)
    for bad in [
      TableEvent(key: "", time: 0, payload: []),
      TableEvent(key: "k", time: 0, attributes: [.init("_x", "1")], payload: []),
      TableEvent(key: "k", time: 0, attributes: [.init("", "1")], payload: []),
    ] {
      #expect(throws: TableFailure.self) { try writer.add(bad) }
    }
    try writer.add(TableEvent(key: "k", time: 0, payload: []))
    try writer.finish()
    #expect(throws: TableFailure.self) { try TableReader(path: path + ".no") }
    #expect(throws: TableFailure.self) {
      try TableReader(path: path).scan(index: "none", value: "x") { _ in true }
    }
    // A writer that is given up leaves nothing.
    do {
      let other = TableWriter(path: path + ".2", memoryByteCount: 1 << 20)
      for number in 0..<20_000 { try other.add(event("k", Int64(number), "\(number)")) }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["visits.table"])
  }
}
