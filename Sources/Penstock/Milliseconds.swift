// How long a caller waits: milliseconds as the interface has them, nanoseconds as clocks do.

/// Waits that callers choose.
enum Milliseconds {
  /// Longest wait, in nanoseconds: some 70 years, which added to a clock's time stays a time.
  private static let nanosecondsMax = Int64.max / 4

  /// So many milliseconds in nanoseconds; none for negative ones, and the longest wait for more.
  static func nanoseconds(_ milliseconds: Int) -> Int64 {
    let (nanoseconds, isTooMany) = Int64(max(0, milliseconds)).multipliedReportingOverflow(
      by: 1_000_000)
    return isTooMany ? nanosecondsMax : min(nanoseconds, nanosecondsMax)
  }
}
