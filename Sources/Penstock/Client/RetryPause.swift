// How long to wait before the next attempt: not at all after a connection that worked, then longer
// each time, up to a limit, and at random below that, so that many clients do not come back at once.

internal import PenstockCore

/// Failures in a row, and the pauses they cost.
struct RetryPause {
  private(set) var failureCount = 0

  /// The pause after the second failure in a row, in nanoseconds: a killed shard is back within some
  /// tens of milliseconds.
  static let firstNanoseconds: Int64 = 10_000_000

  mutating func reset() { failureCount = 0 }

  /// Notes a failure; the pause before the next attempt, in nanoseconds.
  /// - Parameters:
  ///   - addressCount: attempts that are made, one at each address, before the pause grows.
  ///   - random: any number; chooses the pause between half and all of its length.
  mutating func fail(
    addressCount: Int, nanosecondsMax: Int64, random: UInt64 = System.random()
  ) -> Int64 {
    failureCount += 1
    guard failureCount > 1 else { return 0 }
    let doublings = min((failureCount - 2) / max(addressCount, 1), 30)
    let length = min(RetryPause.firstNanoseconds << Int64(doublings), nanosecondsMax)
    return length / 2 + Int64(random % UInt64(length / 2 + 1))
  }
}
