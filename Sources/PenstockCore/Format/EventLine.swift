// The event line: one event as text, the same on the wire, in the journal and in text export.
//
//     line      = time SP stream SP type *( SP key "=" value ) TAB payload LF
//     time      = 30 bytes, see Timestamp            ; on the wire also "-": the server sets it
//     stream    = 1*word                             ; begins with "/" for a journal
//     type      = 1*word                             ; "-" when there is none
//     key       = 1*word without "="                 ; names beginning with "_" are Penstock's own
//     value     = *word
//     word      = any byte but SP TAB LF NUL "\"  |  escape
//     escape    = "\" ( "s" SP | "t" TAB | "n" LF | "0" NUL | "\" "\" | "e" "=", in keys only )
//     payload   = *( any byte but LF and NUL )       ; verbatim
//               | escaped, with the attribute _escaped= before it:
//                 LF is "\n", NUL is "\0", "\" is "\\"
//
// A stream name is at most `streamByteCountMax` bytes and an event at most the slot it has to fit.
// A line never begins with "#": such lines carry what is not an event (BatchLine). The payload of
// an ordinary line is `cut -f2-`. Reserved attributes:
//
//     _id=8 hex digits       the event's 32-bit id, against duplicates
//     _escaped=              the payload is escaped
//     _form=…                how to rebuild the header bytes a shipper sent (Syslog)
//     _header=…              those bytes themselves, where they cannot be rebuilt
//     _guessed=year,zone     fields of the message that were guessed (SyslogEvent)
//     _claimed=time          the time it claimed, where the event has that of its receipt
//     _framing=…             what stood around the message in its datagram (DatagramFraming)
//     _malformed=reason      the message did not follow its grammar and was kept as it came
//     _truncated=bytes       the message was longer than the limit; its whole size
//
// This file is the grammar's decoder and the escapes. It does not look at what attributes mean.

/// Where the fields of one event line lie, as offsets into the span that was parsed.
package struct EventLine: Equatable, Sendable {
  /// The time; nil for "-", which asks the server to set it.
  package var time: Timestamp?
  /// The stream's name, still escaped.
  package var stream: ByteRange
  /// The type, still escaped.
  package var type: ByteRange
  /// `key=value` pairs with single spaces between them, still escaped; empty when there is none.
  package var attributes: ByteRange
  /// The payload as it stands, escaped when `_escaped=` is among the attributes.
  package var payload: ByteRange
  /// The whole line without its LF.
  package var line: ByteRange

  /// Longest stream name, escaped, in bytes: names stand in every line, so a runaway template
  /// must not fill the journal.
  package static let streamByteCountMax = 1024
  /// Most attributes an event may carry, so that a hostile line costs bounded work.
  package static let attributeCountMax = 256

  /// What is wrong with a line. The raw value is the word in the receipt and in the counters.
  package enum Fault: String, Error, Sendable, CaseIterable {
    case badTime = "bad-time"
    case badStream = "bad-stream"
    case badType = "bad-type"
    case badAttribute = "bad-attribute"
    case badEscape = "bad-escape"
    case noPayload = "no-payload"
    case badPayload = "bad-payload"
  }

  /// Reads the line in `range` of `span`, which does not hold the final LF.
  package init(_ span: RawSpan, _ range: ByteRange) throws(Fault) {
    let end = range.upperBound
    var offset = range.lowerBound
    guard offset < end else { throw .badTime }
    if span.byte(at: offset) == Byte.dash {
      time = nil
      offset &+= 1
    } else {
      guard offset &+ Timestamp.textByteCount <= end,
        let parsed = Timestamp(journalText: span, at: offset)
      else { throw .badTime }
      time = parsed
      offset &+= Timestamp.textByteCount
    }
    guard offset < end, span.byte(at: offset) == Byte.space else { throw .badTime }
    let tab = span.firstIndex(of: Byte.tab, from: offset, to: end)
    guard tab < end else { throw .noPayload }
    offset &+= 1
    let streamEnd = span.nearIndex(of: Byte.space, from: offset, to: tab)
    stream = offset..<streamEnd
    guard !stream.isEmpty, stream.count <= EventLine.streamByteCountMax, streamEnd < tab else {
      throw .badStream
    }
    guard EventLine.isWord(span, stream) else { throw .badEscape }
    offset = streamEnd &+ 1
    let typeEnd = span.nearIndex(of: Byte.space, from: offset, to: tab)
    type = offset..<typeEnd
    guard !type.isEmpty else { throw .badType }
    guard EventLine.isWord(span, type) else { throw .badEscape }
    attributes = min(typeEnd &+ 1, tab)..<tab
    payload = (tab &+ 1)..<end
    line = range
    if typeEnd < tab, attributes.isEmpty { throw .badAttribute }
    try EventLine.checkAttributes(span, attributes)
    guard span.firstIndex(of: Byte.null, from: payload.lowerBound, to: end) == end else {
      throw .badPayload
    }
  }

  private static func checkAttributes(_ span: RawSpan, _ range: ByteRange) throws(Fault) {
    guard !range.isEmpty else { return }
    var offset = range.lowerBound
    var count = 0
    while true {
      let end = span.nearIndex(of: Byte.space, from: offset, to: range.upperBound)
      let equals = span.nearIndex(of: Byte.equals, from: offset, to: end)
      guard equals > offset, equals < end else { throw .badAttribute }
      guard isWord(span, offset..<equals, isKey: true), isWord(span, (equals &+ 1)..<end) else {
        throw .badEscape
      }
      count &+= 1
      guard count <= attributeCountMax else { throw .badAttribute }
      guard end < range.upperBound else { return }
      offset = end &+ 1
    }
  }

  /// Whether `range` holds only bytes and escapes a word may hold.
  private static func isWord(_ span: RawSpan, _ range: ByteRange, isKey: Bool = false) -> Bool {
    var offset = range.lowerBound
    while offset < range.upperBound {
      switch span.byte(at: offset) {
      case Byte.null, Byte.lineFeed, Byte.tab, Byte.space: return false
      case Byte.backslash:
        guard offset &+ 1 < range.upperBound else { return false }
        switch span.byte(at: offset &+ 1) {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "n"), UInt8(ascii: "0"),
          Byte.backslash:
          break
        case UInt8(ascii: "e"): guard isKey else { return false }
        default: return false
        }
        offset &+= 1
      default: break
      }
      offset &+= 1
    }
    return true
  }
}

// MARK: - Attributes

/// The attributes of an event line, in order; repeated keys are kept.
package struct AttributeCursor {
  private var offset: Int
  private let end: Int

  /// Walks `range`, the `attributes` of a line that was parsed from the same bytes.
  package init(_ range: ByteRange) {
    offset = range.lowerBound
    end = range.upperBound
  }

  /// The next attribute's key and value, still escaped; nil at the end.
  package mutating func next(in span: RawSpan) -> (key: ByteRange, value: ByteRange)? {
    guard offset < end else { return nil }
    let stop = span.nearIndex(of: Byte.space, from: offset, to: end)
    let equals = span.nearIndex(of: Byte.equals, from: offset, to: stop)
    let key = offset..<equals
    let value = min(equals &+ 1, stop)..<stop
    offset = stop &+ 1
    return (key, value)
  }

  /// The value of the first attribute called `name` (escaped like the line).
  package static func value(of name: StaticString, in span: RawSpan, _ range: ByteRange)
    -> ByteRange?
  {
    var cursor = AttributeCursor(range)
    while let (key, value) = cursor.next(in: span) {
      if key.count == name.utf8CodeUnitCount, span.hasBytes(name, at: key.lowerBound) {
        return value
      }
    }
    return nil
  }
}

// MARK: - Escapes

/// The reversible escapes of words and payloads, for cold paths (they allocate).
package enum Escape {
  /// What is being escaped: the three differ in the bytes they may not hold.
  package enum Context: Sendable { case key, word, payload }

  /// `bytes` with every forbidden byte escaped.
  package static func encode(_ bytes: RawSpan, _ context: Context) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.byteCount + 8)
    for offset in 0..<bytes.byteCount {
      let byte = bytes.byte(at: offset)
      if let letter = letter(for: byte, context) {
        out.append(Byte.backslash)
        out.append(letter)
      } else {
        out.append(byte)
      }
    }
    return out
  }

  /// The bytes that were escaped; nil when an escape is unknown or cut short.
  package static func decode(_ bytes: RawSpan) -> [UInt8]? {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.byteCount)
    var offset = 0
    while offset < bytes.byteCount {
      let byte = bytes.byte(at: offset)
      offset &+= 1
      guard byte == Byte.backslash else {
        out.append(byte)
        continue
      }
      guard offset < bytes.byteCount, let plain = plain(for: bytes.byte(at: offset)) else {
        return nil
      }
      out.append(plain)
      offset &+= 1
    }
    return out
  }

  /// Whether a byte of `word` may have to be escaped: a control byte, a space or a backslash.
  @inline(__always)
  package static func mayNeed(_ word: UInt64) -> Bool {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let backslashes = word ^ (ones &* UInt64(Byte.backslash))
    let controls = (word &- (ones &* 0x21)) & ~word
    return (controls | ((backslashes &- ones) & ~backslashes)) & 0x8080_8080_8080_8080 != 0
  }

  /// The letter that stands for `byte` behind a backslash, or nil when it stands for itself.
  @inline(__always)
  package static func letter(for byte: UInt8, _ context: Context) -> UInt8? {
    switch byte {
    case Byte.lineFeed: UInt8(ascii: "n")
    case Byte.null: UInt8(ascii: "0")
    case Byte.backslash: Byte.backslash
    case Byte.space: context == .payload ? nil : UInt8(ascii: "s")
    case Byte.tab: context == .payload ? nil : UInt8(ascii: "t")
    case Byte.equals: context == .key ? UInt8(ascii: "e") : nil
    default: nil
    }
  }

  /// The byte a letter behind a backslash stands for.
  static func plain(for letter: UInt8) -> UInt8? {
    switch letter {
    case UInt8(ascii: "n"): Byte.lineFeed
    case UInt8(ascii: "0"): Byte.null
    case Byte.backslash: Byte.backslash
    case UInt8(ascii: "s"): Byte.space
    case UInt8(ascii: "t"): Byte.tab
    case UInt8(ascii: "e"): Byte.equals
    default: nil
    }
  }
}
