// What the events of one source have in common, in its final text form:
//
//     "- " stream " " type *( " " key "=" value ) [ " _escaped=" ] TAB
//
// The time is "-": the server sets it. Built once, it is copied in front of every payload.

internal import PenstockCore

/// Stream, type and attributes of events about to be sent.
public struct EventHeader: Sendable {
  /// The header of a payload that stands verbatim.
  let plain: [UInt8]
  /// The header of a payload that is escaped.
  let escaped: [UInt8]
  /// Whether the stream is a journal.
  let isJournal: Bool
  /// Which name in it only a store may use, as an error's text.
  let reservedName: String?

  /// Why no event can have such a header.
  public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, and what was expected.
    public let description: String
  }

  /// A header.
  /// - Parameters:
  ///   - stream: the stream's name, at most 1024 bytes once escaped; names beginning with "/" are
  ///     journals and "_penstock/" is the server's own.
  ///   - type: the events' type; empty or "-" for none.
  ///   - attributes: keys and values, in order; keys beginning with "_" are the server's own.
  public init(
    stream: String, type: String = "-", attributes: [(key: String, value: String)] = []
  ) throws(Fault) {
    let name = Escape.encode(Array(stream.utf8).rawSpan, .word)
    guard !name.isEmpty, name.count <= EventLine.streamByteCountMax else {
      throw Fault(
        description: "a stream's name has 1 to \(EventLine.streamByteCountMax) bytes, not "
          + "\(name.count)")
    }
    guard attributes.count <= EventLine.attributeCountMax else {
      throw Fault(
        description: "an event has at most \(EventLine.attributeCountMax) attributes, not "
          + "\(attributes.count)")
    }
    var bytes = [Byte.dash, Byte.space] + name + [Byte.space]
    bytes += type.isEmpty ? [Byte.dash] : Escape.encode(Array(type.utf8).rawSpan, .word)
    for (key, value) in attributes {
      guard !key.isEmpty else { throw Fault(description: "an attribute's key may not be empty") }
      bytes.append(Byte.space)
      bytes += Escape.encode(Array(key.utf8).rawSpan, .key)
      bytes.append(Byte.equals)
      bytes += Escape.encode(Array(value.utf8).rawSpan, .word)
    }
    isJournal = name.first == Byte.slash
    let reserved = attributes.first { $0.key.utf8.first == UInt8(ascii: "_") }
    reservedName =
      stream.utf8.starts(with: "_penstock/".utf8)
      ? "streams '_penstock/' are the store's own"
      : reserved.map { "attributes that begin with '_' are the store's own, like '\($0.key)'" }
    plain = bytes + [Byte.tab]
    escaped = bytes + Array(" _escaped=".utf8) + [Byte.tab]
  }
}
