import Foundation
import Penstock
import Testing

/// Processes that write through the library, together and while they are killed.
///
///     PENSTOCK_STORE_RECORDS   records each thread writes; default 200
///     PENSTOCK_STORE_KILLS     writers that are killed; default 6
@Suite(.serialized) struct StoreCrashTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let recordCount = environment["PENSTOCK_STORE_RECORDS"].flatMap { Int($0) } ?? 200
  private static let killCount = environment["PENSTOCK_STORE_KILLS"].flatMap { Int($0) } ?? 6

  private static let program: URL = {
    let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    return bundle.deletingLastPathComponent().appendingPathComponent("StoreVictim")
  }()

  /// A process of the helper program, and what it said.
  private final class Victim {
    let name: String
    let process = Process()
    private let output: URL

    init(_ folder: StoreFolder, _ name: String, _ words: [String]) throws {
      self.name = name
      output = URL(fileURLWithPath: folder.path + "-\(name).out")
      _ = FileManager.default.createFile(atPath: output.path, contents: nil)
      process.executableURL = StoreCrashTests.program
      process.arguments = [folder.path, name] + words
      process.standardOutput = try FileHandle(forWritingTo: output)
      try process.run()
    }

    deinit { try? FileManager.default.removeItem(at: output) }

    func said() throws -> [String] {
      try String(contentsOf: output, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    /// The numbers that were acknowledged, by thread; the last line may have been cut.
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
  }

  /// The numbers that are stored, by stream, in the order of the log.
  private func stored(_ store: Store) throws -> [String: [Int]] {
    try store.read().sorted { ($0.log, $0.sequence) < ($1.log, $1.sequence) }
      .reduce(into: [:]) { $0[$1.stream, default: []].append(Int($1.text) ?? -1) }
  }

  @Test(arguments: [(1, 1), (1, 5), (5, 1), (5, 5)])
  func `nothing that several processes write with several threads is lost`(
    _ threads: Int, _ processes: Int
  ) throws {
    let folder = try StoreFolder()
    let victims = try (0..<processes).map {
      try Victim(folder, "p\($0)", ["\(threads)", "\(StoreCrashTests.recordCount)"])
    }
    for victim in victims {
      victim.process.waitUntilExit()
      #expect(victim.process.terminationStatus == 0)
      #expect(try victim.said().last == "done")
    }
    let logs = try Set(victims.map { try $0.said().first ?? "" })
    #expect(logs.count == processes, "each had a log of its own")
    let found = try stored(folder.open())
    #expect(found.count == threads * processes)
    for numbers in found.values { #expect(numbers == Array(0..<StoreCrashTests.recordCount)) }
  }

  @Test func `what a killed process was told is stored, and its log is recovered by the next`()
    throws
  {
    let folder = try StoreFolder()
    var expected: [String: [Int]] = [:]
    for kill in 0..<StoreCrashTests.killCount {
      let beside = try Victim(folder, "b\(kill)", ["2", "50"])
      let victim = try Victim(folder, "k\(kill)", ["\(1 + kill % 5)", "1000000"])
      let began = Date()
      let patience = 0.02 * Double(kill % 7)
      while try victim.acknowledged().isEmpty || Date().timeIntervalSince(began) < patience,
        Date().timeIntervalSince(began) < 20
      {
        usleep(1000)
      }
      Foundation.kill(victim.process.processIdentifier, SIGKILL)
      victim.process.waitUntilExit()
      beside.process.waitUntilExit()
      #expect(beside.process.terminationStatus == 0)
      expected.merge(try victim.acknowledged()) { first, _ in first }
      expected.merge(try beside.acknowledged()) { first, _ in first }
    }
    let store = try folder.open()
    // Both logs there can be are free, and recovered.
    let writers = [try store.writer(), try store.writer()]
    #expect(writers.map(\.log) == [0, 1])
    let found = try stored(store)
    for (stream, numbers) in expected {
      let kept = found[stream] ?? []
      #expect(kept.starts(with: numbers), "\(stream): \(kept.count) of \(numbers.count)")
      #expect(kept == Array(0..<kept.count), "\(stream) is whole and in order")
    }
  }

  @Test func `a forked child is told that it must not write`() throws {
    let folder = try StoreFolder()
    let victim = try Victim(folder, "f", ["fork"])
    victim.process.waitUntilExit()
    #expect(try victim.said() == ["log 0", "child forked", "done"])
    #expect(try folder.open().read().map(\.text) == ["before", "after"])
  }
}
