// What a load generator's process tells on its standard output:
//
//     report = "connected" LF *( key " " number LF ) [ "refusal " text LF ]
//              *( "bucket " index " " count LF ) "end" LF
//
// A report without "end" is one whose writer died.

internal import PenstockCore

/// The figures of one run of the load generator.
package struct LoadResult: Equatable, Sendable {
  /// The numbers of a report.
  package enum Key: String, CaseIterable, Sendable {
    /// Events sent, and bytes with their framing.
    case sent, bytes
    /// Events acknowledged, and of those within the measured time.
    case acknowledged
    case acknowledgedMeasured = "acknowledged-measured"
    /// PUTs refused, and sends the kernel did not take.
    case refused
    case failedSends = "failed-sends"
    /// Paced units sent over a millisecond behind their time.
    case late
    case connectionsLost = "connections-lost"
    /// Time from the first send to the last, and this process's CPU time, in nanoseconds.
    case sending, processor
  }

  private var numbers: [Key: UInt64] = [:]
  /// The first refusal's text.
  package var refusal: String?
  /// Time from when a unit was due to its answer, within the measured time, in nanoseconds.
  package var latencies = Histogram()

  package init() {}

  package subscript(key: Key) -> UInt64 {
    get { numbers[key] ?? 0 }
    set { numbers[key] = newValue }
  }

  /// What a generator prints when its connections stand.
  package static let connectedLine = "connected\n"

  /// The report's lines behind "connected".
  package var text: String {
    var lines = Key.allCases.map { "\($0.rawValue) \(self[$0])\n" }
    if let refusal { lines.append("refusal \(refusal)\n") }
    for (index, count) in latencies.counts.enumerated() where count > 0 {
      lines.append("bucket \(index) \(count)\n")
    }
    return lines.joined() + "end\n"
  }

  /// Reads a whole report.
  package init(text: String) throws(BenchFailure) {
    var hasEnded = false
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: " ", maxSplits: 1)
      guard let name = fields.first else { continue }
      let rest = fields.count > 1 ? String(fields[1]) : ""
      switch name {
      case "connected": continue
      case "end": hasEnded = true
      case "refusal": refusal = rest
      case "bucket":
        let pair = rest.split(separator: " ").compactMap { UInt64($0) }
        guard pair.count == 2, latencies.add(pair[1], toBucket: Int(clamping: pair[0])) else {
          throw BenchFailure("the load generator reported '\(line)'")
        }
      default:
        guard let key = Key(rawValue: String(name)), let number = UInt64(rest) else {
          throw BenchFailure("the load generator reported '\(line)'")
        }
        numbers[key] = number
      }
    }
    guard hasEnded else { throw BenchFailure("the load generator ended without a report") }
  }
}
