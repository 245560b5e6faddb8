// The event line of a syslog message that was read, and of one that could not be.
//
// Behind the fields and the structured data stands what is said of the message:
//
//     _guessed=…      which fields it does not give itself: year, zone, host and priority, with a
//                     comma between them
//     _claimed=…      the time it gives, in the journal's form, where the event has another
//     _form=…         how to rebuild the header from the attributes, or
//     _header=…       its bytes, where that would not give them exactly
//     _malformed=…    why it was kept whole; such a message has none of those above
//     _framing=…      what stood around it in its datagram (DatagramFraming)
//     _truncated=…    its size, when it was cut
//
//     form     = "5424." ( "-" / digitCount ( "Z" / offset ) ) [ "b" ] [ "n" ]
//     "-"      no time was given;  "b" a BOM stands before the text;  "n" there is no text at all

/// What is known of a message beside its bytes.
struct SyslogSize: BitwiseCopyable, Sendable {
  /// The size of a message that was cut, else 0.
  var originalByteCount: Int
  /// What stood around it in its datagram.
  var framing: DatagramFraming
}

enum SyslogEvent {
  /// Writes the event line of the message read as `view`.
  @inline(__always)
  static func append(
    _ message: RawSpan, _ view: SyslogMessage, _ size: SyslogSize, _ receivedAt: Timestamp,
    _ context: inout SyslogContext, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) -> IngestOutcome {
    let choice =
      view.time.map {
        context.rules.choice(claimed: $0.seconds, receivedAt: receivedAt.seconds)
      } ?? .receipt
    if choice == .message, let time = view.time {
      time.write(message, view.timeStart, &context.written, &writer, &memory)
    } else {
      writer.put(receivedAt, &memory)
    }
    writer.put(Byte.space, &memory)
    putFields(message, view, context, &writer, &memory)
    SyslogData.write(message, view.data, &writer, &memory)
    if !view.guesses.isEmpty { put(view.guesses, &writer, &memory) }
    if choice != .message, let time = view.time {
      writer.put(" _claimed=", &memory)
      time.write(message, view.timeStart, &context.written, &writer, &memory)
    }
    if view.isCanonical {
      putForm(message, view, &writer, &memory)
    } else {
      writer.put(" _header=", &memory)
      writer.put(word: message.extracting(0..<view.textStart), &memory)
    }
    put(size, &writer, &memory)
    writer.end(payload: message.extracting(view.textStart..<message.byteCount), &memory)
    return choice == .replaced ? .timeReplaced : .stored
  }

  /// Writes the event line of a message that follows no grammar: all of it is the payload.
  static func keepWhole(
    _ message: RawSpan, _ fault: SyslogFault, _ size: SyslogSize, _ receivedAt: Timestamp,
    _ context: SyslogContext, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    let nothing = message.extracting(0..<0)
    // Without a readable PRI a message is of user and notice (RFC 3164 4.3.3).
    let priority = SyslogPriority(message) ?? .assumed
    writer.put(receivedAt, &memory)
    writer.put(Byte.space, &memory)
    context.template.write(
      host: nothing, app: nothing, facility: facility(priority), severity: severity(priority),
      &writer, &memory)
    writer.put(" -", &memory)
    putPriority(priority, &writer, &memory)
    writer.put(" _malformed=", &memory)
    writer.put(fault.text, &memory)
    put(size, &writer, &memory)
    writer.end(payload: message, &memory)
  }

  // MARK: - Fields

  @inline(__always)
  private static func putFields(
    _ message: RawSpan, _ view: SyslogMessage, _ context: SyslogContext,
    _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    let app = message.extracting(view.app)
    context.template.write(
      host: message.extracting(view.host), app: app, facility: facility(view.priority),
      severity: severity(view.priority), &writer, &memory)
    writer.put(Byte.space, &memory)
    if app.byteCount == 0 {
      writer.put(Byte.dash, &memory)
    } else {
      writer.put(word: app, &memory)
    }
    putPriority(view.priority, &writer, &memory)
    put(" host=", message.extracting(view.host), &writer, &memory)
    put(" procid=", message.extracting(view.procid), &writer, &memory)
    put(" msgid=", message.extracting(view.msgid), &writer, &memory)
  }

  @inline(__always)
  private static func facility(_ priority: SyslogPriority) -> UInt64 {
    Syslog.facilityName(priority.value >> 3)
  }

  @inline(__always)
  private static func severity(_ priority: SyslogPriority) -> UInt64 {
    Syslog.severityName(priority.value & 7)
  }

  @inline(__always)
  private static func putPriority(
    _ priority: SyslogPriority, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    writer.put(" facility=", &memory)
    let facility = facility(priority)
    writer.put(facility, count: Syslog.letterCount(facility), &memory)
    writer.put(" severity=", &memory)
    let severity = severity(priority)
    writer.put(severity, count: Syslog.letterCount(severity), &memory)
  }

  /// ` key=value`, unless the value is absent.
  @inline(__always)
  private static func put(
    _ key: StaticString, _ value: RawSpan, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    guard value.byteCount > 0 else { return }
    writer.put(key, &memory)
    writer.put(word: value, &memory)
  }

  // MARK: - Marks

  private static func put(
    _ guesses: SyslogGuesses, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    writer.put(" _guessed=", &memory)
    var rest = guesses
    put(.year, "year", &rest, &writer, &memory)
    put(.zone, "zone", &rest, &writer, &memory)
    put(.host, "host", &rest, &writer, &memory)
    put(.priority, "priority", &rest, &writer, &memory)
  }

  /// Writes one name, and a comma while others follow.
  private static func put(
    _ guess: SyslogGuesses, _ name: StaticString, _ rest: inout SyslogGuesses,
    _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    guard rest.remove(guess) != nil else { return }
    writer.put(name, &memory)
    if !rest.isEmpty { writer.put(UInt8(ascii: ","), &memory) }
  }

  @inline(__always)
  private static func putForm(
    _ message: RawSpan, _ view: SyslogMessage, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    writer.put(" _form=5424.", &memory)
    if let time = view.time {
      writer.put(Byte.zero &+ UInt8(time.fractionDigitCount), &memory)
      writer.put(verbatim: message.extracting(time.zoneStart..<time.end), &memory)
    } else {
      writer.put(Byte.dash, &memory)
    }
    if view.hasByteOrderMark { writer.put(UInt8(ascii: "b"), &memory) }
    if !view.hasText { writer.put(UInt8(ascii: "n"), &memory) }
  }

  /// The marks of a message that was cut, and of one with something around it.
  @inline(__always)
  private static func put(
    _ size: SyslogSize, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    if size.originalByteCount > 0 {
      writer.put(" _truncated=", &memory)
      writer.put(decimal: size.originalByteCount, &memory)
    } else if size.framing != .none {
      writer.put(" _framing=", &memory)
      let digits = size.framing.countDigitCount
      if digits > 0 { writer.put(Byte.zero &+ digits, &memory) }
      if size.framing.ending > 0 { writer.put(size.framing.ending, &memory) }
    }
  }
}
