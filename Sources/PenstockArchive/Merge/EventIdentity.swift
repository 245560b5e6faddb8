// Which events are one: (stream, time, id, payload) is one event when it carries an id. Events
// without an id, and those of journals, are never the same as another.

internal import PenstockCore

/// What makes an event of a stream and time the same as another.
enum EventIdentity {
  /// Id and payload of an event of a line in `span`; nil when it has no id or is a journal's.
  static func of(
    _ span: RawSpan, attributes: ByteRange, payload: ByteRange, isJournal: Bool
  ) -> [UInt8]? {
    guard !isJournal, let id = id(span, attributes) else { return nil }
    var identity: [UInt8] = []
    identity.reserveCapacity(id.count + payload.count + 1)
    identity += span.extracting(id).array()
    identity.append(Byte.lineFeed)
    identity += span.extracting(payload).array()
    return identity
  }

  /// Where the id stands.
  @inline(__always)
  static func id(_ span: RawSpan, _ attributes: ByteRange) -> ByteRange? {
    // Reserved names come anywhere, but "_" is rare enough to look for first.
    guard
      span.nearIndex(of: UInt8(ascii: "_"), from: attributes.lowerBound, to: attributes.upperBound)
        < attributes.upperBound
    else { return nil }
    return AttributeCursor.value(of: "_id", in: span, attributes)
  }
}
