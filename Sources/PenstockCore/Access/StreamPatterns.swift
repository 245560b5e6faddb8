// Which streams a right is about: one of some patterns.
//
// Names in event lines and requests are escaped, patterns see them unescaped (Glob). A name with an
// escape, which few have, is unescaped on the stack: nothing here allocates.

/// Patterns of stream names; a name that fits one of them is meant.
package struct StreamPatterns: Sendable, Equatable {
  private let globs: [Glob]
  /// Whether one of them is "*", so that nothing has to be looked at.
  package let isEverything: Bool

  /// No stream.
  package static let none = StreamPatterns([])
  /// Every stream.
  package static let everything = StreamPatterns([], isEverything: true)

  package init(_ globs: [Glob]) {
    self.init(globs, isEverything: globs.contains { $0.prefix.isEmpty && $0.matchesByPrefix })
  }

  private init(_ globs: [Glob], isEverything: Bool) {
    self.globs = globs
    self.isEverything = isEverything
  }

  /// Whether a name, unescaped, is meant.
  package func matches(_ name: RawSpan) -> Bool {
    if isEverything { return true }
    for index in globs.indices where globs[index].matches(name) { return true }
    return false
  }

  /// Whether a name is meant that is escaped as in event lines; one that is not well escaped is the
  /// name of no stream.
  package func matches(escaped name: RawSpan) -> Bool {
    if isEverything { return true }
    guard name.byteCount <= EventLine.streamByteCountMax else { return false }
    guard name.nearIndex(of: Byte.backslash, from: 0, to: name.byteCount) < name.byteCount else {
      return matches(name)
    }
    return matchesUnescaped(name)
  }

  @inline(never)
  private func matchesUnescaped(_ name: RawSpan) -> Bool {
    var plain = PlainName(repeating: 0)
    var count = 0
    var offset = 0
    while offset < name.byteCount {
      var byte = name.byte(at: offset)
      offset &+= 1
      if byte == Byte.backslash {
        guard offset < name.byteCount, let escaped = Escape.plain(for: name.byte(at: offset))
        else { return false }
        byte = escaped
        offset &+= 1
      }
      plain[count] = byte
      count &+= 1
    }
    // Bytes of bytes: every value is one.
    return unsafe matches(plain.span.bytes.extracting(0..<count))
  }

  /// Room for the longest name (`EventLine.streamByteCountMax`).
  private typealias PlainName = InlineArray<1024, UInt8>
}
