import Foundation
import Testing

@Suite(.serialized) struct ReadCommandsTests {
  private func lines(_ count: Int, from first: Int = 0) -> [String] {
    (first..<(first + count)).map { index in
      let second = index % 60
      let stamp = "2026-11-21T03:\(index / 60 % 60 + 10):\(second + 10 > 59 ? 59 : second + 10)"
      return "\(stamp).000000000Z app/\(index % 3) kind\(index % 2) n=\(index)\tpayload \(index)"
    }
  }

  @Test func `what went in comes out, beside the daemon and without it`() throws {
    let store = try ServedStore()
    try store.start()
    let sent = lines(2000)
    for start in stride(from: 0, to: 2000, by: 500) {
      try store.put(Array(sent[start..<(start + 500)]))
    }
    let expected = sent.sorted()
    let beside = try store.run("query")
    #expect(beside.status == 0)
    #expect(beside.lines.sorted() == expected)
    #expect(beside.lines.map { $0.prefix(30) } == expected.map { $0.prefix(30) })
    #expect(beside.errors.isEmpty)
    let reverse = try store.run("query", "--reverse", "--limit", "7")
    #expect(reverse.lines == beside.lines.suffix(7).reversed())
    let some = try store.run(
      "query", "--stream", "app/[12]", "--type", "kind1", "--contains", "load 19", "--since",
      "2026-11-21T03:11:00Z")
    let wanted = expected.filter {
      ($0.contains(" app/1 ") || $0.contains(" app/2 ")) && $0.contains(" kind1 ")
        && $0.contains("\tpayload 19") && $0 >= "2026-11-21T03:11:00"
    }
    #expect(some.lines.sorted() == wanted)
    store.stop()
    let without = try store.run("query")
    #expect(without.output == beside.output)
    #expect(without.status == 0)
    let streams = try store.run("streams")
    #expect(
      streams.lines.map { $0.split(separator: "\t").prefix(2) } == [
        ["app/0", "667"], ["app/1", "667"], ["app/2", "666"],
      ])
    let verify = try store.run("verify")
    #expect(verify.status == 0)
    #expect(verify.output.hasPrefix("ok: "))
  }

  @Test func `ndjson is one object a line, and exports are whole`() throws {
    let store = try ServedStore()
    try store.start()
    try store.put(lines(300) + ["- app/x - _id=0000002a k=a k=b _escaped=\tone\\ntwo"])
    let result = try store.run("query", "--format", "ndjson")
    let objects = try result.lines.map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    #expect(objects.count == 301)
    #expect(objects.allSatisfy { $0["sequence"] is Int && $0["shard"] is Int })
    let last = try #require(objects.last)
    #expect(last["payload"] as? String == "one\ntwo")
    #expect(last["id"] as? String == "0000002a")
    #expect((last["attributes"] as? [String: [String]]) == ["k": ["a", "b"]])
    let path = store.folder + "/out.txt"
    let export = try store.run("export", "--out", path)
    #expect(export.status == 0)
    let exported = try String(contentsOfFile: path, encoding: .utf8)
    #expect(exported == (try store.run("query")).output)
    #expect(try store.run("export", "--out", "-").output == exported)
    #expect(!FileManager.default.fileExists(atPath: path + ".partial"))
    let raw = try store.run("query", "--format", "raw", "--stream", "app/x")
    #expect(raw.output == "one\ntwo\n")
  }

  @Test func `a reader that leaves and words not understood end as documented`() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    try store.put(lines(3000))
    let piped = try store.shell(
      "$PENSTOCK query --data $DATA | head -n 2; echo ${PIPESTATUS[0]}")
    #expect(piped.lines.last == "0")
    #expect(piped.lines.count == 3)
    #expect(try store.run("query", "--since", "yesterday").status == 2)
    #expect(try store.run("query", "--where", "x").status == 2)
    #expect(try store.run("query", "--limit", "-1").status == 2)
    #expect(try store.run("tail", "--stream", "[").status == 2)
    #expect(try ServedStore.run(["query", "--data", store.folder + "/none"]).status == 1)
    #expect(try ServedStore.run(["query", "--help"]).status == 0)
    #expect(try store.run("export", "--out", "/nonexistent-folder/x").status == 1)
  }

  @Test func `status shows a shard that runs and one that does not`() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    try store.put(lines(10))
    func shard() throws -> [String: Any] {
      let json = try store.run("status", "--format", "json")
      let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
      return try #require(((object as? [String: Any])?["shards"] as? [[String: Any]])?.first)
    }
    let running = try shard()
    #expect(running["running"] as? Bool == true)
    #expect((running["counters"] as? [String: Int])?["events_stored"] == 10)
    let listener = try #require((running["listeners"] as? [[String: Any]])?.first)
    #expect(listener["stored"] as? Int == 10)
    #expect((listener["url"] as? String)?.hasPrefix("line+tcp://127.0.0.1:") == true)
    #expect(try store.run("status").output.contains("running, pid"))
    store.stop()
    #expect(try shard()["running"] as? Bool == false)
    #expect(try store.run("status").output.contains("not running"))
  }

  @Test func `damage is left out, named and told by the exit status`() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    for part in 0..<3 { try store.put(lines(10, from: part * 10)) }
    store.stop()
    let live = store.data + "/live"
    let names = try FileManager.default.contentsOfDirectory(atPath: live).sorted()
    var hits = 0
    for name in names where name.hasSuffix(".log") {
      guard var bytes = FileManager.default.contents(atPath: live + "/" + name),
        let found = bytes.range(of: Data("payload 15".utf8))
      else { continue }
      hits += 1
      bytes[found.lowerBound] ^= 1
      try bytes.write(to: URL(fileURLWithPath: live + "/" + name))
    }
    #expect(hits == 1)
    let query = try store.run("query")
    #expect(query.status == 3)
    #expect(query.lines.count == 20)
    #expect(query.errors.contains("live/00-"))
    let verify = try store.run("verify")
    #expect(verify.status == 1)
    #expect(verify.output.contains("live/00-"))
  }
}
