import Foundation
import PenstockCore
import Synchronization
import Testing

/// READ, FOLLOW and COPY of a served store.
@Suite struct ReadServeTests {
  /// An answer to READ, or a piece of one to FOLLOW or COPY.
  private struct Piece {
    var header: String
    var lines: [String]
    var words: [Substring] { header.split(separator: " ") }
    func value(_ key: String) -> String? {
      words.first { $0.hasPrefix(key + "=") }.map { String($0.dropFirst(key.count + 1)) }
    }
  }

  private func commit(_ body: String, _ options: String = "") -> String {
    "COMMIT \(body.utf8.count)\(options.isEmpty ? "" : " " + options)\n\(body)"
  }

  private func line(_ wire: Wire) throws -> String {
    guard let line = try wire.readLine() else { throw Wire.Failure(description: "it was closed") }
    return line
  }

  private func piece(_ wire: Wire) throws -> Piece {
    let header = try line(wire)
    var piece = Piece(header: header, lines: [])
    guard header.hasPrefix("EVENTS ") else { return piece }
    var left = try #require(Int(piece.words[1]))
    while left > 0 {
      let text = try line(wire)
      left -= text.utf8.count + 1
      piece.lines.append(text)
    }
    #expect(left == 0 && piece.value("count") == "\(piece.lines.count)", "\(header)")
    return piece
  }

  /// Everything a READ gives: the event lines, and the end.
  private func read(_ wire: Wire, _ request: String) throws -> (lines: [String], end: String) {
    try wire.send(request + "\n")
    return try answer(wire)
  }

  private func answer(_ wire: Wire) throws -> (lines: [String], end: String) {
    var lines: [String] = []
    while true {
      let next = try piece(wire)
      guard next.header.hasPrefix("EVENTS ") else { return (lines, next.header) }
      lines += next.lines
    }
  }

  private func payload(_ line: String) -> Substring { line.split(separator: "\t")[1] }

  @Test("a READ gives a stream's events, wherever they are", arguments: Backend.allCases)
  func reads(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(io: io)
    let wire = try Wire(tcp: UInt16(store.port))
    var position = 0
    for number in 0..<40 {
      try wire.send(commit("- /orders/1 Placed n=\(number)\t\(number)\n"))
      let answer = try line(wire)
      if number == 19 {
        position = try #require(Int(answer.split(separator: " ")[2].dropFirst(6)), "\(answer)")
        #expect(try store.run("seal").status == 0)
      }
    }
    let all = try read(wire, "READ /orders/1 tag=t1")
    #expect(all.lines.map(payload) == (0..<40).map { "\($0)" })
    #expect(all.end.hasPrefix("OK count=40 at=") && all.end.hasSuffix(" tag=t1"), "\(all.end)")
    let part = try read(wire, "READ /orders/1 from=\(position) positions limit=3")
    #expect(part.lines.map(payload) == ["19", "20", "21"])
    #expect(part.lines[0].contains(" _at=") && part.lines[0].contains(":\(position)\t"))
    let before = try read(wire, "READ /orders/1 to=\(position) reverse limit=2")
    #expect(before.lines.map(payload) == ["19", "18"])
    #expect(try read(wire, "READ /orders/2").lines.isEmpty)
    let time = String(try #require(all.lines[30].split(separator: " ").first))
    #expect(try read(wire, "READ /orders/1 from=\(time)").lines.count == 10)
    #expect(try read(wire, "READ /orders/1 to=\(time)").lines.count == 30)
    #expect(try read(wire, "READ /orders/1 nonsense").end.hasPrefix("ERR bad-read "))
    #expect(store.stop() == 0)
  }

  @Test("reads see what the connection wrote before, and answers keep their order")
  func pipelined() throws {
    let store = try ServedStore()
    try store.start()
    let wire = try Wire(tcp: UInt16(store.port))
    var text = ""
    for number in 0..<50 {
      text += "PUT 23\n- app/web Login\tn=\(1000 + number)\n"
      text += "READ app/web tag=r\(number)\n"
      text += "HEAD /none\n"
    }
    try wire.send(text)
    for number in 0..<50 {
      #expect(try line(wire).hasPrefix("OK shard="))
      let answer = try answer(wire)
      #expect(answer.lines.map(payload).contains("n=\(1000 + number)"))
      #expect(answer.end.hasSuffix(" tag=r\(number)"))
      #expect(try line(wire).contains(" head=0 "))
    }
    // A client that has said all it has to say still gets all of its answers.
    try wire.send("READ app/web\nREAD app/web limit=2\n")
    wire.finish()
    #expect(try answer(wire).lines.count == 50)
    #expect(try answer(wire).lines.count == 2)
    #expect(try wire.readLine() == nil)
    #expect(store.stop() == 0)
  }

  @Test("who does not read an answer holds up neither writers nor readers")
  func slowReader() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    let session = try LineSession(tcp: UInt16(store.port))
    let payload = String(repeating: "x", count: 2000)
    for _ in 0..<30 {
      _ = try session.put((0..<400).map { _ in "- big/one Filled\t\(payload)" })
    }
    var slow: [Wire] = []
    for _ in 0..<6 {
      let wire = try Wire(tcp: UInt16(store.port))
      try wire.send("READ big/one\n")
      slow.append(wire)
    }
    for _ in 0..<50 { _ = try session.put(["- small/one Login\tx"]) }
    let wire = try Wire(tcp: UInt16(store.port))
    #expect(try read(wire, "READ small/one").lines.count == 50)
    // All of it is there for who takes it at last.
    #expect(try answer(slow[0]).lines.count == 12_000)
    #expect(store.stop() == 0)
  }

  /// Takes 15 KB a second from each of some connections, on a thread of its own: every few seconds the
  /// kernel has room for more, so that the server gets on, if slowly.
  private final class Trickle: @unchecked Sendable {
    private let wires: [Wire]
    private let isOver = Atomic(false)
    private let end = DispatchSemaphore(value: 0)

    init(_ wires: [Wire]) {
      self.wires = wires
      Thread.detachNewThread { [self] in
        while !isOver.load(ordering: .relaxed) {
          for wire in self.wires { wire.take(1500) }
          Thread.sleep(forTimeInterval: 0.1)
        }
        end.signal()
      }
    }

    /// The connections are the caller's again.
    func stop() {
      isOver.store(true, ordering: .relaxed)
      end.wait()
    }
  }

  @Test("who takes an answer a little at a time loses its place to who waits for one")
  func tricklingReaders() throws {
    let store = try ServedStore()
    let path = store.folder + "/line.sock"
    try store.start(shards: 1, listeners: [ServedStore.lineListener, "line+unix://" + path])
    let session = try LineSession(tcp: UInt16(store.port))
    let payload = String(repeating: "x", count: 2000)
    for _ in 0..<10 {
      _ = try session.put((0..<400).map { _ in "- big/one Filled\t\(payload)" })
    }
    _ = try session.put(["- small/one Login\tx"])
    let slow = try (0..<12).map { _ in
      let wire = try Wire(unix: path)
      try wire.send("READ big/one\n")
      return wire
    }
    for wire in slow.prefix(8) { #expect(try wire.read(1).count == 1) }
    let quick = try Wire(unix: path)
    try quick.send("READ small/one\n")
    let trickle = Trickle(slow)
    let answer = try answer(quick)
    trickle.stop()
    #expect(answer.lines.count == 1 && answer.end.hasPrefix("OK count=1 "), "\(answer.end)")
    // Who lost its place sees the end of its connection; four and the quick one took one.
    #expect(slow.count { $0.drain() } >= 5)
    #expect(store.stop() == 0)
  }

  @Test(
    "a FOLLOW goes on through seals, archiving and the death of a shard",
    arguments: Backend.allCases)
  func follows(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(io: io)
    var follower = try Wire(tcp: UInt16(store.port))
    try follower.send("FOLLOW /run/* tag=f\n")
    var last = try piece(follower)
    #expect(last.header.hasPrefix("EVENTS 0 count=0 at=") && last.header.hasSuffix(" tag=f"))
    var sent = 0
    var seen: [String] = []
    var wire = try Wire(tcp: UInt16(store.port))
    for round in 0..<6 {
      var expected = seen.count
      for _ in 0..<100 {
        try wire.send(commit("- /run/\(sent % 7) Counted\t\(sent)\n") + "PUT 10\n- a/b C\tx\n")
        sent += 1
        expected += 1
        #expect(try line(wire).hasPrefix("OK "))
        #expect(try line(wire).hasPrefix("OK "))
      }
      while Set(seen).count < expected {
        last = try piece(follower)
        seen += last.lines.map { String(payload($0)) }
      }
      if round % 2 == 0 { #expect(try store.run("seal").status == 0) }
      guard round == 3 else { continue }
      // The shard that lent the connection ends it: the client goes on behind what it has.
      for shard in 0..<2 {
        ServedStore.signal(try #require(try store.roles()["shard \(shard)"]), 9)
      }
      while (try? follower.readLine()) != nil {}
      try store.wait("the shards are back: \(store.said.suffix(500))") {
        (try? store.run("status").output.contains("starting")) == false
          && (try? Wire(tcp: UInt16(store.port)).send("HEAD /a\n")) != nil
      }
      follower = try connect(store)
      wire = try connect(store)
      try follower.send("FOLLOW /run/* from=\(try #require(last.value("at"))) positions\n")
    }
    #expect(Set(seen).count == sent)
    #expect(Set(seen) == Set((0..<sent).map { "\($0)" }))
    let other = try connect(store)
    try other.send("FOLLOW /run/* from=start\n")
    var again: Set<String> = []
    while again.count < sent { again.formUnion(try piece(other).lines.map { String(payload($0)) }) }
    #expect(store.stop() == 0)
  }

  @Test("a FOLLOW from the start gives imported events and those of shards that are gone")
  func followsEverything() throws {
    let store = try ServedStore()
    let file = store.folder + "/imported.txt"
    let imported = (0..<300).map { "imported \($0)" }
    try Data((imported.joined(separator: "\n") + "\n").utf8).write(to: URL(fileURLWithPath: file))
    #expect(
      try store.run("import", "--format", "text", "--stream", "in", "--time", "now", file).status
        == 0)
    try store.start(shards: 3)
    let wire = try Wire(tcp: UInt16(store.port))
    for number in 0..<60 {
      try wire.send(commit("- /run/\(number) Counted\tretired \(number)\n"))
      #expect(try line(wire).hasPrefix("OK "))
      if number == 30 { #expect(try store.run("seal").status == 0) }
    }
    #expect(store.stop() == 0)
    try store.start(shards: 1)
    let follower = try Wire(tcp: UInt16(store.port))
    try follower.send("FOLLOW * from=start positions\n")
    var seen: [String] = []
    var places: Set<String> = []
    func take(_ count: Int) throws {
      var silentCount = 0
      while seen.count < count {
        let next = try piece(follower)
        if next.lines.isEmpty { silentCount += 1 }
        // The first word, and perhaps one that the server is there; then nothing comes any more.
        try #require(silentCount < 3, "\(seen.count) of \(count)")
        for line in next.lines {
          seen.append(String(payload(line)))
          places.insert(String(try #require(line.split(separator: "_at=").last)))
        }
      }
    }
    try take(360)
    try store.put((0..<20).map { "- run/live Counted\tlive \($0)" })
    try take(380)
    let expected =
      imported + (0..<60).map { "retired \($0)" } + (0..<20).map { "live \($0)" }
    #expect(seen.sorted() == expected.sorted())
    #expect(places.count == 380)
    #expect(seen.suffix(20) == (0..<20).map { "live \($0)" })
    #expect(store.stop() == 0)
  }

  /// A connection that is answered: a shard that was killed may have just been started.
  private func connect(_ store: ServedStore) throws -> Wire {
    var found: Wire?
    try store.wait("a connection is answered: \(store.said.suffix(500))") {
      guard let wire = try? Wire(tcp: UInt16(store.port)) else { return false }
      try? wire.send("HEAD /a\n")
      guard let answer = try? wire.readLine(), answer.hasPrefix("OK ") else { return false }
      found = wire
      return true
    }
    return try #require(found)
  }

  @Test("when the reader dies its clients are told, and the next one serves")
  func readerDies() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    let wire = try Wire(tcp: UInt16(store.port))
    try wire.send("FOLLOW *\n")
    _ = try piece(wire)
    let victim = try #require(try store.roles()["reader"])
    ServedStore.signal(victim, 9)
    while let line = try wire.readLine() { #expect(line.hasPrefix("EVENTS 0 ")) }
    let other = try Wire(tcp: UInt16(store.port))
    try store.wait("another reader answers") {
      let end = try read(other, "READ app/web").end
      return end.hasPrefix("OK count=0")
    }
    #expect(store.stop() == 0)
  }

  @Test("a COPY gives the bytes of a log: what is written from them is the log")
  func copies() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    let copied = store.folder + "/copy/live"
    try FileManager.default.createDirectory(
      atPath: copied, withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      atPath: store.data + "/penstock.json", toPath: store.folder + "/copy/penstock.json")
    let copier = try Wire(tcp: UInt16(store.port))
    try copier.send("COPY 0\n")
    let session = try LineSession(tcp: UInt16(store.port))
    let payload = String(repeating: "y", count: 500)
    var count = 0
    var byteCount = 0
    for round in 0..<4 {
      if round > 0 { #expect(try store.run("seal").status == 0) }
      for _ in 0..<40 {
        _ = try session.put((0..<7).map { "- copy/\($0) Counted\t\(payload)\($0)" })
        count += 7
      }
      while try ServedStore.run(["query", "--data", store.folder + "/copy"]).lines.count < count {
        let header = try line(copier).split(separator: " ")
        try #require(header[0] == "BYTES" && header.count == 4, "\(header)")
        let bytes = try copier.read(try #require(Int(header[1])))
        byteCount += bytes.count
        let path = copied + "/00-\(header[2].dropFirst(8)).log"
        if !FileManager.default.fileExists(atPath: path) {
          try Data().write(to: URL(fileURLWithPath: path))
        }
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.seek(toOffset: try #require(UInt64(header[3].dropFirst(7))))
        try file.write(contentsOf: Data(bytes))
        try file.close()
      }
    }
    #expect(byteCount > count * 500)
    let original = try store.run("query").output
    #expect(try ServedStore.run(["query", "--data", store.folder + "/copy"]).output == original)
    let late = try Wire(tcp: UInt16(store.port))
    try late.send("COPY 0 from=0000000000000001:0\n")
    #expect(try line(late).hasPrefix("ERR gone that part of the log is archived"))
    #expect(store.stop() == 0)
  }
}
