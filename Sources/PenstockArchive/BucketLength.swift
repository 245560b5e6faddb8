// How event time is divided into buckets: stretches of one length, counted from 1970 on.
//
// A bucket is over at its end, and closed a grace period later. An event whose bucket was closed
// when the event was received is late.

package import PenstockCore

/// The length of the archive's buckets.
package struct BucketLength: Hashable, Sendable {
  package let nanoseconds: Int64

  /// A day.
  package static let day = BucketLength(clamping: 86_400_000_000_000)
  /// The shortest: a bucket has a folder and tables of its own.
  package static let nanosecondsMin: Int64 = 1_000_000_000
  /// The longest, a hundred years of 365 days.
  package static let nanosecondsMax: Int64 = 36_500 * 86_400_000_000_000

  /// Whole seconds, or 0 when the length has a fraction.
  private let seconds: Int64

  /// Nil for a length that is too short or too long.
  package init?(nanoseconds: Int64) {
    guard (BucketLength.nanosecondsMin...BucketLength.nanosecondsMax).contains(nanoseconds) else {
      return nil
    }
    self.init(clamping: nanoseconds)
  }

  private init(clamping nanoseconds: Int64) {
    self.nanoseconds = nanoseconds
    let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    self.seconds = rest == 0 ? seconds : 0
  }

  /// The number of the bucket `time` lies in.
  @inline(__always)
  package func number(of time: Timestamp) -> Int64 {
    guard seconds > 0 else { return numberByNanoseconds(time) }
    let quotient = time.seconds / seconds
    return time.seconds % seconds < 0 ? quotient - 1 : quotient
  }

  private func numberByNanoseconds(_ time: Timestamp) -> Int64 {
    let (quotient, rest) = time.nanosecondsSince1970.quotientAndRemainder(
      dividingBy: Int128(nanoseconds))
    return Int64(rest < 0 ? quotient - 1 : quotient)
  }

  /// The first instant of a bucket, kept within the years of the text form.
  package func start(of number: Int64) -> Timestamp {
    Timestamp(nanosecondsSince1970: Int128(number) * Int128(nanoseconds))
  }

  /// The first instant behind a bucket, kept within the years of the text form.
  package func end(of number: Int64) -> Timestamp { start(of: number + 1) }

  /// Events before this instant are late when they are received at `time`.
  package func lateBefore(receivedAt time: Timestamp, grace: Int64) -> Timestamp {
    let reached = Timestamp(nanosecondsSince1970: time.nanosecondsSince1970 - Int128(grace))
    return start(of: number(of: reached))
  }

  /// The name of a bucket's folder: its first instant, as short as the length lets it be.
  /// "2026-11-21", "2026-11-21T034700", "2026-11-21T034700-500000000".
  package func folder(_ number: Int64) -> String {
    let start = start(of: number)
    let text = start.text
    let date = String(text.prefix(10))
    if nanoseconds % 86_400_000_000_000 == 0 { return date }
    let time = text.dropFirst(11).prefix(8).filter { $0 != ":" }
    guard seconds == 0 else { return date + "T" + time }
    return date + "T" + time + "-" + text.dropFirst(20).prefix(9)
  }
}
