// A store served by a real daemon on kernel-chosen ports, and commands run on it as a user would.

import Foundation
import PenstockCore
import Testing

/// The I/O backends every behaviour is tried on.
enum Backend: String, CaseIterable, CustomTestStringConvertible {
  case auto, poll
  var testDescription: String { rawValue }
}

/// What one run of the program left.
struct ProgramResult {
  var status: Int32
  var output: String
  var errors: String

  var lines: [String] { output.split(separator: "\n").map(String.init) }
}

/// A store in a temporary folder, with or without a daemon.
final class ServedStore {
  let folder: String
  private(set) var daemon: Process?
  /// Where the daemon listens, by listener: "line-tcp", "syslog-udp", …
  private(set) var ports: [String: UInt16] = [:]

  /// - Parameter folder: a folder that is somewhere particular; else a temporary one.
  init(folder: String? = nil) throws {
    self.folder =
      folder
      ?? FileManager.default.temporaryDirectory
      .appendingPathComponent("penstock-test-" + UUID().uuidString).path
    try FileManager.default.createDirectory(
      atPath: self.folder, withIntermediateDirectories: true)
  }

  deinit {
    if let daemon, daemon.isRunning {
      daemon.terminate()
      daemon.waitUntilExit()
    }
    if let bytes = FileManager.default.contents(atPath: data + "/penstock.json"),
      let object = try? JSONSerialization.jsonObject(with: bytes) as? [String: Any],
      let store = object["uuid"] as? String
    {
      try? FileManager.default.removeItem(atPath: "/dev/shm/penstock-" + store)
    }
    try? FileManager.default.removeItem(atPath: folder)
  }

  var data: String { folder + "/data" }
  /// The line protocol's port.
  var port: Int { Int(ports["line-tcp"] ?? 0) }

  /// The program under test: it lies beside the test bundle.
  static let program: URL = {
    let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    return bundle.deletingLastPathComponent().appendingPathComponent("penstock")
  }()

  static let lineListener = "line+tcp://127.0.0.1:0"
  static let syslogListeners = ["syslog+udp://127.0.0.1:0", "syslog+tcp://127.0.0.1:0"]

  // MARK: - The daemon

  /// Starts the daemon and waits until it listens.
  func start(
    shards: Int = 2, io: Backend = .auto, listeners: [String] = [lineListener],
    _ options: String...
  ) throws {
    try? FileManager.default.removeItem(atPath: data + "/run/endpoints.json")
    let process = Process()
    process.executableURL = ServedStore.program
    process.arguments =
      ["serve", "--data", data, "--shards", "\(shards)", "--io", io.rawValue]
      + listeners.flatMap { ["--listen", $0] } + options
    process.standardOutput = try appending("daemon.out")
    process.standardError = try appending("daemon.err")
    try process.run()
    daemon = process
    try wait("the daemon listens: \(said)") {
      guard let list = try? endpoints(), !list.isEmpty else {
        return process.isRunning ? false : true
      }
      for endpoint in list {
        if let port = UInt16(endpoint.url.split(separator: ":").last ?? "") {
          ports[endpoint.name] = port
        }
      }
      return true
    }
    try #require(process.isRunning, "the daemon runs: \(said)")
  }

  private func appending(_ name: String) throws -> FileHandle {
    let path = folder + "/" + name
    if !FileManager.default.fileExists(atPath: path) {
      try Data().write(to: URL(fileURLWithPath: path))
    }
    let handle = try #require(FileHandle(forWritingAtPath: path))
    try handle.seekToEnd()
    return handle
  }

  /// The entries of run/endpoints.json.
  func endpoints() throws -> [(name: String, url: String, shard: Int)] {
    let bytes = try Data(contentsOf: URL(fileURLWithPath: data + "/run/endpoints.json"))
    let list = try #require(try JSONSerialization.jsonObject(with: bytes) as? [[String: Any]])
    return try list.map {
      (
        try #require($0["name"] as? String), try #require($0["url"] as? String),
        try #require($0["shard"] as? Int)
      )
    }
  }

  /// What the daemon and its roles wrote on standard error, and on standard output.
  var said: String { text("daemon.err") }
  var printed: String { text("daemon.out") }

  private func text(_ name: String) -> String {
    FileManager.default.contents(atPath: folder + "/" + name)
      .map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  /// Stops the daemon as Ctrl-C does; its exit status.
  @discardableResult
  func stop() -> Int32 {
    guard let daemon else { return -1 }
    daemon.interrupt()
    daemon.waitUntilExit()
    self.daemon = nil
    return daemon.terminationStatus
  }

  /// Kills the host as kill -9 does.
  func kill() {
    guard let daemon else { return }
    ServedStore.signal(daemon.processIdentifier, 9)
    daemon.waitUntilExit()
    self.daemon = nil
  }

  static func signal(_ process: Int32, _ signal: Int32) { _ = Glibc.kill(process, signal) }

  static func isAlive(_ process: Int32) -> Bool {
    guard let stat = FileManager.default.contents(atPath: "/proc/\(process)/stat") else {
      return false
    }
    // A killed process stays as a zombie until its parent has looked.
    let fields = String(decoding: stat, as: UTF8.self).split(separator: ")").last ?? ""
    return !fields.hasPrefix(" Z") && !fields.hasPrefix(" X")
  }

  /// The processes of the roles, by name, as the host tells them.
  func roles() throws -> [String: Int32] {
    let wire = try Wire(unix: data + "/run/control.sock")
    try wire.send("status\n")
    var roles: [String: Int32] = [:]
    for line in try wire.readToEnd().split(separator: "\n") {
      guard let mark = line.range(of: " pid=") else { continue }
      let digits = line[mark.upperBound...].prefix { $0.isNumber }
      roles[String(line[..<mark.lowerBound])] = Int32(digits)
    }
    return roles
  }

  /// The counters of one shard's listener, from `status`.
  func listener(_ name: String, shard: Int = 0) throws -> [String: Any] {
    try #require(try listenerIfThere(name, shard: shard), "status shows \(name) of \(shard)")
  }

  /// The same; nil while the shard has yet to begin.
  func listenerIfThere(_ name: String, shard: Int = 0) throws -> [String: Any]? {
    let json = try run("status", "--format", "json")
    let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
    let shards = try #require((object as? [String: Any])?["shards"] as? [[String: Any]])
    guard shard < shards.count else { return nil }
    let rows = shards[shard]["listeners"] as? [[String: Any]]
    return rows?.first { $0["name"] as? String == name }
  }

  /// Waits until everything the listeners received is stored, refused or booked as lost in a crash.
  func checkLedger(_ listeners: [String], shards: Int = 2) throws {
    for shard in 0..<shards {
      for listener in listeners {
        var last: [String: Any] = [:]
        try wait("the ledger of \(listener) of shard \(shard) closes: \(last)") {
          guard let found = try self.listenerIfThere(listener, shard: shard) else { return false }
          last = found
          return ServedStore.isClosed(found)
        }
      }
    }
  }

  /// Whether what a listener received is all stored, refused or lost.
  static func isClosed(_ counts: [String: Any]) -> Bool {
    let settled = [
      "stored", "refused", "refused_size", "refused_busy", "refused_encrypted", "lost",
    ]
    return counts["received"] as? Int == settled.reduce(0) { $0 + (counts[$1] as? Int ?? 0) }
  }

  // MARK: - Commands

  /// Runs a command of the program on the store.
  func run(_ arguments: String...) throws -> ProgramResult {
    try ServedStore.run(Array(arguments) + ["--data", data])
  }

  static func run(_ arguments: [String]) throws -> ProgramResult {
    let process = Process()
    process.executableURL = program
    process.arguments = arguments
    return try capture(process)
  }

  /// Runs a process and takes what it wrote by way of files: reading a pipe with Foundation ends
  /// the tests when a signal interrupts it.
  static func capture(_ process: Process) throws -> ProgramResult {
    let base = FileManager.default.temporaryDirectory
      .appendingPathComponent("penstock-test-run-" + UUID().uuidString).path
    let paths = [base + ".out", base + ".err"]
    defer {
      for path in paths { try? FileManager.default.removeItem(atPath: path) }
    }
    let handles = try paths.map { path in
      try Data().write(to: URL(fileURLWithPath: path))
      return try #require(FileHandle(forWritingAtPath: path))
    }
    process.standardOutput = handles[0]
    process.standardError = handles[1]
    try process.run()
    process.waitUntilExit()
    for handle in handles { try handle.close() }
    let texts = try paths.map {
      String(decoding: try Data(contentsOf: URL(fileURLWithPath: $0)), as: UTF8.self)
    }
    return ProgramResult(status: process.terminationStatus, output: texts[0], errors: texts[1])
  }

  /// Runs a shell line in which $PENSTOCK is the program and $DATA the store.
  func shell(_ line: String) throws -> ProgramResult {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", line]
    process.environment = ProcessInfo.processInfo.environment.merging([
      "PENSTOCK": ServedStore.program.path, "DATA": data, "PORT": "\(port)", "FOLDER": folder,
    ]) { $1 }
    return try ServedStore.capture(process)
  }

  /// Stores event lines in one PUT and waits for the receipt.
  func put(_ lines: [String]) throws {
    let receipt = try LineSession(Wire(tcp: UInt16(port))).put(lines)
    try #require(receipt.count == lines.count)
  }

  /// Waits for a condition, twenty seconds at most: tests share the machine with others.
  func wait(_ what: @autoclosure () -> String, _ condition: () throws -> Bool) throws {
    let deadline = Date(timeIntervalSinceNow: 20)
    while try !condition() {
      try #require(Date() < deadline, "\(what())")
      Thread.sleep(forTimeInterval: 0.01)
    }
  }
}
