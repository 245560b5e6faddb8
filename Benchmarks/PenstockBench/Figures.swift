// Named numbers of one run, and what several runs of the same say together.

/// The figures of one run.
package struct Figures: Equatable, Sendable {
  /// What is measured. The raw value is the name in JSON; the unit is part of it.
  package enum Key: String, CaseIterable, Sendable {
    /// Durable events a second, by the shard's own counter, and their payload.
    case eventsPerSecond, megabytesPerSecond
    /// The same by receipts that reached the client (line protocol).
    case acknowledgedPerSecond
    /// CPU time of the shard's process, all threads, for each durable event.
    case processorNanosecondsPerEvent
    /// Share of one processor the shard and the generator used, in per cent.
    case shardProcessorPercent, generatorProcessorPercent
    /// Barriers for each event, and events for each.
    case syncsPerEvent, eventsPerSync
    /// Mean time from handing a batch over to its barrier.
    case barrierMicroseconds
    /// Bytes written to segments for each byte of payload.
    case writtenPerPayloadByte
    /// From when an event was due to be sent to its receipt.
    case ackMicroseconds50, ackMicroseconds99, ackMicroseconds999
    /// Largest resident memory of each role.
    case shardPeakMegabytes, hostPeakMegabytes, preparerPeakMegabytes, archiverPeakMegabytes
    /// Events sent, stored, and sent but never stored.
    case sent, stored, lost
    /// Buffers the kernel dropped before they were received.
    case droppedBuffers
    /// Requests refused, and paced units that went out late by over a millisecond.
    case refused, late
    /// Receives that found no buffer, waits for a segment, and segments used before they were
    /// filled.
    case bufferShortages, segmentShortages, segmentsUnfilled
  }

  package private(set) var values: [Key: Double] = [:]
  package init() {}

  package subscript(key: Key) -> Double? {
    get { values[key] }
    set { values[key] = newValue }
  }
}

/// The same figure of several runs.
package struct Spread: Equatable, Sendable {
  package var least: Double
  package var median: Double
  package var most: Double

  /// Of the runs that have the figure; nil when none has.
  package init?(_ key: Figures.Key, of runs: [Figures]) {
    self.init(runs.compactMap { $0[key] })
  }

  /// Of the values; nil when there is none.
  package init?(_ values: [Double]) {
    let sorted = values.sorted()
    guard let first = sorted.first, let last = sorted.last else { return nil }
    least = first
    most = last
    let middle = sorted.count / 2
    median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }
}
