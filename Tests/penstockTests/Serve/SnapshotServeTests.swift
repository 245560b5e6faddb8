import Foundation
import Testing

/// Snapshots of a store that is being written and archived.
@Suite(.serialized) struct SnapshotServeTests {
  private func lines(_ range: Range<Int>) -> [String] {
    range.map { "- snap/\($0 % 5) kind\($0 % 3) n=\($0)\tpayload \($0)" }
  }

  private func payloads(_ data: String) throws -> [String] {
    let result = try ServedStore.run(["query", "--format", "raw", "--data", data])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.isEmpty, "\(result.errors)")
    return result.lines
  }

  @Test(arguments: Backend.allCases)
  func `what was acknowledged before a snapshot is in it, once`(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(shards: 2, io: io)
    let session = try LineSession(Wire(tcp: store.ports["line-tcp"] ?? 0))
    let other = try LineSession(Wire(tcp: store.ports["line-tcp"] ?? 0))
    for part in 0..<8 {
      let start = part * 500
      for offset in stride(from: 0, to: 500, by: 50) {
        try (offset % 100 == 0 ? session : other).put(
          lines((start + offset)..<(start + offset + 50)))
      }
      if part % 3 == 1 { #expect(try store.run("seal").status == 0) }
      let copy = store.folder + "/copy-\(part)"
      let result = try store.run("snapshot", "--out", copy)
      #expect(result.status == 0, "\(result.errors)")
      let verify = try ServedStore.run(["verify", "--data", copy])
      #expect(verify.status == 0 && !verify.output.contains("note:"), "\(verify.output)")
      #expect(Set(try payloads(copy)) == Set((0..<(start + 500)).map { "payload \($0)" }))
      #expect(try payloads(copy).count == start + 500)
    }
    #expect(try store.run("snapshot", "--out", store.folder + "/copy-0").status == 1)
    #expect(try store.run("snapshot", "--out", store.data + "/copy").status == 1)
  }

  @Test func `under load and archiving each snapshot is a prefix of every session`() throws {
    let store = try ServedStore()
    try store.start(shards: 2, listeners: [ServedStore.lineListener], "--seal-bytes", "2MiB")
    let padding = String(repeating: "x", count: 600)
    let writer = Process()
    writer.executableURL = URL(fileURLWithPath: "/bin/bash")
    writer.arguments = [
      "-c",
      "seq 1 60000 | sed 's/$/ \(padding)/' | \(ServedStore.program.path) send "
        + "--to line+tcp://127.0.0.1:\(store.port) --stream load --batch 50 >/dev/null",
    ]
    try writer.run()
    var counts: [Int] = []
    for part in 0..<12 {
      let copy = store.folder + "/copy-\(part)"
      let result = try store.run("snapshot", "--out", copy)
      #expect(result.status == 0, "\(result.errors)")
      let verify = try ServedStore.run(["verify", "--data", copy])
      #expect(verify.status == 0 && !verify.output.contains("note:"), "\(verify.output)")
      let numbers = try payloads(copy).compactMap { Int($0.prefix { $0 != " " }) }.sorted()
      #expect(numbers == Array(1..<(numbers.count + 1)), "snapshot \(part)")
      counts.append(numbers.count)
      try FileManager.default.removeItem(atPath: copy)
    }
    writer.waitUntilExit()
    #expect(writer.terminationStatus == 0)
    #expect(counts == counts.sorted())
    #expect(try store.run("verify").status == 0)
    #expect(try store.run("query", "--format", "raw").lines.count == 60_000)
  }

  @Test func `a copy is served beside the original, and both go their own ways`() throws {
    let store = try ServedStore()
    try store.start(shards: 2)
    try store.put(lines(0..<300))
    #expect(try store.run("seal").status == 0)
    try store.put(lines(300..<400))
    let other = try ServedStore()
    let result = try store.run("snapshot", "--out", other.data)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("300 events") && result.output.contains("100 events"))
    try other.start(shards: 2)
    try other.put(lines(400..<500))
    try store.put(lines(500..<700))
    #expect(try other.run("seal").status == 0)
    #expect(Set(try payloads(other.data)) == Set((0..<500).map { "payload \($0)" }))
    #expect(
      Set(try payloads(store.data))
        == Set((Array(0..<400) + Array(500..<700)).map { "payload \($0)" }))
    for served in [store, other] {
      #expect(try served.run("verify").status == 0)
      served.kill()
      try served.start(shards: 2)
      #expect(try served.run("verify").status == 0)
    }
    #expect(try payloads(other.data).count == 500)
    #expect(try payloads(store.data).count == 600)
    #expect(store.stop() == 0 && other.stop() == 0)
  }

  @Test func `a store that was killed is copied without a daemon`() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    try store.put(lines(0..<100))
    store.kill()
    let copy = store.folder + "/copy"
    #expect(try store.run("snapshot", "--out", copy).status == 0)
    #expect(try payloads(copy).count == 100)
    let whole = try ServedStore.run(["export", "--data", copy, "--out", "-"])
    #expect(whole.lines.count == 100 && whole.errors.isEmpty)
    let none = try ServedStore.run(
      ["snapshot", "--data", store.folder + "/none", "--out", store.folder + "/x"])
    #expect(none.status == 1 && none.errors.contains("not a Penstock store"))
    #expect(!FileManager.default.fileExists(atPath: store.folder + "/x"))
  }
}
