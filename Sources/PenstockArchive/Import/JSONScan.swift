// Reading JSON (RFC 8259) where it lies: strict, without recursion deeper than `depthMax`.
//
// Values are passed over or found, never built. A string is where it stands, and decoded only when
// somebody wants it. That the text is UTF-8 is for the caller to check, once, over all of it.

internal import PenstockCore

/// Why a text is not JSON: what was expected, and where.
struct JSONFault: Error, Equatable {
  var what: StaticString
  var offset: Int

  init(_ what: StaticString, _ offset: Int) {
    self.what = what
    self.offset = offset
  }

  static func == (left: JSONFault, right: JSONFault) -> Bool { left.offset == right.offset }

  var description: String { "not JSON: \(what) at byte \(offset + 1)" }
}

/// The smallest steps through a JSON text; each begins at `offset` and leaves it behind what it read.
enum JSONScan {
  /// Deepest nesting: a line of opening brackets must not exhaust the stack.
  static let depthMax = 64

  /// A string, without its quotes.
  struct Text {
    var range: ByteRange
    var hasEscapes: Bool
  }

  enum Kind { case text, number, boolean, null, container }

  @inline(__always)
  static func skipBlanks(_ span: RawSpan, _ offset: inout Int) {
    // Mostly there is none.
    guard offset < span.byteCount, span.byte(at: offset) <= 0x20 else { return }
    skipMoreBlanks(span, &offset)
  }

  private static func skipMoreBlanks(_ span: RawSpan, _ offset: inout Int) {
    while offset < span.byteCount {
      switch span.byte(at: offset) {
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
        offset += 1
      default: return
      }
    }
  }

  /// Passes over blanks and `byte`, if it stands there.
  static func take(_ byte: UInt8, _ span: RawSpan, _ offset: inout Int) -> Bool {
    skipBlanks(span, &offset)
    guard offset < span.byteCount, span.byte(at: offset) == byte else { return false }
    offset += 1
    return true
  }

  static func expect(_ byte: UInt8, _ what: StaticString, _ span: RawSpan, _ offset: inout Int)
    throws(JSONFault)
  {
    guard take(byte, span, &offset) else { throw JSONFault(what, offset) }
  }

  static func string(_ span: RawSpan, _ offset: inout Int) throws(JSONFault) -> Text {
    try expect(Byte.quote, "a string was expected", span, &offset)
    let start = offset
    var hasEscapes = false
    while true {
      offset = PenstockArchive.Text.firstJSONEscape(span, offset..<span.byteCount)
      guard offset < span.byteCount else { throw JSONFault("a string is not closed", start) }
      switch span.byte(at: offset) {
      case UInt8(ascii: "\""):
        offset += 1
        return Text(range: start..<(offset - 1), hasEscapes: hasEscapes)
      case UInt8(ascii: "\\"):
        hasEscapes = true
        offset += 1
        guard offset < span.byteCount else { throw JSONFault("a string is not closed", start) }
        switch span.byte(at: offset) {
        case Byte.quote, Byte.backslash, Byte.slash, UInt8(ascii: "b"), UInt8(ascii: "f"),
          UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
          offset += 1
        case UInt8(ascii: "u"):
          guard unit(span, offset + 1) != nil else {
            throw JSONFault("four hexadecimal digits were expected", offset)
          }
          offset += 5
        default: throw JSONFault("an unknown escape", offset)
        }
      default: throw JSONFault("a control byte in a string", offset)
      }
    }
  }

  /// Passes over a value and says what it was.
  /// - Parameter depth: how many containers it stands in.
  @discardableResult
  static func skip(_ span: RawSpan, _ offset: inout Int, depth: Int) throws(JSONFault) -> Kind {
    skipBlanks(span, &offset)
    guard offset < span.byteCount else { throw JSONFault("a value was expected", offset) }
    switch span.byte(at: offset) {
    case UInt8(ascii: "\""):
      _ = try string(span, &offset)
      return .text
    case UInt8(ascii: "{"):
      try skipObject(span, &offset, depth: depth)
      return .container
    case UInt8(ascii: "["):
      try skipArray(span, &offset, depth: depth)
      return .container
    case UInt8(ascii: "t") where word("true", span, &offset): return .boolean
    case UInt8(ascii: "f") where word("false", span, &offset): return .boolean
    case UInt8(ascii: "n") where word("null", span, &offset): return .null
    default:
      try skipNumber(span, &offset)
      return .number
    }
  }

  private static func skipObject(_ span: RawSpan, _ offset: inout Int, depth: Int)
    throws(JSONFault)
  {
    guard depth < depthMax else { throw JSONFault("nested too deeply", offset) }
    offset += 1
    guard !take(UInt8(ascii: "}"), span, &offset) else { return }
    repeat {
      _ = try string(span, &offset)
      try expect(UInt8(ascii: ":"), "':' was expected", span, &offset)
      try skip(span, &offset, depth: depth + 1)
    } while take(UInt8(ascii: ","), span, &offset)
    try expect(UInt8(ascii: "}"), "',' or '}' was expected", span, &offset)
  }

  private static func skipArray(_ span: RawSpan, _ offset: inout Int, depth: Int)
    throws(JSONFault)
  {
    guard depth < depthMax else { throw JSONFault("nested too deeply", offset) }
    offset += 1
    guard !take(Byte.closeBracket, span, &offset) else { return }
    repeat {
      try skip(span, &offset, depth: depth + 1)
    } while take(
      UInt8(ascii: ","), span, &offset)
    try expect(Byte.closeBracket, "',' or ']' was expected", span, &offset)
  }

  private static func word(_ word: StaticString, _ span: RawSpan, _ offset: inout Int) -> Bool {
    guard span.hasBytes(word, at: offset) else { return false }
    offset += word.utf8CodeUnitCount
    return true
  }

  private static func skipNumber(_ span: RawSpan, _ offset: inout Int) throws(JSONFault) {
    let start = offset
    if isByte(Byte.dash, span, offset) { offset += 1 }
    let isZero = isByte(Byte.zero, span, offset)
    let count = skipDigits(span, &offset)
    guard count > 0, !isZero || count == 1 else { throw JSONFault("a value was expected", start) }
    if isByte(UInt8(ascii: "."), span, offset) {
      offset += 1
      guard skipDigits(span, &offset) > 0 else { throw JSONFault("a digit was expected", offset) }
    }
    if isByte(UInt8(ascii: "e"), span, offset) || isByte(UInt8(ascii: "E"), span, offset) {
      offset += 1
      if isByte(UInt8(ascii: "+"), span, offset) || isByte(Byte.dash, span, offset) { offset += 1 }
      guard skipDigits(span, &offset) > 0 else { throw JSONFault("a digit was expected", offset) }
    }
  }

  private static func isByte(_ byte: UInt8, _ span: RawSpan, _ offset: Int) -> Bool {
    offset < span.byteCount && span.byte(at: offset) == byte
  }

  private static func skipDigits(_ span: RawSpan, _ offset: inout Int) -> Int {
    let start = offset
    while offset < span.byteCount, span.byte(at: offset) &- UInt8(ascii: "0") <= 9 { offset += 1 }
    return offset - start
  }

  // MARK: - Escapes

  private static func unit(_ span: RawSpan, _ offset: Int) -> UInt32? {
    guard offset + 4 <= span.byteCount else { return nil }
    var value: UInt32 = 0
    for index in offset..<(offset + 4) {
      let byte = span.byte(at: index)
      let letter = (byte | 0x20) &- UInt8(ascii: "a")
      if byte &- Byte.zero <= 9 {
        value = value << 4 | UInt32(byte &- Byte.zero)
      } else if letter < 6 {
        value = value << 4 | UInt32(letter) + 10
      } else {
        return nil
      }
    }
    return value
  }

  /// Appends what the string `text` of `span` stands for.
  static func decode(_ text: Text, _ span: RawSpan, to bytes: inout [UInt8]) throws(JSONFault) {
    var offset = text.range.lowerBound
    let end = text.range.upperBound
    while offset < end {
      let stop = span.firstIndex(of: Byte.backslash, from: offset, to: end)
      bytes.append(span: span.extracting(offset..<stop))
      guard stop < end else { return }
      offset = stop + 2
      switch span.byte(at: stop + 1) {
      case UInt8(ascii: "b"): bytes.append(0x08)
      case UInt8(ascii: "f"): bytes.append(0x0C)
      case UInt8(ascii: "n"): bytes.append(Byte.lineFeed)
      case UInt8(ascii: "r"): bytes.append(Byte.carriageReturn)
      case UInt8(ascii: "t"): bytes.append(Byte.tab)
      case UInt8(ascii: "u"):
        bytes += Array(String(try scalar(span, stop, &offset)).utf8)
      case let byte: bytes.append(byte)
      }
    }
  }

  /// The character of the escape at `start`, or of the pair of them.
  private static func scalar(_ span: RawSpan, _ start: Int, _ offset: inout Int)
    throws(JSONFault) -> Unicode.Scalar
  {
    var value = unit(span, start + 2) ?? 0
    offset = start + 6
    if value & 0xFC00 == 0xD800, span.hasBytes("\\u", at: offset), let low = unit(span, offset + 2),
      low & 0xFC00 == 0xDC00
    {
      value = 0x10000 + (value & 0x3FF) << 10 + (low & 0x3FF)
      offset += 6
    }
    guard let scalar = Unicode.Scalar(value) else {
      throw JSONFault("half of a surrogate pair", start)
    }
    return scalar
  }
}

extension [UInt8] {
  /// Appends the bytes of `span`.
  @inline(__always)
  mutating func append(span: RawSpan) {
    unsafe span.withUnsafeBytes { unsafe append(contentsOf: $0) }
  }
}
