// What is asked of a store, and what is to be said about the answer.

package import PenstockCore

/// A bounded read in order of time.
package struct Query: Sendable {
  package var selection: Selection
  package var direction = ReadDirection.forward
  /// Ends the read after so many events.
  package var limit: Int?
  /// Whether the read stops before what is not proved durable.
  package var leavesProvisionalOut = false
  /// Whether equal events with an id come out once.
  package var collapsesDuplicates = true
  /// One log only.
  package var log: LogNumber?
  /// Per log: only events behind this one.
  package var above: [LogNumber: SequenceNumber] = [:]
  /// Per log: none behind this one, and nothing of logs that it does not name; nil sets no bounds.
  package var through: [LogNumber: SequenceNumber]?
  /// Only what comes behind this event in the order of the read: where another read like it ended.
  package var resume: EventKey?
  /// In every log: only events behind this one, and none behind that one.
  package var aboveAll = SequenceNumber.none
  package var throughAll = SequenceNumber(.max)

  package init(_ selection: Selection = Selection()) { self.selection = selection }

  /// Whether events of this log are asked for at all.
  func includes(_ other: LogNumber) -> Bool {
    (log == nil || log == other) && (through.map { $0[other] != nil } ?? true)
  }

  /// No event of the log behind this one is asked for.
  func last(of log: LogNumber) -> SequenceNumber {
    guard let through else { return throughAll }
    return min(throughAll, through[log] ?? .none)
  }
}

/// What a read has to say beyond its events.
package struct ReadReport: Sendable {
  /// Events that are not proved durable: given out, or left out.
  package var provisionalCount = 0
  package var leavesProvisionalOut = false
  /// The first places whose bytes were damaged and left out.
  package var damage: [String] = []
  /// All such places.
  package var damageCount = 0
}

/// Where a log was read to, and where its next batch will stand.
package struct LogPlace: Equatable, Sendable {
  /// The last event read, or that need not be read.
  package var sequence: SequenceNumber
  /// The segment of the last batch read; nil when that is not known.
  package var segment: SegmentName?
  /// First byte behind that batch, filler included.
  package var offset = 0
  /// Bytes between possible starts of batches there.
  package var alignment = SegmentHeader.alignmentMin
  /// The last batch read.
  package var batch = BatchNumber.none
  /// The lease under which that was so.
  package var epoch: UInt64?

  package init(_ sequence: SequenceNumber) { self.sequence = sequence }

  /// Goes behind a batch; the last event read stays.
  mutating func move(behind batch: BatchExtent, of other: LogSegment) {
    segment = other.name
    alignment = other.alignment
    offset = (batch.end + alignment - 1) / alignment * alignment
    self.batch = batch.line.number
  }
}

/// Where each log of a store was read to.
package typealias LogPlaces = [LogNumber: LogPlace]
