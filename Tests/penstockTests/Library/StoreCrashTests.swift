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
      try StoreVictim(folder.path, "p\($0)", ["\(threads)", "\(StoreCrashTests.recordCount)"])
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
      let beside = try StoreVictim(folder.path, "b\(kill)", ["2", "50"])
      let victim = try StoreVictim(folder.path, "k\(kill)", ["\(1 + kill % 5)", "1000000"])
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
    let victim = try StoreVictim(folder.path, "f", ["fork"])
    victim.process.waitUntilExit()
    #expect(try victim.said() == ["log 0", "child forked", "done"])
    #expect(try folder.open().read().map(\.text) == ["before", "after"])
  }
}
