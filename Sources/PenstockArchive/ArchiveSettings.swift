// What an operator decides about the archive.

internal import PenstockCore

/// How the archive is laid out.
package struct ArchiveSettings: Equatable, Sendable {
  /// The stretch of event time a table belongs to.
  package var bucket = BucketLength.day
  /// How long after its end a bucket takes events that are not late, in nanoseconds.
  package var graceNanoseconds: Int64 = 60_000_000_000
  /// The attribute by which the events of a stream are grouped, if any.
  package var group: String?
  /// Attributes whose values are indexed; "type" is the type.
  package var indexes = ["type", "host", "severity"]
  /// Bytes a table may have: merges join tables up to this size.
  package var tableByteCountMax = 1 << 30
  /// How long a closed bucket gets no tables before it is brought to its fewest, in nanoseconds:
  /// stragglers are joined together, not each with what is there.
  package var settleNanoseconds: Int64 = 600_000_000_000

  /// Most indexes.
  package static var indexCountMax: Int { TableIndex.keyCountMax }
  /// Longest key of an attribute, in bytes: escaped it takes at most twice as much.
  package static let keyByteCountMax = 256

  package init() {}

  /// The keys of the indexes as in an event line.
  var indexKeys: [[UInt8]] { indexes.map { Escape.encode(Array($0.utf8).rawSpan, .key) } }

  /// The grouping attribute as in an event line.
  var groupKey: [UInt8]? { group.map { Escape.encode(Array($0.utf8).rawSpan, .key) } }
}
