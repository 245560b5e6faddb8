import Foundation
import Testing

/// Sealing and archiving under a running daemon.
@Suite(.serialized) struct SealTests {
  private func lines(_ range: Range<Int>) -> [String] {
    range.map { "- seal/\($0 % 7) kind\($0 % 3) n=\($0)\tpayload \($0)" }
  }

  private func segments(_ store: ServedStore) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: store.data + "/live")
      .filter { $0.hasSuffix(".log") }.sorted()
  }

  private func queries(_ store: ServedStore) throws -> [String] {
    try [
      ["query"], ["query", "--reverse"], ["query", "--stream", "seal/[13]"],
      ["query", "--type", "kind1", "--format", "ndjson"], ["query", "--where", "n=77"],
      ["query", "--contains", "payload 9", "--limit", "40"], ["tail", "-n", "25"],
    ].map { try ServedStore.run($0 + ["--data", store.data]).output }
  }

  @Test(arguments: Backend.allCases)
  func `the same questions have the same answers before and after archiving`(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(shards: 2, io: io)
    for start in stride(from: 0, to: 3000, by: 100) { try store.put(lines(start..<(start + 100))) }
    let before = try queries(store)
    let sealed = try store.run("seal")
    #expect(sealed.status == 0, "\(sealed.errors)")
    #expect(try queries(store) == before)
    #expect(try store.run("verify").status == 0)
    let streams = try store.run("streams").lines.map { $0.split(separator: "\t")[1] }
    #expect(streams.compactMap { Int($0) }.reduce(0, +) == 3000)
    // Everything is in the archive: without the live folder's events nothing is missing.
    #expect(try store.run("status").output.contains("3,000 events"))
    #expect(store.stop() == 0)
    #expect(try queries(store) == before)
  }

  @Test(arguments: Backend.allCases)
  func `sealing while events come in loses none and doubles none`(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(shards: 2, io: io)
    let count = 12_000
    let session = try LineSession(Wire(tcp: store.ports["line-tcp"] ?? 0))
    let other = try LineSession(Wire(tcp: store.ports["line-tcp"] ?? 0))
    for start in stride(from: 0, to: count, by: 100) {
      try (start % 200 == 0 ? session : other).put(lines(start..<(start + 100)))
      if start % 2000 == 1000 {
        let sealed = try store.run("seal")
        #expect(sealed.status == 0, "\(sealed.errors)")
      }
      if start % 3000 == 0 {
        let seen = try store.run("query", "--format", "raw").lines
        #expect(seen.count == start + 100)
        #expect(Set(seen).count == seen.count)
      }
    }
    let all = try store.run("query", "--format", "raw").lines
    #expect(Set(all) == Set((0..<count).map { "payload \($0)" }))
    #expect(all.count == count)
    #expect(try store.run("verify").status == 0)
  }

  @Test func `sealing an empty store, twice, is nothing to do`() throws {
    let store = try ServedStore()
    try store.start()
    #expect(try store.run("seal").status == 0)
    try store.put(lines(0..<10))
    #expect(try store.run("seal").status == 0)
    let tables = try store.run("status").lines.first { $0.hasPrefix("archive") }
    #expect(try store.run("seal").status == 0)
    #expect(try store.run("status").lines.first { $0.hasPrefix("archive") } == tables)
  }

  @Test func `sealing is refused without a daemon, and says so`() throws {
    let store = try ServedStore()
    let none = try store.run("seal")
    #expect(none.status == 1)
    #expect(none.errors.contains("there is no store at \(store.data)"))
    try store.start()
    try store.put(lines(0..<10))
    store.kill()
    let alone = try store.run("seal")
    #expect(alone.status == 1)
    #expect(alone.errors.contains("penstock serve"))
    #expect(try store.run("seal", "--timeout", "soon").status == 2)
  }

  @Test func `a clean stop can leave everything archived`() throws {
    let store = try ServedStore()
    try store.start(shards: 2, listeners: [ServedStore.lineListener], "--seal-on-stop")
    for start in stride(from: 0, to: 1000, by: 50) { try store.put(lines(start..<(start + 50))) }
    #expect(store.stop() == 0)
    #expect(try store.run("status").output.contains("1,000 events"))
    #expect(try store.run("query", "--format", "raw").lines.count == 1000)
  }

  @Test func `small segments are sealed by size and leave the live folder`() throws {
    let store = try ServedStore()
    try store.start(
      shards: 1, listeners: [ServedStore.lineListener], "--seal-bytes", "2MiB")
    let session = try LineSession(Wire(tcp: store.ports["line-tcp"] ?? 0))
    let padding = String(repeating: "x", count: 1000)
    for part in 0..<40 {
      try session.put((0..<200).map { "- big/s - n=\(part * 200 + $0)\t\(padding)" })
    }
    try store.wait("full segments are archived: \(store.said)") { try segments(store).count <= 5 }
    #expect(try store.run("query", "--format", "raw").lines.count == 8000)
    #expect(try store.run("verify").status == 0)
  }

  @Test func `a store served by fewer shards keeps and archives what the others wrote`() throws {
    let store = try ServedStore()
    try store.start(shards: 4)
    for start in stride(from: 0, to: 4000, by: 20) { try store.put(lines(start..<(start + 20))) }
    let logs = Set(try segments(store).map { $0.prefix(2) })
    #expect(logs == ["00", "01", "02", "03"])
    store.kill()
    try store.start(shards: 1)
    try store.put(lines(4000..<4100))
    #expect(try store.run("query", "--format", "raw").lines.count == 4100)
    let sealed = try store.run("seal")
    #expect(sealed.status == 0, "\(sealed.errors) \(store.said)")
    #expect(try store.run("status").output.contains("4,100 events"))
    #expect(store.stop() == 0)
    // What was sealed once is not touched again.
    let before = try segments(store).filter { !$0.hasPrefix("00") }
    try store.start(shards: 1)
    try store.put(lines(4100..<4101))
    #expect(try store.roles().keys.sorted() == ["archiver", "preparer", "reader", "shard 0"])
    #expect(try segments(store).filter { !$0.hasPrefix("00") } == before)
    #expect(store.stop() == 0)
    // And more shards go on with the logs that are there.
    try store.start(shards: 4)
    for index in 0..<40 { try store.put(["- again/s - n=\(index)\tagain"]) }
    #expect(try store.run("query", "--format", "raw").lines.count == 4141)
    #expect(try store.run("verify").status == 0)
  }
}
