import CShims
import Foundation
import Testing

/// What hostile and broken clients send: an answer or a close, a count, and nobody else disturbed.
@Suite(.serialized) struct BadInputTests {
  private static let listeners = [ServedStore.lineListener] + ServedStore.syslogListeners

  private func started(_ io: Backend, _ options: String...) throws -> ServedStore {
    let store = try ServedStore()
    try store.start(shards: 1, io: io, listeners: BadInputTests.listeners)
    return store
  }

  private func wire(_ store: ServedStore, _ listener: String) throws -> Wire {
    try Wire(tcp: store.ports[listener] ?? 0)
  }

  private func events(_ store: ServedStore) throws -> [[String: Any]] {
    try store.run("query", "--format", "ndjson").lines.map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  private func answer(_ request: String, on session: LineSession) throws -> String {
    try session.wire.send(request)
    return try session.wire.readLine() ?? "the end"
  }

  /// The shard is the one that was started, serves, and has not grown.
  private func expectUnharmed(_ store: ServedStore, _ shard: Int32?) throws {
    #expect(try store.roles()["shard 0"] == shard)
    #expect(try LineSession(wire(store, "line-tcp")).put(["- alive -\tstill"]).count == 1)
    let resident = penstock_resident_bytes(shard ?? 0, true)
    #expect(resident > 0 && resident < 64 << 20, "\(resident >> 20) MiB")
  }

  @Test(arguments: Backend.allCases)
  func `a refused request is answered with its reason and the session goes on`(_ io: Backend) throws
  {
    let store = try started(io)
    let session = try LineSession(wire(store, "line-tcp"))
    func refusal(_ lines: String) throws -> String {
      try answer("PUT \(lines.utf8.count)\n" + lines, on: session)
    }
    for (request, code) in [
      ("GET / HTTP/1.1\n", "unknown-command"), ("\n", "unknown-command"),
      ("HELLO penstock/2\n", "bad-version"), ("PUT\n", "bad-count"), ("PUT 0\n", "bad-count"),
      ("PUT x\n", "bad-count"), ("PUT -1\n", "bad-count"), ("PUT 12345678901\n", "bad-count"),
    ] {
      let text = try answer(request, on: session)
      #expect(text.hasPrefix("ERR \(code) "), "\(request): \(text)")
    }
    for (lines, code) in [
      ("- a b\tc", "unterminated line 1:"), ("nonsense\n", "bad-time line 1:"),
      ("- a b\tc\n2026-13-01T00:00:00Z a b\tc\n", "bad-time line 2:"),
      ("-  b\tc\n", "bad-stream line 1:"), ("- a b k\tc\n", "bad-attribute line 1:"),
      ("- a b\n", "no-payload line 1:"), ("- /orders/1 b\tc\n", "journal line 1:"),
      ("- _penstock/x b\tc\n", "reserved line 1:"), ("- a b _x=1\tc\n", "reserved line 1:"),
      ("- a\\q b\tc\n", "bad-escape line 1:"), ("- a b\tc\u{0}\n", "bad-payload line 1:"),
    ] {
      let text = try refusal(lines)
      #expect(text.hasPrefix("ERR \(code)"), "\(lines): \(text)")
    }
    #expect(try session.put(["- good b\tc"]).count == 1)
    #expect(try events(store).map { $0["stream"] as? String } == ["good"])
    let counts = try store.listener("line-tcp")
    #expect(counts["refused"] as? Int == 19)
    #expect(counts["received"] as? Int == 20)
    #expect(counts["stored"] as? Int == 1)
  }

  @Test(arguments: Backend.allCases)
  func `too much at once is refused and passed over`(_ io: Backend) throws {
    let store = try started(io)
    let shard = try store.roles()["shard 0"]
    let session = try LineSession(wire(store, "line-tcp"))
    let line = "- a b\t" + String(repeating: "x", count: (1 << 20) - 7)
    #expect(try session.put([line]).count == 1)
    try session.send([line + "y"])
    #expect(try session.wire.readLine()?.hasPrefix("ERR too-large ") == true)
    try session.wire.send("PUT 5000000\n" + String(repeating: "z\n", count: 2_500_000))
    #expect(try session.wire.readLine()?.hasPrefix("ERR too-large ") == true)
    #expect(try session.put(["- good b\tc"]).count == 1)
    // Nobody means eight gigabytes: what follows is not octets.
    try session.wire.send("PUT 9999999999\n")
    #expect(try session.wire.readLine()?.hasPrefix("ERR too-large ") == true)
    #expect(try session.wire.readLine() == nil)
    let endless = try wire(store, "line-tcp")
    try endless.send(String(repeating: "x", count: 5000))
    #expect(try endless.readLine()?.hasPrefix("ERR line-too-long ") == true)
    #expect(try endless.readLine() == nil)
    #expect(try store.listener("line-tcp")["refused_size"] as? Int == 3)
    try expectUnharmed(store, shard)
  }

  @Test(arguments: Backend.allCases)
  func `a PUT that breaks off leaves nothing`(_ io: Backend) throws {
    let store = try started(io)
    for cut in [1, 8, 9, 20, 2000] {
      let request = LineSession.request((0..<100).map { "- half - n=\($0)\tpayload \($0)" })
      let session = try LineSession(wire(store, "line-tcp"))
      try session.wire.send(Array(request.prefix(cut)))
      session.wire.finish()
      #expect(try session.wire.readToEnd().isEmpty)
    }
    #expect(try events(store).isEmpty)
    #expect(try store.listener("line-tcp")["unfinished"] as? Int == 5)
  }

  @Test(arguments: Backend.allCases)
  func `pipelined requests are answered in their order`(_ io: Backend) throws {
    let store = try started(io)
    let session = try LineSession(wire(store, "line-tcp"))
    var requests: [UInt8] = []
    for index in 0..<2000 {
      requests +=
        index % 5 == 4
        ? Array("NONSENSE\n".utf8)
        : LineSession.request((0...(index % 3)).map { "- p - n=\(index)\t\(index)-\($0)" })
    }
    try session.wire.send(requests)
    var next: UInt64 = 1
    for index in 0..<2000 {
      let text = try session.wire.readLine() ?? ""
      if index % 5 == 4 {
        #expect(text.hasPrefix("ERR unknown-command "))
      } else {
        #expect(text == "OK shard=0 first=\(next) count=\(index % 3 + 1)")
        next += UInt64(index % 3 + 1)
      }
    }
  }

  @Test(arguments: Backend.allCases)
  func `syslog that is too long is cut and marked, and the next message is whole`(_ io: Backend)
    throws
  {
    let store = try started(io)
    let shard = try store.roles()["shard 0"]
    let size = 3 << 20
    let text = String(repeating: "x", count: size - 24)
    let delimited = try wire(store, "syslog-tcp")
    try delimited.send("<14>1 - h long - - - " + text + "\n<14>1 - h after - - - next\n")
    delimited.finish()
    #expect(try delimited.readToEnd().isEmpty)
    let message = "<14>1 - h counted - - - " + text
    let counted = try wire(store, "syslog-tcp")
    try counted.send("\(message.utf8.count) \(message)26 <14>1 - h after - - - next")
    counted.finish()
    #expect(try counted.readToEnd().isEmpty)
    let stored = try events(store)
    #expect(stored.map { $0["type"] as? String } == ["long", "after", "counted", "after"])
    for index in [0, 2] {
      let attributes = try #require(stored[index]["attributes"] as? [String: Any])
      #expect(Int(attributes["_truncated"] as? String ?? "") ?? 0 > size - 30)
      #expect((stored[index]["payload"] as? String)?.utf8.count ?? 0 > 1_000_000)
    }
    for index in [1, 3] { #expect(stored[index]["payload"] as? String == "next") }
    #expect(try store.listener("syslog-tcp")["truncated"] as? Int == 2)
    try expectUnharmed(store, shard)
  }

  @Test(arguments: Backend.allCases)
  func `a count that lies costs its connection only`(_ io: Backend) throws {
    let store = try started(io)
    let shard = try store.roles()["shard 0"]
    let liar = try wire(store, "syslog-tcp")
    try liar.send("20 <14>1 - h a - - - ok999999999 <14>1 - h b - - - and then nothing")
    liar.finish()
    #expect(try liar.readToEnd().isEmpty)
    let broken = try wire(store, "syslog-tcp")
    try broken.send("12 <14>1 - h a - - - wrong\n24 <14>1 - h c - - - right")
    broken.finish()
    #expect(try broken.readToEnd().isEmpty)
    let types = try events(store).compactMap { $0["type"] as? String }
    #expect(types.contains("a") && types.contains("b"))
    try expectUnharmed(store, shard)
  }

  @Test(arguments: Backend.allCases)
  func `a client that speaks TLS is sent away and counted`(_ io: Backend) throws {
    let store = try started(io)
    let shard = try store.roles()["shard 0"]
    for pause in [false, true] {
      let client = try wire(store, "syslog-tcp")
      // A ClientHello's beginning; what follows never comes.
      try client.send([0x16])
      if pause { Thread.sleep(forTimeInterval: 0.05) }
      try client.send([3, 1, 0, 200, 1, 0, 0, 196, 3, 3, 0x0A, 0, 0x0A])
      #expect(try client.readToEnd().isEmpty)
    }
    try store.wait("both are counted") {
      try store.listener("syslog-tcp")["refused_encrypted"] as? Int == 2
    }
    #expect(try events(store).isEmpty)
    try store.checkLedger(["syslog-tcp"], shards: 1)
    try expectUnharmed(store, shard)
  }

  @Test(arguments: Backend.allCases)
  func `more silent connections than places do not stop the others for good`(_ io: Backend) throws {
    let store = try started(io)
    let shard = try store.roles()["shard 0"]
    #expect(penstock_raise_descriptor_limit() > 4000, "the tests may open enough descriptors")
    var silent: [Wire] = []
    for index in 0..<1100 {
      silent.append(try wire(store, index % 2 == 0 ? "line-tcp" : "syslog-tcp"))
    }
    // Some of them had a place and waited for nothing but theirs to be freed.
    silent.removeAll()
    try expectUnharmed(store, shard)
  }

  @Test(arguments: Backend.allCases, [1, 2, 3])
  func `noise on every port is counted and harms nobody`(_ io: Backend, _ seed: UInt64) throws {
    let store = try started(io)
    let shard = try store.roles()["shard 0"]
    var state = seed
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let words = [
      "PUT 17\n", "- a b\tc\n", "HELLO penstock/1\n", "<14>1 ", "<999>", "\n", "\0", "23 <34>", "é",
      "\t", "  ", "[x y=\"z\"]", "2026-11-21T03:47:52Z ", "999999999 ", "\\", "PUT 1048577\n",
    ].map { Array($0.utf8) }
    for round in 0..<30 {
      var bytes: [UInt8] = []
      for _ in 0..<next(400) {
        bytes +=
          next(3) == 0 ? (0..<next(40)).map { _ in UInt8(next(256)) } : words[next(words.count)]
      }
      for listener in ["line-tcp", "syslog-tcp"] {
        let noisy = try wire(store, listener)
        // A daemon that closes early leaves the rest unsent.
        try? noisy.send(bytes)
        if round % 3 > 0 { noisy.finish() }
        if round % 3 == 2 { _ = try? noisy.readToEnd() }
      }
      try? Wire(udp: store.ports["syslog-udp"] ?? 0).send(Array(bytes.prefix(60_000)))
    }
    try expectUnharmed(store, shard)
    #expect(try store.run("verify").status == 0, "seed \(seed)")
    #expect(try store.run("query", "--format", "ndjson").status == 0, "seed \(seed)")
    for listener in ["line-tcp", "syslog-tcp", "syslog-udp"] {
      try store.wait("the ledger of \(listener) closes, seed \(seed)") {
        ServedStore.isClosed(try store.listener(listener))
      }
    }
  }

  @Test(arguments: Backend.allCases)
  func `a smaller limit is kept`(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(
      shards: 1, io: io, listeners: BadInputTests.listeners, "--max-event", "2KiB")
    let session = try LineSession(wire(store, "line-tcp"))
    #expect(try session.put(["- a b\t" + String(repeating: "x", count: 2041)]).count == 1)
    try session.send(["- a b\t" + String(repeating: "x", count: 2042)])
    #expect(try session.wire.readLine()?.hasPrefix("ERR too-large ") == true)
    let syslog = try wire(store, "syslog-tcp")
    try syslog.send("<14>1 - h a - - - " + String(repeating: "x", count: 4000) + "\n")
    syslog.finish()
    #expect(try syslog.readToEnd().isEmpty)
    let datagrams = try Wire(udp: store.ports["syslog-udp"] ?? 0)
    try datagrams.send("<14>1 - h u - - - " + String(repeating: "x", count: 4000))
    try store.wait("both are stored") { try events(store).count == 3 }
    for event in try events(store).dropFirst() {
      let attributes = try #require(event["attributes"] as? [String: Any])
      #expect(attributes["_truncated"] as? String == "4018")
    }
  }
}
