// What an operator decides about the archive.

/// How the archive is laid out.
package struct ArchiveSettings: Equatable, Sendable {
  /// The stretch of event time a table belongs to.
  package var bucket = BucketLength.day
  /// How long after its end a bucket takes events that are not late, in nanoseconds.
  package var graceNanoseconds: Int64 = 60_000_000_000
  /// The attribute by which the events of a stream are grouped, if any.
  package var group: String?
  /// Bytes a table may have: merges join tables up to this size.
  package var tableByteCountMax = 1 << 30
  /// How long a closed bucket gets no tables before it is brought to its fewest, in nanoseconds:
  /// stragglers are joined together, not each with what is there.
  package var settleNanoseconds: Int64 = 600_000_000_000

  package init() {}
}
