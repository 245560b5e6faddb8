// Which buckets of an archiver run get tables of their own: the fullest, up to a limit, so that a
// device that sends random times cannot make the archive fall apart into tiny tables.

internal import PenstockCore

/// Which buckets of a run get tables of their own.
struct BucketChoice {
  private let own: [Int64]
  private let numbers: [Int64: Int]
  private let bucketSeconds: Int64
  private let hasMixed: Bool

  /// Buckets that are counted, at most.
  static let dayCountMax = 4096

  /// - Parameter days: how many rows each bucket has, as far as they were counted.
  init(ownCountMax: Int, _ bucketSeconds: Int64, days: [Int64: Int]) {
    self.bucketSeconds = bucketSeconds
    // The fullest get tables of their own, the earlier of two that are equally full.
    own = days.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(ownCountMax)
      .map(\.key).sorted()
    var numbers: [Int64: Int] = [:]
    for (number, day) in own.enumerated() { numbers[day] = number }
    self.numbers = numbers
    hasMixed = days.count > own.count || days.count >= BucketChoice.dayCountMax
  }

  /// Tables there may be.
  var count: Int { own.count + (hasMixed ? 1 : 0) }

  func number(_ seconds: Int64) -> Int {
    numbers[BucketChoice.day(seconds, bucketSeconds)] ?? own.count
  }

  /// "2026-11-21".
  func folder(_ number: Int) -> String {
    guard number < own.count else { return ArchiveRun.mixedFolder }
    let start = max(own[number] * bucketSeconds, Timestamp.earliest.seconds)
    return String(Timestamp(seconds: start, nanoseconds: 0).text.prefix(10))
  }

  /// The bucket of an instant: buckets are counted from 1970 on.
  @inline(__always)
  static func day(_ seconds: Int64, _ bucketSeconds: Int64) -> Int64 {
    let quotient = seconds / bucketSeconds
    return seconds % bucketSeconds < 0 ? quotient - 1 : quotient
  }
}
