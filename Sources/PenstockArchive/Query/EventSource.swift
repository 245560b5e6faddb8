// What the merge is made of: sources that each give events in order, and the order itself.
//
// Time-ordered reads order by time, then by position (log, sequence); no two events of a store
// share a position, so the order is total and a key says where a read may go on.

package import PenstockCore

/// Where an event stands in a time-ordered read.
package struct EventKey: Hashable, Comparable, Sendable, BitwiseCopyable {
  package var time: Timestamp
  package var log: LogNumber
  package var sequence: SequenceNumber

  package init(time: Timestamp, log: LogNumber, sequence: SequenceNumber) {
    self.time = time
    self.log = log
    self.sequence = sequence
  }

  @inline(__always)
  package static func < (left: EventKey, right: EventKey) -> Bool {
    if left.time != right.time { return left.time < right.time }
    if left.log != right.log { return left.log < right.log }
    return left.sequence < right.sequence
  }

  /// Whether this key comes before `other` when read in `direction`.
  @inline(__always)
  package func precedes(_ other: EventKey, _ direction: ReadDirection) -> Bool {
    direction == .forward ? self < other : other < self
  }
}

extension StoredEvent {
  /// Where the event stands in a time-ordered read.
  @inline(__always)
  package var key: EventKey { EventKey(time: time, log: log, sequence: sequence) }
}

/// Why a read cannot go on.
package enum ReadError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A file vanished or the live segments no longer follow on: the archiver was at work. Whoever
  /// holds the snapshot takes a new one and resumes behind the last event it gave out.
  case changed(String)
  /// The kernel refused.
  case failed(FileError)
  /// This is not a store that can be read, and why.
  case unusable(String)

  package var description: String {
    switch self {
    case .changed(let path): "\(path) changed while it was read; run the command again"
    case .failed(let error): error.description
    case .unusable(let reason): reason
    }
  }

  /// A file that is no longer there changed hands; any other failure is one. Folders stay.
  package init(_ error: FileError) {
    let isGone = error.code == System.notFound && error.operation != .list
    self = isGone ? .changed(error.path) : .failed(error)
  }
}

/// Bytes that could not be read and were left out, in the order they were met. Shared by all
/// sources of a read; each place is told once.
package final class DamageLog {
  /// Places kept word for word; more are only counted.
  package static let noteCountMax = 1000
  package private(set) var notes: [String] = []
  package private(set) var count = 0

  package init() {}

  /// Takes note of damage, once per place.
  package func note(_ text: String) {
    guard !notes.contains(text) else { return }
    count += 1
    if notes.count < DamageLog.noteCountMax { notes.append(text) }
  }
}

/// Gives events in order of their keys, ascending or descending as it was made.
package protocol EventSource: AnyObject {
  /// No event of the source is before this time when read in its direction, so the source need
  /// not be touched until the read gets there.
  var bound: Timestamp { get }
  /// The next event; false at the end. Damage is noted and skipped.
  func next(_ event: inout StoredEvent) throws(ReadError) -> Bool
}
