// What `status` shows: read from the shared pages and the folders, never from event data, so that
// looking costs next to nothing and works on a store whose daemon is down.
//
//     shard   lease, frontier page, counter page            (one for each log)
//     store   sizes in live/, first batch lines, manifest, free space

package import PenstockCore

/// The state of a store and of the shards that serve it.
package struct StoreStatus: Sendable {
  /// A listener's row of the ledger.
  package struct Listener: Sendable {
    package var name: String
    package var url: String
    package var counts: [UInt64]

    package subscript(counter: ListenerCounter) -> UInt64 { counts[counter.rawValue] }
  }

  /// One log and its writer.
  package struct Shard: Sendable {
    package var log: LogNumber
    package var frontier: DurableFrontier
    /// The counters; nil when no page of this boot has them.
    package var counters: [UInt64]?
    package var listeners: [Listener]
    /// The newest segment with a batch; nil when there is none.
    package var activeSegment: SegmentNumber?
    package var preparedSegmentCount: Int
    package var sealedSegmentCount: Int

    package subscript(counter: Counter) -> UInt64? { counters.map { $0[counter.rawValue] } }

    /// Which I/O backend the shard chose.
    package var backend: String? {
      switch self[.backend] {
      case 1: "io_uring"
      case 2: "poll"
      default: nil
      }
    }
  }

  package var store: StoreIdentifier
  package var shards: [Shard] = []
  /// Bytes of segments that hold batches.
  package var liveByteCount = 0
  /// Segments that wait for the archiver.
  package var sealedSegmentCount = 0
  package var tableCount = 0
  package var archivedEventCount = 0
  package var freeByteCount = 0
  package var totalByteCount = 0
}
