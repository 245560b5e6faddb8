import Foundation
import Testing

/// The sizes a store is served with: large commits, and a shard in little memory.
@Suite struct ProfileServeTests {
  /// A COMMIT of about `byteCount` bytes of event lines in some journals.
  private func commit(_ byteCount: Int, _ mark: String) -> (request: String, events: Int) {
    let payload = String(repeating: "m", count: 1000)
    var lines = ""
    lines.reserveCapacity(byteCount + 2000)
    var events = 0
    while lines.utf8.count + 1100 < byteCount {
      lines += "- /large/\(mark)/\(events % 3) L\t\(events) \(payload)\n"
      events += 1
    }
    return ("COMMIT \(lines.utf8.count)\n" + lines, events)
  }

  @Test("a commit of 16 MiB is one, through kill -9, archiving and a smaller store before")
  func largeCommits() throws {
    let store = try ServedStore()
    let listeners = [ServedStore.lineListener, ServedStore.everstoreListener]
    // Segments that are too small for it were prepared before.
    try store.start(shards: 1, listeners: listeners)
    try store.put(["- before -\tx"])
    let small = commit(1 << 20, "one")
    let first = try Wire(tcp: UInt16(store.port))
    try first.send(small.request)
    #expect(try #require(try first.readLine()).hasPrefix("OK "))
    try first.send(commit((1 << 20) + 4096, "refused").request)
    #expect(try #require(try first.readLine()).hasPrefix("ERR too-large "))
    #expect(store.stop() == 0)
    try store.start(shards: 1, listeners: listeners, "--max-commit", "16MiB")
    var events = [String: Int]()
    for round in 0..<3 {
      let mark = "round\(round)"
      let large = commit(16 << 20, mark)
      let wire = try Wire(tcp: UInt16(store.port))
      try wire.send(large.request)
      let answer = try #require(try wire.readLine())
      #expect(answer.hasPrefix("OK ") && answer.hasSuffix("count=\(large.events)"), "\(answer)")
      events[mark] = large.events
      // Many events fit, but none that is longer than an event may be.
      let long = "- /large/long L\t" + String(repeating: "l", count: 1 << 20) + "\n"
      for request in ["COMMIT \(long.utf8.count)\n\(long)", "PUT \(long.utf8.count)\n\(long)"] {
        try wire.send(request)
        #expect(try #require(try wire.readLine()).hasPrefix("ERR event-too-large line 1: "))
      }
      try wire.send(commit((16 << 20) + 4096, "refused").request)
      #expect(try #require(try wire.readLine()).hasPrefix("ERR too-large "))
      switch round {
      case 0:
        store.kill()
        try store.start(shards: 1, listeners: listeners, "--max-commit", "16MiB")
      case 1: #expect(try store.run("seal").status == 0)
      default: break
      }
    }
    let client = try store.everstore()
    let (_, transaction) = try client.open("/large/everstore")
    let many = Array(repeating: String(repeating: "e", count: 1000), count: 6000)
    let answer = try client.commit(
      "/large/everstore", transaction, "E", many.joined(separator: "\n"))
    #expect(answer.success && answer.size == UInt32(many.count * 1025))
    #expect(try client.read("/large/everstore", to: answer.size) == many)
    for (mark, count) in events {
      let lines = try store.run("query", "--stream", "/large/\(mark)/*").lines
      #expect(lines.count == count, "\(mark)")
    }
    #expect(try store.run("query", "--stream", "/large/refused/*").lines.isEmpty)
    #expect(store.stop() == 0)
    #expect(try store.run("verify").status == 0)
  }

  /// Memory of a process that is its own, in bytes.
  private func ownMemory(_ process: Int32) throws -> Int {
    let text = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
    let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("RssAnon:") })
    let word = try #require(line.split(separator: " ").dropLast().last)
    return try #require(Int(word)) * 1024
  }

  @Test("a small shard keeps within 8 MB, with 6000 journals and many senders")
  func small() throws {
    let store = try ServedStore()
    try store.start(
      shards: 1, listeners: [ServedStore.lineListener] + ServedStore.syslogListeners,
      "--profile", "small")
    // Journals, each with commits of some types.
    let wire = try Wire(tcp: UInt16(store.port))
    for start in stride(from: 0, to: 6000, by: 100) {
      for type in 0..<3 {
        let lines = (start..<(start + 100)).map { "- /small/\($0) T\(type)\tevent\n" }.joined()
        try wire.send("COMMIT \(lines.utf8.count)\n\(lines)")
        #expect(try #require(try wire.readLine()).hasPrefix("OK "))
      }
    }
    // Large requests one behind the other, and datagrams.
    let payload = String(repeating: "p", count: 1000)
    let lines = (0..<240).map { "- plain/\($0 % 7) -\t\($0) \(payload)" }
    let sessions = try (0..<4).map { _ in try LineSession(tcp: UInt16(store.port)) }
    for _ in 0..<20 {
      for session in sessions { try session.send(lines) }
      for session in sessions { #expect(try session.receipt()?.count == lines.count) }
    }
    let datagrams = try Wire(udp: try #require(store.ports["syslog-udp"]))
    for number in 0..<500 {
      try datagrams.send("<14>1 - h app - - - \(number) " + payload)
      if number % 20 == 0 { Thread.sleep(forTimeInterval: 0.001) }
    }
    try store.wait("datagrams are stored") {
      (try store.listener("syslog-udp")["stored"] as? Int ?? 0) > 400
    }
    // Requests cut in the middle take slots, large ones and small.
    var halves: [Wire] = []
    for number in 0..<40 {
      let half = try Wire(tcp: UInt16(store.port))
      let byteCount = number % 4 == 0 ? 200_000 : 20_000
      try half.send("PUT \(byteCount)\n- half -\t" + String(repeating: "h", count: byteCount / 2))
      halves.append(half)
    }
    let shard = try #require(try store.roles()["shard 0"])
    let memory = try ownMemory(shard)
    print("own memory of a small shard: \(memory >> 10) KiB")
    #expect(memory <= 8 << 20, "\(memory)")
    // It remembers what it was told: a commit that comes too late loses.
    try wire.send("COMMIT 15 if-none=T2@1\n- /small/0 X\tx\n")
    #expect(try #require(try wire.readLine()).hasPrefix("CONFLICT "))
    // What does not fit is refused, and said so.
    let large = commit(300 << 10, "refused")
    try wire.send(large.request)
    #expect(try #require(try wire.readLine()).hasPrefix("ERR too-large "))
    halves.removeAll()
    #expect(store.stop() == 0)
    #expect(try store.run("query", "--stream", "/small/*").lines.count == 18_000)
  }

  @Test("sizes that cannot be are refused before anything is opened")
  func refusals() throws {
    let store = try ServedStore()
    for options in [
      ["--profile", "tiny"], ["--max-commit", "17MiB"], ["--max-event", "2MiB"],
      ["--max-event", "512KiB", "--max-commit", "256KiB"],
      ["--max-commit", "16MiB", "--seal-bytes", "8MiB"],
    ] {
      let result = try ServedStore.run(["serve", "--data", store.data] + options)
      #expect(result.status == 2, "\(options): \(result.errors)")
    }
  }
}
