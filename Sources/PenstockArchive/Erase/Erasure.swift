// What was ordered to be erased: the events of some streams before an instant, as far as they were
// stored when the order was given.
//
//     order ─▶ line of the manifest: reads leave the events out from now on
//       ─▶ tables that hold nothing else go at once; the others are written anew without them
//       ─▶ live segments lose them when they are archived ─▶ line of the manifest: done
//
// What arrives later is not touched, however old its time is: each log's last sequence number when
// the order was given belongs to it. So an order may be taken twice: a crash brings its file back.

package import PenstockCore

/// One order to erase.
package struct Erasure: Equatable, Sendable {
  /// The streams' pattern, as it was typed.
  package let pattern: String
  /// Events before this instant.
  package let before: Timestamp
  /// Per log, the last event it concerns.
  package let through: [LogNumber: SequenceNumber]
  /// The number of the edit that ordered it, when a later one says it again.
  let edit: UInt64?
  private let glob: Glob

  /// Most orders carried out at once.
  static let countMax = 256

  package init(
    pattern: String, before: Timestamp, through: [LogNumber: SequenceNumber], edit: UInt64? = nil
  ) throws(Glob.Fault) {
    self.edit = edit
    glob = try Glob(pattern)
    self.pattern = pattern
    self.before = before
    self.through = through
  }

  /// Whether it concerns a stream of this name, escaped as in a line.
  func concerns(stream name: RawSpan) -> Bool {
    guard let plain = Escape.decode(name) else { return false }
    return glob.matches(plain.rawSpan)
  }

  /// Whether it concerns an event of a stream it concerns.
  @inline(__always)
  func covers(_ time: Timestamp, _ log: LogNumber, _ sequence: SequenceNumber) -> Bool {
    time < before && sequence <= through[log] ?? .none
  }
}

/// The orders that are not yet carried out everywhere.
struct Erasures: Sendable {
  private let orders: [Erasure]
  /// The stream asked about last, and the orders that concern it.
  private var stream: [UInt8] = []
  private var ofStream: [Erasure] = []

  init(_ orders: [Erasure]) { self.orders = orders }

  @inline(__always)
  var isEmpty: Bool { orders.isEmpty }

  /// Whether an event is to be erased.
  mutating func covers(
    stream name: RawSpan, _ time: Timestamp, _ log: LogNumber, _ sequence: SequenceNumber
  ) -> Bool {
    if orders.isEmpty { return false }
    if !stream.rawSpan.equals(name) || stream.isEmpty {
      stream = name.array()
      ofStream = orders.filter { $0.concerns(stream: name) }
    }
    return ofStream.contains { $0.covers(time, log, sequence) }
  }
}
