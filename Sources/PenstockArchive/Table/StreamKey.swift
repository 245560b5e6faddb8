// What a table sorts events by before their time: the stream, and the group in it.
//
//     key    = stream [ NUL group ]         ; as in an event line: escaped, so without NUL
//
// Byte order of keys is order of streams, and in each of groups: NUL is the smallest byte. Events
// without a group come first. The group is an attribute the configuration names; journals have
// none, since they are read in the order of their numbers.

internal import PenstockCore

/// Keys of the events of a table.
package enum StreamKey {
  /// Most bytes of a group; a longer value is no group.
  package static let groupByteCountMax = EventLine.streamByteCountMax
  /// Most bytes of a key.
  static let byteCountMax = EventLine.streamByteCountMax + 1 + groupByteCountMax

  /// How many of the key's bytes are the stream's name.
  @inline(__always)
  static func streamByteCount(_ key: RawSpan) -> Int {
    key.firstIndex(of: Byte.null, from: 0, to: key.byteCount)
  }

  /// Whether events of a stream can have a group.
  @inline(__always)
  static func isGrouped(_ stream: RawSpan) -> Bool {
    stream.byteCount > 0 && stream.byte(at: 0) != Byte.slash
  }

  /// The group of an event, by its attributes; nil when it has none.
  static func group(
    by attribute: [UInt8], _ span: RawSpan, _ attributes: ByteRange
  ) -> ByteRange? {
    guard !attributes.isEmpty else { return nil }
    var cursor = AttributeCursor(attributes)
    while let (key, value) = cursor.next(in: span) {
      guard span.extracting(key).equals(attribute.rawSpan) else { continue }
      return value.count <= groupByteCountMax ? value : nil
    }
    return nil
  }
}
