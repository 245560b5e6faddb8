// An event as a program sees it that keeps a table of its own.

internal import PenstockArchive
internal import PenstockCore

/// One event of a table.
public struct TableEvent: Equatable, Sendable {
  /// The key it is found by: 1 to 1024 bytes once escaped.
  public var key: String
  /// Nanoseconds since 1970-01-01T00:00:00Z.
  public var time: Int64
  /// Its type; "" for none.
  public var type: String
  /// Keys and values, in order; keys beginning with "_" are the library's own.
  public var attributes: [Attribute]
  /// Any bytes.
  public var payload: [UInt8]

  /// A key with its value.
  public struct Attribute: Equatable, Sendable {
    public var key: String
    public var value: String

    public init(_ key: String, _ value: String) {
      self.key = key
      self.value = value
    }
  }

  /// An event.
  public init(
    key: String, time: Int64, type: String = "", attributes: [Attribute] = [], payload: [UInt8]
  ) {
    self.key = key
    self.time = time
    self.type = type
    self.attributes = attributes
    self.payload = payload
  }

  /// The first value of an attribute.
  public func value(_ key: String) -> String? { attributes.first { $0.key == key }?.value }
}

/// Why a table cannot be written or read.
public struct TableFailure: Error, Equatable, Sendable, CustomStringConvertible {
  /// What happened, to what, and what to do.
  public let description: String

  init(_ error: TableError) { description = error.description }
  init(_ text: String) { description = text }
}

extension TableEvent {
  /// The event line, with its LF.
  func line() throws(TableFailure) -> [UInt8] {
    let isVerbatim = !payload.contains { $0 == Byte.lineFeed || $0 == Byte.null }
    let header: EventHeader
    do throws(EventHeader.Fault) {
      header = try EventHeader(
        stream: key, type: type, attributes: attributes.map { ($0.key, $0.value) })
    } catch {
      throw TableFailure(error.description)
    }
    if let reserved = attributes.first(where: { $0.key.hasPrefix("_") }) {
      throw TableFailure(
        "'\(reserved.key)' cannot be an attribute's key: those beginning with '_' are the library's"
      )
    }
    let (seconds, rest) = time.quotientAndRemainder(dividingBy: 1_000_000_000)
    let stamp = Timestamp(
      seconds: rest < 0 ? seconds - 1 : seconds,
      nanoseconds: UInt32(rest < 0 ? rest + 1_000_000_000 : rest))
    // The header's time is "-".
    var line = Array(stamp.text.utf8) + (isVerbatim ? header.plain : header.escaped).dropFirst()
    line += isVerbatim ? payload : Escape.encode(payload.rawSpan, .payload)
    line.append(Byte.lineFeed)
    return line
  }

  /// The event at a row of a block.
  init(_ block: borrowing TableBlock, row: Int) {
    let fields = block.eventFields(row)
    self.init(
      key: TableEvent.text(fields.stream), time: TableEvent.nanoseconds(block.time(row)),
      type: fields.type == [Byte.dash] ? "" : TableEvent.text(fields.type), payload: fields.payload)
    for (key, value) in fields.attributes where key.first != UInt8(ascii: "_") {
      attributes.append(Attribute(TableEvent.text(key), TableEvent.text(value)))
    }
  }

  private static func text(_ escaped: [UInt8]) -> String {
    String(decoding: Escape.decode(escaped.rawSpan) ?? escaped, as: UTF8.self)
  }

  /// Kept within what 64 bits hold.
  static func nanoseconds(_ time: Timestamp) -> Int64 {
    Int64(clamping: time.nanosecondsSince1970)
  }
}
