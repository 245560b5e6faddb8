import Foundation
import Testing

/// Bytes that real syslog clients sent, replayed to a daemon, against what they had meant.
@Suite(
  .serialized, .enabled(if: SharedFiles.root != nil, "the folder shared is not beside the package"))
struct CaptureTests {
  private struct Capture {
    var name: String
    var files: [String]
    var expected: [[String: Any]]
    var isDatagrams: Bool { files[0].hasSuffix(".dgrams") }
  }

  private static let protocols: Set<String> = [
    "rfc5424", "rfc3164", "no header", "bsd with iso timestamp", "PRI + message only",
    "rfc3164+rfc3339",
  ]

  /// The captures of syslog over TCP and UDP that say what they hold.
  private func captures() throws -> [Capture] {
    let manifest = try JSONSerialization.jsonObject(
      with: Data(SharedFiles.bytes("captures/manifest.json")))
    let list = try #require((manifest as? [String: Any])?["captures"] as? [[String: Any]])
    return list.compactMap { entry in
      guard let name = entry["id"] as? String, let files = entry["files"] as? [String],
        let kind = entry["protocol"] as? String, CaptureTests.protocols.contains(kind),
        let expected = entry["expected"] as? [[String: Any]], !expected.isEmpty
      else { return nil }
      return Capture(name: name, files: files, expected: expected)
    }
  }

  private func replay(_ capture: Capture, _ store: ServedStore) throws {
    for file in capture.files {
      if capture.isDatagrams {
        let wire = try Wire(udp: store.ports["syslog-udp"] ?? 0)
        for datagram in SharedFiles.datagrams("captures/" + file) { try wire.send(datagram) }
      } else {
        let wire = try Wire(tcp: store.ports["syslog-tcp"] ?? 0)
        try wire.send(SharedFiles.bytes("captures/" + file))
        wire.finish()
        #expect(try wire.readToEnd().isEmpty, "\(file): syslog is not answered")
      }
    }
  }

  @Test(arguments: Backend.allCases)
  func `every message is stored as its sender meant it, in order`(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(shards: 1, io: io, listeners: ServedStore.syslogListeners)
    let captures = try captures()
    #expect(captures.count > 30)
    var totals = ["syslog-udp": 0, "syslog-tcp": 0]
    for capture in captures {
      try replay(capture, store)
      let listener = capture.isDatagrams ? "syslog-udp" : "syslog-tcp"
      totals[listener, default: 0] += capture.expected.count
      let total = totals[listener]
      try store.wait("\(capture.name): \(total ?? 0) stored; \(store.said)") {
        try store.listenerIfThere(listener)?["stored"] as? Int == total
      }
    }
    var events = try store.run("query", "--format", "ndjson").lines.map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    events.sort { ($0["sequence"] as? Int ?? 0) < ($1["sequence"] as? Int ?? 0) }
    for capture in captures {
      for (index, expected) in capture.expected.enumerated() {
        check(events.removeFirst(), expected, "\(capture.name) \(index)")
      }
    }
    #expect(events.isEmpty)
  }

  /// A datagram as it is given back, and the messages of a stream: what is left without the framing
  /// it has.
  private func messages(_ bytes: [UInt8], isDatagram: Bool) -> [[UInt8]] {
    var rest = bytes[...]
    var found: [[UInt8]] = []
    func isCount() -> Bool { rest.first.map { $0 >= 0x31 && $0 <= 0x39 } ?? false }
    if isDatagram {
      // All of it; an LF at the end is what stands between messages anyway.
      let isLine = bytes.last == 0x0A && bytes.dropLast().last != 0x0D && !isCount()
      return [isLine ? bytes.dropLast() : bytes]
    }
    let isCounted = isCount() && rest.prefix(8).contains(0x3C)
    let delimiter: UInt8 =
      rest.firstIndex(of: 0).map { rest[..<$0].contains(0x0A) } ?? true ? 10 : 0
    while !rest.isEmpty {
      if isCounted {
        let digits = rest.prefix { $0 != 0x20 }
        let count = Int(String(decoding: digits, as: UTF8.self)) ?? 0
        rest = rest.dropFirst(digits.count + 1)
        var message = Array(rest.prefix(count))
        rest = rest.dropFirst(count)
        if message.last == 0x0A { message.removeLast() }
        found.append(message)
      } else {
        let end = rest.firstIndex(of: delimiter) ?? rest.endIndex
        found.append(Array(rest[..<end]))
        rest = rest[end...].dropFirst()
      }
    }
    return found
  }

  @Test(arguments: Backend.allCases)
  func `export in its raw form gives every byte that was sent`(_ io: Backend) throws {
    let store = try ServedStore()
    // One stream, by time of receipt: the order of arrival.
    try store.start(
      shards: 1, io: io,
      listeners: ServedStore.syslogListeners.map { $0 + "?time=receive" }, "--template", "all")
    var expected: [[UInt8]] = []
    var counts = ["syslog-udp": 0, "syslog-tcp": 0]
    func settle(_ listener: String, _ more: Int, _ place: String) throws {
      counts[listener, default: 0] += more
      let count = counts[listener]
      try store.wait("\(place): \(count ?? 0) stored; \(store.said)") {
        try store.listenerIfThere(listener)?["stored"] as? Int == count
      }
    }
    for capture in try captures() {
      try replay(capture, store)
      var own: [[UInt8]] = []
      for file in capture.files {
        let parts =
          capture.isDatagrams
          ? SharedFiles.datagrams("captures/" + file) : [SharedFiles.bytes("captures/" + file)]
        own += parts.flatMap { messages($0, isDatagram: capture.isDatagrams) }
      }
      try settle(capture.isDatagrams ? "syslog-udp" : "syslog-tcp", own.count, capture.name)
      expected += own
    }
    let file = try #require(
      try JSONSerialization.jsonObject(
        with: Data(SharedFiles.bytes("conformance/syslog-dev.json"))) as? [String: Any])
    let wire = try Wire(udp: store.ports["syslog-udp"] ?? 0)
    for entry in try #require(file["cases"] as? [[String: Any]])
    where entry["kind"] as? String == "datagram" {
      let input = (entry["input_b64"] as? String).flatMap { Data(base64Encoded: $0) } ?? Data()
      try wire.send([UInt8](input))
      expected += messages([UInt8](input), isDatagram: true)
      try settle("syslog-udp", 1, entry["id"] as? String ?? "")
    }
    let path = store.folder + "/raw"
    #expect(try store.run("export", "--format", "raw", "--out", path).status == 0)
    let exported = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
    #expect(exported == expected.flatMap { $0 + [0x0A] })
    #expect(expected.count > 250)
  }

  private static let facilities = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
  ]
  private static let severities = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
  ]

  private func check(_ event: [String: Any], _ expected: [String: Any], _ place: String) {
    let attributes = event["attributes"] as? [String: Any] ?? [:]
    let payload =
      (event["payload"] as? String).map { Array($0.utf8) }
      ?? (event["payload_base64"] as? String).flatMap { Data(base64Encoded: $0) }.map {
        [UInt8]($0)
      }
      ?? []
    let isWhole = attributes["_malformed"] != nil
    let wanted = [expected["line"], expected["message"], expected["unparsed"]].compactMap { $0 }
    #expect(
      wanted.contains { matches(payload, $0, isWhole: isWhole) },
      "\(place): \(String(decoding: payload.prefix(200), as: UTF8.self))")
    guard !isWhole else { return }
    if let facility = expected["facility"] as? Int {
      #expect(attributes["facility"] as? String == CaptureTests.facilities[facility], "\(place)")
    }
    if let severity = expected["severity"] as? Int {
      #expect(attributes["severity"] as? String == CaptureTests.severities[severity], "\(place)")
    }
    for (key, name) in [("hostname", "host"), ("procid", "procid"), ("msgid", "msgid")] {
      guard let value = expected[key] as? String else { continue }
      #expect(attributes[name] as? String == value, "\(place): \(key)")
    }
    if let app = expected["app"] as? String {
      #expect(event["type"] as? String == app, "\(place): app")
    }
    for (element, parameters) in expected["sd"] as? [String: [String: Any]] ?? [:] {
      for (name, value) in parameters {
        guard let value = value as? String else { continue }
        #expect(
          attributes["\(element).\(name)"] as? String == value, "\(place): \(element).\(name)")
      }
    }
  }

  /// Long texts stand as their size and ends, those that are not UTF-8 as base 64. One LF that ends
  /// a frame counts as framing; what follows no grammar is kept whole, its header included.
  private func matches(_ payload: [UInt8], _ expected: Any, isWhole: Bool) -> Bool {
    if let text = expected as? String {
      let bytes = Array(text.utf8)
      if isWhole { return payload.suffix(bytes.count).elementsEqual(bytes) }
      return payload == bytes || payload + [0x0A] == bytes
    }
    guard let form = expected as? [String: Any] else { return false }
    if let base64 = form["b64"] as? String { return Data(payload) == Data(base64Encoded: base64) }
    guard let count = form["bytes"] as? Int, let head = form["head"] as? String,
      let tail = form["tail"] as? String
    else { return false }
    return payload.count == count && payload.starts(with: Array(head.utf8))
      && payload.suffix(tail.utf8.count).elementsEqual(Array(tail.utf8))
  }
}
