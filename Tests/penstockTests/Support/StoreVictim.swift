import Foundation

/// A process of the helper program that writes to a store through the library, and what it said.
final class StoreVictim {
  let name: String
  let process = Process()
  private let output: URL

  private static let program: URL = {
    let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    return bundle.deletingLastPathComponent().appendingPathComponent("StoreVictim")
  }()

  /// - Parameter folder: the store's.
  init(_ folder: String, _ name: String, _ words: [String]) throws {
    self.name = name
    output = URL(fileURLWithPath: folder + "-\(name).out")
    _ = FileManager.default.createFile(atPath: output.path, contents: nil)
    process.executableURL = StoreVictim.program
    process.arguments = [folder, name] + words
    process.standardOutput = try FileHandle(forWritingTo: output)
    try process.run()
  }

  deinit {
    kill()
    try? FileManager.default.removeItem(at: output)
  }

  func said() throws -> [String] {
    try String(contentsOf: output, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  /// The numbers that were acknowledged, by stream; the last line may have been cut.
  func acknowledged() throws -> [String: [Int]] {
    var numbers: [String: [Int]] = [:]
    let text = try String(contentsOf: output, encoding: .utf8)
    for line in text.split(separator: "\n").dropLast(text.hasSuffix("\n") ? 0 : 1) {
      let words = line.split(separator: " ")
      guard words.count == 2, let number = Int(words[1]), words[0] != "log" else { continue }
      numbers["\(name)/\(words[0])", default: []].append(number)
    }
    return numbers
  }

  /// Kills it as kill -9 does.
  func kill() {
    if process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }
}
