import Foundation
import PenstockCore
import Testing

/// Journals of a store with several shards: one connection may touch any of them.
@Suite struct JournalServeTests {
  private func commit(_ body: String, _ options: String = "") -> String {
    "COMMIT \(body.utf8.count)\(options.isEmpty ? "" : " " + options)\n\(body)"
  }

  private func line(_ wire: Wire) throws -> String {
    guard let line = try wire.readLine() else { throw Wire.Failure(description: "it was closed") }
    return line
  }

  @Test("requests are passed on to the shard that owns the journal", arguments: Backend.allCases)
  func passesOn(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(shards: 3, io: io)
    let wire = try Wire(tcp: UInt16(store.port))
    let names = (0..<60).map { "/org/\($0)" }
    var owners: Set<Substring> = []
    try wire.send(
      names.enumerated().map { commit("- \($1) Made\t\($0)\n", "since=0 tag=t\($0)") }.joined())
    for number in names.indices {
      let answer = try line(wire)
      #expect(
        answer.hasPrefix("OK shard=") && answer.hasSuffix(" count=1 tag=t\(number)"), "\(answer)")
      owners.insert(answer.split(separator: " ")[1])
    }
    #expect(owners.count == 3)
    // The same again breaks, and says by what, whoever owns the journal.
    try wire.send(names.map { commit("- \($0) Made\t\n", "since=0 tag=u") }.joined())
    for name in names {
      let answer = try line(wire)
      #expect(answer.hasPrefix("CONFLICT shard="), "\(answer)")
      #expect(answer.hasSuffix(" journal=\(name) type=Made tag=u"), "\(answer)")
    }
    try wire.send(names.map { "HEAD \($0)\nEXISTS \($0)x\n" }.joined())
    for _ in names {
      #expect(try !line(wire).contains("head=0 "))
      #expect(try line(wire).contains("exists=0 "))
    }
    // As large as a request may be.
    let large = String(repeating: "x", count: 900_000)
    try wire.send(names.prefix(4).map { commit("- \($0) Large\t\(large)\n") }.joined())
    for _ in 0..<4 {
      let answer = try line(wire)
      #expect(answer.hasPrefix("OK ") || answer.hasPrefix("ERR busy"), "\(answer)")
    }
    // Journals of several shards do not go together.
    try wire.send(commit(names.map { "- \($0) Both\t\n" }.joined()))
    #expect(try line(wire).hasPrefix("ERR several-shards "))
    // Who wants to know is told, and finds the address.
    let direct = try Wire(tcp: UInt16(store.port))
    try direct.send("HELLO penstock/1 moved\n")
    #expect(try line(direct).hasPrefix("OK penstock/1 "))
    var movedCount = 0
    for name in names {
      try direct.send("HEAD \(name)\n")
      let answer = try line(direct)
      guard answer.hasPrefix("MOVED shard=") else { continue }
      movedCount += 1
      let words = answer.split(separator: " ")
      let owner = try #require(Int(words[1].dropFirst("shard=".count)))
      let address = words[2].dropFirst("address=".count)
      let endpoint = try store.endpoints().first { $0.shard == owner && $0.name == "shard-tcp" }
      #expect(endpoint?.url == "line+tcp://\(address)")
      let port = try #require(UInt16(address.split(separator: ":")[1]))
      let own = try Wire(tcp: port)
      try own.send("HELLO penstock/1 moved\nHEAD \(name)\n")
      #expect(try line(own).contains("shard=\(owner) "))
      #expect(try line(own).hasPrefix("OK shard=\(owner) head="))
      // From a shard's own port the way to another is told as well, and a later HELLO takes the
      // wish back.
      let other = try Wire(tcp: port)
      let foreign = try #require(names.first { !$0.isEmpty && $0 != name })
      try other.send("HELLO penstock/1 moved\nHEAD \(foreign)\nHELLO penstock/1\nHEAD \(foreign)\n")
      #expect(try line(other).contains("shard=\(owner) "))
      let first = try line(other)
      #expect(first.hasPrefix("OK shard=\(owner) ") || first.contains(" address=127.0.0.1:"))
      #expect(try line(other).contains("shard=\(owner) "))
      #expect(try line(other).hasPrefix("OK shard="))
    }
    #expect(movedCount > 10)
    #expect(store.stop() == 0)
    let listed = try store.run(
      "query", "--stream", "/org/**", "--type", "Made", "--format", "ndjson")
    #expect(listed.output.split(separator: "\n").count == names.count)
    #expect(try store.run("verify").status == 0)
  }

  @Test("a commit whose owner is killed is there once or not at all", arguments: Backend.allCases)
  func killedOwner(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(shards: 2, io: io)
    var acknowledged: Set<String> = []
    var unknown: Set<String> = []
    var sent = 0
    for round in 0..<6 {
      let wire = try Wire(tcp: UInt16(store.port))
      var asked: [String] = []
      for _ in 0..<300 {
        let payload = "event-\(sent)"
        asked.append(payload)
        try wire.send(commit("- /run/\(sent % 40) Counted\t\(payload)\n"))
        sent += 1
      }
      let victim = try #require(try store.roles()["shard \(round % 2)"])
      ServedStore.signal(victim, 9)
      for payload in asked {
        guard let answer = try? line(wire) else {
          unknown.insert(payload)
          continue
        }
        if answer.hasPrefix("OK ") {
          acknowledged.insert(payload)
        } else {
          #expect(answer.hasPrefix("ERR unavailable "), "\(answer)")
          unknown.insert(payload)
        }
      }
      try store.wait("shard \(round % 2) is back: \(store.said.suffix(500))") {
        guard let wire = try? Wire(tcp: UInt16(store.port)) else { return false }
        try wire.send((0..<40).map { "HEAD /run/\($0)\n" }.joined())
        return (0..<40).allSatisfy { _ in (try? line(wire))?.hasPrefix("OK ") == true }
      }
    }
    #expect(store.stop() == 0)
    let listed = try store.run("query", "--stream", "/run/**", "--format", "text")
    var counts: [String: Int] = [:]
    for line in listed.output.split(separator: "\n") {
      counts[String(line.split(separator: "\t").last ?? ""), default: 0] += 1
    }
    #expect(counts.values.allSatisfy { $0 == 1 })
    #expect(acknowledged.allSatisfy { counts[$0] == 1 }, "\(acknowledged.count) acknowledged")
    #expect(counts.keys.allSatisfy { acknowledged.contains($0) || unknown.contains($0) })
    #expect(acknowledged.count > 300)
  }
}
