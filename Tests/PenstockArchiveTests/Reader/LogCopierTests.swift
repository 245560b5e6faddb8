import PenstockCore
import Synchronization
import Testing

@testable import PenstockArchive

@Suite struct LogCopierTests {
  /// Segments that were opened.
  private final class Opened: Sendable {
    let count = Atomic(0)
  }

  private let opened = Opened()
  private let store: TestStore

  init() throws { store = try TestStore() }

  private func line(_ number: Int) -> String {
    "\(Timestamp(seconds: 1_763_000_000 + Int64(number), nanoseconds: 0).text) s -\t\(number)"
  }

  private func copier() throws -> LogCopier<HookedFiles> {
    let files = HookedFiles { [opened] path in
      if path.hasSuffix(".log") { opened.count.add(1, ordering: .relaxed) }
    }
    return LogCopier(try StoreReader(files, store.layout), LogNumber(0), from: .none, 0)
  }

  /// How many bytes a poll at that millisecond tells, and how many segments it opens.
  private func poll(_ copier: LogCopier<HookedFiles>, at millisecond: Int64) throws -> (
    told: Int, opened: Int
  ) {
    let before = opened.count.load(ordering: .relaxed)
    var told = 0
    try copier.poll(now: (1000 + millisecond) * 1_000_000) { _, range in told += range.count }
    return (told, opened.count.load(ordering: .relaxed) - before)
  }

  @Test func `a log that nobody writes is looked through once`() throws {
    for number in 1...3 { try store.log(0).append([line(number)]) }
    try store.log(0).prove()
    let copier = try copier()
    let first = try poll(copier, at: 0)
    #expect(first.told > 4096 && first.opened > 0)
    for millisecond in Int64(1)...2000 {
      #expect(try poll(copier, at: millisecond) == (0, 0))
    }
  }

  @Test func `a log without batches is looked through again once its frontier moves`() throws {
    try store.log(0).startSegment()
    try store.publish(0, 0)
    let copier = try copier()
    #expect(try poll(copier, at: 0).opened > 0)
    for millisecond in Int64(1)...1000 {
      #expect(try poll(copier, at: millisecond) == (0, 0))
    }
    try store.log(0).append([line(1)])
    try store.publish(0, 1)
    // The page may be another one: it is found when it is time to look.
    #expect(try poll(copier, at: 1200).told > 4096)
    #expect(try poll(copier, at: 1201) == (0, 0))
  }

  @Test func `another lease is noticed, and a log's next segment under it told`() throws {
    try store.log(0).append([line(1)])
    try store.publish(0, 1)
    let copier = try copier()
    let first = try poll(copier, at: 0)
    #expect(first.told > 0)
    try store.log(0).append([line(2)])
    try store.log(0).recoverLastBatch([line(2)])
    try store.publish(0, 2, epoch: 2)
    let told = try poll(copier, at: 1).told + poll(copier, at: 200).told
    #expect(told > 4096)
    for millisecond in Int64(201)...1000 {
      #expect(try poll(copier, at: millisecond) == (0, 0))
    }
  }

  @Test func `what the segments should hold and do not is looked for now and then`() throws {
    try store.log(0).append([line(1)])
    // The frontier is ahead of what is there.
    try store.publish(0, 2)
    let copier = try copier()
    #expect(try poll(copier, at: 0).told > 0)
    for millisecond in Int64(1)..<200 {
      #expect(try poll(copier, at: millisecond).told == 0)
    }
    let before = opened.count.load(ordering: .relaxed)
    for millisecond in Int64(200)..<400 {
      #expect(try poll(copier, at: millisecond).told == 0)
    }
    #expect(opened.count.load(ordering: .relaxed) - before <= 5)
    try store.log(0).append([line(2)])
    #expect(try poll(copier, at: 400).told > 0)
  }
}
