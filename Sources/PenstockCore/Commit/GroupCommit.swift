// When to write: the policy of group commit, without I/O.
//
// A batch is closed at once when no barrier is in flight and the padding it costs is within the
// budget, or when it is full and the pipe has room. Natural batching gives the lowest latency; but
// a barrier for every few events writes mostly filler (4 KiB for 200 bytes). So padding has a
// budget: a token bucket in bytes. While it lasts there is no linger; once it is used up a batch
// lingers until the bucket has refilled, at most `lingerNanosecondsMax`. At 10,000 events a second
// nothing lingers; at 100,000 the barriers settle where padding meets the budget.

/// The policy's state.
package struct GroupCommit: BitwiseCopyable {
  /// Filler bytes a second that are written without lingering: 64 MiB, 16 thousand barriers of
  /// one block, is a few per cent of what a current drive writes.
  package static let paddingByteRate: Int64 = 64 << 20
  /// Filler that may be written in a burst, in bytes.
  package static let paddingBurst: Int64 = 1 << 20
  private static let second: Int64 = 1_000_000_000

  /// What is left of the budget, in bytes times nanoseconds a second, so that no refill is lost to
  /// rounding however often it is looked at.
  private var paddingTokens = GroupCommit.paddingBurst * GroupCommit.second
  private var refilledAt: Int64 = 0
  private let byteRate: Int64

  /// - Parameter paddingByteRate: filler bytes a second that are written without lingering.
  package init(paddingByteRate: Int64 = GroupCommit.paddingByteRate) {
    byteRate = paddingByteRate
  }

  /// What to do with the open batch.
  package enum Decision: Equatable, Sendable {
    /// Submit it now.
    case close
    /// Leave it open until this monotonic time, in nanoseconds.
    case wait(until: Int64)
    /// Leave it open until a barrier completes.
    case waitForBarrier
  }

  /// Decides about an open batch that holds at least one event.
  package mutating func decide(
    contentByteCount: Int, isFull: Bool, openedAt: Int64, inFlight: Int, inFlightMax: Int,
    now: Int64, limits: Limits
  ) -> Decision {
    guard inFlight < inFlightMax else { return .waitForBarrier }
    if isFull { return .close }
    guard inFlight == 0 else { return .waitForBarrier }
    refill(now)
    if paddingTokens > 0 { return .close }
    let refillNanoseconds = -paddingTokens / byteRate + 1
    let deadline = min(now + refillNanoseconds, openedAt + limits.lingerNanosecondsMax)
    return deadline <= now ? .close : .wait(until: deadline)
  }

  /// Books the filler of a batch that was submitted.
  package mutating func spend(paddingByteCount: Int, now: Int64) {
    refill(now)
    // A debt of more than one burst would linger long after the load has gone.
    paddingTokens = max(
      paddingTokens - Int64(paddingByteCount) * GroupCommit.second,
      -GroupCommit.paddingBurst * GroupCommit.second)
  }

  private mutating func refill(_ now: Int64) {
    guard now > refilledAt else { return }
    let elapsed = min(now - refilledAt, GroupCommit.second)
    refilledAt = now
    paddingTokens = min(
      paddingTokens + elapsed * byteRate,
      GroupCommit.paddingBurst * GroupCommit.second)
  }
}
