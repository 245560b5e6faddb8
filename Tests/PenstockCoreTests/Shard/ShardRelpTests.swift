import CShims
import Foundation
import PenstockCore
import Testing

/// RELP sessions with a running shard.
@Suite struct ShardRelpTests {
  private static let open =
    "1 open 86 relp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\n"
    + "commands=syslog\n"
  private static let opened =
    "1 rsp 60 200 OK\nrelp_version=0\nrelp_software=penstock\ncommands=syslog\n"

  private func syslog(_ transaction: Int, _ message: String) -> String {
    "\(transaction) syslog \(message.utf8.count) \(message)\n"
  }

  /// All that comes until the shard ends the connection.
  private func rest(_ client: Int32) -> String {
    var bytes: [UInt8] = []
    while true {
      let more = Wire.read(client)
      guard !more.isEmpty else { return String(decoding: bytes, as: UTF8.self) }
      bytes += more
    }
  }

  @Test(arguments: Backend.available)
  func `a session cut at every place is answered frame by frame, in order`(_ backend: Backend)
    throws
  {
    let shard = try TestShard(backend)
    let stream = Array(
      (ShardRelpTests.open + syslog(2, "<13>first") + syslog(3, "<13>ends with LF\n")
        + "4 syslog 0\n" + "5 close 0\n").utf8)
    var rounds = 0
    for cut in stride(from: 1, to: stream.count, by: 3) {
      let client = shard.connect(.relp)
      #expect(Wire.write(client, Array(stream[..<cut])))
      usleep(1500)
      #expect(Wire.write(client, Array(stream[cut...])))
      let answers = rest(client)
      _ = penstock_close(client)
      rounds += 1
      try #require(answers.hasPrefix(ShardRelpTests.opened), "\(cut): \(answers)")
      let lines = answers.dropFirst(ShardRelpTests.opened.count).split(separator: "\n")
      try #require(lines.count == 5, "\(cut): \(answers)")
      for (index, line) in lines.prefix(3).enumerated() {
        let words = line.split(separator: " ", maxSplits: 3)
        #expect(words.prefix(2) == ["\(index + 2)", "rsp"], "\(cut): \(line)")
        #expect(Int(words[2]) == words[3].utf8.count && words[3].hasPrefix("200 OK shard=0 "))
      }
      #expect(lines[3...] == ["5 rsp 0", "0 serverclose 0"], "\(cut): \(answers)")
    }
    #expect(shard.counter(.relp, .stored) == UInt64(3 * rounds))
    #expect(shard.counter(.relp, .received) == UInt64(3 * rounds))
    shard.stop()
    let payloads = try shard.payloads()
    for text in ["first", "ends with LF", ""] {
      #expect(payloads.count(where: { $0 == text }) == rounds, "'\(text)'")
    }
  }

  @Test(arguments: Backend.available)
  func `the answer says where the event stands`(_ backend: Backend) throws {
    let shard = try TestShard(backend)
    let client = shard.connect(.relp)
    var stream = ShardRelpTests.open
    for number in 2..<202 { stream += syslog(number, "<13>event \(number)") }
    #expect(Wire.write(client, stream + "202 close 0\n"))
    let lines = rest(client).dropFirst(ShardRelpTests.opened.count).split(separator: "\n")
    _ = penstock_close(client)
    shard.stop()
    let stored = try shard.lines()
    for (index, line) in lines.prefix(200).enumerated() {
      let position = try #require(line.split(separator: "=").last.flatMap { UInt64($0) })
      let text = stored.first { $0.sequence == position }?.text
      #expect(text?.hasSuffix("\tevent \(index + 2)") == true, "\(line)")
    }
    #expect(stored.count == 200)
  }

  @Test(arguments: Backend.available)
  func `what is no session is ended, and a frame that was cut is no event`(_ backend: Backend)
    throws
  {
    var limits = Limits.small
    limits.eventByteCountMax = 10_000
    let shard = try TestShard(backend, limits: limits)
    for stream in [
      syslog(1, "<13>before open"), "GET / HTTP/1.1\n\n", "1 open 6 a=b\nc=\n",
      ShardRelpTests.open + ShardRelpTests.open, ShardRelpTests.open + "2 syslog 3 <13>long\n",
      ShardRelpTests.open + "x", String(repeating: "9", count: 4000),
    ] {
      let client = shard.connect(.relp)
      #expect(Wire.write(client, stream))
      #expect(rest(client).hasSuffix("0 serverclose 0\n"), "\(stream.prefix(60))")
      _ = penstock_close(client)
    }
    #expect(shard.counter(.relp, .refused) == 7)
    // Commands that came later than this version are answered, and the session goes on.
    let client = shard.connect(.relp)
    #expect(Wire.write(client, ShardRelpTests.open + "2 starttls 0\n" + syslog(3, "<13>kept")))
    let large = "<13>" + String(repeating: "l", count: 30_000)
    #expect(Wire.write(client, syslog(4, large) + "5 syslog 20 <13>half"))
    shard.wait("all that is whole is stored") { shard.counter(.relp, .stored) == 2 }
    penstock_finish_sending(client)
    let answers = rest(client)
    _ = penstock_close(client)
    #expect(answers.contains("\n2 rsp 34 500 ") && answers.contains("\n4 rsp "), "\(answers)")
    #expect(!answers.contains("\n5 rsp "))
    shard.wait("the end is seen") { shard.counter(.relp, .unfinished) == 1 }
    #expect(shard.counter(.relp, .truncated) == 1)
    shard.stop()
    let payloads = try shard.payloads()
    #expect(payloads.count == 2 && payloads[0] == "kept" && payloads[1].hasPrefix("lll"))
  }
}
