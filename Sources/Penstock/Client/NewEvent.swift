// What a client stores, and under which conditions.

internal import PenstockCore

/// An event to be stored. Its time is the server's.
public struct NewEvent: Equatable, Sendable {
  /// 1 to 1024 bytes once escaped; a name that begins with "/" is a journal's.
  public var stream: String
  /// Empty for none.
  public var type: String
  /// Keys, none of which begins with "_", and values, in order.
  public var attributes: [TableEvent.Attribute]
  /// A number of the caller's, which readers get as ``Event/id``; nil for none.
  public var id: UInt32?
  /// Any bytes.
  public var payload: [UInt8]

  /// An event whose payload is an array of bytes.
  public init(
    stream: String, type: String = "", attributes: [TableEvent.Attribute] = [],
    id: UInt32? = nil, payload: [UInt8]
  ) {
    self.stream = stream
    self.type = type
    self.attributes = attributes
    self.id = id
    self.payload = payload
  }

  /// An event whose payload is text.
  public init(
    stream: String, type: String = "", attributes: [TableEvent.Attribute] = [],
    id: UInt32? = nil, payload: String
  ) {
    self.init(
      stream: stream, type: type, attributes: attributes, id: id, payload: Array(payload.utf8))
  }
}

/// What has to hold of a journal, or nothing of a commit is stored.
public enum Condition: Equatable, Sendable {
  /// The journal has no event of one of these types after the position.
  case ifNone([String], in: String, after: UInt64)
  /// The journal has no event at all after the position.
  case ifUnchanged(String, after: UInt64)

  /// The condition as it stands in requests, with a space in front.
  func words() throws(StoreError) -> [UInt8] {
    switch self {
    case .ifNone(let types, let journal, let position):
      var words = Array(" in=".utf8) + (try Transaction.encoded(journal: journal))
      for type in types {
        let name = type.isEmpty ? [Byte.dash] : Escape.encode(Array(type.utf8).rawSpan, .word)
        words += Array(" if-type=".utf8) + name + Array("@\(position)".utf8)
      }
      return words
    case .ifUnchanged(let journal, let position):
      return Array(" in=".utf8) + (try Transaction.encoded(journal: journal))
        + Array(" if-unchanged@\(position)".utf8)
    }
  }
}
