import PenstockCore
import Testing

@Suite struct GroupCommitTests {
  let limits = Limits()

  private func decide(
    _ policy: inout GroupCommit, bytes: Int = 200, isFull: Bool = false, openedAt: Int64 = 0,
    inFlight: Int = 0, now: Int64
  ) -> GroupCommit.Decision {
    policy.decide(
      contentByteCount: bytes, isFull: isFull, openedAt: openedAt, inFlight: inFlight,
      inFlightMax: 2, now: now, limits: limits)
  }

  @Test func `a batch is closed at once when nothing is in flight`() {
    var policy = GroupCommit()
    #expect(decide(&policy, now: 1) == .close)
  }

  @Test func `a batch waits for the barrier in flight unless it is full`() {
    var policy = GroupCommit()
    #expect(decide(&policy, inFlight: 1, now: 1) == .waitForBarrier)
    #expect(decide(&policy, isFull: true, inFlight: 1, now: 1) == .close)
    #expect(decide(&policy, isFull: true, inFlight: 2, now: 1) == .waitForBarrier)
  }

  @Test func `ten thousand barriers a second do not linger`() {
    var policy = GroupCommit()
    var now: Int64 = 0
    for _ in 0..<100_000 {
      now += 100_000
      #expect(decide(&policy, openedAt: now, now: now) == .close)
      policy.spend(paddingByteCount: 3896, now: now)
    }
  }

  @Test func `a flood of small batches settles at the padding budget`() {
    var policy = GroupCommit()
    var now: Int64 = 0
    var padding: Int64 = 0
    while now < 1_000_000_000 {
      switch decide(&policy, openedAt: now, now: now) {
      case .close:
        policy.spend(paddingByteCount: 3896, now: now)
        padding += 3896
        now += 20_000
      case .wait(let until):
        #expect(until > now)
        now = until
      case .waitForBarrier: Issue.record("nothing is in flight")
      }
    }
    let budget = GroupCommit.paddingByteRate + GroupCommit.paddingBurst
    #expect(padding <= budget + 4096)
    #expect(padding > budget / 2)
  }

  @Test func `no batch lingers longer than the limit`() {
    var policy = GroupCommit()
    for _ in 0..<10_000 { policy.spend(paddingByteCount: 4096, now: 1) }
    guard case .wait(let until) = decide(&policy, openedAt: 1, now: 1) else {
      Issue.record("a spent budget lingers")
      return
    }
    #expect(until <= 1 + limits.lingerNanosecondsMax)
    #expect(decide(&policy, openedAt: 1, now: 1 + limits.lingerNanosecondsMax) == .close)
  }
}
