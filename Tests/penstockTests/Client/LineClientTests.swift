import Foundation
import Penstock
import PenstockCore
import Testing

@Suite struct LineClientTests {
  private func connect(
    _ server: FakeServer, _ change: (inout LineClient.Options) -> Void = { _ in }
  ) throws -> LineClient {
    var options = LineClient.Options()
    change(&options)
    return try LineClient.connect(
      to: LineAddress(.tcp(host: "127.0.0.1", port: server.port)), options: options)
  }

  private func append(_ text: String, _ header: EventHeader, _ client: inout LineClient) throws {
    let bytes = Array(text.utf8)
    try client.append(header, payload: bytes.rawSpan)
  }

  @Test func `events of one request go out as the grammar says and count once answered`() throws {
    let server = FakeServer { connection in
      try connection.sayHello(shard: 1, shards: 2)
      let lines = try connection.readPut()
      #expect(
        lines == "- app/web Log\\sin user=a\\sb=c\tone\n- app/web Log\\sin user=a\\sb=c\ttwo\n")
      #expect(connection.isSilent(milliseconds: 50))
      connection.write("OK shard=1 first=7 count=2\n")
    }
    var client = try connect(server)
    #expect(client.shard == 1 && client.shardCount == 2)
    let header = try EventHeader(
      stream: "app/web", type: "Log in", attributes: [("user", "a b=c")])
    try append("one", header, &client)
    try append("two", header, &client)
    #expect(client.hasUnsentEvents && client.sentCount == 0)
    try client.finish()
    #expect(client.sentCount == 2 && client.acknowledgedCount == 2)
    let last = client.lastReceipt
    let receipt = try #require(last)
    #expect(receipt.shard == 1 && receipt.first == 7 && receipt.count == 2)
    try server.finish()
  }

  @Test func `a token is said in HELLO, and a server that wants another says so`() throws {
    let secret = String(repeating: "s", count: 128)
    let server = FakeServer { (connection) throws in
      #expect(try connection.readLine() == "HELLO penstock/1 token=\(secret)")
      connection.write("OK penstock/1 shard=1 shards=2\n")
      #expect(try connection.readPut() == "- s -\tx\n")
      connection.write("OK shard=1 first=1 count=1\n")
    }
    // The open request is smaller than the HELLO.
    var client = try connect(server) {
      $0.token = secret
      $0.requestByteCountMax = 1
    }
    try append("x", try EventHeader(stream: "s", type: ""), &client)
    try client.finish()
    #expect(client.acknowledgedCount == 1)
    try server.finish()

    let other = FakeServer { (connection) throws in
      #expect(try connection.readLine() == "HELLO penstock/1 token=x")
      connection.write("ERR unauthorized say another\n")
    }
    let address = LineAddress(.tcp(host: "127.0.0.1", port: other.port))
    #expect(throws: LineClientError.unauthorized(address, "say another")) {
      _ = try connect(other) { $0.token = "x" }
    }
    try other.finish()
  }

  @Test(arguments: ["", "two words", "line\nfeed", "ü", String(repeating: "x", count: 129)])
  func `what no token can be is not sent`(_ text: String) {
    var options = LineClient.Options()
    options.token = text
    #expect(throws: LineClientError.badToken) {
      _ = try LineClient.connect(to: LineAddress(.unix(path: "/none")), options: options)
    }
  }

  @Test func `payloads with LF or NUL are escaped and marked, others stand verbatim`() throws {
    let server = FakeServer { connection in
      try connection.sayHello()
      let lines = try connection.readPut()
      #expect(lines == "- s - _escaped=\ta\\nb\\0\\\\\n- s -\tback\\slash\ttab\n- s -\t\n")
      connection.write("OK shard=0 first=1 count=3\n")
    }
    var client = try connect(server)
    let header = try EventHeader(stream: "s", type: "")
    try append("a\nb\0\\", header, &client)
    try append("back\\slash\ttab", header, &client)
    try append("", header, &client)
    try client.finish()
    try server.finish()
  }

  @Test func `a full window waits for an answer before it sends more`() throws {
    let server = FakeServer { connection in
      try connection.sayHello()
      _ = try connection.readPut()
      _ = try connection.readPut()
      #expect(connection.isSilent(milliseconds: 100))
      connection.write("OK shard=0 first=1 count=1\n")
      #expect(try connection.readPut() == "- s -\t3\n")
      connection.write("OK shard=0 first=2 count=1\nOK shard=0 first=3 count=1\n")
    }
    var client = try connect(server) {
      $0.requestsInFlightMax = 2
      $0.eventsPerRequestMax = 1
    }
    let header = try EventHeader(stream: "s")
    for number in 1...3 { try append("\(number)", header, &client) }
    try client.finish()
    #expect(client.acknowledgedCount == 3 && client.requestsInFlight == 0)
    try server.finish()
  }

  @Test func `answers cut anywhere and in one piece mean the same`() throws {
    let server = FakeServer { connection in
      try connection.sayHello()
      for _ in 1...3 { _ = try connection.readPut() }
      let answers = Array(
        "OK shard=0 first=1 count=1\nERR no no reason\nOK shard=0 first=2 count=1\n".utf8)
      for byte in answers {
        connection.write([byte])
        usleep(200)
      }
    }
    var client = try connect(server) { $0.eventsPerRequestMax = 1 }
    let header = try EventHeader(stream: "s")
    for number in 1...3 { try append("\(number)", header, &client) }
    try client.finish()
    #expect(client.acknowledgedCount == 2 && client.refusedCount == 1)
    try server.finish()
  }

  @Test func `a refused request counts all its events and keeps the first reason`() throws {
    let server = FakeServer { connection in
      try connection.sayHello()
      _ = try connection.readPut()
      connection.write("ERR bad-type line 2: expected a type\n")
      _ = try connection.readPut()
      connection.write("ERR other x\n")
    }
    var client = try connect(server) { $0.eventsPerRequestMax = 2 }
    let header = try EventHeader(stream: "s")
    for number in 1...4 { try append("\(number)", header, &client) }
    try client.finish()
    #expect(client.sentCount == 4 && client.acknowledgedCount == 0 && client.refusedCount == 4)
    let first = client.firstRefusal
    let refusal = try #require(first)
    #expect(refusal.description == "bad-type: line 2: expected a type")
    #expect(refusal.eventCount == 2)
    try server.finish()
  }

  @Test func `a large event goes alone, and again until the server has a slot for it`() throws {
    let large = String(repeating: "x", count: 40_000)
    let server = FakeServer { connection in
      try connection.sayHello()
      _ = try connection.readPut()
      // Nothing large comes while something is in flight.
      #expect(connection.isSilent(milliseconds: 100))
      connection.write("OK shard=0 first=1 count=1\n")
      for attempt in 1...3 {
        #expect(try connection.readPut() == "- s -\t\(large)\n")
        connection.write(
          attempt < 3 ? "ERR busy all slots are taken\n" : "OK shard=0 first=2 count=1\n")
      }
      #expect(try connection.readPut() == "- s -\tafter\n")
      connection.write("OK shard=0 first=3 count=1\n")
    }
    var client = try connect(server)
    let header = try EventHeader(stream: "s")
    try append("before", header, &client)
    try append(large, header, &client)
    try append("after", header, &client)
    try client.finish()
    #expect(client.sentCount == 3 && client.acknowledgedCount == 3 && client.refusedCount == 0)
    try server.finish()
  }

  @Test func `a lost connection says how many events were acknowledged`() throws {
    let server = FakeServer { connection in
      try connection.sayHello()
      _ = try connection.readPut()
      connection.write("OK shard=0 first=1 count=1\n")
      _ = try connection.readPut()
    }
    var client = try connect(server) { $0.eventsPerRequestMax = 1 }
    let header = try EventHeader(stream: "s")
    try append("1", header, &client)
    try append("2", header, &client)
    var caught: LineClientError?
    do throws(LineClientError) {
      try client.finish()
    } catch {
      caught = error
    }
    guard case .connectionLost(_, _, let sent, let acknowledged, _) = caught else {
      Issue.record("\(String(describing: caught))")
      return
    }
    #expect(sent == 2 && acknowledged == 1)
    #expect("\(caught!)".contains("1 of 2 events acknowledged"))
    try server.finish()
  }

  @Test(arguments: [
    "OK shard=0 first=1 count=2\n", "OK shard=0 first=1\n", "hello\n", "OK penstock/1 shard=0\n",
  ])
  func `an answer that fits no request is an error`(_ answer: String) throws {
    let server = FakeServer { connection in
      try connection.sayHello()
      _ = try connection.readPut()
      connection.write(answer)
      _ = connection.readAll()
    }
    var client = try connect(server)
    try append("1", try EventHeader(stream: "s"), &client)
    var caught: LineClientError?
    do throws(LineClientError) {
      try client.finish()
    } catch {
      caught = error
    }
    guard case .unexpectedAnswer = caught else {
      Issue.record("\(String(describing: caught))")
      return
    }
  }

  @Test func `a server that is not penstock is recognised by its greeting or its silence`() throws {
    let talking = FakeServer { connection in
      connection.write("220 mail.example.com ESMTP\n")
      _ = connection.readAll()
    }
    #expect(throws: LineClientError.self) { _ = try connect(talking) }
    let silent = FakeServer { connection in _ = connection.readAll() }
    #expect(
      throws: LineClientError.noHello(LineAddress(.tcp(host: "127.0.0.1", port: silent.port)))
    ) {
      _ = try connect(silent) { $0.helloTimeoutMilliseconds = 200 }
    }
  }

  @Test func `requests beyond what the sockets hold are sent while answers come`() throws {
    let count = 3000
    let server = FakeServer { connection in
      try connection.sayHello()
      // Long enough for the client to fill both socket buffers.
      usleep(200_000)
      for number in 0..<count {
        #expect(try connection.readPut().utf8.count == 8000 + "- s -\t\n".utf8.count)
        connection.write("OK shard=0 first=\(number) count=1\n")
      }
    }
    var client = try connect(server) {
      $0.requestsInFlightMax = 4096
      $0.eventsPerRequestMax = 1
    }
    let header = try EventHeader(stream: "s")
    let payload = [UInt8](repeating: UInt8(ascii: "y"), count: 8000)
    for _ in 0..<count { try client.append(header, payload: payload.rawSpan) }
    try client.finish()
    #expect(client.acknowledgedCount == count)
    try server.finish()
  }

  @Test func `a unix socket is an address too`() throws {
    let path = "/tmp/penstock-test-\(UInt64.random(in: 0 ... .max)).sock"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let server = FakeServer(path: path) { connection in
      try connection.sayHello()
      _ = try connection.readPut()
      connection.write("OK shard=0 first=1 count=1\n")
    }
    var client = try LineClient.connect(to: LineAddress(url: "line+unix://" + path))
    try append("x", try EventHeader(stream: "s"), &client)
    try client.finish()
    #expect(client.acknowledgedCount == 1)
    try server.finish()
  }

  @Test(arguments: [
    ("line+tcp://127.0.0.1:6930", LineAddress.Place.tcp(host: "127.0.0.1", port: 6930)),
    ("line+tcp://[::1]:1", .tcp(host: "::1", port: 1)),
    ("line+tcp://localhost:65535", .tcp(host: "localhost", port: 65535)),
    ("line+unix:///run/p.sock", .unix(path: "/run/p.sock")),
  ])
  func `addresses are read and written alike`(_ url: String, _ place: LineAddress.Place) throws {
    let address = try LineAddress(url: url)
    #expect(address.place == place)
    #expect(address.description == url)
  }

  @Test(arguments: [
    "", "127.0.0.1:6930", "syslog+tcp://127.0.0.1:5514", "line+tcp://", "line+tcp://host",
    "line+tcp://host:", "line+tcp://:1", "line+tcp://host:0", "line+tcp://host:65536",
    "line+tcp://host:-1", "line+tcp://host:+1", "line+unix://",
  ])
  func `what is no address is refused`(_ url: String) {
    #expect(throws: LineAddress.Fault.self) { try LineAddress(url: url) }
  }

  @Test func `headers no event can have are refused`() {
    #expect(throws: EventHeader.Fault.self) { try EventHeader(stream: "") }
    #expect(throws: EventHeader.Fault.self) {
      try EventHeader(stream: String(repeating: " ", count: 600))
    }
    #expect(throws: EventHeader.Fault.self) {
      try EventHeader(stream: "s", attributes: [("", "v")])
    }
    #expect(throws: EventHeader.Fault.self) {
      try EventHeader(
        stream: "s",
        attributes: Array(repeating: ("k", "v"), count: EventLine.attributeCountMax + 1))
    }
  }
}
