// Counts of values in log-linear buckets: 32 for each power of two, so that a percentile is within
// about 3 %. The generator counts in C in the same buckets (load_bucket).
//
//     as text, one line a bucket that is not empty: "bucket " index " " count

internal import LoadGenerator

/// A distribution of nanoseconds.
package struct Histogram: Equatable, Sendable {
  /// Count of each bucket.
  package private(set) var counts: [UInt64]

  package init() { counts = Array(repeating: 0, count: Int(LOAD_BUCKET_COUNT)) }

  /// Counts taken elsewhere; there has to be one for each bucket.
  package init(counts: [UInt64]) {
    precondition(counts.count == Int(LOAD_BUCKET_COUNT))
    self.counts = counts
  }

  package var total: UInt64 { counts.reduce(0, +) }

  package mutating func record(_ value: UInt64) { counts[load_bucket(value)] += 1 }

  /// Adds to a bucket; false when there is no such bucket.
  package mutating func add(_ count: UInt64, toBucket index: Int) -> Bool {
    guard counts.indices.contains(index) else { return false }
    counts[index] += count
    return true
  }

  package mutating func merge(_ other: Histogram) {
    for index in counts.indices { counts[index] += other.counts[index] }
  }

  /// The value that `share` (0 to 1) of all values do not exceed: the middle of its bucket; nil
  /// when there are none.
  package func percentile(_ share: Double) -> Double? {
    let total = total
    guard total > 0 else { return nil }
    let rank = max(1, UInt64((share * Double(total)).rounded(.up)))
    var seen: UInt64 = 0
    for (index, count) in counts.enumerated() {
      seen += count
      guard seen >= rank else { continue }
      let start = load_bucket_start(index)
      let next = load_bucket_start(index + 1)
      return Double(start) + Double(next - start - 1) / 2
    }
    return nil
  }
}
