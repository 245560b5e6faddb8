import Foundation
import Testing

/// RELP with a served store.
@Suite struct RelpServeTests {
  /// The parts of a two-way capture that the client sent.
  private func sent(_ path: String) -> [[UInt8]] {
    let all = SharedFiles.bytes(path)
    var out: [[UInt8]] = []
    var offset = 0
    while offset + 5 <= all.count {
      let count = all[(offset + 1)..<(offset + 5)].reduce(0) { $0 << 8 | Int($1) }
      if all[offset] == UInt8(ascii: ">") {
        out.append(Array(all[(offset + 5)..<(offset + 5 + count)]))
      }
      offset += 5 + count
    }
    return out
  }

  /// Messages of a session's frames, without the LF they end with.
  private func messages(_ bytes: [UInt8]) throws -> [String] {
    var out: [String] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      let words = rest.prefix(80).split(separator: UInt8(ascii: " "), maxSplits: 3)
      let count = Int(String(decoding: words[2].prefix { $0 != 10 }, as: UTF8.self)) ?? 0
      let head = words[0].count + words[1].count + words[2].prefix { $0 != 10 }.count + 2
      let start = rest.startIndex + head + (count > 0 ? 1 : 0)
      if words[1].elementsEqual(Array("syslog".utf8)) {
        let text = String(decoding: rest[start..<(start + count)], as: UTF8.self)
        out.append(text.hasSuffix("\n") ? String(text.dropLast()) : text)
      }
      rest = rest[(start + count + 1)...]
    }
    return out
  }

  @Test(
    "sessions of a real client are stored to the byte, over TCP and a unix socket",
    .enabled(if: SharedFiles.root != nil, "the captures are not beside this package"),
    arguments: ["relp-open-close", "relp-server-killed-c2"])
  func captures(_ name: String) throws {
    let parts = sent("captures/\(name).duplex")
    try #require(parts.count > 1)
    let store = try ServedStore()
    let path = store.folder + "/relp.sock"
    try store.start(
      shards: 1,
      listeners: [ServedStore.lineListener, "relp+tcp://127.0.0.1:0", "relp+unix://\(path)"])
    for wire in [
      try Wire(tcp: try #require(store.ports["relp-tcp"])), try Wire(unix: path),
    ] {
      for part in parts { try wire.send(part) }
      let answers = try wire.readToEnd()
      #expect(answers.hasSuffix("rsp 0\n0 serverclose 0\n"), "\(answers.suffix(100))")
    }
    #expect(store.stop() == 0)
    let expected = try messages(Array(parts.joined()))
    let raw = try store.run("export", "--format", "raw", "--out", "-").output
    let missing = expected.filter { !raw.contains($0) }.map { $0.prefix(100) }
    #expect(missing.isEmpty)
    #expect(try store.run("query").lines.count == 2 * expected.count)
  }

  @Test("what is acknowledged is there once, though shards and the daemon are killed")
  func kills() throws {
    let store = try ServedStore()
    try store.start(shards: 1, listeners: [ServedStore.lineListener, "relp+tcp://127.0.0.1:0"])
    var acknowledged: Set<Int> = []
    var number = 0
    var sentCounts: [Int: Int] = [:]
    var unacknowledged: [Int] = []
    for round in 0..<5 {
      let port = try #require(store.ports["relp-tcp"])
      guard let wire = try? Wire(tcp: port) else { continue }
      do {
        try wire.send("1 open 15 commands=syslog\n")
        for _ in 0..<4 { _ = try wire.readLine() }
        var transaction = 1
        var frames: [Int: Int] = [:]
        // Those without an answer first, as clients do.
        var next = unacknowledged
        unacknowledged = []
        for _ in 0..<400 {
          next.append(number)
          number += 1
        }
        for event in next {
          transaction += 1
          frames[transaction] = event
          let message = "<13>1 - h relp - - - event \(event)."
          sentCounts[event, default: 0] += 1
          unacknowledged.append(event)
          try wire.send("\(transaction) syslog \(message.utf8.count) \(message)\n")
        }
        if round % 2 == 0 {
          ServedStore.signal(try #require(try store.roles()["shard 0"]), 9)
        } else if round == 1 {
          store.kill()
          try store.start(
            shards: 1, listeners: [ServedStore.lineListener, "relp+tcp://127.0.0.1:0"])
        }
        while let line = try wire.readLine(), let answered = Int(line.prefix { $0 != " " }) {
          guard line.contains(" 200 OK"), let event = frames[answered] else { continue }
          acknowledged.insert(event)
          unacknowledged.removeAll { $0 == event }
          if acknowledged.count == number { break }
        }
      } catch is Wire.Failure {
        // The session ended.
      }
      try store.wait("the shard is back") {
        try store.run("status").status == 0 && store.roles().keys.contains("shard 0")
      }
    }
    #expect(store.stop() == 0)
    var found: [Int: Int] = [:]
    for line in try store.run("query").lines {
      let text = line.split(separator: "\t").last ?? ""
      if let event = Int(text.dropFirst("event ".count).dropLast()) {
        found[event, default: 0] += 1
      }
    }
    #expect(acknowledged.allSatisfy { found[$0] != nil })
    #expect(acknowledged.count >= 400, "\(acknowledged.count)")
    for (event, count) in found { #expect(count <= sentCounts[event] ?? 0) }
  }
}
