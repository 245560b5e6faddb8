// What the commands share: failures, quantities, output.

import ArgumentParser
internal import CShims
internal import Glibc
internal import PenstockCore

/// A command that could not do its work; exit status 1.
struct CommandFailure: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// Sizes and durations as people write them: digits and a unit, nothing between.
package enum Quantity {
  private static let sizes: [String: Int64] = [
    "": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
  ]
  private static let spans: [String: Int64] = [
    "ns": 1, "us": 1000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000, "w": 604_800_000_000_000,
  ]

  /// "65536", "64KiB", "4MiB", "1GiB".
  package static func bytes(_ text: String) -> Int? { product(text, sizes).map { Int($0) } }

  /// "100ns", "10us", "500ms", "30s", "15m", "2h", "1d", "1w" in nanoseconds.
  package static func nanoseconds(_ text: String) -> Int64? { product(text, spans) }

  private static func product(_ text: String, _ units: [String: Int64]) -> Int64? {
    let digits = text.utf8.prefix { (Byte.zero...Byte.nine).contains($0) }
    guard let number = Int64(Substring(digits)),
      let factor = units[String(Substring(text.utf8.dropFirst(digits.count)))]
    else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: factor)
    return overflow ? nil : product
  }
}

/// Hands what was printed to the kernel, for readers that wait for it.
func flushOutput() { _ = fflush(nil) }
