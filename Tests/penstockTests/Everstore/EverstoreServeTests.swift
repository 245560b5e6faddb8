import Foundation
import PenstockCore
import Testing

/// Everstore's protocol on a served store: its facts, and its defects, which are not repeated.
@Suite struct EverstoreServeTests {
  private func store(shards: Int = 2) throws -> ServedStore {
    let store = try ServedStore()
    try store.start(
      shards: shards, listeners: [ServedStore.lineListener, ServedStore.everstoreListener])
    return store
  }

  /// Bytes of events in a journal's text.
  private func size(_ events: [String]) -> UInt32 {
    UInt32(events.reduce(0) { $0 + 25 + $1.utf8.count })
  }

  @Test("a transaction is opened, committed, read and rolled back", arguments: [1, 3])
  func transactions(_ shards: Int) throws {
    let store = try store(shards: shards)
    let client = try store.everstore()
    #expect(client.greeting == [0, 1, 0])
    #expect(try !client.exists("/org/1"))
    let (empty, first) = try client.open("/org/1")
    #expect(empty == 0)
    let committed = try client.commit("/org/1", first, "Made,Thing", "{\"a\":1}\n{\"b\":2}")
    #expect(committed == (true, size(["{\"a\":1}", "{\"b\":2}"])))
    #expect(try client.exists("/org/1"))
    #expect(try client.read("/org/1", to: committed.size) == ["{\"a\":1}", "{\"b\":2}"])
    // A read shows what its transaction saw.
    let (seen, second) = try client.open("/org/1")
    let (_, third) = try client.open("/org/1")
    #expect(try client.commit("/org/1", third, "Other", "x").success)
    #expect(try client.read("/org/1", to: seen).count == 2)
    #expect(try client.read("/org/1", from: seen, to: seen + 26) == ["x"])
    #expect(try client.read("/org/1", to: .max) == ["{\"a\":1}", "{\"b\":2}", "x"])
    try client.rollback("/org/1", second)
    #expect(throws: EverstoreClient.Refused(code: 6)) {
      _ = try client.commit("/org/1", second, "Other", "y")
    }
    // One time a commit, to the millisecond, in front of each event when asked for.
    let timed = try client.read("/org/1", to: seen, properties: 4)
    #expect(Set(timed.map { $0.prefix(23) }).count == 1)
    #expect(timed.map { $0.dropFirst(24) } == ["{\"a\":1}", "{\"b\":2}"])
    #expect(timed[0].prefix(23).wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}/) != nil)
    #expect(store.stop() == 0)
    let lines = try store.run("query", "--stream", "/org/1").lines
    #expect(lines.count == 3 && lines[0].contains(" /org/1 Made\\nThing\t{\"a\":1}"), "\(lines)")
  }

  @Test("a commit fails when all of its types were committed since")
  func conflicts() throws {
    let store = try store()
    let one = try store.everstore()
    let two = try store.everstore()
    let (_, made) = try one.open("/a")
    let (_, alsoMade) = try two.open("/a")
    #expect(try one.commit("/a", made, "A\nB", "1").success)
    // Both found the journal empty: the second of the same kind loses.
    let lost = try two.commit("/a", alsoMade, "A,B", "2")
    #expect(lost == (false, size(["1"])))
    // It stays open until it is rolled back.
    #expect(try two.commit("/a", alsoMade, "B", "2").success == false)
    try two.rollback("/a", alsoMade)
    let (_, x) = try two.open("/a")
    let (_, y) = try two.open("/a")
    let (_, z) = try two.open("/a")
    let (_, own) = try one.open("/a")
    #expect(try one.commit("/a", own, "A\nB", "3").success)
    #expect(try two.commit("/a", x, "A\nC", "4").success, "a type of its own tells it apart")
    #expect(try two.commit("/a", y, "B", "5").success == false)
    // Without types nothing can be told apart.
    #expect(try two.commit("/a", z, "", "6").success == false)
    let (_, last) = try two.open("/a")
    #expect(try two.commit("/a", last, "", "6").success)
    // The rule is the same for commits over the line protocol.
    let (_, open) = try two.open("/a")
    let wire = try Wire(tcp: UInt16(store.port))
    try wire.send("COMMIT 12\n- /a Line\t7\n")
    #expect(try #require(try wire.readLine()).hasPrefix("OK "))
    #expect(try two.commit("/a", open, "Line", "8").success == false)
    #expect(store.stop() == 0)
  }

  @Test("journals of any length are read to their end, large commits and many types work")
  func large() throws {
    let store = try store()
    let client = try store.everstore()
    // 12,000 events, the length at which Everstore's last part never came; 600 a commit, its limit.
    let events = (0..<12_000).map { "{\"number\":\($0),\"text\":\"of a journal that is long\"}" }
    var last: UInt32 = 0
    for start in stride(from: 0, to: events.count, by: 600) {
      let (size, transaction) = try client.open("/long")
      #expect(size == last)
      let answer = try client.commit(
        "/long", transaction, "Long", events[start..<(start + 600)].joined(separator: "\n"))
      #expect(answer.success)
      last = answer.size
    }
    #expect(last == size(events))
    #expect(try client.read("/long", to: last) == events)
    // Lengths about the size of a part, also with an empty event at the end.
    for length in [65_510, 65_511, 65_512, 65_513, 131_022, 131_023, 131_024, 300_000] {
      for end in ["", "z"] {
        let name = "/part/\(length)\(end)"
        let (_, transaction) = try client.open(name)
        let long = [String(repeating: "p", count: length), "middle", end]
        let answer = try client.commit(name, transaction, "P", long.joined(separator: "\n"))
        let read = try client.read(name, to: answer.size)
        #expect(read == (end.isEmpty ? Array(long.dropLast()) : long), "\(length) '\(end)'")
      }
    }
    // More types than a word has bits, each told apart.
    for number in 0..<100 {
      let (_, transaction) = try client.open("/types")
      #expect(try client.commit("/types", transaction, "Type\(number)", "\(number)").success)
    }
    let (_, before) = try client.open("/types")
    let (_, other) = try client.open("/types")
    #expect(try client.commit("/types", other, "Type70", "x").success)
    #expect(try client.commit("/types", before, "Type71", "y").success)
    // A slot's worth of events in one commit, and more than that.
    let (_, whole) = try client.open("/slot")
    let megabyte = Array(repeating: String(repeating: "m", count: 1000), count: 900)
    let answer = try client.commit("/slot", whole, "M", megabyte.joined(separator: "\n"))
    #expect(answer == (true, size(megabyte)))
    #expect(try client.read("/slot", to: answer.size) == megabyte)
    let (_, over) = try client.open("/slot")
    #expect(throws: EverstoreClient.Refused(code: 1)) {
      _ = try client.commit(
        "/slot", over, "M", Array(repeating: megabyte[0], count: 1060).joined(separator: "\n"))
    }
    #expect(try client.exists("/slot"))
    #expect(store.stop() == 0)
  }

  @Test("what is wrong is answered, with the request's number, and costs nobody else anything")
  func refusals() throws {
    let store = try store(shards: 1)
    let client = try store.everstore()
    for name in ["", "/", "a", "/a//b", "/a/../b", "/" + String(repeating: "x", count: 1024)] {
      #expect(throws: EverstoreClient.Refused(code: 8), "\(name.prefix(20))") {
        _ = try client.open(name)
      }
    }
    // What no request is, and lengths that lead nowhere.
    for (type, body) in [
      (9, []), (0, []), (1, [1, 2, 3, 4]), (4, []), (4, EverstoreClient.bytes(.max)),
      (5, EverstoreClient.bytes(1, 2, 3)), (7, EverstoreClient.bytes(4, 0)),
    ] as [(UInt32, [UInt8])] {
      let request = try client.send(type, body)
      let answer = try client.answer()
      #expect(answer.type == 1 && answer.request == request && answer.number(0) == 1)
    }
    #expect(throws: EverstoreClient.Refused(code: 5)) {
      _ = try client.read("/a", from: 9, to: 3)
    }
    #expect(throws: EverstoreClient.Refused(code: 1)) {
      let (_, transaction) = try client.open("/a")
      _ = try client.commit("/a", transaction, "T", "with \0 in it")
    }
    // AUTH is taken and not answered.
    try client.send(3, EverstoreClient.bytes(5, 6) + Array("adminpasswd".utf8))
    #expect(try !client.exists("/a"))
    #expect(try client.read("/none", to: 100).isEmpty)
    // A message larger than any may be ends the session, and no other.
    let greedy = try store.everstore()
    try greedy.wire.send(EverstoreClient.bytes(5, .max, 1, 0, 0))
    #expect(try greedy.answer().type == 1)
    #expect(try greedy.wire.readToEnd().isEmpty)
    let half = try store.everstore()
    try half.wire.send(EverstoreClient.bytes(5, 1000, 1, 0, 0) + [1, 2, 3])
    #expect(try !client.exists("/a"))
    #expect(store.stop() == 0)
  }

  @Test("with tokens AUTH comes first, and says what one may do")
  func tokens() throws {
    let store = try ServedStore()
    let file = store.folder + "/tokens"
    let secrets = ["aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbb"]
    func write(_ text: String) throws {
      try Data(text.utf8).write(to: URL(fileURLWithPath: file))
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
    }
    try write("one \(secrets[0]) read=/a/* write=/a/*\ntwo \(secrets[1]) read=*\n")
    try store.start(
      listeners: [ServedStore.lineListener, ServedStore.everstoreListener], "--tokens", file)
    func client(_ user: String, _ secret: String) throws -> EverstoreClient {
      let client = try store.everstore()
      #expect(client.greeting == [0, 1, 1])
      try client.send(
        3,
        EverstoreClient.bytes(UInt32(user.utf8.count), UInt32(secret.utf8.count))
          + Array((user + secret).utf8))
      return client
    }
    let denied = EverstoreClient.Refused(code: 2)
    let one = try client("one", secrets[0])
    let (_, transaction) = try one.open("/a/1")
    #expect(try one.commit("/a/1", transaction, "T", "x").success)
    #expect(try one.read("/a/1", to: 100) == ["x"])
    #expect(throws: denied) { _ = try one.open("/b/1") }
    #expect(throws: denied) { _ = try one.exists("/b/1") }
    #expect(throws: denied) { _ = try one.read("/b/1", to: 1) }
    let two = try client("two", secrets[1])
    #expect(try two.read("/a/1", to: 100) == ["x"])
    let (_, open) = try two.open("/a/1")
    #expect(throws: denied) { _ = try two.commit("/a/1", open, "T", "y") }
    // Nothing before AUTH, nothing with another's secret or a wrong one.
    let none = try store.everstore()
    #expect(throws: denied) { _ = try none.exists("/a/1") }
    for (user, secret) in [("one", secrets[1]), ("one", "cccccccccccccccccccc"), ("", "")] {
      let wrong = try client(user, secret)
      #expect(try wrong.answer().number(0) == 2)
      #expect(try wrong.wire.readToEnd().isEmpty)
    }
    // A token that is gone ends its sessions, a right that is new counts at once.
    try write("two \(secrets[1]) read=* write=*\n")
    #expect(try store.run("reload").status == 0)
    #expect(try one.wire.readToEnd().isEmpty)
    try store.wait("the new right counts") {
      (try? two.commit("/a/1", open, "T", "y").success) ?? false
    }
    #expect(store.stop() == 0)
  }

  @Test("requests may be sent ahead, and a client that reads nothing holds up only itself")
  func pipelined() throws {
    let store = try store()
    let client = try store.everstore()
    let (_, transaction) = try client.open("/fat")
    let fat = Array(repeating: String(repeating: "f", count: 900), count: 900)
    let size = try client.commit("/fat", transaction, "F", fat.joined(separator: "\n")).size
    let slow = try store.everstore()
    let name = Array("/fat".utf8)
    for _ in 0..<60 { try slow.send(7, EverstoreClient.bytes(4, 0, size) + name) }
    var transactions: [UInt32] = []
    for number in 0..<200 { transactions.append(try client.open("/ahead/\(number)").transaction) }
    for number in 0..<200 {
      try client.send(
        5, client.commitBody("/ahead/\(number)", transactions[number], "T", "event \(number)"))
    }
    var requests: Set<UInt32> = []
    for _ in 0..<200 {
      let answer = try client.answer()
      #expect(answer.type == 5 && answer.number(0) == 1)
      requests.insert(answer.request)
    }
    #expect(requests.count == 200)
    for number in 0..<200 {
      #expect(try client.read("/ahead/\(number)", to: 1000) == ["event \(number)"])
    }
    #expect(store.stop() == 0)
  }
}
