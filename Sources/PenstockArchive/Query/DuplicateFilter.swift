// Lets one of several equal events through: (stream, time, id, payload) is one event when it
// carries an id. Without an id, and in journals, nothing is left out.
//
// Equal events have equal times, so a read in order of time meets them together and only those of
// the current instant have to be remembered. What is remembered is bounded: should an instant
// hold more, later duplicates in it are shown, which is harmless; nothing is ever left out that is
// not equal byte by byte.

internal import PenstockCore

/// Remembers the events with an id of the current instant.
struct DuplicateFilter {
  private var time: Timestamp?
  /// Stream, id and payload, one behind the other.
  private var seen: Set<[UInt8]> = []
  private var seenByteCount = 0
  private static let byteCountMax = 8 << 20

  /// Whether an equal event was seen; remembers this one otherwise.
  mutating func isDuplicate(_ event: borrowing StoredEvent) -> Bool {
    let line = event.bytes.rawSpan
    guard
      let same = EventIdentity.of(
        line, attributes: event.fields.attributes, payload: event.fields.payload,
        isJournal: line.byte(at: event.fields.stream.lowerBound) == Byte.slash)
    else { return false }
    if time != event.time {
      time = event.time
      seen.removeAll(keepingCapacity: true)
      seenByteCount = 0
    }
    let identity = line.extracting(event.fields.stream).array() + [Byte.lineFeed] + same
    if seen.contains(identity) { return true }
    guard seenByteCount + identity.count <= DuplicateFilter.byteCountMax else { return false }
    seenByteCount += identity.count
    seen.insert(identity)
    return false
  }
}
