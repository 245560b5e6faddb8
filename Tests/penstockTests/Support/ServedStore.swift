// A store served by a real daemon on kernel-chosen ports, and commands run on it as a user would.

import Foundation
import Testing

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
  private var daemon: Process?
  private(set) var port = 0

  init() throws {
    folder =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("penstock-test-" + UUID().uuidString).path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
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

  /// The program under test: it lies beside the test bundle.
  static let program: URL = {
    let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    return bundle.deletingLastPathComponent().appendingPathComponent("penstock")
  }()

  /// Starts the daemon and waits until it listens.
  func start(shards: Int = 2) throws {
    try? FileManager.default.removeItem(atPath: data + "/run/endpoints.json")
    let process = Process()
    process.executableURL = ServedStore.program
    process.arguments = [
      "serve", "--data", data, "--shards", "\(shards)", "--listen", "line+tcp://127.0.0.1:0",
    ]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    daemon = process
    try wait("the daemon listens") {
      guard let bytes = FileManager.default.contents(atPath: data + "/run/endpoints.json"),
        let list = try? JSONSerialization.jsonObject(with: bytes) as? [[String: Any]],
        let url = list.first?["url"] as? String,
        let found = Int(url.split(separator: ":").last ?? "")
      else { return false }
      port = found
      return true
    }
  }

  /// Stops the daemon as Ctrl-C does.
  func stop() {
    guard let daemon else { return }
    daemon.interrupt()
    daemon.waitUntilExit()
    self.daemon = nil
  }

  /// Runs a command of the program on the store.
  func run(_ arguments: String...) throws -> ProgramResult {
    try ServedStore.run(Array(arguments) + ["--data", data])
  }

  static func run(_ arguments: [String]) throws -> ProgramResult {
    let process = Process()
    process.executableURL = program
    process.arguments = arguments
    let output = Pipe()
    let errors = Pipe()
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    // Errors are few lines: they fit the pipe while the output is read.
    let text = output.fileHandleForReading.readDataToEndOfFile()
    let said = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return ProgramResult(
      status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
      errors: String(decoding: said, as: UTF8.self))
  }

  /// Runs a shell line in which $PENSTOCK is the program and $DATA the store.
  func shell(_ line: String) throws -> ProgramResult {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", line]
    process.environment = ProcessInfo.processInfo.environment.merging([
      "PENSTOCK": ServedStore.program.path, "DATA": data, "PORT": "\(port)", "FOLDER": folder,
    ]) { $1 }
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let text = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return ProgramResult(
      status: process.terminationStatus, output: String(decoding: text, as: UTF8.self), errors: "")
  }

  /// Stores event lines in one PUT and waits for the receipt.
  func put(_ lines: [String]) throws {
    let body = lines.map { $0 + "\n" }.joined()
    let request = "HELLO penstock/1\nPUT \(body.utf8.count)\n" + body
    let path = folder + "/request-" + UUID().uuidString
    try Data(request.utf8).write(to: URL(fileURLWithPath: path))
    let answer = try shell(
      "exec 3<>/dev/tcp/127.0.0.1/$PORT; cat \(path) >&3; timeout 20 head -n 2 <&3; rm \(path)")
    try #require(answer.lines.count == 2 && answer.lines[1].hasPrefix("OK "), "\(answer.output)")
  }

  /// Waits for a condition, ten seconds at most.
  func wait(_ what: String, _ condition: () throws -> Bool) throws {
    let deadline = Date(timeIntervalSinceNow: 10)
    while try !condition() {
      try #require(Date() < deadline, "\(what)")
      Thread.sleep(forTimeInterval: 0.01)
    }
  }
}
