import Testing
import penstock

struct RestartPolicyTests {
  private static let millisecond: Int64 = 1_000_000
  private static let second: Int64 = 1000 * millisecond

  /// The end of a process: how long it lived, how long it had been down, in milliseconds.
  private struct End {
    var lived: Int64
    var lost = false
  }

  /// What the policy says to ends in a row, each start following the pause; in milliseconds,
  /// nil for "leave down".
  private func pauses(_ ends: [End]) -> [Int64?] {
    var policy = RestartPolicy()
    var now: Int64 = 0
    return ends.map { end in
      let startedAt = now
      now += end.lived * RestartPolicyTests.millisecond
      switch policy.decide(startedAt: startedAt, now: now, lostDurability: end.lost) {
      case .leaveDown: return nil
      case .restart(let pause):
        now += pause
        return pause / RestartPolicyTests.millisecond
      }
    }
  }

  @Test func `a role that worked is started again at once, many times over`() {
    let ends = Array(repeating: End(lived: 600), count: 20)
    #expect(pauses(ends) == Array(repeating: 0, count: 20))
  }

  @Test func `a role that cannot start waits longer each time, ten seconds at most`() {
    let ends = Array(repeating: End(lived: 5), count: 12)
    #expect(
      pauses(ends) == [0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000, 10000])
  }

  @Test func `having worked once ends the row`() {
    let young = End(lived: 499)
    #expect(
      pauses([young, young, young, End(lived: 500), young, young, young])
        == [0, 100, 200, 0, 0, 100, 200])
  }

  @Test func `the third loss of durability within a minute leaves it down`() {
    let lost = End(lived: 1000, lost: true)
    #expect(pauses([lost, lost, lost]) == [0, 0, nil])
    let other = End(lived: 1000)
    #expect(pauses([lost, other, lost, other, lost]) == [0, 0, 0, 0, nil])
  }

  @Test func `losses longer ago than a minute are forgotten`() {
    let lost = End(lived: 31_000, lost: true)
    #expect(pauses([lost, lost, lost, lost]) == [0, 0, 0, 0])
    let justInside = End(lived: 30_000, lost: true)
    #expect(pauses([justInside, justInside, justInside]) == [0, 0, nil])
  }

  @Test func `too many ends in a minute slow down even a role that works`() {
    let paused = pauses(Array(repeating: End(lived: 600), count: 40))
    #expect(paused.prefix(30).allSatisfy { $0 == 0 })
    #expect(paused.dropFirst(30).allSatisfy { $0 == 2000 })
  }

  @Test func `no number of ends makes it trap`() {
    var policy = RestartPolicy()
    var now: Int64 = 0
    for _ in 0..<10_000 {
      now += 1
      guard
        case .restart(let pause) = policy.decide(startedAt: now, now: now, lostDurability: false)
      else {
        Issue.record("left down without a loss of durability")
        return
      }
      #expect((0...RestartPolicy.longestPause).contains(pause))
      now += pause
    }
  }
}
