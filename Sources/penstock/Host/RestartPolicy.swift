// When a role that ended is started again. Pure.
//
//     lived long enough to have worked   → at once: a crash costs milliseconds
//     ended young, again and again       → at once, 100 ms, 200 ms, … 10 s: a role that cannot start
//                                          does not keep a core busy
//     ended too often within the window  → with a pause: every start makes a fresh segment
//     lost durability too often          → left down: its device is failing, and its share goes to
//                                          the others

/// Decides about restarts of one role.
package struct RestartPolicy {
  /// What to do about an end.
  package enum Decision: Equatable {
    case restart(afterNanoseconds: Int64)
    case leaveDown
  }

  /// A role that lived so long had started: its end is not counted as a failure to start.
  package static let youngNanoseconds: Int64 = 500_000_000
  /// First and longest pause before a role that keeps ending young is started again.
  package static let firstPause: Int64 = 100_000_000
  package static let longestPause: Int64 = 10_000_000_000
  /// How far back ends are counted.
  package static let windowNanoseconds: Int64 = 60_000_000_000
  /// Ends within the window from which on each restart waits, however long the role lived.
  package static let endCountMax = 30
  package static let crowdedPause: Int64 = 2_000_000_000
  /// Durability losses within the window at which a shard is left down.
  package static let durabilityLossesMax = 3

  /// When the role ended, within the window.
  private var ends: [(at: Int64, lostDurability: Bool)] = []
  /// Ends in a row of processes that were young.
  private var youngEndCount = 0

  package init() {}

  /// Decides about the end at `now` of a process started at `startedAt`, in monotonic nanoseconds.
  package mutating func decide(startedAt: Int64, now: Int64, lostDurability: Bool) -> Decision {
    ends.removeAll { now - $0.at > RestartPolicy.windowNanoseconds }
    ends.append((now, lostDurability))
    youngEndCount = now - startedAt < RestartPolicy.youngNanoseconds ? youngEndCount + 1 : 0
    if ends.count(where: \.lostDurability) >= RestartPolicy.durabilityLossesMax {
      return .leaveDown
    }
    var pause: Int64 = 0
    if youngEndCount > 1 {
      // Seven doublings are beyond the longest pause.
      pause = min(
        RestartPolicy.firstPause << Int64(min(youngEndCount - 2, 7)), RestartPolicy.longestPause)
    }
    if ends.count > RestartPolicy.endCountMax { pause = max(pause, RestartPolicy.crowdedPause) }
    return .restart(afterNanoseconds: pause)
  }
}
