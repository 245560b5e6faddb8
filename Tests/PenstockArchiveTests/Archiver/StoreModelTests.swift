import Foundation
import PenstockArchive
import PenstockCore
import Testing

/// Random stores answer as a plain list of their events does, whatever was archived, joined,
/// imported, erased, failed and lost power before.
///
/// `PENSTOCK_MODEL_SECONDS=600 PENSTOCK_MODEL_SEED=1 swift test --filter StoreModelTests` goes on
/// with the seeds that follow for so long.
@Suite struct StoreModelTests {
  private static func variable(_ name: String) -> UInt64? {
    ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
  }

  /// Steps of one store.
  private static let stepCount = 40

  /// What happened to one store; throws, with the story, at the first wrong answer.
  private func run(_ seed: UInt64) throws -> [String: Int] {
    let store = try ModelledStore(seed: seed)
    do {
      for _ in 0..<StoreModelTests.stepCount { try store.step() }
      try store.finish()
      return store.counts
    } catch {
      print(store.story.joined(separator: "\n"))
      throw ModelledStore.Fault(description: "seed \(seed): \(error)")
    }
  }

  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func `every answer is the model's`(seed: UInt64) throws {
    #expect(try run(seed).values.reduce(0, +) > 30)
  }

  @Test(.enabled(if: variable("PENSTOCK_MODEL_SECONDS") != nil))
  func `a campaign finds nothing`() throws {
    let seconds = Self.variable("PENSTOCK_MODEL_SECONDS") ?? 0
    let end = System.monotonicNanoseconds() + Int64(clamping: seconds) * 1_000_000_000
    var seed = Self.variable("PENSTOCK_MODEL_SEED") ?? 1
    let first = seed
    var counts: [String: Int] = [:]
    while System.monotonicNanoseconds() < end {
      print("model: seed \(seed)")
      counts.merge(try run(seed), uniquingKeysWith: +)
      seed += 1
    }
    print("model: seeds \(first) to \(seed - 1): \(counts.sorted { $0.key < $1.key })")
  }
}
