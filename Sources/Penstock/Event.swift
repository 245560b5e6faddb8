// An event as a reader of a store gets it.

internal import PenstockArchive
internal import PenstockCore

/// An event that was read from a store.
public struct Event: Equatable, Sendable {
  /// The log it stands in, and its number there: its position.
  public var log: Int
  public var sequence: UInt64
  /// Nanoseconds since 1970-01-01T00:00:00Z.
  public var time: Int64
  public var stream: String
  /// Empty for none.
  public var type: String
  /// Keys and values, in order; keys that begin with "_" are the store's own.
  public var attributes: [TableEvent.Attribute]
  public var payload: [UInt8]
  /// Whether it is not proved durable: a recovery may still drop it.
  public var isProvisional: Bool

  /// The first value of an attribute.
  public func value(_ key: String) -> String? { attributes.first { $0.key == key }?.value }

  /// The number its sender gave it; nil when it has none.
  public var id: UInt32? { value("_id").flatMap { UInt32($0, radix: 16) } }

  /// The payload as text.
  public var text: String { String(decoding: payload, as: UTF8.self) }

  init(_ event: borrowing StoredEvent) {
    let span = event.bytes.rawSpan
    let fields = event.fields
    log = Int(event.log.value)
    sequence = event.sequence.value
    time = TableEvent.nanoseconds(event.time)
    isProvisional = event.isProvisional
    stream = Event.plain(span.extracting(fields.stream))
    let type = Event.plain(span.extracting(fields.type))
    self.type = type == "-" ? "" : type
    attributes = []
    var isEscaped = false
    var cursor = AttributeCursor(fields.attributes)
    while let (key, value) = cursor.next(in: span) {
      let name = Event.plain(span.extracting(key))
      if name == "_escaped" {
        isEscaped = true
      } else {
        attributes.append(.init(name, Event.plain(span.extracting(value))))
      }
    }
    let bytes = span.extracting(fields.payload)
    payload = isEscaped ? Escape.decode(bytes) ?? bytes.array() : bytes.array()
  }

  private static func plain(_ word: RawSpan) -> String {
    guard word.nearIndex(of: Byte.backslash, from: 0, to: word.byteCount) < word.byteCount,
      let plain = Escape.decode(word)
    else { return String(span: word) }
    return String(decoding: plain, as: UTF8.self)
  }
}
