// Where a running daemon listens: run/endpoints.json.
//
//     [{"name":"syslog","url":"syslog+tcp://127.0.0.1:5514","shard":0}, …]
//
// The entries of one shard stand in the order of its listeners, which is the order of their rows
// in the shard's ledger. The reader takes any JSON in which such an array is the whole document,
// skips members it does not know, and gives an empty list for anything else: status is for
// looking, and a half-written file must not stop it.

package import PenstockCore

/// One place a daemon listens at.
package struct ListedEndpoint: Equatable, Sendable {
  package var name: String
  package var url: String
  package var shard: Int

  package init(name: String, url: String, shard: Int) {
    self.name = name
    self.url = url
    self.shard = shard
  }

  /// The endpoints of a store's daemon; empty when there is none.
  package static func read(_ layout: StoreLayout) -> [ListedEndpoint] {
    guard let bytes = System.contents(ofFile: layout.endpoints) else { return [] }
    return read(bytes)
  }

  /// The endpoints a document names.
  package static func read(_ document: [UInt8]) -> [ListedEndpoint] {
    guard case .array(let entries)? = JSONValue.read(document) else { return [] }
    var list: [ListedEndpoint] = []
    for entry in entries {
      guard case .object(let members) = entry, case .text(let url)? = members["url"],
        case .number(let shard)? = members["shard"]
      else { continue }
      var name = ""
      if case .text(let given)? = members["name"] { name = given }
      list.append(ListedEndpoint(name: name, url: url, shard: shard))
    }
    return list
  }
}

/// A JSON value of the kinds our own small files hold: no fractions.
package enum JSONValue: Equatable, Sendable {
  case null
  case flag(Bool)
  case number(Int)
  case text(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// Nesting deeper than this is not ours; it bounds the reader's stack.
  private static let depthMax = 16

  /// The value a whole document holds; nil when it is not one.
  package static func read(_ document: [UInt8]) -> JSONValue? {
    var reader = Reader(bytes: document)
    guard let value = reader.value(depth: 0) else { return nil }
    reader.skipBlanks()
    return reader.offset == document.count ? value : nil
  }

  private struct Reader {
    let bytes: [UInt8]
    var offset = 0

    mutating func skipBlanks() {
      while offset < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[offset]) { offset += 1 }
    }

    mutating func take(_ text: StaticString) -> Bool {
      skipBlanks()
      guard bytes.rawSpan.hasBytes(text, at: offset) else { return false }
      offset += text.utf8CodeUnitCount
      return true
    }

    mutating func value(depth: Int) -> JSONValue? {
      guard depth < JSONValue.depthMax else { return nil }
      if take("null") { return .null }
      if take("true") { return .flag(true) }
      if take("false") { return .flag(false) }
      if take("[") { return array(depth) }
      if take("{") { return object(depth) }
      if take("\"") { return string().map { .text($0) } }
      return number().map { .number($0) }
    }

    private mutating func array(_ depth: Int) -> JSONValue? {
      var values: [JSONValue] = []
      if take("]") { return .array(values) }
      repeat {
        guard let value = value(depth: depth + 1) else { return nil }
        values.append(value)
      } while take(",")
      return take("]") ? .array(values) : nil
    }

    private mutating func object(_ depth: Int) -> JSONValue? {
      var members: [String: JSONValue] = [:]
      if take("}") { return .object(members) }
      repeat {
        guard take("\""), let name = string(), take(":"), let value = value(depth: depth + 1)
        else { return nil }
        members[name] = value
      } while take(",")
      return take("}") ? .object(members) : nil
    }

    private mutating func number() -> Int? {
      let start = offset
      if offset < bytes.count, bytes[offset] == Byte.dash { offset += 1 }
      let digits = offset
      while offset < bytes.count, (Byte.zero...Byte.nine).contains(bytes[offset]) { offset += 1 }
      return bytes.rawSpan.decimal(digits..<offset).map { digits > start ? -$0 : $0 }
    }

    private mutating func string() -> String? {
      var text: [UInt8] = []
      while offset < bytes.count {
        let byte = bytes[offset]
        offset += 1
        if byte == Byte.quote { return String(decoding: text, as: UTF8.self) }
        guard byte == Byte.backslash else {
          text.append(byte)
          continue
        }
        guard offset < bytes.count, let escaped = escape() else { return nil }
        text += escaped
      }
      return nil
    }

    private mutating func escape() -> [UInt8]? {
      let letter = bytes[offset]
      offset += 1
      switch letter {
      case Byte.quote, Byte.backslash, Byte.slash: return [letter]
      case UInt8(ascii: "b"): return [0x08]
      case UInt8(ascii: "f"): return [0x0C]
      case UInt8(ascii: "n"): return [0x0A]
      case UInt8(ascii: "r"): return [0x0D]
      case UInt8(ascii: "t"): return [0x09]
      case UInt8(ascii: "u"):
        guard offset + 4 <= bytes.count,
          let unit = UInt32(
            String(decoding: bytes[offset..<(offset + 4)], as: UTF8.self), radix: 16)
        else { return nil }
        offset += 4
        // Half of a surrogate pair: names outside the first plane are written as they are.
        guard let scalar = Unicode.Scalar(unit) else { return [0xEF, 0xBF, 0xBD] }
        return Array(String(Character(scalar)).utf8)
      default: return nil
      }
    }
  }
}
