import CShims
import Foundation
import PenstockCore
import Testing

/// Commits over the line protocol, against a shard that runs.
@Suite struct CommitTests {
  /// A connection that asks and waits for the answer.
  final class Client {
    private let socket: Int32
    private var rest: [UInt8] = []

    init(_ shard: TestShard) { socket = shard.connect(.line) }
    deinit { _ = penstock_close(socket) }

    func send(_ text: String) { #expect(Wire.write(socket, text)) }

    func answer() -> String {
      while true {
        if let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
          let line = String(decoding: rest[..<end], as: UTF8.self)
          rest.removeFirst(end + 1)
          return line
        }
        let more = Wire.read(socket)
        guard !more.isEmpty else { return "" }
        rest += more
      }
    }

    func ask(_ text: String) -> String {
      send(text + "\n")
      return answer()
    }

    func commit(_ lines: String, _ options: String = "") -> String {
      send("COMMIT \(lines.utf8.count)\(options.isEmpty ? "" : " " + options)\n\(lines)")
      return answer()
    }
  }

  @Test("the transcript of a commit and its conflict", arguments: Backend.available)
  func transcript(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let client = Client(shard)
    #expect(client.ask("HEAD /orders/42") == "OK shard=0 head=0 at=0")
    #expect(client.ask("EXISTS /orders/42") == "OK shard=0 exists=0 at=0")
    let line = "- /orders/42 Placed user=7\t{\"n\":1}\n"
    #expect(client.commit(line, "since=0 tag=a1") == "OK shard=0 first=1 count=1 tag=a1")
    #expect(client.ask("HEAD /orders/42 tag=h") == "OK shard=0 head=1 at=1 tag=h")
    #expect(client.ask("EXISTS /orders/42") == "OK shard=0 exists=1 at=1")
    #expect(
      client.commit(line, "since=0 tag=a2")
        == "CONFLICT shard=0 position=1 journal=/orders/42 type=Placed tag=a2")
    #expect(client.commit("- /orders/42 Shipped\t\n", "since=0") == "OK shard=0 first=2 count=1")
    #expect(
      client.commit(line, "if-unchanged@1")
        == "CONFLICT shard=0 position=2 journal=/orders/42 type=*")
    #expect(client.commit(line, "if-unchanged@2") == "OK shard=0 first=3 count=1")
    shard.stop()
    #expect(try shard.payloads() == ["{\"n\":1}", "", "{\"n\":1}"])
  }

  @Test("conditions are about the types and the journals they name", arguments: Backend.available)
  func conditions(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let client = Client(shard)
    #expect(client.commit("- /a A\t\n- /a B\t\n- /b C,D\t\n").hasPrefix("OK shard=0 first=1 "))
    func refused(_ options: String) -> String { client.commit("- /a Z\t\n", options) }
    #expect(refused("if-none=A,X@0") == "CONFLICT shard=0 position=1 journal=/a type=A")
    #expect(refused("if-none=X,B@1") == "CONFLICT shard=0 position=2 journal=/a type=B")
    #expect(refused("if-none=X,B@2") == "OK shard=0 first=4 count=1")
    #expect(refused("if-none=C@0 if-none=D@0") == "OK shard=0 first=5 count=1")
    #expect(
      refused("in=/b if-type=C,D@0") == "CONFLICT shard=0 position=3 journal=/b type=C,D")
    #expect(refused("in=/b if-unchanged@3 in=/a if-unchanged@5") == "OK shard=0 first=6 count=1")
    #expect(
      refused("in=/b if-unchanged@3 in=/a if-unchanged@5")
        == "CONFLICT shard=0 position=6 journal=/a type=*")
    // Any of the own types breaks the commit, or only all of them.
    let pair = "- /a A\t\n- /a New\t\n"
    #expect(client.commit(pair, "since=0") == "CONFLICT shard=0 position=1 journal=/a type=A")
    #expect(client.commit(pair, "since=0 rule=subset") == "OK shard=0 first=7 count=2")
    #expect(
      client.commit(pair, "since=0 rule=subset")
        == "CONFLICT shard=0 position=8 journal=/a type=New")
    shard.stop()
  }

  @Test(
    "what no commit may be is refused, and stores nothing",
    arguments: [
      ("- app T\t\n", "", "ERR not-a-journal line 1: "),
      ("- /a//b T\t\n", "", "ERR not-a-journal line 1: "),
      ("- /a/../b T\t\n", "", "ERR not-a-journal line 1: "),
      ("- / T\t\n", "", "ERR not-a-journal line 1: "),
      ("2026-11-21T03:47:52.123456789Z /a T\t\n", "", "ERR journal-time line 1: "),
      ("- /a T\t\n- /a\t\n", "", "ERR bad-stream line 2: "),
      ("- /a T _x=1\t\n", "", "ERR reserved line 1: "),
      ("- /a T\t\n", "since=", "ERR bad-condition "),
      ("- /a T\t\n", "since=x", "ERR bad-condition "),
      ("- /a T\t\n", "rule=subset", "ERR bad-condition "),
      ("- /a T\t\n", "if-none=@1", "ERR bad-condition "),
      ("- /a T\t\n", "if-none=A,,B@1", "ERR bad-condition "),
      ("- /a T\t\n", "if-none=A", "ERR bad-condition "),
      ("- /a T\t\n", "if-unchanged@", "ERR bad-condition "),
      ("- /a T\t\n", "if-unchanged@99999999999999999999", "ERR bad-condition "),
      ("- /a T\t\n", "in=b", "ERR bad-condition "),
      ("- /a T\t\n", "whatever", "ERR bad-condition "),
      ("- /a T\t\n", "tag=", "ERR bad-tag "),
      ("- /a T\t\n", "tag=12345678901234567", "ERR bad-tag "),
    ])
  func refusals(_ lines: String, _ options: String, _ wanted: String) throws {
    let shard = try TestShard(.poll)
    let client = Client(shard)
    let answer = client.commit(lines, options)
    #expect(answer.hasPrefix(wanted), "\(answer)")
    #expect(
      client.commit("- /fine T\t\n", "tag=1234567890123456").hasSuffix(" tag=1234567890123456"))
    shard.stop()
    #expect(try shard.lines().count == 1)
  }

  @Test(
    "a type may be a list, of which each counts, also after a restart",
    arguments: Backend.available)
  func typeLists(_ backend: Backend) throws {
    let folder = try TestFolder()
    for round in 0..<2 {
      let shard = try TestShard(backend, folder: folder)
      let client = Client(shard)
      if round == 0 {
        // An empty name is none, and another escape is not an end.
        #expect(
          client.commit("- /a A\\n\\nC\\\\n\t\n- /a B\\nD\t\n- /a B\\nD\t\n- /a X\t\n")
            == "OK shard=0 first=1 count=4")
        #expect(client.commit("- /b B\\nD\t\n") == "OK shard=0 first=5 count=1")
      }
      func broken(_ line: String, _ options: String) -> Substring {
        client.commit(line, options).dropFirst("CONFLICT shard=0 position=".count)
      }
      #expect(broken("- /a Q\t\n", "if-none=A@0") == "1 journal=/a type=A")
      #expect(broken("- /a Q\t\n", "if-none=C\\\\n@0") == "1 journal=/a type=C\\\\n")
      #expect(broken("- /a Q\t\n", "if-none=D@2") == "3 journal=/a type=D")
      #expect(broken("- /b Q\t\n", "if-none=B@0") == "5 journal=/b type=B")
      #expect(broken("- /a Y\\nX\t\n", "since=0") == "4 journal=/a type=X")
      #expect(broken("- /a A\\nB\t\n", "since=0 rule=subset") == "3 journal=/a type=B")
      shard.stop()
    }
    let shard = try TestShard(backend, folder: folder)
    let client = Client(shard)
    #expect(client.commit("- /a A\\nQ\t\n", "since=0 rule=subset").hasPrefix("OK "))
    #expect(client.commit("- /a A\\nB\t\n", "if-none=E@0").hasPrefix("OK "))
    shard.stop()
  }

  @Test("a commit that comes in pieces is one commit", arguments: Backend.available)
  func pieces(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let client = Client(shard)
    let lines = (0..<40).map { "- /pieces T\(String(repeating: "x", count: $0 * 20))\t\($0)\n" }
    let body = lines.joined()
    let request = "COMMIT \(body.utf8.count) if-unchanged@0 tag=p\n\(body)"
    var count = 0
    for cut in stride(from: 1, to: 60, by: 7) {
      client.send(String(request.prefix(cut)))
      usleep(3000)
      client.send(String(request.dropFirst(cut).prefix(500)))
      usleep(3000)
      client.send(String(request.dropFirst(cut + 500)))
      let wanted =
        count == 0
        ? "OK shard=0 first=1 count=40 tag=p"
        : "CONFLICT shard=0 position=40 journal=/pieces type=* tag=p"
      #expect(client.answer() == wanted)
      count += 1
    }
    shard.stop()
    #expect(try shard.payloads() == (0..<40).map { "\($0)" })
  }

  @Test("times are the server's, one a commit, and ascend", arguments: Backend.available)
  func times(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let client = Client(shard)
    let lines = "- /t A\t1\n- /t/2 B\t\n"
    for _ in 0..<200 { client.send("COMMIT \(lines.utf8.count)\n\(lines)") }
    for _ in 0..<200 { #expect(client.answer().hasPrefix("OK ")) }
    shard.stop()
    let times = try shard.lines().map { String($0.text.prefix(30)) }
    #expect(times.count == 400)
    #expect(stride(from: 0, to: 400, by: 2).allSatisfy { times[$0] == times[$0 + 1] })
    #expect(Set(times).count == 200)
    #expect(times == times.sorted())
  }

  @Test("what was forgotten is too old, and never wrong")
  func tooOld() throws {
    var limits = Limits.small
    limits.journalEntryCountMax = 64
    let shard = try TestShard(.poll, limits: limits)
    let client = Client(shard)
    for number in 1...100 { #expect(client.commit("- /j\(number) T\t\n").hasPrefix("OK ")) }
    // 64 entries are those of the last 32 commits.
    #expect(client.commit("- /j1 T\t\n", "since=0").hasPrefix("ERR too-old "))
    #expect(client.commit("- /j1 T\t\n", "since=67").hasSuffix("from=68"))
    #expect(client.ask("HEAD /j1") == "OK shard=0 head=unknown at=100")
    #expect(client.ask("EXISTS /j1") == "OK shard=0 exists=unknown at=100")
    #expect(client.ask("HEAD /j80") == "OK shard=0 head=80 at=100")
    #expect(client.commit("- /j1 T\t\n", "since=100") == "OK shard=0 first=101 count=1")
    #expect(
      client.commit("- /j1 T\t\n", "since=100")
        == "CONFLICT shard=0 position=101 journal=/j1 type=T")
    shard.stop()
  }
}
