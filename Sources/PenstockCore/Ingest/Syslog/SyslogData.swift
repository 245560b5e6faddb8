// Structured data of RFC 5424: read parameter by parameter, and written as attributes.
//
//     [id name="value" name="value"][id]  →   id.name=value id.name=value id=
//
// in the order they stand, repeated names and all. A name that begins with "_" gets "sd." in front:
// those are the server's. The elements cannot be rebuilt from the attributes when there is a "." in
// a name, an element without parameters, two elements of one id in a row, or a value written with
// other escapes than it needs.

/// One parameter, as ranges of the message; an element without any has no name and no value.
package struct SyslogParameter: Sendable {
  package var identifier: ByteRange
  package var name = 0..<0
  /// The value as it stands between its quotes.
  package var value = 0..<0
  /// Whether a backslash stands in the value.
  package var hasBackslash = false
}

/// Goes over the parameters of structured data.
package struct SyslogDataCursor: Sendable {
  /// What comes next; in the end the first byte behind the elements.
  package private(set) var offset: Int
  /// Whether what was read so far can be rebuilt from its attributes.
  package private(set) var isCanonical = true
  private var identifier = 0..<0
  private var isInside = false
  private var isBroken = false

  /// Begins with the bracket at `offset`.
  package init(_ offset: Int) { self.offset = offset }

  /// Whether all that was read follows the grammar, once there is no next.
  package var isWhole: Bool { !isBroken && !isInside }

  /// The next parameter; nil at the end, and at what follows no grammar.
  @inline(__always)
  package mutating func next(_ message: RawSpan) -> SyslogParameter? {
    while !isBroken, offset < message.byteCount {
      let byte = message.byte(at: offset)
      if isInside, byte == Byte.space { return parameter(message) }
      if isInside {
        guard byte == Byte.closeBracket else { break }
        isInside = false
        offset &+= 1
        continue
      }
      guard byte == Byte.openBracket else { return nil }
      let name = name(message, offset &+ 1)
      guard !isBroken else { return nil }
      if message.extracting(identifier).equals(message.extracting(name)) { isCanonical = false }
      identifier = name
      offset = name.upperBound
      isInside = true
      if message.byte(at: offset) == Byte.closeBracket {
        isCanonical = false
        return SyslogParameter(identifier: name)
      }
    }
    isBroken = isBroken || isInside
    return nil
  }

  @inline(__always)
  private mutating func parameter(_ message: RawSpan) -> SyslogParameter? {
    let key = name(message, offset &+ 1)
    let value = key.upperBound &+ 2
    guard !isBroken, value < message.byteCount, message.byte(at: value &- 2) == Byte.equals,
      message.byte(at: value &- 1) == Byte.quote
    else {
      isBroken = true
      return nil
    }
    var parameter = SyslogParameter(identifier: identifier, name: key)
    let end = valueEnd(message, value, &parameter.hasBackslash)
    guard end < message.byteCount else {
      isBroken = true
      return nil
    }
    parameter.value = value..<end
    offset = end &+ 1
    return parameter
  }

  /// The name at `start`: up to "=", space, "]" or a quote, one of which has to follow.
  @inline(__always)
  private mutating func name(_ message: RawSpan, _ start: Int) -> ByteRange {
    let end = message.nearIndex(
      ofAny: Byte.equals, Byte.space, Byte.closeBracket, Byte.quote, from: start,
      to: message.byteCount)
    guard end > start, end < message.byteCount else {
      isBroken = true
      return 0..<0
    }
    if message.byte(at: start) == UInt8(ascii: "_")
      || message.nearIndex(of: UInt8(ascii: "."), from: start, to: end) < end
    {
      isCanonical = false
    }
    return start..<end
  }

  /// Where the quote stands that closes the value at `begin`, or the message's end.
  @inline(__always)
  private mutating func valueEnd(_ message: RawSpan, _ begin: Int, _ hasBackslash: inout Bool)
    -> Int
  {
    let end = message.byteCount
    var search = begin
    while true {
      let stop = message.nearIndex(
        ofAny: Byte.quote, Byte.backslash, Byte.closeBracket, Byte.quote, from: search, to: end)
      guard stop < end, message.byte(at: stop) != Byte.quote else { return stop }
      search = stop &+ 1
      if message.byte(at: stop) == Byte.closeBracket {
        isCanonical = false
      } else {
        hasBackslash = true
        if search < end, SyslogData.isEscapable(message.byte(at: search)) {
          search &+= 1
        } else {
          // A backslash that escapes nothing stands for itself.
          isCanonical = false
        }
      }
    }
  }
}

/// Structured data as attributes.
enum SyslogData {
  @inline(__always)
  static func isEscapable(_ byte: UInt8) -> Bool {
    byte == Byte.quote || byte == Byte.backslash || byte == Byte.closeBracket
  }

  /// Writes the elements in `range`, which were read before, as attributes.
  static func write(
    _ message: RawSpan, _ range: ByteRange, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    guard !range.isEmpty else { return }
    var cursor = SyslogDataCursor(range.lowerBound)
    while let parameter = cursor.next(message) {
      writer.put(Byte.space, &memory)
      if message.byte(at: parameter.identifier.lowerBound) == UInt8(ascii: "_") {
        writer.put("sd.", &memory)
      }
      // Names cannot hold "=", so words escape all that keys do.
      writer.put(word: message.extracting(parameter.identifier), &memory)
      if !parameter.name.isEmpty {
        writer.put(UInt8(ascii: "."), &memory)
        writer.put(word: message.extracting(parameter.name), &memory)
      }
      writer.put(Byte.equals, &memory)
      if parameter.hasBackslash {
        writeUnescaped(message, parameter.value, &writer, &memory)
      } else {
        writer.put(word: message.extracting(parameter.value), &memory)
      }
    }
  }

  /// Writes a value without the backslashes that protect something.
  private static func writeUnescaped(
    _ message: RawSpan, _ value: ByteRange, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    var start = value.lowerBound
    var search = start
    while true {
      let stop = message.nearIndex(of: Byte.backslash, from: search, to: value.upperBound)
      guard stop &+ 1 < value.upperBound else { break }
      search = stop &+ 1
      guard isEscapable(message.byte(at: search)) else { continue }
      writer.put(word: message.extracting(start..<stop), &memory)
      start = search
      search &+= 1
    }
    writer.put(word: message.extracting(start..<value.upperBound), &memory)
  }
}
