// How far a log is durable, for readers beside a running shard: one atomic word, published after
// every barrier and before the receipts it releases.
//
//     value 0   highest durable sequence number
//     value 1   highest durable batch number

/// The page with the durable frontier of one log.
package struct Frontier: ~Copyable {
  private var page: SharedPage

  package static let magic: UInt64 = 0x0131_4e52_4654_4e50
  package static let valueCount = 2

  package init(_ page: consuming SharedPage) { self.page = page }

  /// Events up to this one are durable.
  package var sequence: SequenceNumber { SequenceNumber(page[0]) }
  /// Batches up to this one are durable.
  package var batch: BatchNumber { BatchNumber(page[1]) }
  /// The lease the page was written under.
  package var epoch: UInt64 { page.epoch }

  /// Moves the frontier; it only grows. The batch goes first: a reader that sees the sequence
  /// sees its batch too.
  package mutating func publish(_ sequence: SequenceNumber, _ batch: BatchNumber) {
    precondition(sequence.value >= page[0] && batch.value >= page[1])
    page[1] = batch.value
    page[0] = sequence.value
  }

  /// Forgets what an earlier lease published: recovery is about to establish it anew.
  package mutating func reset() {
    page[0] = 0
    page[1] = 0
  }
}
