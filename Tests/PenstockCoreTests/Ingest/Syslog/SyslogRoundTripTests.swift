import Foundation
import PenstockCore
import Testing

/// Whatever came in comes out: `raw(append(x)) == x`.
@Suite struct SyslogRoundTripTests {
  @Test func `every truncation of a message comes back as it was`() throws {
    for text in [
      #"<165>1 2026-03-04T05:06:07.003+05:45 h a 1 ID [d@1 a="1" b="\]\\\""][origin ip="1" ip="2"] m"#,
      "<86>Oct  5 22:14:15 web-1 sshd[4711]: Accepted key",
      "<34>2026-10-05T22:14:15.25Z h su[1]: m",
    ] {
      let whole = Array(text.utf8)
      for count in 0...whole.count {
        let part = Array(whole[..<count])
        #expect(try SyslogHarness.parse(part).raw == part, "\(count) bytes of \(text)")
      }
    }
  }

  @Test func `random bytes and random edits come back as they were`() throws {
    let seed = UInt64.random(in: 1...UInt64.max)
    print("seed \(seed)")
    var random = TestRandom(seed: seed)
    let samples = [
      #"<165>1 2026-03-04T05:06:07.003Z host app 1 ID [d@1 a="1" b="\]\\\""][o ip="1"] message"#,
      "<86>Oct  5 22:14:15 web-1 sshd[4711]: Accepted key", "<13>1 - - - - - - ",
      "<34>2026-10-05T22:14:15.25+01:00 h su[1]: m", "<13>Mar  4 05:06:07 2026: %ASA-1: x",
      "<189>29: sw1: *Oct  5 22:14:15.123 CEST: %SYS-5-CONFIG_I: m", "Oct  5 22:14:15 h su: m",
      "<13>Oct  5 22:14:15 Message forwarded from h: su[1]: m",
    ].map { Array($0.utf8) }
    var rules = [TimeRules(), TimeRules(), TimeRules()]
    rules[1].usesReceiveTime = true
    rules[2].pastSecondsMax = 86_400 * 90
    rules[2].futureSecondsMax = 0
    rules[2].zoneOffsetSeconds = -34_200
    let alphabet = Array("<>[]\"=\\ .:-_+Z0159abT\n\0\t\u{FEFF}é".utf8)
    for _ in 0..<20_000 {
      var message = samples[Int(random.next() % UInt64(samples.count))]
      for _ in 0..<(random.next() % 5) {
        guard !message.isEmpty else { break }
        let place = Int(random.next() % UInt64(message.count))
        let byte = alphabet[Int(random.next() % UInt64(alphabet.count))]
        switch random.next() % 3 {
        case 0: message[place] = byte
        case 1: message.insert(byte, at: place)
        default: message.remove(at: place)
        }
      }
      let parsed = try SyslogHarness.parse(
        message, rules: rules[Int(random.next() % 3)], capacity: 16 << 10)
      #expect(parsed.raw == message, "seed \(seed): \(String(decoding: message, as: UTF8.self))")
    }
  }

  @Test(.enabled(if: SharedFiles.root != nil, "the folder shared is not beside the package"))
  func `every captured syslog datagram comes back as it was`() throws {
    let manifest = try #require(try SharedFiles.json("captures/manifest.json"))
    let captures = try #require(manifest["captures"] as? [[String: Any]])
    var count = 0
    for capture in captures where capture["transport"] as? String == "udp" {
      for file in capture["files"] as? [String] ?? [] {
        for datagram in SharedFiles.datagrams("captures/" + file) {
          #expect(try SyslogHarness.parse(datagram).raw == datagram, "\(file)")
          count += 1
        }
      }
    }
    #expect(count > 50)
  }

  /// A journal may have been written by anyone.
  @Test(arguments: [
    "", "5", "5424", "5424.", "5424.x", "5424.9", "5424.6+", "5424.6+01:0", "5424.\u{7F}Z",
    "9999.6Z", "5424.6Q", "5424.9+99:99", "5424.-", "5424.0Z", "5424.9+01:00bn",
  ])
  func `any form in a line is read without harm`(form: String) throws {
    let line = Array("2026-03-04T05:06:07.003000000Z s t host=h _form=\(form)\tpayload".utf8)
    let event = try EventLine(line.rawSpan, 0..<line.count)
    let raw = SyslogRaw.bytes(line.rawSpan, event)
    #expect(raw.suffix(7) == Array("payload".utf8)[...])
  }
}
