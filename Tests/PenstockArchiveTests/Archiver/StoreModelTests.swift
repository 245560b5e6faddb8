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

/// The model is no judge if it lets wrong answers pass.
@Suite struct WrongAnswerTests {
  private func event(_ second: Int64, _ sequence: UInt64, _ rest: String) throws -> ModelEvent {
    let time = Timestamp(seconds: 1_763_000_000 + second, nanoseconds: 0)
    return try ModelEvent(
      EventKey(time: time, log: LogNumber(0), sequence: SequenceNumber(sequence)),
      Array("\(time.text) \(rest)".utf8))
  }

  @Test func `wrong answers are noticed`() throws {
    let events = try [
      event(0, 1, "a -\tone"), event(0, 2, "a - _id=00000001\ttwo"), event(1, 3, "b -\tone"),
      event(0, 4, "a - _id=00000001\ttwo"), event(2, 5, "a -\tthree"),
    ]
    var model = StoreModel()
    model.add(events)
    let all = ModelQuery()
    let right = [events[0], events[1], events[2], events[4]]
    #expect(model.fault(right, to: all) == nil)
    // The other of two equal ones is as good.
    #expect(model.fault([events[0], events[3], events[2], events[4]], to: all) == nil)
    let wrong: [[ModelEvent]] = [
      [], Array(right.dropLast()), Array(right.dropFirst()), right.reversed(),
      [events[0], events[1], events[3], events[2], events[4]], [events[0]] + right,
      [events[0], events[2], events[4]], [events[0], events[1], events[4], events[2]],
    ]
    for answer in wrong { #expect(model.fault(answer, to: all) != nil) }
    var question = ModelQuery()
    question.direction = .reverse
    question.limit = 2
    question.stream = ("a", false)
    #expect(model.fault([events[4], events[3]], to: question) == nil)
    #expect(model.fault([events[4], events[2]], to: question) != nil)
    #expect(model.fault([events[3], events[0]], to: question) != nil)
    #expect(model.fault([events[4]], to: question) != nil)
    question.until = events[4].key.time
    #expect(model.fault([events[4], events[3]], to: question) != nil)
    model.erase("a", before: events[2].key.time, amongFirst: 3)
    #expect(model.fault(right, to: all) != nil)
    #expect(model.fault([events[3], events[2], events[4]], to: all) == nil)
  }
}
