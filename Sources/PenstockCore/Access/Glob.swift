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
// remembers one "*" at a time, so its cost is at most pattern × name and no pattern can hang it. It
// allocates nothing; a plain name, "*" and "prefix*" are compared as bytes.

internal import CShims

/// What one place of a pattern takes. A plain value, so that matching counts no references.
struct GlobToken: BitwiseCopyable, Sendable, Equatable {
  enum Kind: UInt8, BitwiseCopyable { case scalar, one, many, set, otherSet }
  var kind: Kind
  /// The scalar, or where the ranges of a set begin.
  var value: UInt32 = 0
  /// The ranges of a set.
  var rangeCount: UInt32 = 0
}

/// A compiled pattern.
package struct Glob: Sendable, Equatable {
  /// What is wrong with a pattern.
  package struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
    package var description: String
  }

  private var tokens: [GlobToken] = []
  private var ranges: [ClosedRange<UInt32>] = []
  /// The name itself, when the pattern has no wildcard.
  package private(set) var literal: [UInt8]? = []
  /// What names begin with, when all the pattern asks for is that.
  private var onlyPrefix: [UInt8]?

  /// Stands for a byte that is not well-formed UTF-8: above every scalar.
  private static let invalid: UInt32 = 0x11_0000

  package init(_ pattern: String) throws(Fault) {
    var scalars = Array(pattern.unicodeScalars)[...]
    while let scalar = scalars.popFirst() {
      switch scalar {
      case "*":
        if tokens.last?.kind != .many { tokens.append(GlobToken(kind: .many)) }
        literal = nil
      case "?":
        tokens.append(GlobToken(kind: .one))
        literal = nil
      case "[":
        try appendSet(&scalars, pattern)
        literal = nil
      case "\\":
        guard let next = scalars.popFirst() else {
          throw Fault(description: "'\(pattern)' ends with a single '\\'; write '\\\\' for one")
        }
        append(next)
      default: append(scalar)
      }
    }
    if tokens.last?.kind == .many, tokens.dropLast().allSatisfy({ $0.kind == .scalar }) {
      onlyPrefix = prefix
    }
  }

  /// Matches this name only.
  package init(literal name: [UInt8]) {
    literal = name
    for scalar in String(decoding: name, as: UTF8.self).unicodeScalars {
      tokens.append(GlobToken(kind: .scalar, value: scalar.value))
    }
  }

  private mutating func append(_ scalar: Unicode.Scalar) {
    tokens.append(GlobToken(kind: .scalar, value: scalar.value))
    literal?.append(contentsOf: Array(String(Character(scalar)).utf8))
  }

  private mutating func appendSet(
    _ scalars: inout ArraySlice<Unicode.Scalar>, _ pattern: String
  ) throws(Fault) {
    let start = ranges.count
    let isNegated = scalars.first == "!" || scalars.first == "^"
    if isNegated { scalars.removeFirst() }
    while let scalar = scalars.popFirst() {
      if scalar == "]", ranges.count > start {
        tokens.append(
          GlobToken(
            kind: isNegated ? .otherSet : .set, value: UInt32(start),
            rangeCount: UInt32(ranges.count - start)))
        return
      }
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
      guard token.kind == .scalar, let scalar = Unicode.Scalar(token.value) else { break }
      bytes.append(contentsOf: Array(String(Character(scalar)).utf8))
    }
    return bytes
  }

  /// Whether every name with its prefix is of this pattern.
  package var matchesByPrefix: Bool { onlyPrefix != nil }

  /// Whether the whole of `name`, unescaped, is of this pattern.
  package func matches(_ name: RawSpan) -> Bool {
    if let literal { return literal.rawSpan.equals(name) }
    if let onlyPrefix {
      return name.byteCount >= onlyPrefix.count
        && name.extracting(0..<onlyPrefix.count).equals(onlyPrefix.rawSpan)
    }
    var offset = 0
    var token = 0
    var resumeToken = -1
    var resumeOffset = 0
    while true {
      if token < tokens.count, tokens[token].kind == .many {
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
      if token < tokens.count, accepts(tokens[token], scalar) {
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

  private func accepts(_ token: GlobToken, _ scalar: UInt32) -> Bool {
    switch token.kind {
    case .scalar: return scalar == token.value
    case .one, .many: return true
    case .set, .otherSet:
      var isFound = false
      for index in Int(token.value)..<Int(token.value + token.rangeCount)
      where ranges[index].contains(scalar) { isFound = true }
      return isFound == (token.kind == .set)
    }
  }

  /// The character at `offset` and its bytes.
  private static func character(_ span: RawSpan, at offset: Int) -> (scalar: UInt32, width: Int) {
    let first = span.byte(at: offset)
    guard first >= 0x80 else { return (UInt32(first), 1) }
    let width = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
    guard first >= 0xC2, first <= 0xF4, offset + width <= span.byteCount,
      isUTF8(span.extracting(offset..<(offset + width)))
    else { return (invalid, 1) }
    var value = UInt32(first) & (0x7F >> UInt32(width))
    for index in 1..<width { value = value << 6 | UInt32(span.byte(at: offset + index) & 0x3F) }
    return (value, width)
  }

  private static func isUTF8(_ bytes: RawSpan) -> Bool {
    unsafe bytes.withUnsafeBytes { unsafe penstock_is_utf8($0.baseAddress, $0.count) }
  }
}
