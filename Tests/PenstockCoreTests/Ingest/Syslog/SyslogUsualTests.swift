import PenstockCore
import Testing

/// The quick way of usual messages. That it writes what the other way writes is checked for every
/// message `SyslogHarness` parses; here, that it is taken, and that it leaves alone what it should.
@Suite struct SyslogUsualTests {
  private static let time = "2026-11-21T03:47:52"

  /// Whether a message is taken, in room of `room` bytes behind three others.
  private func isTaken(
    _ text: String, template: String = StreamTemplate.default, rules: TimeRules = TimeRules(),
    room: Int = 8192
  ) throws -> Bool {
    let bytes = Array(text.utf8)
    var context = SyslogContext(template: try StreamTemplate(template), rules: rules)
    var memory = AlignedBuffer(byteCount: 64 << 10)
    var writer = EventWriter(offset: 3, limit: 60 << 10)
    // The time has to have been seen.
    _ = Syslog.append(
      Array("<13>1 \(SyslogUsualTests.time)Z h a - - - m".utf8).rawSpan, originalByteCount: 40,
      receivedAt: SyslogHarness.receivedAt, &context, &writer, &memory)
    let start = writer.offset
    writer.limit = start + room
    let span = bytes.rawSpan
    let priority = SyslogPriority(span)
    let read = try #require(priority)
    let isTaken = SyslogUsual.append(
      span, read, SyslogHarness.receivedAt, &context, &writer, &memory)
    #expect((writer.offset > start) == isTaken || writer.isFull)
    return isTaken
  }

  @Test(arguments: [
    "<34>1 \(time).123Z web-1.example.org sshd 811 ID47 [ex@1 k=\"v\"] Failed password for root",
    "<134>1 \(time).123456Z host app 1 - - a text that is long enough to be read in vectors",
    "<0>1 \(time)Z host app 1 - - a text that is long enough to be read in vectors",
    "<191>1 \(time).123456789Z h a p m [a b=\"c\" d=\"e f\"]".replacing(" f", with: "f")
      + "[g h=\"\"] text text text text text",
    "<13>1 \(time).12345678Z - - - - - \u{FEFF}text behind a mark, and a little more of it",
    "<13>1 \(time).1Z h a - - [a b=\"=.,\"] text text text text",
  ]) func `is taken`(_ text: String) throws {
    #expect(try isTaken(text))
  }

  @Test(arguments: [
    "<034>1 \(time).123Z host app 1 - - a priority with a zero in front of it",
    "<34>1 2026-11-21T03:47:53Z host app 1 - - another second than the one seen last",
    "<34>1 \(time).123+00:00 host app 1 - - a zone that is not the letter Z, and text",
    "<34>1 \(time).1234567890Z host app 1 - - ten digits of fraction, and some text",
    "<34>1 \(time).Z host app 1 - - no digits of fraction, and some more text",
    "<34>1 \(time).1Z ho\\st app 1 - - a backslash in the header, and some more text",
    "<34>1 \(time).1Z ho\u{1}st app 1 - - a control byte in the header, and some more text",
    "<34>1 \(time).1Z host  1 - - an empty field in the header, and some more text",
    "<34>1 \(time).1Z \(String(repeating: "h", count: 60)) app 1 - - fields beyond one window",
    "<34>1 \(time).1Z host app 1 - [a b=\"c d\"] a value with a space, and some text",
    "<34>1 \(time).1Z host app 1 - [a b=\"c\\\"d\"] a value with an escape, and some text",
    "<34>1 \(time).1Z host app 1 - [a.b c=\"d\"] a dot in a name, and some more text",
    "<34>1 \(time).1Z host app 1 - [a c.d=\"e\"] a dot in a name, and some more text",
    "<34>1 \(time).1Z host app 1 - [a] an element without parameters, and some text",
    "<34>1 \(time).1Z host app 1 - [_a b=\"c\"] a name of the server's, and some text",
    "<34>1 \(time).1Z host app 1 - [a b=\"c\"][a b=\"c\"] two elements of one name, and text",
    "<34>1 \(time).1Z host app 1 - [a b=\"\(String(repeating: "v", count: 64))\"] a long value",
    "<34>1 \(time).1Z host app 1 - [a b=\"c\"", "<34>1 \(time).1Z host app 1 - [a b=\"c\"]",
    "<34>1 \(time).1Z host app 1 -", "<34>1 \(time).1Z h a", "<34>1 \(time).1Z", "<34>1 ",
  ]) func `is left to the other way`(_ text: String) throws {
    #expect(try !isTaken(text))
  }

  @Test func `a message is left alone without room, and under another template`() throws {
    let text = "<34>1 \(SyslogUsualTests.time).1Z host app 1 - - text text text text text text"
    #expect(try isTaken(text, room: 2048 + 512))
    #expect(try !isTaken(text, room: 2000))
    #expect(try !isTaken(text, template: "{app}/{host}"))
    #expect(try isTaken(text, template: "a-longer-word/{host}"))
  }

  @Test func `a message is left alone whose time is not the event's`() throws {
    let text = "<34>1 \(SyslogUsualTests.time).1Z host app 1 - - text text text text text text"
    var rules = TimeRules()
    // It is received 728 seconds after the second it claims.
    rules.pastSecondsMax = 728
    #expect(try isTaken(text, rules: rules))
    rules.pastSecondsMax = 727
    #expect(try !isTaken(text, rules: rules))
    rules = TimeRules()
    rules.futureSecondsMax = -728
    #expect(try isTaken(text, rules: rules))
    rules.futureSecondsMax = -729
    #expect(try !isTaken(text, rules: rules))
    rules = TimeRules()
    rules.usesReceiveTime = true
    #expect(try !isTaken(text, rules: rules))
  }

  /// A payload that fills the room says so, whichever way it went.
  @Test func `a message that does not fit says so`() throws {
    let text =
      "<34>1 \(SyslogUsualTests.time).1Z host app 1 - - " + String(repeating: "x", count: 3000)
    let bytes = Array(text.utf8)
    for limit in [2000, 2500, 3000, 3050] {
      var context = SyslogContext(template: try StreamTemplate(StreamTemplate.default))
      var memory = AlignedBuffer(byteCount: 16 << 10)
      var writer = EventWriter(offset: 0, limit: 8 << 10)
      _ = Syslog.append(
        bytes.rawSpan, originalByteCount: bytes.count, receivedAt: SyslogHarness.receivedAt,
        &context, &writer, &memory)
      memory.fill(0..<memory.byteCount, with: 0x7E)
      writer = EventWriter(offset: 0, limit: limit)
      let outcome = Syslog.append(
        bytes.rawSpan, originalByteCount: bytes.count, receivedAt: SyslogHarness.receivedAt,
        &context, &writer, &memory)
      #expect(outcome == .full)
      let isUntouched = memory.bytes.isAll(0x7E, in: limit..<memory.byteCount)
      #expect(isUntouched)
    }
  }
}
