import CShims
import Foundation
import Testing

/// Starting, refusing to start, being watched, stopping.
@Suite(.serialized) struct ServeTests {
  private static let all = [
    "syslog+udp://127.0.0.1:0", "syslog+tcp://127.0.0.1:0", "line+tcp://127.0.0.1:0",
    "line+tcp://[::1]:0",
  ]

  @Test(arguments: Backend.allCases)
  func `it says where it listens and how it does its work`(_ io: Backend) throws {
    let store = try ServedStore()
    let socket = store.folder + "/line.sock"
    try store.start(shards: 2, io: io, listeners: ServeTests.all + ["line+unix://" + socket])
    let all = try store.endpoints()
    let endpoints = all.filter { !$0.name.hasPrefix("shard-") }
    #expect(endpoints.count == 10)
    // Each shard has an address of its own, which is nobody's business but that of programs.
    let own = all.filter { $0.name == "shard-unix" }
    #expect(own.map(\.shard) == [0, 1])
    #expect(own.allSatisfy { $0.url.hasPrefix("line+unix://") && !store.printed.contains($0.url) })
    for (name, host) in [("shard-tcp", "127.0.0.1"), ("shard-tcp-2", "[::1]")] {
      let ports = all.filter { $0.name == name }
      #expect(ports.map(\.shard) == [0, 1] && Set(ports.map(\.url)).count == 2)
      #expect(ports.allSatisfy { $0.url.hasPrefix("line+tcp://\(host):") })
      #expect(ports.allSatisfy { !store.printed.contains($0.url) })
    }
    for shard in 0..<2 {
      let own = endpoints.filter { $0.shard == shard }
      #expect(
        own.map(\.name) == ["syslog-udp", "syslog-tcp", "line-tcp", "line-tcp-2", "line-unix"])
      #expect(own.map(\.url) == endpoints.prefix(5 * 2).filter { $0.shard == 0 }.map(\.url))
      #expect(!own.contains { $0.url.hasSuffix(":0") })
    }
    for endpoint in endpoints {
      #expect(store.printed.contains("listening on \(endpoint.url)\n"))
    }
    try store.wait("both shards serve: \(store.said)") {
      store.said.components(separatedBy: ": serving from segment ").count == 3
    }
    if io == .poll {
      #expect(store.said.contains("shard 0: epoll and a writer thread, as asked"))
    } else {
      #expect(store.said.contains("shard 0: io_uring") || store.said.contains("shard 0: epoll"))
    }
    // Each of them is really there.
    for wire in [try Wire(tcp: store.ports["line-tcp"] ?? 0), try Wire(unix: socket)] {
      #expect(try LineSession(wire).put(["- a b\tc"]).count == 1)
    }
    #expect(store.stop() == 0)
    #expect(!FileManager.default.fileExists(atPath: socket))
    let left = try FileManager.default.contentsOfDirectory(atPath: store.data + "/run")
    #expect(!left.contains { $0.hasSuffix(".sock") || $0 == "endpoints.json" }, "\(left)")
    // Not on a terminal: no line a second.
    #expect(!store.printed.contains("\u{1B}"))
    #expect(!store.printed.contains("events/s"))
  }

  @Test(arguments: Backend.allCases)
  func `a clean stop keeps and answers everything that was sent`(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(shards: 2, io: io, listeners: ServeTests.all)
    let session = try LineSession(Wire(tcp: store.ports["line-tcp"] ?? 0))
    let syslog = try Wire(tcp: store.ports["syslog-tcp"] ?? 0)
    let datagrams = try Wire(udp: store.ports["syslog-udp"] ?? 0)
    for index in 0..<500 {
      try session.send(["- stop/line - n=\(index)\tline \(index)"])
      try syslog.send("<14>1 - h app - - - tcp \(index)\n")
      try datagrams.send("<14>1 - h app - - - udp \(index)")
    }
    store.daemon?.interrupt()
    var receipts = 0
    while try session.receipt() != nil { receipts += 1 }
    #expect(receipts == 500)
    #expect(store.stop() == 0)
    let stored = try store.run("query", "--format", "raw").lines
    #expect(stored.count(where: { $0.hasPrefix("line ") }) == 500)
    #expect(stored.count(where: { $0.hasSuffix(">1 - h app - - - tcp 499") }) == 1)
    #expect(stored.count(where: { $0.contains(" tcp ") }) == 500)
    #expect(stored.count(where: { $0.contains(" udp ") }) == 500)
  }

  @Test(arguments: Backend.allCases)
  func `a stop takes what waits to be accepted`(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(shards: 1, io: io, listeners: ServeTests.all)
    let shard = try #require(try store.roles()["shard 0"])
    ServedStore.signal(shard, SIGSTOP)
    // The kernel has made these connections; the shard has not seen one of them.
    let wires = try (0..<20).map { index in
      let wire = try Wire(tcp: store.ports["syslog-tcp"] ?? 0)
      try wire.send("<14>1 - h app - - - waiting \(index)\n")
      return wire
    }
    store.daemon?.interrupt()
    Thread.sleep(forTimeInterval: 0.1)
    ServedStore.signal(shard, SIGCONT)
    #expect(store.stop() == 0)
    for wire in wires { #expect(try wire.readToEnd().isEmpty) }
    let stored = try store.run("query", "--format", "raw").lines
    #expect(stored.count(where: { $0.contains(" waiting ") }) == 20)
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
  func `each signal that means stop stops it, also when its group gets it`(_ signal: Int32) throws {
    let store = try ServedStore()
    try store.start()
    try store.put(["- a b\tc"])
    let roles = try store.roles()
    #expect(roles.count == 5)
    let daemon = try #require(store.daemon)
    for process in Array(roles.values) + [daemon.processIdentifier] {
      ServedStore.signal(process, signal)
    }
    #expect(store.stop() == 0)
    #expect(store.said.components(separatedBy: "everything received is durable").count == 3)
    for process in roles.values { #expect(!ServedStore.isAlive(process)) }
  }

  @Test func `killing the host ends every role`() throws {
    let store = try ServedStore()
    try store.start(shards: 3)
    let roles = try store.roles()
    #expect(
      roles.keys.sorted() == ["archiver", "preparer", "reader", "shard 0", "shard 1", "shard 2"])
    store.kill()
    try store.wait("the roles are gone") {
      !roles.values.contains { ServedStore.isAlive($0) }
    }
    // What is left in the run folder does not stop the next one.
    try store.start(shards: 3)
    try store.put(["- a b\tc"])
    #expect(store.stop() == 0)
  }

  @Test func `the socket of a role that is about to end is waited for`() throws {
    let store = try ServedStore()
    try FileManager.default.createDirectory(
      atPath: store.data + "/run", withIntermediateDirectories: true)
    let held = unsafe penstock_listen_unix(store.data + "/run/shard-00.sock", 8)
    try #require(held >= 0)
    Thread {
      Thread.sleep(forTimeInterval: 0.3)
      _ = penstock_close(held)
    }.start()
    try store.start(shards: 2)
    try store.put(["- a b\tc"])
    #expect(store.stop() == 0)
  }

  @Test func `a second daemon on a store is refused and told who has it`() throws {
    let store = try ServedStore()
    try store.start()
    let second = try store.run("serve", "--listen", "line+tcp://127.0.0.1:0")
    #expect(second.status == 1)
    #expect(second.errors.contains("pid=\(store.daemon?.processIdentifier ?? 0)"))
    try store.put(["- a b\tc"])
    // For each shard what was asked for, and two addresses of its own.
    #expect(try store.endpoints().count == 6)
  }

  @Test(arguments: ["line+tcp", "syslog+tcp", "syslog+udp"])
  func `an address somebody has is refused, even for one's own other store`(_ scheme: String) throws
  {
    let store = try ServedStore()
    try store.start(listeners: ["\(scheme)://127.0.0.1:0"])
    let port = store.ports[scheme.split(separator: "+").joined(separator: "-")] ?? 0
    let other = try ServedStore.run([
      "serve", "--data", store.folder + "/other", "--listen", "\(scheme)://127.0.0.1:\(port)",
    ])
    #expect(other.status == 1)
    #expect(other.errors.contains("cannot listen on \(scheme)://127.0.0.1:\(port)"))
    let twice = try ServedStore.run([
      "serve", "--data", store.folder + "/twice", "--listen", "\(scheme)://127.0.0.1:0",
      "--listen", "\(scheme)://no-such-host.invalid:1",
    ])
    #expect(twice.status == 1)
    #expect(twice.errors.contains("no-such-host.invalid"))
  }

  @Test(arguments: [
    ["--shards", "0"], ["--shards", "65"], ["--shards", "x"], ["--io", "uring"],
    ["--listen", "line+tcp://nowhere"], ["--listen", "http://127.0.0.1:80"],
    ["--max-event", "2MiB"], ["--max-event", "10"], ["--seal-bytes", "1MiB"],
    ["--seal-age", "0s"], ["--seal-age", "15"], ["--template", "{nothing}"], ["--template", ""],
    ["--no-such-option"],
    // With each shard's own addresses these are more than a shard has counters for.
    ["--shards", "2"] + (0..<16).flatMap { _ in ["--listen", "line+tcp://127.0.0.1:0"] },
  ])
  func `options that make no sense are refused before anything is made`(_ words: [String]) throws {
    let store = try ServedStore()
    let result = try ServedStore.run(["serve", "--data", store.data] + words)
    #expect(result.status == 2)
    #expect(!result.errors.isEmpty)
    #expect(!FileManager.default.fileExists(atPath: store.data))
  }

  @Test func `a folder that cannot hold a store is named`() throws {
    let store = try ServedStore()
    try Data().write(to: URL(fileURLWithPath: store.data))
    let result = try store.run("serve", "--listen", "line+tcp://127.0.0.1:0")
    #expect(result.status == 1)
    #expect(result.errors.contains(store.data))
  }

  @Test func `a socket may lie deeper than a socket's address is long`() throws {
    let store = try ServedStore()
    let deep = store.folder + "/" + String(repeating: "deep-folder/", count: 12)
    try FileManager.default.createDirectory(atPath: deep, withIntermediateDirectories: true)
    try store.start(listeners: ["line+unix://" + deep + "line.sock"])
    #expect(try LineSession(Wire(unix: deep + "line.sock")).put(["- a b\tc"]).count == 1)
    #expect(store.stop() == 0)
    // The store's own sockets as well.
    let inner = try ServedStore(folder: deep + "store")
    try inner.start()
    #expect(try inner.roles().count == 5)
    #expect(inner.stop() == 0)
  }

  @Test func `a file where a socket should be is not touched`() throws {
    let store = try ServedStore()
    let path = store.folder + "/precious"
    try Data("precious".utf8).write(to: URL(fileURLWithPath: path))
    let result = try store.run("serve", "--listen", "line+unix://" + path)
    #expect(result.status == 1)
    #expect(result.errors.contains("cannot listen on line+unix://" + path))
    #expect(FileManager.default.contents(atPath: path) == Data("precious".utf8))
  }

  @Test func `the control socket takes commands and nobody's time`() throws {
    let store = try ServedStore()
    try store.start()
    let path = store.data + "/run/control.sock"
    // Silent and endless clients take every place there is.
    let silent = try (0..<20).map { _ in try Wire(unix: path) }
    let endless = try Wire(unix: path)
    try? endless.send(String(repeating: "x", count: 10_000))
    let asking = try Wire(unix: path)
    try asking.send("dance\n")
    #expect(try asking.readToEnd().hasPrefix("ERR unknown command"))
    let pieces = try Wire(unix: path)
    for piece in ["sta", "tus", "\n"] { try pieces.send(piece) }
    let answer = try pieces.readToEnd()
    #expect(answer.hasSuffix("OK\n"))
    #expect(answer.contains("shard 0 pid="))
    #expect(silent.count == 20)
    try store.put(["- a b\tc"])
  }

  @Test func `a role does not run without its host`() throws {
    for words in [["role"], ["role", "shard"], ["role", "shard", "--data", "/nowhere"]] {
      let result = try ServedStore.run(words)
      #expect(result.status == 64)
      #expect(result.errors.contains("roles are started by 'penstock serve'"))
    }
  }
}
