// Planted faults: each breaks one rule on purpose, outside the production code, and the simulation
// has to notice. A simulator that lets one through proves nothing about the rule.

/// A rule that is broken on purpose.
package enum Canary: String, CaseIterable, Sendable {
  /// A commit is reported complete once its write has landed, before the sync.
  case acknowledgeBeforeSync = "ack-before-sync"
  /// Syncing a folder does nothing.
  case noFolderSync = "no-folder-sync"
  /// A failed sync is tried again and reported as a success.
  case retryFailedSync = "retry-failed-sync"
  /// The barrier of one batch is reported as that of the one before it.
  case receiptOutOfOrder = "receipt-out-of-order"
  /// The shard goes on in a segment of its predecessor, behind the last batch.
  case appendToRecovered = "append-to-recovered"
  /// A dead process's lease falls while its writes are still on their way.
  case earlyLease = "early-lease"
  /// A torn batch gets a checksum that fits: as if recovery did not look at it.
  case tornBatchAccepted = "torn-batch-accepted"
  /// Numbers go on behind the last batch found, without a jump.
  case reusedNumbers = "reused-numbers"
  /// The manifest's line is not synced before segments are unlinked.
  case earlyUnlink = "early-unlink"
  /// The recovery batch is not synced before its events are served.
  case unprovedPublished = "unproved-published"
  /// A short write is reported as a whole one.
  case shortWriteAccepted = "short-write-accepted"
  /// A failed write is reported as a success.
  case failedWriteAccepted = "failed-write-accepted"
  /// A commit's condition is not looked at.
  case conditionIgnored = "condition-ignored"
  /// A commit's condition is taken for a stricter one: it breaks without need.
  case conditionMistaken = "condition-mistaken"
  /// What was known of producers is forgotten at a start.
  case producersForgotten = "producers-forgotten"
  /// So is only which producers may have been forgotten before.
  case producerFloorForgotten = "producer-floor-forgotten"
}

/// What the simulation found wrong; the first finding ends a run.
package struct Finding: Error, CustomStringConvertible, Sendable {
  package let description: String
  package init(_ description: String) { self.description = description }
}
