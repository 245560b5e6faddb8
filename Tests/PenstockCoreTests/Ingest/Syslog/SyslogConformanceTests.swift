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
      let message = try SyslogHarness.parse(Array(input[range]))
      #expect(message.raw == Array(input[range]), "\(identifier): raw bytes")
      try check(message, entry, identifier, Array(input[range]))
      count += 1
    }
    #expect(count > 80)
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
