import Foundation
import Testing

/// What listeners make of the times of their messages, through the daemon's options.
@Suite(.serialized) struct SyslogTimeServeTests {
  private func events(_ store: ServedStore) throws -> [String: [String: Any]] {
    var events: [String: [String: Any]] = [:]
    for line in try store.run("query", "--format", "ndjson").lines {
      let event = try #require(
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      events[event["type"] as? String ?? ""] = event
    }
    return events
  }

  private func send(_ messages: [String], _ store: ServedStore, _ listener: String) throws {
    let wire = try Wire(tcp: store.ports[listener] ?? 0)
    try wire.send(messages.map { $0 + "\n" }.joined())
    wire.finish()
    #expect(try wire.readToEnd().isEmpty)
  }

  @Test(arguments: Backend.allCases)
  func `each listener goes by its own options, and by those of all`(_ io: Backend) throws {
    let store = try ServedStore()
    let base = "syslog+tcp://127.0.0.1:0"
    try store.start(
      shards: 1, io: io, listeners: [base, base + "?past=5200w&zone=Z", base + "?time=receive"],
      "--past", "30d", "--zone", "+02:00")
    let old = "2001-02-03T04:05:06"
    try send(["<13>1 \(old)Z h replaced - - - m"], store, "syslog-tcp")
    try send(
      ["<13>1 \(old)Z h taken - - - m", "<13>\(old) h zoned: m"], store, "syslog-tcp-2")
    try send(["<13>1 \(old)Z h received - - - m"], store, "syslog-tcp-3")
    try store.wait("all are stored") { try events(store).count == 4 }
    let stored = try events(store)
    for (name, claimed) in [("replaced", "\(old).000000000Z"), ("received", "\(old).000000000Z")] {
      let attributes = try #require(stored[name]?["attributes"] as? [String: Any])
      #expect(attributes["_claimed"] as? String == claimed)
      #expect((stored[name]?["time"] as? String ?? "") > "2002")
    }
    for name in ["taken", "zoned"] {
      let attributes = try #require(stored[name]?["attributes"] as? [String: Any])
      #expect(attributes["_claimed"] == nil && attributes["_guessed"] == nil)
      #expect(stored[name]?["time"] as? String == "\(old).000000000Z")
    }
    for (listener, count) in [("syslog-tcp", 1), ("syslog-tcp-2", 0), ("syslog-tcp-3", 0)] {
      #expect(try store.listener(listener)["time_replaced"] as? Int == count)
    }
    let raw = try store.run("export", "--format", "raw", "--out", "-")
    #expect(
      Set(raw.lines) == [
        "<13>1 \(old)Z h replaced - - - m", "<13>1 \(old)Z h taken - - - m",
        "<13>\(old) h zoned: m", "<13>1 \(old)Z h received - - - m",
      ])
  }

  @Test(arguments: [
    ["--time", "now"], ["--zone", "CET"], ["--past", "soon"], ["--future", "1"],
    ["--listen", "syslog+tcp://127.0.0.1:0?time=now"],
    ["--listen", "line+tcp://127.0.0.1:0?time=receive"],
  ]) func `an option that is none is refused with what is known`(_ words: [String]) throws {
    let result = try ServedStore.run(["serve", "--data", "/nonexistent/store"] + words)
    #expect(result.status == 2)
    #expect(result.errors.contains("time=receive") || result.errors.contains("no options"))
  }
}
