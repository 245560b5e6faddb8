// What a load generator's process is asked to do, as the words of its command line:
//
//     penstock generate --kind octet --port 5514 --connections 8 --rate 0 --events-per-put 1
//       --window 1024 --warmup 300 --measured 2000 --sleeps 0 --seed 1
//
// Times are milliseconds, the rate is events a second over all connections, 0 for as fast as the
// server takes them.

internal import LoadGenerator
internal import PenstockCore

/// One run of the load generator.
package struct LoadPlan: Equatable, Sendable {
  /// What is sent, and how it is framed.
  package enum Kind: String, CaseIterable, Sendable {
    /// Syslog over TCP, octet-counted and one message a line.
    case octet, newline
    /// The line protocol.
    case line
    /// Syslog over UDP, one datagram a message, and as segmented sends.
    case datagrams, segments
    /// The line protocol's commits, each to one of some hundred journals, with a condition.
    case commit

    package var isDatagram: Bool { self == .datagrams || self == .segments }

    var number: Int32 {
      switch self {
      case .octet: Int32(LOAD_SYSLOG_OCTET.rawValue)
      case .newline: Int32(LOAD_SYSLOG_NEWLINE.rawValue)
      case .line: Int32(LOAD_LINE.rawValue)
      case .datagrams: Int32(LOAD_DATAGRAMS.rawValue)
      case .segments: Int32(LOAD_SEGMENTS.rawValue)
      case .commit: Int32(LOAD_COMMIT.rawValue)
      }
    }
  }

  package var kind: Kind
  package var host = "127.0.0.1"
  package var port: UInt16 = 0
  package var connections = 1
  package var rate = 0
  package var eventsPerPut = 1
  /// PUTs in flight on one connection, a power of two.
  package var window = 1024
  package var warmupMilliseconds = 300
  package var measuredMilliseconds = 2000
  /// Whether a paced run sleeps between units; else it watches the clock.
  package var sleeps = false
  package var seed = 1

  package init(_ kind: Kind) { self.kind = kind }

  /// Bytes of every event, its framing not counted.
  package static let messageByteCount = Int(LOAD_MESSAGE_BYTES)

  /// The plan as arguments.
  package var words: [String] {
    [
      "--kind", kind.rawValue, "--host", host, "--port", "\(port)",
      "--connections", "\(connections)", "--rate", "\(rate)",
      "--events-per-put", "\(eventsPerPut)", "--window", "\(window)",
      "--warmup", "\(warmupMilliseconds)", "--measured", "\(measuredMilliseconds)",
      "--sleeps", sleeps ? "1" : "0", "--seed", "\(seed)",
    ]
  }

  /// Reads arguments; what is not given keeps its default.
  package init(words: [String]) throws(BenchFailure) {
    self.init(.octet)
    var index = 0
    while index < words.count {
      guard index + 1 < words.count else {
        throw BenchFailure("'penstock generate': \(words[index]) takes a value")
      }
      try set(words[index], words[index + 1])
      index += 2
    }
    let isSane =
      port > 0 && (1...Int(LOAD_CONNECTION_MAX)).contains(connections) && rate >= 0
      && (1...4096).contains(eventsPerPut) && window.nonzeroBitCount == 1
      && (1...Int(LOAD_WINDOW_MAX)).contains(window) && warmupMilliseconds >= 0
      && measuredMilliseconds > 0
    guard isSane else {
      throw BenchFailure(
        "'penstock generate': expected --kind, --port, --connections 1 to \(LOAD_CONNECTION_MAX), "
          + "--window a power of two up to \(LOAD_WINDOW_MAX), --events-per-put 1 to 4096, "
          + "--measured in milliseconds")
    }
  }

  private mutating func set(_ key: String, _ value: String) throws(BenchFailure) {
    func number() throws(BenchFailure) -> Int {
      guard let number = Int(value) else {
        throw BenchFailure("'penstock generate': \(key) takes a number, not '\(value)'")
      }
      return number
    }
    switch key {
    case "--kind":
      guard let known = Kind(rawValue: value) else {
        let all = Kind.allCases.map(\.rawValue).joined(separator: ", ")
        throw BenchFailure("'penstock generate': --kind takes \(all), not '\(value)'")
      }
      kind = known
    case "--host": host = value
    case "--port": port = UInt16(clamping: try number())
    case "--connections": connections = try number()
    case "--rate": rate = try number()
    case "--events-per-put": eventsPerPut = try number()
    case "--window": window = try number()
    case "--warmup": warmupMilliseconds = try number()
    case "--measured": measuredMilliseconds = try number()
    case "--sleeps": sleeps = try number() != 0
    case "--seed": seed = try number()
    default: throw BenchFailure("'penstock generate': unknown \(key)")
    }
  }
}

/// Why a benchmark cannot go on.
package struct BenchFailure: Error, Equatable, Sendable, CustomStringConvertible {
  package var description: String
  package init(_ description: String) { self.description = description }
}
