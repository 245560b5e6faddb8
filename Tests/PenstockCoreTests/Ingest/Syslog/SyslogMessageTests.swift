import PenstockCore
import Testing

/// What messages say, before anything is written of it.
@Suite struct SyslogMessageTests {
  /// A message's fields as text; nil for one that is not there.
  private struct Fields: Equatable, CustomTestStringConvertible {
    var time: String?
    var host: String?
    var app: String?
    var procid: String?
    var text: String
    var guesses: SyslogGuesses

    var testDescription: String {
      "\(time ?? "-") \(host ?? "-") \(app ?? "-") \(procid ?? "-") \(guesses.rawValue) \(text)"
    }
  }

  private func read(_ text: String, rules: TimeRules = TimeRules()) throws -> Fields {
    let bytes = Array(text.utf8)
    let span = bytes.rawSpan
    var context = SyslogContext(
      template: try StreamTemplate(StreamTemplate.default), rules: rules)
    let view = try SyslogMessage(span, receivedAt: SyslogHarness.receivedAt, &context)
    func field(_ range: ByteRange) -> String? {
      range.isEmpty ? nil : String(decoding: bytes[range], as: UTF8.self)
    }
    #expect(try SyslogHarness.parse(bytes, rules: rules).raw == bytes)
    return Fields(
      time: view.time?.instant(in: span).text, host: field(view.host), app: field(view.app),
      procid: field(view.procid), text: String(decoding: bytes[view.textStart...], as: UTF8.self),
      guesses: view.guesses)
  }

  private static let october = "2026-10-05T22:14:15.000000000Z"

  @Test(
    arguments: [
      // The RFC's own form, and what is left out of it.
      ("<86>Oct  5 22:14:15 web-1 sshd[4711]: Accepted", "web-1", "sshd", "4711", "Accepted"),
      ("<86>Oct 05 22:14:15 web-1 sshd: Accepted", "web-1", "sshd", nil, "Accepted"),
      ("<86>OCT  5 22:14:15 h su[1]: m", "h", "su", "1", "m"),
      ("<86>Oct  5 22:14:15 h app:m", "h", "app", nil, "m"),
      ("<86>Oct  5 22:14:15 h app[1] m", "h", "app", "1", "m"),
      ("<86>Oct  5 22:14:15 su[7]: no host", nil, "su", "7", "no host"),
      ("<86>Oct  5 22:14:15 su[7] no host", nil, "su", "7", "no host"),
      ("<86>Oct  5 22:14:15 app:m and more", nil, "app", nil, "m and more"),
      ("<86>Oct  5 22:14:15 hello", nil, nil, nil, "hello"),
      ("<86>Oct  5 22:14:15", nil, nil, nil, ""),
      ("<86>Oct  5 22:14:15 h app:  two", "h", "app", nil, " two"),
      ("<86>Oct  5 22:14:15 h app[main-1]: m", "h", "app", "main-1", "m"),
      // Hosts with colons, and hosts of relays.
      ("<86>Oct  5 22:14:15 2001:db8::7 su: m", "2001:db8::7", "su", nil, "m"),
      ("<86>Oct  5 22:14:15 ::ffff:192.0.2.9 su: m", "::ffff:192.0.2.9", "su", nil, "m"),
      ("<86>Oct  5 22:14:15 fe80::1%eth0 su: m", "fe80::1%eth0", "su", nil, "m"),
      ("<86>Oct  5 22:14:15 [fe80::1] su: m", "[fe80::1]", "su", nil, "m"),
      ("<86>Oct  5 22:14:15 s_net@web-1/relay su: m", "s_net@web-1/relay", "su", nil, "m"),
      ("<86>Oct  5 22:14:15 Message forwarded from aix1: su[9]: m", "aix1", "su", "9", "m"),
      (
        "<86>Oct  5 22:14:15 last message repeated 3 times", nil, nil, nil,
        "last message repeated 3 times"
      ),
      (
        "<86>Oct  5 22:14:15 h last message repeated 3 times", "h", nil, nil,
        "last message repeated 3 times"
      ),
      // Cisco's.
      (
        "<189>29: sw1: Oct  5 22:14:15: %SYS-5-CONFIG_I: Configured", "sw1", "%SYS-5-CONFIG_I", nil,
        "Configured"
      ),
      ("<189>000029: *Oct  5 22:14:15: %SYS-5-CONFIG_I: m", nil, "%SYS-5-CONFIG_I", nil, "m"),
      ("<189>29: .Oct  5 22:14:15 CEST: %SYS-5-CONFIG_I: m", nil, "%SYS-5-CONFIG_I", nil, "m"),
      ("<189>*Oct  5 22:14:15: %SYS-5-CONFIG_I: m", nil, "%SYS-5-CONFIG_I", nil, "m"),
      ("<189>sw1: Oct  5 22:14:15: %SYS-5-CONFIG_I: m", "sw1", "%SYS-5-CONFIG_I", nil, "m"),
      ("<86>Oct  5 22:14:15 CEST h su: m", "h", "su", nil, "m"),
    ] as [(String, String?, String?, String?, String)])
  func `an RFC 3164 message and its dialects`(
    _ message: String, _ host: String?, _ app: String?, _ procid: String?, _ text: String
  ) throws {
    #expect(
      try read(message)
        == Fields(
          time: SyslogMessageTests.october, host: host, app: app, procid: procid, text: text,
          guesses: [.year, .zone]))
  }

  @Test(
    arguments: [
      // A year, a zone, or both are there.
      ("<86>Oct  5 2026 22:14:15 h su: m", SyslogGuesses.zone),
      ("<166>Oct 05 2026 22:14:15: %ASA-6-302014: m", .zone),
      ("<166>Oct 05 2026 22:14:15 fw1 : %ASA-6-302014: m", .zone),
      ("<86>Oct  5 22:14:15 2026: %ASA-6-302014: m", .zone),
      ("<86>Oct  5 22:14:15 UTC h su: m", .year),
      ("<189>29: Oct  5 22:14:15 UTC: %SYS-5-CONFIG_I: m", .year),
      ("<86>Oct  5 2026 22:14:15 GMT h su: m", []),
      ("<86>2026-10-05T22:14:15Z h su[1]: m", []),
      ("<86>2026-10-06T00:14:15+02:00 h su[1] m", []),
      ("<86>2026-10-05T22:14:15 h su[1]: m", .zone),
      // No tag says that it is a host.
      ("<86>2026-10-05T22:14:15Z h some text", .host),
      ("<86>Oct  5 22:14:15 h some text", [.year, .zone, .host]),
      // No priority at all.
      ("Oct  5 22:14:15 h su: m", [.year, .zone, .priority]),
      ("2026-10-05T22:14:15Z h su[1]: m", .priority),
    ] as [(String, SyslogGuesses)])
  func `what is not said is guessed and marked`(_ message: String, _ guesses: SyslogGuesses) throws
  {
    let fields = try read(message)
    #expect(fields.guesses == guesses)
    #expect(fields.time == SyslogMessageTests.october)
    let names = [
      (SyslogGuesses.year, "year"), (.zone, "zone"), (.host, "host"), (.priority, "priority"),
    ].filter { guesses.contains($0.0) }.map(\.1)
    let parsed = try SyslogHarness.parse(message)
    #expect(parsed.value("_guessed") == (names.isEmpty ? nil : names.joined(separator: ",")))
    #expect(parsed.outcome == .stored)
  }

  @Test(
    arguments: [
      ("<13>plain text", nil, nil, "plain text"), ("<13>", nil, nil, ""),
      ("<13>app: may be text", nil, nil, "app: may be text"),
      ("<13>error[x]: text", nil, nil, "error[x]: text"),
      ("<13>{\"a\":1}", nil, nil, "{\"a\":1}"), ("<13>77 bottles", nil, nil, "77 bottles"),
      ("<13>su[12]: m", "su", "12", "m"), ("<166>%ASA-6-302014: m", "%ASA-6-302014", nil, "m"),
      ("<13>%d of %s: x", nil, nil, "%d of %s: x"),
      ("<13>29: sw1: text", nil, nil, "29: sw1: text"),
      ("<13>Feb 30 12:00:00 h su: m", nil, nil, "Feb 30 12:00:00 h su: m"),
      ("<13>Oct  5 25:14:15 h su: m", nil, nil, "Oct  5 25:14:15 h su: m"),
      ("<13>Oct  5 22:14:15x h su: m", nil, nil, "Oct  5 22:14:15x h su: m"),
    ] as [(String, String?, String?, String)])
  func `without a time nothing is taken that may be text`(
    _ message: String, _ app: String?, _ procid: String?, _ text: String
  ) throws {
    #expect(
      try read(message)
        == Fields(time: nil, host: nil, app: app, procid: procid, text: text, guesses: []))
  }

  @Test(
    arguments: [
      ("", SyslogFault.empty), ("plain text", .priority), ("<192>x", .priority), ("<", .priority),
      ("<13 Oct  5 22:14:15 h su: m", .priority), ("Oct  5 22:14:15 text", .priority),
      ("<13>1 ", .header), ("<13>1 2026-13-01T00:00:00Z h a - - -", .time),
      ("<13>1 - h a - - [x", .data), ("<13>1 - h a - - [x y=\"z\"", .data),
      ("<13>1 - h a - - [x y=z]", .data), ("<13>1 - h a - - [x  y=\"z\"]", .data),
      ("<13>1 - h a - - [x y=\"z\"]text", .data), ("<13>1 - h a - - [=]", .data),
    ] as [(String, SyslogFault)])
  func `a fault has a name`(_ message: String, _ fault: SyslogFault) throws {
    #expect(throws: fault) { try read(message) }
    let parsed = try SyslogHarness.parse(message)
    #expect(parsed.outcome == .malformed)
    #expect(parsed.value("_malformed") == "\(fault.text)")
    #expect(parsed.raw == Array(message.utf8))
  }

  @Test func `structured data is read parameter by parameter`() {
    let text = #"[a b="c" b="\"\]"][bare][d e="]\x"] rest"#
    let bytes = Array(text.utf8)
    var cursor = SyslogDataCursor(0)
    var found: [String] = []
    while let parameter = cursor.next(bytes.rawSpan) {
      let parts = [parameter.identifier, parameter.name, parameter.value].map {
        String(decoding: bytes[$0], as: UTF8.self)
      }
      found.append(parts.joined(separator: "|") + (parameter.hasBackslash ? "|escaped" : ""))
    }
    #expect(found == ["a|b|c", #"a|b|\"\]|escaped"#, "bare||", #"d|e|]\x|escaped"#])
    #expect(cursor.isWhole && !cursor.isCanonical)
    #expect(bytes[cursor.offset...].elementsEqual(" rest".utf8))
  }
}
