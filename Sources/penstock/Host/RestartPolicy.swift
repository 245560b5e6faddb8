// When a role that ended is started again. Pure.
//
// The first restart is immediate: a crash costs milliseconds. Ends that follow each other within a
// minute wait longer each time, so that a role that cannot start does not keep a core busy. A
// shard that lost durability three times within a minute is left down: its device is failing, and
// its share goes to the others.

/// Decides about restarts of one role.
struct RestartPolicy: Equatable {
  /// What to do about an end.
  enum Decision: Equatable {
    case restart(afterNanoseconds: Int64)
    case leaveDown
  }

  /// Ends older than this are forgotten, in nanoseconds.
  static let windowNanoseconds: Int64 = 60_000_000_000
  /// Durability losses within the window after which a shard is left down.
  static let durabilityLossesMax = 3
  /// First and longest pause, in nanoseconds.
  static let firstPause: Int64 = 100_000_000
  static let longestPause: Int64 = 10_000_000_000

  private var ends: [(at: Int64, lostDurability: Bool)] = []

  static func == (left: RestartPolicy, right: RestartPolicy) -> Bool {
    left.ends.map(\.at) == right.ends.map(\.at)
  }

  /// Decides about an end at `now`, in monotonic nanoseconds.
  mutating func decide(now: Int64, lostDurability: Bool) -> Decision {
    ends.removeAll { now - $0.at > RestartPolicy.windowNanoseconds }
    ends.append((now, lostDurability))
    if ends.count(where: \.lostDurability) >= RestartPolicy.durabilityLossesMax {
      return .leaveDown
    }
    guard ends.count > 1 else { return .restart(afterNanoseconds: 0) }
    let doublings = min(ends.count - 2, 7)
    return .restart(
      afterNanoseconds: min(
        RestartPolicy.firstPause << Int64(doublings), RestartPolicy.longestPause))
  }
}
