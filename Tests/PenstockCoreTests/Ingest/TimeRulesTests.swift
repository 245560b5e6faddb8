import PenstockCore
import Testing

/// Whose time an event has. The messages here are received at 2026-11-21T04:00:00.000000005Z.
@Suite struct TimeRulesTests {
  private static let received = SyslogHarness.receivedAt.seconds
  private static let receipt = "2026-11-21T04:00:00.000000005Z"

  private func rules(
    receive: Bool = false, zone: Int64? = nil, past: Int64 = .max, future: Int64 = .max
  ) -> TimeRules {
    var rules = TimeRules()
    rules.usesReceiveTime = receive
    rules.zoneOffsetSeconds = zone
    rules.pastSecondsMax = past
    rules.futureSecondsMax = future
    return rules
  }

  @Test func `a window takes its ends and nothing beyond them`() {
    let rules = rules(past: 100, future: 10)
    for (distance, choice) in [
      (-101, TimeRules.Choice.replaced), (-100, .message), (0, .message), (10, .message),
      (11, .replaced),
    ] as [(Int64, TimeRules.Choice)] {
      #expect(
        rules.choice(
          claimed: TimeRulesTests.received + distance, receivedAt: TimeRulesTests.received)
          == choice, "\(distance)")
    }
    #expect(self.rules().choice(claimed: -62_167_219_200, receivedAt: 253_402_300_799) == .message)
    #expect(self.rules(receive: true).choice(claimed: 0, receivedAt: 0) == .receipt)
  }

  @Test(arguments: [
    "<13>1 1970-01-02T00:00:01.000171+00:00 h a - - - clock never set",
    "<13>1 2038-01-19T03:14:08Z h a - - - a firmware's fault",
    "<13>1 9999-12-31T23:59:59.999999Z h a - - [x y=\"z\"] m",
    "<13>1 0001-01-01T00:00:00Z h a - - - m", "<13>1 2106-02-07T06:28:15.5+05:45 h a - - -",
    "<13>Oct  5 2001 22:14:15 h su: m", "<13>1993-03-01T00:00:00 h su[1]: m",
    "<13>1 2016-12-31T23:59:60Z h a - - - a leap second",
  ]) func `a time beyond the window is kept beside that of the receipt`(_ text: String) throws {
    let plain = try SyslogHarness.parse(text)
    let claimed = try #require(plain.event.time?.text)
    #expect(claimed != TimeRulesTests.receipt)
    #expect(plain.value("_claimed") == nil)
    let parsed = try SyslogHarness.parse(text, rules: rules(past: 86_400 * 30, future: 86_400))
    #expect(parsed.outcome == .timeReplaced)
    #expect(parsed.event.time?.text == TimeRulesTests.receipt)
    #expect(parsed.value("_claimed") == claimed)
    #expect(parsed.raw == Array(text.utf8))
    #expect(parsed.payload == plain.payload && parsed.value("host") == "h")
  }

  @Test(arguments: [
    "<13>1 2026-11-21T03:59:59.25Z h a - - - m", "<13>Nov 21 03:59:59 h su: m",
    "<13>1 2026-11-21T09:44:59.123456789+05:45 h a - - - m",
  ]) func `a listener that takes the time of receipt keeps the other and counts nothing`(
    _ text: String
  ) throws {
    let parsed = try SyslogHarness.parse(text, rules: rules(receive: true, past: 0, future: 0))
    #expect(parsed.outcome == .stored)
    #expect(parsed.event.time?.text == TimeRulesTests.receipt)
    #expect(parsed.value("_claimed")?.hasPrefix("2026-11-21T03:59:59.") == true)
    #expect(parsed.raw == Array(text.utf8))
  }

  @Test func `without a time there is nothing to keep`() throws {
    for text in ["<13>1 - h a - - - m", "<13>m", "no priority"] {
      for receive in [false, true] {
        let parsed = try SyslogHarness.parse(text, rules: rules(receive: receive, past: 0))
        #expect(parsed.event.time?.text == TimeRulesTests.receipt)
        #expect(parsed.value("_claimed") == nil)
        #expect(!parsed.outcome.contains(.timeReplaced))
      }
    }
  }

  @Test(arguments: [
    ("<13>Nov 21 05:30:00 h su: m", "2026-11-21T03:30:00.000000000Z"),
    ("<13>Nov 21 2025 05:30:00 h su: m", "2025-11-21T03:30:00.000000000Z"),
    ("<13>2026-11-21T05:30:00.5 h su: m", "2026-11-21T03:30:00.500000000Z"),
    // A zone that is said goes before the listener's.
    ("<13>Nov 21 05:30:00 UTC h su: m", "2026-11-21T05:30:00.000000000Z"),
    ("<13>2026-11-21T05:30:00Z h su: m", "2026-11-21T05:30:00.000000000Z"),
    ("<13>2026-11-21T05:30:00-01:00 h su: m", "2026-11-21T06:30:00.000000000Z"),
    // The nearest year is the nearest by the listener's clock.
    ("<13>Jan  1 00:30:00 h su: m", "2026-12-31T22:30:00.000000000Z"),
  ]) func `a listener's zone is that of times without one`(_ text: String, _ stored: String) throws
  {
    let parsed = try SyslogHarness.parse(text, rules: rules(zone: 7200))
    #expect(parsed.event.time?.text == stored)
    #expect(parsed.value("_guessed")?.contains("zone") != true)
  }

  /// Two messages of one second, and the clock goes on: what was seen before does not count.
  @Test func `a second that was taken once is not taken for ever`() throws {
    var context = SyslogContext(
      template: try StreamTemplate(StreamTemplate.default), rules: rules(past: 60, future: 0))
    let message = Array(
      "<13>1 2026-11-21T04:00:00.5Z h app 1 - - text that is long enough for vectors".utf8)
    var outcomes: [IngestOutcome] = []
    for later in [0, 60, 61, 60, -1, 0] as [Int64] {
      var memory = AlignedBuffer(byteCount: 16 << 10)
      var writer = EventWriter(offset: 0, limit: memory.byteCount)
      outcomes.append(
        Syslog.append(
          message.rawSpan, originalByteCount: message.count,
          receivedAt: Timestamp(seconds: TimeRulesTests.received + later, nanoseconds: 0),
          &context, &writer, &memory))
    }
    #expect(outcomes == [.stored, .stored, .timeReplaced, .stored, .timeReplaced, .stored])
  }
}
