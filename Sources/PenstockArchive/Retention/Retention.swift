// Which tables are to go, and when: whole tables only.
//
//     by age     a table goes when its latest event is older than what is kept
//     by bytes   when all tables together are larger than they may be, those with the oldest latest
//                event go until they are not
//
// Age is counted back from what the archive knows of the time: the clock, but not more than the
// newest receive time there is, so that a clock that was set forward, or a store that lay switched
// off, loses nothing. And after the clock was seen to be set by more than an hour nothing goes for a
// day: whoever runs the machine has that long to notice.

package import PenstockCore

/// What is to become of the tables.
package struct RetentionPlan: Equatable, Sendable {
  package enum Reason: String, Sendable { case age, bytes }

  /// A table that goes.
  package struct Expiry: Equatable, Sendable {
    package var table: TableEntry
    package var reason: Reason
    /// When it goes; nil for now.
    package var at: Timestamp?
  }

  /// Those that go now, the oldest first, and then, by age, those that will.
  package private(set) var expiries: [Expiry] = []

  /// Those that go now.
  package var due: [Expiry] { expiries.filter { $0.at == nil } }

  /// - Parameter time: what age is counted from.
  package init(_ tables: [TableEntry], _ settings: ArchiveSettings, time: Timestamp) {
    let oldest = tables.sorted { ($0.latest, $0.name) < ($1.latest, $1.name) }
    var excess = 0
    if let limit = settings.retainByteCount {
      excess = tables.reduce(0) { $0 + $1.byteCount } - limit
    }
    var later: [Expiry] = []
    for table in oldest {
      let end = settings.retainNanoseconds.map {
        Timestamp(nanosecondsSince1970: table.latest.nanosecondsSince1970 + Int128($0))
      }
      if let end, end <= time {
        expiries.append(Expiry(table: table, reason: .age))
      } else if excess > 0 {
        expiries.append(Expiry(table: table, reason: .bytes))
      } else if let end {
        later.append(Expiry(table: table, reason: .age, at: end))
        continue
      } else {
        continue
      }
      excess -= table.byteCount
    }
    expiries += later
  }
}

/// Watches the clock for steps.
package struct RetentionClock: Sendable {
  private var realtime: Timestamp
  private var monotonic: Int64
  /// Nothing goes before this, in monotonic nanoseconds.
  private var heldUntil: Int64 = .min

  /// A larger difference between the clock and the time that passed is a step, in nanoseconds.
  package static let stepNanoseconds: Int64 = 3_600_000_000_000
  /// How long nothing goes behind a step, in nanoseconds.
  package static let holdNanoseconds: Int64 = 86_400_000_000_000

  /// - Parameters:
  ///   - newest: the newest receive time stored. When the clock is far from it, nobody knows whether
  ///     the store lay switched off or the clock was set.
  ///   - monotonic: nanoseconds of a clock that nobody sets.
  package init(newest: Timestamp?, realtime: Timestamp, monotonic: Int64) {
    self.realtime = realtime
    self.monotonic = monotonic
    guard let newest else { return }
    let gap = realtime.nanosecondsSince1970 - newest.nanosecondsSince1970
    if gap.magnitude > UInt128(RetentionClock.stepNanoseconds) {
      heldUntil = monotonic + RetentionClock.holdNanoseconds
    }
  }

  /// Whether tables may go now.
  package mutating func mayExpire(realtime now: Timestamp, monotonic ticks: Int64) -> Bool {
    let passed = now.nanosecondsSince1970 - realtime.nanosecondsSince1970
    let difference = passed - Int128(ticks - monotonic)
    if difference.magnitude > UInt128(RetentionClock.stepNanoseconds) {
      heldUntil = ticks + RetentionClock.holdNanoseconds
    }
    realtime = now
    monotonic = ticks
    return ticks >= heldUntil
  }
}
