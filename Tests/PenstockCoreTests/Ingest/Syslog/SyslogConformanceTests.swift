import CShims
import Foundation
import PenstockCore
import Testing

/// The conformance vectors: each gets the disposition its file states.
@Suite(.enabled(if: SharedFiles.root != nil, "the folder shared is not beside the package"))
struct SyslogConformanceTests {
  @Test func `every datagram vector gets its disposition`() throws {
    let file = try #require(try SharedFiles.json("conformance/syslog-dev.json"))
    let cases = try #require(file["cases"] as? [[String: Any]])
    var count = 0
    for entry in cases where entry["kind"] as? String == "datagram" {
      let identifier = try #require(entry["id"] as? String)
      let input = try #require(
        (entry["input_b64"] as? String).flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) })
      let range = StreamFraming.datagram(input.rawSpan, 0..<input.count)
      let framing = DatagramFraming(input.rawSpan, 0..<input.count, range)
      let message = try SyslogHarness.parse(Array(input[range]), framing: framing)
      // An LF alone is what stands between messages where they are given back.
      let isLine = framing == .none && range.count < input.count
      #expect(message.raw + (isLine ? [Byte.lineFeed] : []) == input, "\(identifier): raw bytes")
      try check(message, entry, identifier, Array(input[range]))
      count += 1
    }
    #expect(count > 80)
  }

  /// Each vector on a connection of its own, at once and byte by byte, with a mark behind it.
  @Test(arguments: Backend.available)
  func `every stream vector gets its disposition`(_ backend: Backend) throws {
    let file = try #require(try SharedFiles.json("conformance/syslog-dev.json"))
    let cases = try #require(file["cases"] as? [[String: Any]]).filter {
      $0["kind"] as? String == "stream"
    }
    var limits = Limits.small
    limits.eventByteCountMax = 100_000
    let shard = try TestShard(backend, limits: limits)
    for entry in cases {
      let input = try #require(
        (entry["input_b64"] as? String).flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) })
      send(input, to: shard, piece: input.count)
      send(Array("<13>1 - - MARK - - - m\n".utf8), to: shard, piece: 100)
      // A large one in pieces that end anywhere, a small one byte by byte.
      send(input, to: shard, piece: input.count > 1000 ? 4093 : 1)
      send(Array("<13>1 - - MARK - - - m\n".utf8), to: shard, piece: 100)
    }
    #expect(shard.stop() == .stopped)
    var events = try shard.lines()[...]
    for entry in cases {
      let identifier = try #require(entry["id"] as? String)
      for way in ["at once", "in pieces"] {
        let own = events.prefix { !$0.text.contains(" MARK ") }
        events = events.dropFirst(own.count + 1)
        try check(own.map { Array($0.text.utf8) }, entry, "\(identifier), \(way)")
      }
    }
    #expect(events.isEmpty)
    #expect(cases.count > 12)
    #expect(
      shard.counter(.syslogStream, .received)
        == shard.counter(.syslogStream, .stored) + shard.counter(.syslogStream, .refusedEncrypted))
  }

  /// Sends on a new connection, and waits until the shard has read it to its end.
  private func send(_ bytes: [UInt8], to shard: TestShard, piece: Int) {
    let client = shard.connect(.syslogStream)
    var rest = bytes[...]
    while !rest.isEmpty, Wire.write(client, Array(rest.prefix(piece))) {
      rest = rest.dropFirst(piece)
      if piece == 1 { usleep(50) }
    }
    penstock_finish_sending(client)
    while !Wire.read(client).isEmpty {}
    _ = penstock_close(client)
  }

  /// The events of a stream vector.
  private func check(_ lines: [[UInt8]], _ entry: [String: Any], _ place: String) throws {
    let disposition = try #require(entry["disposition"] as? String)
    if entry["id"] as? String == "frame-tls-hello" {
      #expect(lines.isEmpty, "\(place): no event")
      return
    }
    let messages = try lines.map { line in
      let event = try EventLine(line.rawSpan, 0..<line.count)
      return (raw: SyslogRaw.bytes(line.rawSpan, event), event: event, line: line)
    }
    if disposition == "keep" {
      // No text is lost, though it may be parted.
      let input = try #require(
        (entry["input_b64"] as? String).flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) })
      let kept = messages.reduce(0) { $0 + $1.raw.count }
      #expect(kept + 8 * (messages.count + 1) >= input.count, "\(place): \(kept) bytes kept")
    }
    guard disposition == "parse", let expected = entry["expected"] as? [String: Any],
      let wanted = expected["messages"] as? [Any]
    else { return }
    #expect(messages.count == wanted.count, "\(place): \(messages.count) events")
    for (message, want) in zip(messages, wanted) {
      let stored = message.line.rawSpan.extracting(message.event.payload)
      let isEscaped = String(decoding: message.line, as: UTF8.self).contains(" _escaped=\t")
      let payload = isEscaped ? Escape.decode(stored) ?? [] : stored.array()
      if let text = want as? String {
        #expect(payload == Array(text.utf8), "\(place): \(text)")
      } else if let form = want as? [String: Any] {
        #expect(payload.count == form["len"] as? Int, "\(place)")
        #expect(payload.starts(with: Array((form["head"] as? String ?? "?").utf8)), "\(place)")
      }
    }
  }

  private func check(
    _ message: ParsedMessage, _ entry: [String: Any], _ identifier: String, _ input: [UInt8]
  ) throws {
    let disposition = try #require(entry["disposition"] as? String)
    let expected = entry["expected"] as? [String: Any] ?? [:]
    let alternatives = entry["alternatives"] as? [String] ?? []
    let facilities = (0..<24).map { try? SyslogHarness.parse("<\($0 * 8)>x").value("facility") }
    let severities = (0..<8).map { try? SyslogHarness.parse("<\($0)>x").value("severity") }
    if let facility = expected["facility"] as? Int {
      #expect(message.value("facility") == facilities[facility], "\(identifier): facility")
    }
    if let severity = expected["severity"] as? Int {
      #expect(message.value("severity") == severities[severity], "\(identifier): severity")
    }
    guard disposition == "parse" || disposition == "lenient" else { return }
    if disposition == "parse" { #expect(message.outcome == .stored, "\(identifier): outcome") }
    for (key, name) in [("hostname", "host"), ("procid", "procid"), ("msgid", "msgid")]
    where expected.keys.contains(key) {
      #expect(message.value(name) == expected[key] as? String, "\(identifier): \(key)")
    }
    if expected.keys.contains("app") {
      #expect(message.type == expected["app"] as? String ?? "-", "\(identifier): app")
    }
    if let text = expected["message"] as? String {
      let payload = String(decoding: message.payload, as: UTF8.self)
      #expect(([text] + alternatives).contains(payload), "\(identifier): message is '\(payload)'")
    }
    if let time = expected["timestamp"] as? String { checkTime(message, time, identifier) }
    if let data = expected["sd"] as? [String: Any] { checkData(message, data, identifier) }
  }

  private func checkTime(_ message: ParsedMessage, _ time: String, _ identifier: String) {
    let stored = message.event.time?.text ?? ""
    if time.utf8.count == 14 {
      // Without a year: month, day and time of day.
      #expect(stored.dropFirst(5).hasPrefix(time), "\(identifier): \(stored) is not \(time)")
      return
    }
    let fraction = time.dropLast().split(separator: ".")
    let whole = "\(fraction[0])." + (fraction.count > 1 ? fraction[1] : "")
    let padded = whole + String(repeating: "0", count: 29 - whole.utf8.count) + "Z"
    #expect(stored == padded, "\(identifier): \(stored) is not \(time)")
  }

  private func checkData(_ message: ParsedMessage, _ data: [String: Any], _ identifier: String) {
    for (element, parameters) in data {
      let parameters = parameters as? [String: Any] ?? [:]
      if parameters.isEmpty {
        #expect(message.values(element) == [""], "\(identifier): \(element)")
      }
      for (name, value) in parameters {
        let wanted = value as? [String] ?? [value as? String ?? ""]
        #expect(message.values("\(element).\(name)") == wanted, "\(identifier): \(element).\(name)")
      }
    }
  }
}
