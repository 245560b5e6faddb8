// The counters of a shard, in a page that outlives it: the ledger of P3 and what `status` shows.
//
//     values 0 … 63                     one for each `Counter`
//     values 64 + 32 × listener …       one for each `ListenerCounter` of that listener
//
// Received = stored + each rejection + lost holds for every listener whenever the shard is at
// rest (`ListenerCounter.settled`); a crash leaves received ahead of the rest, and the next start books the difference as lost.

/// Counters of the whole shard.
package enum Counter: Int, CaseIterable, Sendable {
  /// Events and bytes made durable.
  case eventsStored, bytesStored
  /// Batches made durable; each cost one barrier.
  case batches
  /// Bytes written to segments, filler included.
  case bytesWritten
  /// Time from handing a batch over to its barrier, summed, in nanoseconds.
  case barrierNanoseconds
  /// Connections open now, and accepted since the start.
  case connectionsOpen, connectionsAccepted
  /// Connections closed for making no progress with a partial frame.
  case connectionsTimedOut
  /// Connections closed because their answers were not read.
  case connectionsUnread
  /// Receives that found no buffer free.
  case bufferShortages
  /// Segments taken into use, and of those the ones that were only preallocated.
  case segmentsStarted, segmentsUnfilled
  /// Times the shard had no segment to write to; nonzero now means it stopped reading.
  case segmentShortages, isStalled
  /// Number of the active segment, and bytes used of it.
  case activeSegment, activeBytes
  /// Highest batch number known durable.
  case durableBatch
  /// 1 for io_uring, 2 for the fallback.
  case backend
  /// Process number, and wall-clock second of its start.
  case processIdentifier, startedAt
  /// Events found by recovery, batches quarantined, and its duration in nanoseconds.
  case recoveredEvents, quarantinedStretches, recoveryNanoseconds
  /// Seals done on request or by age.
  case seals
  /// Free bytes of the data file system when last looked.
  case freeBytes
  /// Nonzero while the shard serves.
  case isServing
  /// HELLOs with a token that nobody has.
  case tokensRefused
}

/// Counters of one listener: its row of the ledger.
package enum ListenerCounter: Int, CaseIterable, Sendable {
  /// Frames received whole, and their bytes.
  case received, bytesReceived
  /// Events made durable.
  case stored
  /// Events that are in a batch but not durable yet.
  case pending
  /// Stored, but not as its grammar says: kept whole and marked.
  case malformed
  /// Stored, but cut at the limit.
  case truncated
  /// Refused for their form, for their size, and for want of a large slot.
  case refused, refusedSize, refusedBusy
  /// Received before a crash and not stored.
  case lost
  /// Buffers the kernel dropped before they were received (datagrams).
  case dropped
  /// What the socket's own count was when last looked at.
  case droppedSeen
  /// Frames cut off by the end of their connection.
  case unfinished
  /// Stored under the time of their receipt, because they claimed one beyond the listener's window.
  case timeReplaced
  /// Connections refused because they spoke TLS to a listener that does not.
  case refusedEncrypted

  /// What `received` is the sum of, beside what is pending.
  package static let settled: [ListenerCounter] = [
    .stored, .refused, .refusedSize, .refusedBusy, .refusedEncrypted, .lost,
  ]
}

/// The page of counters.
package struct Statistics: ~Copyable {
  private var page: SharedPage

  package static let magic: UInt64 = 0x0131_5441_5453_4e50
  package static let listenerStart = 64
  package static let listenerStride = 32
  package static let valueCount = listenerStart + Limits.listenerCountMax * listenerStride

  package init(_ page: consuming SharedPage) {
    precondition(Counter.allCases.count <= Statistics.listenerStart)
    precondition(ListenerCounter.allCases.count <= Statistics.listenerStride)
    self.page = page
  }

  @inline(__always)
  package subscript(counter: Counter) -> UInt64 {
    get { page[counter.rawValue] }
    set { page[counter.rawValue] = newValue }
  }

  @inline(__always)
  package subscript(listener: Int, counter: ListenerCounter) -> UInt64 {
    get {
      page[Statistics.listenerStart &+ listener &* Statistics.listenerStride &+ counter.rawValue]
    }
    set {
      page[Statistics.listenerStart &+ listener &* Statistics.listenerStride &+ counter.rawValue] =
        newValue
    }
  }

  /// How many of what a listener received were settled one way or another.
  package func settledCount(_ listener: Int) -> UInt64 {
    ListenerCounter.settled.reduce(0) { $0 + self[listener, $1] }
  }
}
