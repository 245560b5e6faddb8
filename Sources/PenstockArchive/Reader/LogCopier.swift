// The bytes of one log's live segments as they become durable: what a copy of the log is made of.
//
//     segment's header ─▶ batches, those that follow on each other at once ─▶ next segment …
//
// Only batches that count and are durable are told. After a recovery the log goes on in a new segment;
// what it left out of the old one was never told.
//
// Segments are looked through when something says that they hold more: another lease, another frontier,
// batches that the tail cannot find. A log that nobody writes is looked through once.

package import PenstockCore

/// Follows the bytes of one log.
package final class LogCopier<Files: FileSystem> {
  private let reader: StoreReader<Files>
  private let log: LogNumber
  private let tail: FollowedLog<Files>
  private var mappedAt: Int64 = 0
  /// Where what was told ends.
  private var segment: SegmentNumber
  private var offset: Int
  private var batch = BatchNumber.none
  private var hasBegun = false
  /// What was known when the segments were looked through last.
  private var looked: Look?
  /// Whether that showed everything that is durable.
  private var foundAll = true

  /// How often the lease is looked at, and segments at most that do not show what they should, in
  /// nanoseconds.
  private static var lookNanoseconds: Int64 { 200_000_000 }
  /// Bytes told at once: what one call of the kernel sends well.
  private static var stretchByteCount: Int { 1 << 20 }

  /// - Parameters:
  ///   - segment: the first segment wanted, or of which something is there; none for the first
  ///     there is.
  ///   - offset: what is there of that.
  package init(
    _ reader: StoreReader<Files>, _ log: LogNumber, from segment: SegmentNumber, _ offset: Int
  ) {
    self.reader = reader
    self.log = log
    self.segment = segment
    self.offset = offset
    tail = FollowedLog(reader, log, LogPlace(.none))
  }

  /// Why a log cannot be copied from where one wants to go on.
  package struct Gone: Error, Equatable {
    /// The first segment that is there, if one is.
    package var first: SegmentNumber?
  }

  /// What is known of a log without looking through its segments.
  private struct Look: Equatable {
    var lease: UInt64?
    var frontier: SequenceNumber?
  }

  /// Tells what has become durable since the last time: stretches of segments.
  /// - Parameter now: the monotonic clock, in nanoseconds.
  package func poll(
    now: Int64 = System.monotonicNanoseconds(),
    _ body: (SegmentName, ByteRange) throws -> Void
  ) throws {
    let isLookTime = now - mappedAt >= LogCopier.lookNanoseconds || looked == nil
    if isLookTime {
      mappedAt = now
      tail.map()
    }
    let look = Look(lease: tail.lease, frontier: tail.frontier)
    if !isLookTime, !foundAll, look == looked { return }
    if hasBegun, tail.isCurrent, let frontier = tail.frontier {
      if frontier <= tail.sequence { return }
      var stretch: Stretch?
      let isComplete = try tail.advance(to: frontier) { batch, _ in
        try add(
          batch.segment, batch.offset..<batch.end, alignment: batch.alignment, &stretch, body)
      }
      try finish(&stretch, body)
      if isComplete { return }
    }
    guard mayHoldMore(look, isLookTime) else { return }
    looked = look
    try lookAgain(body)
    foundAll = tail.sequence >= (look.frontier ?? .none)
  }

  /// Whether looking through the segments may show what was not told.
  private func mayHoldMore(_ look: Look, _ isLookTime: Bool) -> Bool {
    if looked == nil { return true }
    // Nobody writes, as far as is known: what there is was told.
    guard look.frontier != nil || look != looked else { return false }
    return isLookTime ? look != looked || !foundAll : look != looked && foundAll
  }

  /// Bytes of one segment that are told together.
  private struct Stretch {
    var segment: SegmentName
    var range: ByteRange
  }

  /// Adds a batch, and what lies between it and the one before it, to what is told next.
  private func add(
    _ name: SegmentName, _ range: ByteRange, alignment: Int, _ stretch: inout Stretch?,
    _ body: (SegmentName, ByteRange) throws -> Void
  ) throws {
    if let held = stretch, held.segment == name,
      (held.range.upperBound + alignment - 1) / alignment * alignment == range.lowerBound,
      range.upperBound - held.range.lowerBound <= LogCopier.stretchByteCount
    {
      stretch?.range = held.range.lowerBound..<range.upperBound
      return
    }
    try finish(&stretch, body)
    if name.number != segment || offset == 0 {
      try body(name, 0..<alignment)
    }
    segment = name.number
    offset = range.upperBound
    stretch = Stretch(segment: name, range: range)
  }

  private func finish(
    _ stretch: inout Stretch?, _ body: (SegmentName, ByteRange) throws -> Void
  ) throws {
    guard let held = stretch else { return }
    try body(held.segment, held.range)
    segment = held.segment.number
    offset = held.range.upperBound
    stretch = nil
  }

  /// Looks through the live segments for what comes behind what was told.
  private func lookAgain(_ body: (SegmentName, ByteRange) throws -> Void) throws {
    let frontier = DurableFrontier.read(reader.layout, reader.store, log)
    let view = try LiveView.read(reader, log, frontier).view
    if segment > .none, let first = view.segments.first, first.name.number > segment,
      !isWhole(before: first.name.number)
    {
      throw Gone(first: first.name.number)
    }
    var place = LogPlace(.none)
    var stretch: Stretch?
    search: for found in view.segments {
      for extent in found.batches {
        guard extent.isProved else { break search }
        place.move(behind: extent, of: found)
        place.sequence = max(place.sequence, extent.line.lastSequence)
        guard isWanted(found.name.number, extent) else { continue }
        try add(
          found.name, extent.offset..<extent.end, alignment: found.alignment, &stretch, body)
        batch = extent.line.number
      }
    }
    try finish(&stretch, body)
    guard place.segment != nil else { return }
    batch = place.batch
    place.epoch = frontier.epoch
    tail.move(to: place)
    hasBegun = true
  }

  private func isWanted(_ number: SegmentNumber, _ extent: BatchExtent) -> Bool {
    if hasBegun { return extent.line.number > max(batch, tail.place.batch) }
    if number == segment { return extent.offset >= offset }
    return number > segment
  }

  /// Whether nothing of the log is missing between what was told and the segment `first`.
  private func isWhole(before first: SegmentNumber) -> Bool {
    hasBegun && segment.next == first
  }
}
