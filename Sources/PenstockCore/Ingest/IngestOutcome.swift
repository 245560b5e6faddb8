// What became of one message: the marks of its event, which are counters of its listener, too.

/// What became of a message that was to be stored, whatever protocol it came by.
package struct IngestOutcome: OptionSet, BitwiseCopyable, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Stored, and nothing is to be said about it.
  package static let stored: IngestOutcome = []
  /// Stored whole, and marked `_malformed=`.
  package static let malformed = IngestOutcome(rawValue: 1)
  /// Stored as far as the limit, and marked `_truncated=`.
  package static let truncated = IngestOutcome(rawValue: 2)
  /// Stored under the time of its receipt, because the time it claimed was beyond the listener's
  /// window; that is in `_claimed=`.
  package static let timeReplaced = IngestOutcome(rawValue: 4)
  /// Not stored: the writer has no room, roll back.
  package static let full = IngestOutcome(rawValue: 128)
}
