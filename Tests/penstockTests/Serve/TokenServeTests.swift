import Foundation
import PenstockCore
import Testing

/// A served store that asks for tokens.
@Suite struct TokenServeTests {
  private static let admin = "admin-secret-0000001"
  private static let shop = "shop-secret-00000001"
  private static let reports = "reports-secret-00001"
  private static let file = """
    # all of it
    admin \(admin) read=* write=*
    shop \(shop) read=/orders/*,shop/* write=/orders/*,shop/*
    reports \(reports) read=/reports/*,shop/[a]*

    """

  private func write(_ text: String, _ store: ServedStore, mode: Int = 0o600) throws -> String {
    let path = store.folder + "/tokens"
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    return path
  }

  private func served(_ text: String = file, io: Backend = .auto) throws -> ServedStore {
    let store = try ServedStore()
    try store.start(shards: 2, io: io, "--tokens", try write(text, store))
    // A shard that is slow to start would read what a test has made of the file by then.
    try store.wait("both shards serve: \(store.said)") {
      store.said.components(separatedBy: ": serving from segment ").count == 3
    }
    return store
  }

  private func line(_ wire: Wire) throws -> String {
    guard let line = try wire.readLine() else { throw Wire.Failure(description: "it was closed") }
    return line
  }

  private func ask(_ wire: Wire, _ request: String) throws -> String {
    try wire.send(request)
    return try line(wire)
  }

  /// Everything a READ gives.
  private func read(_ wire: Wire, _ stream: String) throws -> (lines: [String], end: String) {
    try wire.send("READ \(stream)\n")
    var lines: [String] = []
    while true {
      let next = try line(wire)
      guard next.hasPrefix("EVENTS ") else { return (lines, next) }
      let count = Int(next.split(separator: " ")[2].dropFirst("count=".count)) ?? 0
      for _ in 0..<count { lines.append(try line(wire)) }
    }
  }

  private func session(_ store: ServedStore, _ secret: String, moved: Bool = false) throws -> Wire {
    let wire = try Wire(tcp: UInt16(store.port))
    let answer = try ask(wire, "HELLO penstock/1\(moved ? " moved" : "") token=\(secret)\n")
    try #require(answer.hasPrefix("OK penstock/1 "), "\(answer)")
    return wire
  }

  private func put(_ body: String) -> String { "PUT \(body.utf8.count)\n\(body)" }
  private func commit(_ body: String, _ options: String = "") -> String {
    "COMMIT \(body.utf8.count)\(options.isEmpty ? "" : " " + options)\n\(body)"
  }

  /// Journals below `folder` of each of the two shards.
  private func journals(_ folder: String) -> [String] {
    (0..<2).flatMap { owner in
      (0..<100).lazy.map { "\(folder)/\($0)" }
        .filter { JournalKey.owner(of: Array($0.utf8).rawSpan, width: 2) == owner }.prefix(2)
    }
  }

  // MARK: - Letting in

  @Test("nothing is done before a token was said", arguments: Backend.allCases)
  func asksFirst(_ io: Backend) throws {
    let store = try served(io: io)
    let wire = try Wire(tcp: UInt16(store.port))
    let large = String(repeating: "x", count: 300_000)
    for request in [
      put("- shop/a T\tx\n"), put("- shop/a T\t\(large)\n"), commit("- /orders/1 T\tx\n"),
      "HEAD /orders/1\n", "EXISTS /orders/1\n", "READ shop/a\n", "FOLLOW *\n", "COPY 0\n",
      "HELLO penstock/1\n", "HELLO penstock/1 moved\n", "nonsense\n", "PUT x\n",
    ] {
      let answer = try ask(wire, request)
      #expect(answer.hasPrefix("ERR unauthorized "), "\(request.prefix(40)): \(answer)")
    }
    #expect(try ask(wire, "HEAD /orders/1 tag=t1\n").hasPrefix("ERR unauthorized tag=t1 "))
    #expect(try ask(wire, "HELLO penstock/2\n").hasPrefix("ERR bad-version "))
    // The session goes on, and is let in.
    #expect(
      try ask(wire, "HELLO penstock/1 token=\(Self.shop) tag=h\n").hasSuffix(" shards=2 tag=h"))
    #expect(try ask(wire, put("- shop/a T\tx\n")).hasPrefix("OK shard="))
    #expect(try ask(wire, "HELLO penstock/1\n").hasPrefix("OK penstock/1 "))
    #expect(store.stop() == 0)
    #expect(try store.run("query", "--format", "raw").lines == ["x"])
  }

  @Test(
    "a wrong token is answered, ends the connection and is counted", arguments: Backend.allCases)
  func wrongToken(_ io: Backend) throws {
    let store = try served(io: io)
    for wrong in [
      Self.shop + "x", String(Self.shop.dropLast()), "x", Self.shop.uppercased(),
      String(repeating: "y", count: 128),
    ] {
      let wire = try Wire(tcp: UInt16(store.port))
      try wire.send("HELLO penstock/1 token=\(wrong) tag=t\n" + put("- shop/a T\tx\n"))
      #expect(try line(wire).hasPrefix("ERR unauthorized tag=t "))
      #expect(try wire.readLine() == nil)
    }
    // Also where a session had rights before.
    let wire = try session(store, Self.shop)
    #expect(try ask(wire, "HELLO penstock/1 token=wrong-wrong-wrong\n").hasPrefix("ERR unauth"))
    #expect(try wire.readLine() == nil)
    let json = try store.run("status", "--format", "json").output
    let counts = json.split(separator: "\"tokens_refused\":").dropFirst().map {
      Int($0.prefix { $0.isNumber }) ?? 0
    }
    #expect(counts.reduce(0, +) == 6, "\(json)")
    #expect(store.stop() == 0)
    #expect(try store.run("query", "--format", "raw").lines.isEmpty)
  }

  @Test("shards' own sockets ask for a token too, and run/ is its owner's alone")
  func ownSockets() throws {
    let store = try served()
    let wire = try Wire(unix: store.data + "/run/shard-01.sock")
    #expect(try ask(wire, "HEAD /orders/1\n").hasPrefix("ERR unauthorized "))
    #expect(try ask(wire, "HELLO penstock/1 token=\(Self.shop)\n").hasPrefix("OK "))
    #expect(try ask(wire, "HEAD /orders/1\n").hasPrefix("OK "))
    #expect(try ask(wire, "HEAD /other/1\n").hasPrefix("ERR forbidden "))
    func mode(_ name: String) throws -> Int {
      let path = store.data + "/run" + name
      let found = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
      return try #require(found as? Int)
    }
    #expect(try mode("") == 0o700)
    for name in ["/control.sock", "/reader.sock", "/shard-00.sock", "/shard-01.sock"] {
      #expect(try mode(name) == 0o600)
    }
    // No list of processes shows a secret.
    for process in try store.roles().values {
      for place in ["cmdline", "environ"] {
        let text = FileManager.default.contents(atPath: "/proc/\(process)/\(place)") ?? Data()
        let words = text.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        #expect(!words.contains { $0.contains(Self.shop) })
        let isSecret = { (word: String) in word.utf8.count == 64 && word.allSatisfy(\.isHexDigit) }
        #expect(
          !words.contains { $0.split(separator: "=").map(String.init).contains(where: isSecret) })
      }
    }
    #expect(store.stop() == 0)
  }

  @Test("without tokens any is taken and none is asked for")
  func withoutTokens() throws {
    let store = try ServedStore()
    try store.start(shards: 2)
    let wire = try Wire(tcp: UInt16(store.port))
    #expect(try ask(wire, put("- a T\tx\n")).hasPrefix("OK shard="))
    #expect(try ask(wire, "HELLO penstock/1 token=whatever tag=t\n").hasPrefix("OK penstock/1 "))
    #expect(try ask(wire, put("- a T\tx\n")).hasPrefix("OK shard="))
    #expect(try read(wire, "a").lines.count == 2)
    for name in journals("/any") {
      #expect(try ask(wire, commit("- \(name) T\tx\n")).hasPrefix("OK shard="))
    }
    let reload = try store.run("reload")
    #expect(reload.status == 1 && reload.errors.contains("--tokens FILE"), "\(reload.errors)")
    #expect(store.stop() == 0)
    #expect(try store.run("reload").errors.contains("no daemon serves"))
  }

  // MARK: - Rights

  @Test("what is written needs the right to, all of it", arguments: Backend.allCases)
  func writes(_ io: Backend) throws {
    let store = try served(io: io)
    let wire = try session(store, Self.shop)
    let large = String(repeating: "x", count: 200_000)
    #expect(try ask(wire, put("- shop/a T\t1\n- shop/b T\t2\n")).hasSuffix(" count=2"))
    #expect(
      try ask(wire, put("- shop/a T\tno\n- shop/b T\tno\n- app/a T\tno\n"))
        .hasPrefix("ERR forbidden line 3: "))
    #expect(
      try ask(wire, put("- shop/a T\t\(large)\n- app/a T\tno\n")).hasPrefix(
        "ERR forbidden line 2: "))
    #expect(try ask(wire, put("- shop\\s T\tno\n")).hasPrefix("ERR forbidden line 1: "))
    for name in journals("/orders") {
      #expect(try ask(wire, commit("- \(name) T\t3\n", "tag=c")).hasSuffix(" count=1 tag=c"))
      #expect(try ask(wire, commit("- \(name) T\tno\n", "since=0")).hasPrefix("CONFLICT "))
    }
    for name in journals("/reports") {
      #expect(try ask(wire, commit("- \(name) T\tno\n")).hasPrefix("ERR forbidden line 1: "))
      #expect(
        try ask(wire, commit("- \(name) T\t\(large)\n", "tag=c")).hasPrefix("ERR forbidden tag=c "))
    }
    // What a condition would tell of another journal needs a right to that journal.
    for (own, other) in zip(journals("/orders"), journals("/reports")) {
      let options = "in=\(other) if-unchanged@0"
      #expect(try ask(wire, commit("- \(own) T\tno\n", options)).hasPrefix("ERR forbidden "))
      let admin = try session(store, Self.admin)
      #expect(try ask(admin, commit("- \(own) T\t4\n", options)).hasPrefix("OK shard="))
      #expect(
        try ask(admin, commit("- \(own) T\t4\n", "in=\(own) if-unchanged@0")).hasPrefix("CONFLICT ")
      )
    }
    // Who may only read writes nothing.
    let reader = try session(store, Self.reports)
    #expect(try ask(reader, put("- shop/a T\tno\n")).hasPrefix("ERR forbidden "))
    #expect(try ask(reader, commit("- /reports/1 T\tno\n")).hasPrefix("ERR forbidden "))
    #expect(try ask(reader, "PRODUCER p 9\n").hasPrefix("ERR forbidden "))
    #expect(try !ask(wire, "PRODUCER p 1\n").hasPrefix("ERR forbidden "))
    // A client that wants to be told where journals are is not told of those it has no right to.
    let moved = try session(store, Self.shop, moved: true)
    for name in journals("/reports") {
      #expect(try ask(moved, commit("- \(name) T\tno\n")).hasPrefix("ERR forbidden "))
      #expect(try ask(moved, "HEAD \(name)\n").hasPrefix("ERR forbidden "))
    }
    let moves = try journals("/orders").map { try ask(moved, "HEAD \($0)\n").prefix(5) }
    #expect(moves.filter { $0 == "MOVED" }.count == 2)
    #expect(store.stop() == 0)
    let raw = try store.run("query", "--format", "raw").lines
    #expect(raw.sorted() == ["1", "2", "3", "3", "3", "3", "4", "4", "4", "4"])
  }

  @Test("what is read needs the right to", arguments: Backend.allCases)
  func reads(_ io: Backend) throws {
    let store = try served(io: io)
    let admin = try session(store, Self.admin)
    let orders = journals("/orders")
    let reports = journals("/reports")
    for name in orders + reports { _ = try ask(admin, commit("- \(name) T\tx\n")) }
    _ = try ask(admin, put("- shop/a T\tx\n- shop/b T\tx\n- app/a T\tx\n- shop/a\\sb T\tx\n"))
    let wire = try session(store, Self.reports)
    for name in reports {
      #expect(try ask(wire, "HEAD \(name)\n").hasPrefix("OK shard="))
      #expect(try ask(wire, "EXISTS \(name)\n").contains(" exists=1 "))
      #expect(try read(wire, name).lines.count == 1)
    }
    for name in orders {
      #expect(try ask(wire, "HEAD \(name)\n").hasPrefix("ERR forbidden "))
      #expect(try ask(wire, "EXISTS \(name) tag=e\n").hasPrefix("ERR forbidden tag=e "))
      #expect(try read(wire, name + " tag=r").end.hasPrefix("ERR forbidden tag=r "))
    }
    #expect(try read(wire, "shop/a").lines.count == 1)
    #expect(try read(wire, "shop/a\\sb").lines.count == 1)
    #expect(try read(wire, "shop/b").end.hasPrefix("ERR forbidden "))
    #expect(try ask(wire, "COPY 0\n").hasPrefix("ERR forbidden "))
    #expect(try ask(wire, "COPY 0 tag=c\n").hasPrefix("ERR forbidden tag=c "))
    // A FOLLOW gives what fits its pattern and the token's.
    func followed(_ secret: String, _ pattern: String, _ count: Int) throws -> [String] {
      let wire = try session(store, secret)
      try wire.send("FOLLOW \(pattern) from=start\n")
      var streams: [String] = []
      while streams.count < count {
        let head = try line(wire)
        try #require(head.hasPrefix("EVENTS "), "\(head)")
        for _ in 0..<(Int(head.split(separator: " ")[2].dropFirst("count=".count)) ?? 0) {
          streams.append(String(try line(wire).split(separator: " ")[1]))
        }
      }
      return streams.sorted()
    }
    #expect(try followed(Self.reports, "*", 6) == (reports + ["shop/a", "shop/a\\sb"]).sorted())
    #expect(try followed(Self.reports, "shop/*", 2) == ["shop/a", "shop/a\\sb"])
    #expect(try followed(Self.admin, "*", 12).count == 12)
    try admin.send("COPY 0\n")
    #expect(try line(admin).hasPrefix("BYTES "))
    #expect(store.stop() == 0)
  }

  // MARK: - Reload

  @Test("a reload adds, changes and removes tokens of open sessions", arguments: Backend.allCases)
  func reloads(_ io: Backend) throws {
    let store = try served(io: io)
    let admin = try session(store, Self.admin)
    let shop = try session(store, Self.shop)
    let reports = try session(store, Self.reports)
    let follower = try session(store, Self.reports)
    _ = try ask(admin, put("- shop/a T\tx\n"))
    #expect(try ask(follower, "FOLLOW *\n").hasPrefix("EVENTS 0 "))
    let names = journals("/new")
    for name in names { #expect(try ask(shop, "HEAD \(name)\n").hasPrefix("ERR forbidden ")) }
    // Changed: shop may do other things. Added: a token. The rest stays.
    let late = "late-secret-00000001"
    _ = try write(
      """
      late \(late) write=late/*
      shop \(Self.shop) read=/new/*,shop/a write=/new/*
      admin \(Self.admin) read=* write=*
      reports \(Self.reports) read=app/*
      """, store)
    let reload = try store.run("reload")
    #expect(reload.status == 0 && reload.output.hasPrefix("4 tokens read from "), "\(reload)")
    try store.wait("the shards have read the file: \(store.said)") {
      store.said.contains("shard 0: 4 tokens read") && store.said.contains("shard 1: 4 tokens read")
        && store.said.contains("reader: 4 tokens read")
    }
    for name in names {
      #expect(try ask(shop, commit("- \(name) T\tx\n")).hasPrefix("OK shard="))
      #expect(try ask(shop, "HEAD \(name)\n").hasPrefix("OK shard="))
    }
    #expect(try ask(shop, put("- shop/a T\tno\n")).hasPrefix("ERR forbidden "))
    #expect(try read(shop, "shop/a").lines.count == 1)
    #expect(try read(reports, "shop/a").end.hasPrefix("ERR forbidden "))
    #expect(try ask(try session(store, late), put("- late/1 T\tx\n")).hasPrefix("OK shard="))
    // The FOLLOW that was there before sees what its token may see now.
    _ = try ask(admin, put("- shop/a T\tno\n- app/a T\tyes\n"))
    var said = try line(follower)
    while !said.contains("\t") { said = try line(follower) }
    #expect(said.contains(" app/a T\tyes"), "\(said)")

    // Removed: sessions end, also those that the reader answers. A new secret is a new token.
    _ = try write("admin \(Self.admin) read=* write=*\nshop new-\(Self.shop) read=*\n", store)
    #expect(try store.run("reload").status == 0)
    #expect(try shop.readLine() == nil)
    #expect(try reports.readLine() == nil)
    _ = try follower.readToEnd()
    let refused = try Wire(tcp: UInt16(store.port))
    try store.wait("the shards have read the file again: \(store.said)") {
      store.said.contains("shard 0: 2 tokens read") && store.said.contains("shard 1: 2 tokens read")
    }
    #expect(
      try ask(refused, "HELLO penstock/1 token=\(Self.shop)\n").hasPrefix("ERR unauthorized "))
    _ = try session(store, "new-" + Self.shop)
    #expect(try ask(admin, put("- a T\tx\n")).hasPrefix("OK shard="))
    #expect(store.stop() == 0)
  }

  @Test("a file with an error changes nothing, and a shard that starts with it lets nobody in")
  func keepsOldSet() throws {
    let store = try served()
    let shop = try session(store, Self.shop)
    let path = try write("shop \(Self.shop)\nbroken\n", store)
    let reload = try store.run("reload")
    #expect(reload.status == 1)
    #expect(reload.errors.contains("\(path): line 2: expected a secret"), "\(reload.errors)")
    #expect(store.said.contains("line 2: expected a secret"))
    _ = try write(Self.file, store, mode: 0o644)
    #expect(try store.run("reload").errors.contains("chmod o-rwx"))
    #expect(try ask(shop, put("- shop/a T\tx\n")).hasPrefix("OK shard="))
    _ = try session(store, Self.reports)
    // Roles are told by nobody else: a signal of theirs does not make them forget either.
    for (name, process) in try store.roles() where name.hasPrefix("shard") || name == "reader" {
      ServedStore.signal(process, 9)
    }
    try store.wait("the shards are back: \(store.said)") {
      let starts =
        store.said.components(separatedBy: "nobody is let in until it is right").count - 1
      return starts == 2 && store.said.contains("nobody is answered until it is right")
    }
    let wire = try Wire(tcp: UInt16(store.port))
    #expect(try ask(wire, "HELLO penstock/1 token=\(Self.shop)\n").hasPrefix("ERR unauthorized "))
    _ = try write(Self.file, store)
    #expect(try store.run("reload").status == 0)
    try store.wait("the shards have read the file: \(store.said)") {
      store.said.contains("shard 0: 3 tokens read") && store.said.contains("shard 1: 3 tokens read")
        && store.said.contains("reader: 3 tokens read")
    }
    let again = try session(store, Self.shop)
    for name in journals("/orders") {
      #expect(try ask(again, commit("- \(name) T\tx\n")).hasPrefix("OK shard="))
    }
    #expect(try read(again, "shop/a").lines.count == 1)
    #expect(store.stop() == 0)
  }

  @Test("serve does not start with a file that others may read, or with an error")
  func refusesStart() throws {
    let store = try ServedStore()
    func refusal(_ text: String, mode: Int) throws -> String {
      let path = try write(text, store, mode: mode)
      let result = try store.run(
        "serve", "--listen", ServedStore.lineListener, "--tokens", path)
      #expect(result.status == 1)
      return result.errors
    }
    #expect(try refusal(Self.file, mode: 0o644).contains("run 'chmod o-rwx "))
    #expect(try refusal(Self.file + "x y\n", mode: 0o600).contains("line 5: expected a secret"))
    #expect(try refusal("", mode: 0o600).contains("there is no token in it"))
    #expect(
      try store.run("serve", "--tokens", store.folder + "/none").errors.contains("cannot open"))
  }

  // MARK: - Clients

  @Test("send says the secret in its token file")
  func sends() throws {
    let store = try served()
    func send(_ options: String) throws -> ProgramResult {
      try store.shell(
        "seq 1 100 | $PENSTOCK send --to line+tcp://127.0.0.1:$PORT --stream shop/a " + options)
    }
    let path = store.folder + "/secret"
    try "\(Self.shop)\n".write(toFile: path, atomically: false, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    #expect(try send("--token-file $FOLDER/secret").output == "sent 100, acknowledged 100\n")
    let refused = try send("--token-file $FOLDER/secret --stream app")
    #expect(refused.status == 1 && refused.errors.contains("first: forbidden: "), "\(refused)")
    let none = try send("")
    #expect(none.status == 1 && none.errors.contains("does not let this client in"), "\(none)")
    try "no-token-of-the-server".write(toFile: path, atomically: false, encoding: .utf8)
    #expect(try send("--token-file $FOLDER/secret").errors.contains("does not let this client in"))
    try "two words".write(toFile: path, atomically: false, encoding: .utf8)
    #expect(try send("--token-file $FOLDER/secret").errors.contains("holds no secret"))
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
    #expect(try send("--token-file $FOLDER/secret").errors.contains("chmod o-rwx"))
    #expect(store.stop() == 0)
    #expect(try store.run("query", "--format", "raw").lines.count == 100)
  }
}
