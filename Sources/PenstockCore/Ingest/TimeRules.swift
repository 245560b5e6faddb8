// What a listener makes of the times its messages carry, whatever protocol they came by.
//
//     the message's time        unless the listener is told to take the receipt's, or the message
//                               claims to be further from its receipt than the listener allows
//     the time of the receipt   then, and for a message that carries none; what it claimed is kept
//                               in `_claimed=`
//
// A clock that was never set says 1970, and a firmware's fault says 2106. Retention and buckets go
// by event time: such events would go at once, or stay for ever. By default every time is taken as
// it is, because old logs are sent on purpose, too.

/// The rules for times of one listener.
package struct TimeRules: BitwiseCopyable, Equatable, Sendable {
  /// Seconds east of UTC in which times without a zone are read; nil: UTC, marked as a guess.
  package var zoneOffsetSeconds: Int64?
  /// Whether events have the time of their receipt, whatever they say.
  package var usesReceiveTime = false
  /// How far behind its receipt an event may claim to be, in seconds.
  package var pastSecondsMax: Int64 = .max
  /// How far ahead of its receipt an event may claim to be, in seconds.
  package var futureSecondsMax: Int64 = .max

  package init() {}

  /// Whose time an event has.
  package enum Choice: Equatable, Sendable {
    case message
    /// The receipt's, as the listener was told.
    case receipt
    /// The receipt's, because the message's is beyond what is allowed.
    case replaced
  }

  /// Whose time an event has that claims to be of second `claimed`. Both are of the years of the
  /// journal's text form.
  package func choice(claimed: Int64, receivedAt: Int64) -> Choice {
    guard !usesReceiveTime else { return .receipt }
    return receivedAt &- claimed <= pastSecondsMax && claimed &- receivedAt <= futureSecondsMax
      ? .message : .replaced
  }

  /// The seconds of receipt at which an event that claims to be of second `claimed` is stored
  /// under it; nil when there are none.
  func receipts(of claimed: Int64) -> ClosedRange<Int64>? {
    guard !usesReceiveTime else { return nil }
    let (first, isBelow) = claimed.subtractingReportingOverflow(futureSecondsMax)
    let (last, isAbove) = claimed.addingReportingOverflow(pastSecondsMax)
    return (isBelow ? .min : first)...(isAbove ? .max : last)
  }
}
