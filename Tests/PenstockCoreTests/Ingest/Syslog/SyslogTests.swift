import PenstockCore
import Testing

@Suite struct SyslogTests {
  @Test func `an RFC 5424 message becomes an event with its fields`() throws {
    let message = try SyslogHarness.parse(
      #"<34>1 2026-11-21T03:47:52.123Z web-1 sshd 811 ID47 [ex@1 k="v"] Failed password"#)
    #expect(message.outcome == .stored)
    #expect(
      String(decoding: message.line, as: UTF8.self)
        == "2026-11-21T03:47:52.123000000Z syslog/web-1 sshd facility=auth severity=crit host=web-1"
        + " procid=811 msgid=ID47 ex@1.k=v _form=5424.3Z\tFailed password")
  }

  @Test func `an RFC 3164 message keeps its header and gives its fields`() throws {
    let message = try SyslogHarness.parse("<86>Oct  5 22:14:15 web-1 sshd[4711]: Accepted key")
    #expect(message.type == "sshd")
    #expect(message.stream == "syslog/web-1")
    #expect(message.value("procid") == "4711")
    #expect(message.value("facility") == "authpriv")
    #expect(message.event.time == Timestamp(seconds: 1_791_238_455, nanoseconds: 0))
    #expect(message.payload == Array("Accepted key".utf8))
  }

  @Test func `all that is said of a message stands behind its fields`() throws {
    let text = "<189>29: sw1: *Mar  1 00:00:07.5: %SYS-5-CONFIG_I: Configured"
    let datagram = Array("\(text.utf8.count + 1) \(text)\0".utf8)
    let range = StreamFraming.datagram(datagram.rawSpan, 0..<datagram.count)
    #expect(String(decoding: datagram[range], as: UTF8.self) == text)
    var rules = TimeRules()
    rules.futureSecondsMax = 86_400
    let message = try SyslogHarness.parse(
      Array(text.utf8), framing: DatagramFraming(datagram.rawSpan, 0..<datagram.count, range),
      rules: rules)
    #expect(message.outcome == .timeReplaced)
    #expect(
      String(decoding: message.line, as: UTF8.self)
        == "2026-11-21T04:00:00.000000005Z syslog/sw1 %SYS-5-CONFIG_I facility=local7"
        + " severity=notice host=sw1 _guessed=year,zone _claimed=2027-03-01T00:00:07.500000000Z"
        + #" _header=<189>29:\ssw1:\s*Mar\s\s1\s00:00:07.5:\s%SYS-5-CONFIG_I:\s"#
        + " _framing=2z\tConfigured")
    #expect(message.raw == datagram)
  }

  @Test(arguments: 0..<192) func `every priority has its names and comes back`(_ value: Int) throws
  {
    let facilities =
      "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock "
      + "local0 local1 local2 local3 local4 local5 local6 local7"
    let severities = "emerg alert crit err warning notice info debug"
    let text = "<\(value)>1 - - - - - - m"
    let message = try SyslogHarness.parse(text)
    #expect(message.value("facility") == String(facilities.split(separator: " ")[value / 8]))
    #expect(message.value("severity") == String(severities.split(separator: " ")[value % 8]))
    #expect(message.raw == Array(text.utf8))
  }

  @Test(arguments: [
    ("2026-11-21T03:47:52Z", "2026-11-21T03:47:52.000000000Z"),
    ("2026-11-21T03:47:52.1Z", "2026-11-21T03:47:52.100000000Z"),
    ("2026-11-21T03:47:52.123456789Z", "2026-11-21T03:47:52.123456789Z"),
    ("2026-11-21T03:47:52.25+01:30", "2026-11-21T02:17:52.250000000Z"),
    ("2026-11-21T03:47:52-00:00", "2026-11-21T03:47:52.000000000Z"),
    ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000000Z"),
    ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999999Z"),
    ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000000Z"),
    ("0000-01-01T00:00:00+23:59", "0000-01-01T00:00:00.000000000Z"),
    ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999000Z"),
    ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59.999999999Z"),
  ]) func `times are read and come back`(_ text: String, _ stored: String) throws {
    let whole = "<13>1 \(text) h a - - - m"
    let message = try SyslogHarness.parse(whole)
    #expect(message.outcome == .stored)
    #expect(message.event.time?.text == stored)
    #expect(message.raw == Array(whole.utf8))
  }

  @Test(arguments: [
    "2026-13-04T05:06:07Z", "2026-02-30T05:06:07Z", "2026-03-04T24:00:00Z",
    "2026-03-04T05:06:61Z", "2026-03-04T05:06:07+24:00", "2026-03-04T05:06:07",
    "2026-03-04 05:06:07Z", "2026-03-04T05:06:07.Z", "2026-03-04T05:06:07.1234567890Z",
    "1772600767", "2026-3-4T05:06:07Z",
  ]) func `a time that is none keeps the message whole`(_ text: String) throws {
    let whole = Array("<13>1 \(text) h a - - - m".utf8)
    let message = try SyslogHarness.parse(whole)
    #expect(message.outcome == .malformed)
    #expect(message.event.time == SyslogHarness.receivedAt)
    #expect(message.payload == whole)
    #expect(message.value("severity") == "notice")
  }

  @Test func `a valid second seen before does not make a bad one valid`() throws {
    var context = SyslogContext(template: try StreamTemplate(StreamTemplate.default))
    var memory = AlignedBuffer(byteCount: 8192)
    let texts = ["2026-03-04T05:06:07Z", "2026-03-04T05:06:67Z", "2026-03-04T05:06:07Z"]
    let outcomes = texts.map { text in
      var writer = EventWriter(offset: 0, limit: 8192)
      let message = Array("<13>1 \(text) h a - - - m".utf8)
      return Syslog.append(
        message.rawSpan, originalByteCount: message.count, receivedAt: SyslogHarness.receivedAt,
        &context, &writer, &memory)
    }
    #expect(outcomes == [.stored, .malformed, .stored])
  }

  @Test(arguments: [
    ("Dec 31 23:59:59", 1_798_761_600, "2026-12-31"),
    ("Jan  1 00:00:01", 1_798_761_500, "2027-01-01"),
    ("Dec 31 23:59:59", 1_798_765_200, "2026-12-31"),
    ("Feb 29 12:00:00", 1_795_233_600, "2028-02-29"),
  ]) func `a year that is not given is the nearest`(_ text: String, _ now: Int, _ day: String)
    throws
  {
    let message = try SyslogHarness.parse(
      Array("<34>\(text) h su: m".utf8),
      receivedAt: Timestamp(seconds: Int64(now), nanoseconds: 0))
    #expect(message.event.time.map { String($0.text.prefix(10)) } == day)
  }

  @Test func `line feeds and nulls in a message are escaped and come back`() throws {
    let whole = Array("<13>1 - h a - - [x y=\"1\n2\"] one\ntwo\0three\\four".utf8)
    let message = try SyslogHarness.parse(whole)
    #expect(!message.line.contains(Byte.lineFeed))
    #expect(message.payload == Array("one\ntwo\0three\\four".utf8))
    #expect(message.values("x.y") == ["1\n2"])
    #expect(message.raw == whole)
  }

  @Test func `no sender chooses its way into journals or the server's streams`() throws {
    #expect(
      try SyslogHarness.parse(Array("<13>1 - /orders a - - - m".utf8), template: "{host}")
        .stream == "syslog//orders")
    #expect(
      try SyslogHarness.parse(Array("<13>1 - _penstock/ledger a - - - m".utf8), template: "{host}")
        .stream == "syslog/_penstock/ledger")
    #expect(
      try SyslogHarness.parse(Array("<13>1 - - a - - - m".utf8), template: "{host}").stream == "-")
  }

  @Test func `a long host makes a stream name of the longest size at most`() throws {
    let host = String(repeating: "\u{E9}\\", count: 2000)
    let message = try SyslogHarness.parse(Array("<13>1 - \(host) a - - - m".utf8))
    #expect(message.event.stream.count <= EventLine.streamByteCountMax)
    #expect(message.value("host") == host)
    #expect(message.raw == Array("<13>1 - \(host) a - - - m".utf8))
  }

  @Test func `structured data cannot forge the server's attributes`() throws {
    let message = try SyslogHarness.parse(#"<13>1 - h a - - [_form x="1"][_header] m"#)
    #expect(message.attributes.filter { $0.key.hasPrefix("_") }.map(\.key) == ["_header"])
    #expect(message.values("sd._form.x") == ["1"])
    #expect(message.raw == Array(#"<13>1 - h a - - [_form x="1"][_header] m"#.utf8))
  }

  @Test func `a message that was cut is marked with its size`() throws {
    let whole = Array("<13>1 - h a - - - 0123456789".utf8)
    let message = try SyslogHarness.parse(Array(whole.prefix(20)), originalByteCount: whole.count)
    #expect(message.outcome == .truncated)
    #expect(message.value("_truncated") == "\(whole.count)")
  }

  @Test func `a writer without room says so and nothing traps`() throws {
    let message = Array(#"<34>1 2026-11-21T03:47:52.123Z web-1 sshd 811 I [e k="v"] text"#.utf8)
    var context = SyslogContext(template: try StreamTemplate(StreamTemplate.default))
    var memory = AlignedBuffer(byteCount: 4096)
    let size = try SyslogHarness.parse(message).line.count + 1
    for limit in 0..<(size + 8) {
      memory.fill(0..<4096, with: 0xEE)
      var writer = EventWriter(offset: 0, limit: limit)
      let outcome = Syslog.append(
        message.rawSpan, originalByteCount: message.count, receivedAt: SyslogHarness.receivedAt,
        &context, &writer, &memory)
      #expect((outcome == .full) == (limit < size), "limit \(limit)")
      let isUntouched = memory.bytes.isAll(0xEE, in: limit..<4096)
      #expect(isUntouched, "nothing behind the limit \(limit)")
    }
  }
}
