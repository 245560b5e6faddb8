// JSON strings written straight into an output buffer.
//
//     string = '"' *( any well-formed UTF-8 but below U+0020, '"' and '\'
//                   | '\"' | '\\' | '\b' | '\f' | '\n' | '\r' | '\t' | '\u00' 2hex ) '"'
//
// Runs without escapes are found sixteen bytes at a time and copied whole. Bytes that are not
// well-formed UTF-8 cannot stand in JSON: `put(json:)` writes U+FFFD for each maximal stretch of
// them, which is for names; payloads are judged before and go out as base64 instead.

internal import PenstockCore

extension OutputBuffer {
  /// Writes the bytes as a JSON string, with its quotes.
  package mutating func put(json bytes: RawSpan) {
    guard Text.isUTF8(bytes, 0..<bytes.byteCount) else {
      let repaired = Array(String(span: bytes).utf8)
      return put(wellFormedJSON: repaired.rawSpan)
    }
    put(wellFormedJSON: bytes)
  }

  /// Writes the bytes, known to be well-formed UTF-8, as a JSON string with its quotes.
  package mutating func put(wellFormedJSON bytes: RawSpan) {
    put(Byte.quote)
    var offset = 0
    let end = bytes.byteCount
    while offset < end {
      let stop = Text.firstJSONEscape(bytes, offset..<end)
      if stop > offset { put(bytes.extracting(offset..<stop)) }
      guard stop < end else { break }
      putEscape(bytes.byte(at: stop))
      offset = stop &+ 1
    }
    put(Byte.quote)
  }

  private mutating func putEscape(_ byte: UInt8) {
    switch byte {
    case Byte.quote: put("\\\"")
    case Byte.backslash: put("\\\\")
    case Byte.lineFeed: put("\\n")
    case Byte.carriageReturn: put("\\r")
    case Byte.tab: put("\\t")
    case 0x08: put("\\b")
    case 0x0C: put("\\f")
    default:
      put(byte < 0x10 ? "\\u000" : "\\u001")
      let low = byte & 0xF
      put(low < 10 ? Byte.zero &+ low : UInt8(ascii: "a") &+ low &- 10)
    }
  }

  /// Writes the bytes in base64 (RFC 4648, padded) as a JSON string with its quotes.
  package mutating func put(base64 bytes: RawSpan) {
    put(Byte.quote)
    var offset = 0
    while offset < bytes.byteCount {
      let count = min(3, bytes.byteCount - offset)
      var group = UInt32(bytes.byte(at: offset)) << 16
      if count > 1 { group |= UInt32(bytes.byte(at: offset + 1)) << 8 }
      if count > 2 { group |= UInt32(bytes.byte(at: offset + 2)) }
      put(OutputBuffer.base64Letter(group >> 18))
      put(OutputBuffer.base64Letter(group >> 12))
      put(count > 1 ? OutputBuffer.base64Letter(group >> 6) : Byte.equals)
      put(count > 2 ? OutputBuffer.base64Letter(group) : Byte.equals)
      offset += 3
    }
    put(Byte.quote)
  }

  private static func base64Letter(_ group: UInt32) -> UInt8 {
    let value = UInt8(group & 0x3F)
    switch value {
    case 0..<26: return UInt8(ascii: "A") + value
    case 26..<52: return UInt8(ascii: "a") + value - 26
    case 52..<62: return Byte.zero + value - 52
    case 62: return UInt8(ascii: "+")
    default: return Byte.slash
    }
  }
}
