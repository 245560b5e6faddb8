// Patterns for stream names, as shells have them.
//
//     pattern = *( "*"            ; any run of characters, none and "/" included
//                | "?"            ; one character
//                | "[" ["!"] 1*( c | c "-" c ) "]"   ; one character of these, or none of these
//                | "\" c          ; c itself
//                | c )            ; itself
//
// A name is matched as a whole, unescaped. A character is one Unicode scalar; a byte that is not
// part of well-formed UTF-8 counts as one character that only "*", "?" and "[!…]" match. Matching
// remembers one "*" at a time, so its cost is at most pattern × name and no pattern can hang it.

internal import PenstockCore

/// A compiled pattern.
package struct Glob: Sendable, Equatable {
  private enum Token: Sendable, Equatable {
    case scalar(UInt32)
    case one
    case many
    case set(ranges: [ClosedRange<UInt32>], isNegated: Bool)
  }

  /// What is wrong with a pattern.
  package struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
    package var description: String
  }

  private var tokens: [Token] = []
  /// The name itself, when the pattern has no wildcard.
  package private(set) var literal: [UInt8]? = []

  /// Stands for a byte that is not well-formed UTF-8: above every scalar.
  private static let invalid: UInt32 = 0x11_0000

  package init(_ pattern: String) throws(Fault) {
    var scalars = Array(pattern.unicodeScalars)[...]
    while let scalar = scalars.popFirst() {
      switch scalar {
      case "*":
        if tokens.last != .many { tokens.append(.many) }
        literal = nil
      case "?":
        tokens.append(.one)
        literal = nil
      case "[":
        tokens.append(try Glob.set(&scalars, pattern))
        literal = nil
      case "\\":
        guard let next = scalars.popFirst() else {
          throw Fault(description: "'\(pattern)' ends with a single '\\'; write '\\\\' for one")
        }
        append(next)
      default: append(scalar)
      }
    }
  }

  /// Matches this name only.
  package init(literal name: [UInt8]) {
    literal = name
    for scalar in String(decoding: name, as: UTF8.self).unicodeScalars {
      tokens.append(.scalar(scalar.value))
    }
  }

  private mutating func append(_ scalar: Unicode.Scalar) {
    tokens.append(.scalar(scalar.value))
    literal?.append(contentsOf: Array(String(Character(scalar)).utf8))
  }

  private static func set(
    _ scalars: inout ArraySlice<Unicode.Scalar>, _ pattern: String
  ) throws(Fault) -> Token {
    var ranges: [ClosedRange<UInt32>] = []
    let isNegated = scalars.first == "!" || scalars.first == "^"
    if isNegated { scalars.removeFirst() }
    while let scalar = scalars.popFirst() {
      if scalar == "]", !ranges.isEmpty { return .set(ranges: ranges, isNegated: isNegated) }
      var first = scalar
      if first == "\\" {
        guard let next = scalars.popFirst() else { break }
        first = next
      }
      var last = first
      if scalars.first == "-", scalars.dropFirst().first.map({ $0 != "]" }) ?? false {
        scalars.removeFirst()
        last = scalars.removeFirst()
      }
      guard first.value <= last.value else {
        throw Fault(description: "'\(first)-\(last)' in '\(pattern)' is the wrong way round")
      }
      ranges.append(first.value...last.value)
    }
    throw Fault(description: "'[' in '\(pattern)' has no ']'; write '\\[' for the character")
  }

  /// The bytes every name of this pattern begins with.
  package var prefix: [UInt8] {
    var bytes: [UInt8] = []
    for token in tokens {
      guard case .scalar(let value) = token, let scalar = Unicode.Scalar(value) else { break }
      bytes.append(contentsOf: Array(String(Character(scalar)).utf8))
    }
    return bytes
  }

  /// Whether the whole of `name`, unescaped, is of this pattern.
  package func matches(_ name: RawSpan) -> Bool {
    if let literal { return literal.rawSpan.equals(name) }
    var offset = 0
    var token = 0
    var resumeToken = -1
    var resumeOffset = 0
    while true {
      if token < tokens.count, tokens[token] == .many {
        token += 1
        resumeToken = token
        resumeOffset = offset
        if token == tokens.count { return true }
        continue
      }
      if offset == name.byteCount {
        return token == tokens.count
      }
      let (scalar, width) = Glob.character(name, at: offset)
      if token < tokens.count, Glob.accepts(tokens[token], scalar) {
        token += 1
        offset += width
        continue
      }
      guard resumeToken >= 0 else { return false }
      resumeOffset += Glob.character(name, at: resumeOffset).width
      offset = resumeOffset
      token = resumeToken
    }
  }

  private static func accepts(_ token: Token, _ scalar: UInt32) -> Bool {
    switch token {
    case .scalar(let wanted): return scalar == wanted
    case .one, .many: return true
    case .set(let ranges, let isNegated):
      return ranges.contains { $0.contains(scalar) } != isNegated
    }
  }

  /// The character at `offset` and its bytes.
  private static func character(_ span: RawSpan, at offset: Int) -> (scalar: UInt32, width: Int) {
    let first = span.byte(at: offset)
    guard first >= 0x80 else { return (UInt32(first), 1) }
    let width = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
    guard first >= 0xC2, first <= 0xF4, offset + width <= span.byteCount,
      Text.isUTF8(span, offset..<(offset + width))
    else { return (invalid, 1) }
    var value = UInt32(first) & (0x7F >> UInt32(width))
    for index in 1..<width { value = value << 6 | UInt32(span.byte(at: offset + index) & 0x3F) }
    return (value, width)
  }
}
