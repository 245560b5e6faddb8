// What a syslog message says: ranges of its bytes and some numbers. Nothing is copied, nothing
// allocates, and nothing is written; `SyslogEvent` makes the event line of it.
//
//     "<" PRI ">1 " …      RFC 5424, by `Syslog5424`
//     "<" PRI ">" …        RFC 3164 and its dialects, by `Syslog3164`
//     no PRI               RFC 3164 when a time and a tag stand there; else `.priority`
//
// What follows no grammar is a named fault, never a trap: the caller keeps the message whole.

/// Why a message is marked malformed.
package enum SyslogFault: Error, BitwiseCopyable {
  case empty, priority, header, time, data

  /// The mark.
  package var text: StaticString {
    switch self {
    case .empty: "empty"
    case .priority: "priority"
    case .header: "header"
    case .time: "time"
    case .data: "structured-data"
    }
  }
}

/// Which fields of a message are not what it says but what it was taken to say.
package struct SyslogGuesses: OptionSet, BitwiseCopyable, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// No year was given: it is the one nearest to the receipt.
  package static let year = SyslogGuesses(rawValue: 1)
  /// No zone was given, and the listener was not told one: it is UTC.
  package static let zone = SyslogGuesses(rawValue: 2)
  /// The word behind the time was taken for the host, though no tag follows that would say so.
  package static let host = SyslogGuesses(rawValue: 4)
  /// No priority was given: it is user.notice (RFC 3164 4.3.3).
  package static let priority = SyslogGuesses(rawValue: 8)
}

/// The PRI part: `<n>`, 0 … 191, and where it ends.
package struct SyslogPriority: BitwiseCopyable, Sendable {
  /// Facility × 8 + severity.
  package var value: Int
  /// First byte behind the ">".
  package var end: Int
  /// Written without leading zeros, so that it can be rebuilt.
  var isCanonical: Bool

  /// What a message without one is taken for: user, notice.
  static let assumed = SyslogPriority(value: 13, end: 0, isCanonical: false)

  private init(value: Int, end: Int, isCanonical: Bool) {
    self.value = value
    self.end = end
    self.isCanonical = isCanonical
  }

  /// Reads the priority at the beginning of `span`; nil when there is none.
  @inline(__always)
  package init?(_ span: RawSpan) {
    guard span.byteCount >= 3, span.byte(at: 0) == Byte.less else { return nil }
    var number = 0
    var offset = 1
    while offset < span.byteCount, offset <= 3 {
      let digit = span.byte(at: offset) &- Byte.zero
      guard digit <= 9 else { break }
      number = number &* 10 &+ Int(digit)
      offset &+= 1
    }
    guard offset > 1, offset < span.byteCount, span.byte(at: offset) == Byte.greater,
      number <= 191
    else { return nil }
    value = number
    end = offset &+ 1
    isCanonical = offset == (number < 10 ? 2 : number < 100 ? 3 : 4)
  }
}

/// A message's fields, as ranges of its bytes; an empty range is a field that is not there.
package struct SyslogMessage: Sendable {
  package enum Grammar: UInt8, BitwiseCopyable, Sendable { case rfc5424, rfc3164 }

  package var grammar: Grammar
  package var priority: SyslogPriority
  /// The time, and where its text begins.
  package var time: SyslogTime?
  package var timeStart = 0
  package var host = 0..<0
  package var app = 0..<0
  package var procid = 0..<0
  package var msgid = 0..<0
  /// The elements of the structured data, brackets included; `SyslogDataCursor` reads them.
  package var data = 0..<0
  /// Where the text begins: all before it is header.
  package var textStart = 0
  /// Whether the text is there at all, if only as the space before it (RFC 5424).
  package var hasText = true
  /// Whether a byte order mark stands in front of the text; it is counted to the header.
  package var hasByteOrderMark = false
  /// Whether the header can be rebuilt from the fields.
  package var isCanonical = false
  package var guesses: SyslogGuesses = []

  init(_ grammar: Grammar, _ priority: SyslogPriority) {
    self.grammar = grammar
    self.priority = priority
  }

  /// Reads a message.
  /// - Parameter receivedAt: what a year that is not given is guessed from.
  package init(_ message: RawSpan, receivedAt: Timestamp, _ context: inout SyslogContext)
    throws(SyslogFault)
  {
    guard let priority = SyslogPriority(message) else {
      guard message.byteCount > 0 else { throw .empty }
      guard message.byte(at: 0) != Byte.less else { throw .priority }
      self = Syslog3164.parse(message, .assumed, receivedAt, &context)
      // Whatever is not clearly a header is text.
      guard time != nil, !app.isEmpty else { throw .priority }
      guesses.insert(.priority)
      return
    }
    self =
      SyslogMessage.isVersionOne(message, priority.end)
      ? try Syslog5424.parse(message, priority, &context)
      : Syslog3164.parse(message, priority, receivedAt, &context)
  }

  /// Whether what follows the priority at `offset` is RFC 5424's version.
  @inline(__always)
  static func isVersionOne(_ message: RawSpan, _ offset: Int) -> Bool {
    offset &+ 1 < message.byteCount && message.byte(at: offset) == UInt8(ascii: "1")
      && message.byte(at: offset &+ 1) == Byte.space
  }
}
