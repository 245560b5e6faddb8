// Which events a reader asks for: the conditions, all of which must hold.
//
// Words of an event line have exactly one escaped form (EventLine), so types, keys and values are
// escaped once, here, and compared with the line as it stands. Stream patterns see the name
// unescaped; so does `contains` see the payload.

package import PenstockCore

/// The direction of a read in time.
package enum ReadDirection: Sendable {
  case forward, reverse
}

/// The conditions an event has to meet.
package struct Selection: Sendable {
  /// An attribute the event has to carry.
  package struct Attribute: Sendable, Equatable {
    fileprivate var key: [UInt8]
    fileprivate var value: [UInt8]

    package init(key: String, value: String) {
      self.key = Escape.encode(Array(key.utf8).rawSpan, .key)
      self.value = Escape.encode(Array(value.utf8).rawSpan, .word)
    }
  }

  /// The stream is of one of these patterns; any stream when there is none.
  package var streams: [Glob] = []
  /// Every one of these attributes is there; with repeated keys one of the values.
  package var attributes: [Attribute] = []
  /// Not before this instant.
  package var since: Timestamp?
  /// Before this instant.
  package var until: Timestamp?
  /// The type, escaped.
  private var type: [UInt8]?
  /// Bytes the payload holds.
  private var contained: [UInt8]?

  /// Everything.
  package init() {}

  /// Asks for one type; "" is the type of events without one.
  package mutating func require(type name: String) {
    type = name.isEmpty ? [Byte.dash] : Escape.encode(Array(name.utf8).rawSpan, .word)
  }

  /// Asks for payloads that hold `text`.
  package mutating func require(contains text: String) {
    contained = text.isEmpty ? nil : Array(text.utf8)
  }

  /// Keys and values an index can look up, escaped; the type has the key "type".
  var indexedValues: [(key: [UInt8], value: [UInt8])] {
    // An attribute may be called "type" too.
    (type.map { [(TableIndex.typeKey, $0)] } ?? [])
      + attributes.filter { $0.key != TableIndex.typeKey }.map { ($0.key, $0.value) }
  }

  /// Whether the time alone decides.
  package var dependsOnTimeOnly: Bool {
    streams.isEmpty && attributes.isEmpty && type == nil && contained == nil
  }

  /// Whether more than time and stream decides.
  package var dependsOnBody: Bool { !attributes.isEmpty || type != nil || contained != nil }

  /// Whether `time` is inside the range asked for.
  @inline(__always)
  package func matches(_ time: Timestamp) -> Bool {
    if let since, time < since { return false }
    if let until, !(time < until) { return false }
    return true
  }

  /// Whether times in this range can match.
  package func mayMatch(_ times: ClosedRange<Timestamp>) -> Bool {
    if let since, times.upperBound < since { return false }
    if let until, !(times.lowerBound < until) { return false }
    return true
  }

  /// Whether a stream of this name, escaped as in a line, is asked for.
  package func matches(stream name: RawSpan) -> Bool {
    guard !streams.isEmpty else { return true }
    guard name.nearIndex(of: Byte.backslash, from: 0, to: name.byteCount) < name.byteCount,
      let plain = Escape.decode(name)
    else { return streams.contains { $0.matches(name) } }
    return streams.contains { $0.matches(plain.rawSpan) }
  }

  /// Whether everything but time and stream fits; `line` was parsed from `span`.
  package func matchesBody(_ span: RawSpan, _ line: EventLine) -> Bool {
    if let type, !span.extracting(line.type).equals(type.rawSpan) { return false }
    for wanted in attributes where !Selection.has(wanted, span, line.attributes) { return false }
    guard let contained else { return true }
    if AttributeCursor.value(of: "_escaped", in: span, line.attributes) != nil,
      let plain = Escape.decode(span.extracting(line.payload))
    {
      return Text.find(contained.rawSpan, in: plain.rawSpan, 0..<plain.count) != nil
    }
    return Text.find(contained.rawSpan, in: span, line.payload) != nil
  }

  private static func has(_ wanted: Attribute, _ span: RawSpan, _ range: ByteRange) -> Bool {
    var cursor = AttributeCursor(range)
    while let (key, value) = cursor.next(in: span) {
      if span.extracting(key).equals(wanted.key.rawSpan),
        span.extracting(value).equals(wanted.value.rawSpan)
      {
        return true
      }
    }
    return false
  }

  /// Whether the event meets every condition.
  package func matches(_ event: borrowing StoredEvent) -> Bool {
    guard matches(event.time) else { return false }
    if dependsOnTimeOnly { return true }
    let span = event.bytes.rawSpan
    return matches(stream: span.extracting(event.fields.stream)) && matchesBody(span, event.fields)
  }
}
