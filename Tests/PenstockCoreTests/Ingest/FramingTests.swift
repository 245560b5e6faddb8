import PenstockCore
import Testing

@Suite struct FramingTests {
  /// The messages `text` is cut into, and what is left.
  private func frames(_ text: String) -> (messages: [String], framing: StreamFraming, rest: String)
  {
    let bytes = Array(text.utf8)
    var framing = StreamFraming.undecided
    var offset = 0
    var messages: [String] = []
    while offset < bytes.count {
      guard case .frame(let range, let next) = framing.step(bytes.rawSpan, offset, bytes.count)
      else { break }
      messages.append(String(decoding: bytes[range], as: UTF8.self))
      offset = next
    }
    return (messages, framing, String(decoding: bytes[offset...], as: UTF8.self))
  }

  @Test func `counted frames are found and a counted final line feed is framing`() {
    let found = frames("5 <1>ab6 <1>ab\n11 <13>a\nb c d12")
    #expect(found.messages == ["<1>ab", "<1>ab", "<13>a\nb c d"])
    #expect(found.framing == .octetCounted)
    #expect(found.rest == "12")
  }

  @Test func `delimited frames end in LF, CR LF or NUL as the first one does`() {
    #expect(frames("<1>a\n<1>b\r\n\n<1>c").messages == ["<1>a", "<1>b", ""])
    #expect(frames("<1>a\0<1>b\nc\0").messages == ["<1>a", "<1>b\nc"])
    #expect(frames("<1>a\n<1>b\0c\n").messages == ["<1>a", "<1>b\0c"])
  }

  @Test func `a line that begins with a number is a line`() {
    let found = frames("2 items were lost\n12345678901 x\n0 <1>a\n")
    #expect(found.messages == ["2 items were lost", "12345678901 x", "0 <1>a"])
    #expect(found.framing == .lineFeed)
  }

  @Test func `a bad counted frame costs itself only`() {
    let found = frames("5 <1>abgarbage\n99999999999 <1>x\n5 <1>cd")
    #expect(found.messages == ["<1>ab", "garbage", "99999999999 <1>x", "<1>cd"])
  }

  @Test func `what is incomplete is told apart by what is known`() {
    let bytes = Array("20 <1>partial".utf8)
    var framing = StreamFraming.undecided
    #expect(framing.step(bytes.rawSpan, 0, 1) == .open)
    #expect(framing == .undecided)
    #expect(framing.step(bytes.rawSpan, 0, bytes.count) == .counted(start: 3, count: 20))
  }

  @Test func `a connection that begins like TLS is told apart by its second byte`() {
    let bytes: [UInt8] = [0x16, 3, 1, 0, 0xC8, 0x0A]
    var framing = StreamFraming.undecided
    #expect(framing.step(bytes.rawSpan, 0, 1) == .open)
    #expect(framing == .undecided)
    #expect(framing.step(bytes.rawSpan, 0, 2) == .encrypted)
    #expect(framing.step(bytes.rawSpan, 0, bytes.count) == .encrypted)
    #expect(frames("\u{16}a\n").messages == ["\u{16}a"])
    #expect(frames("<1>a\n\u{16}\u{3}\n").messages == ["<1>a", "\u{16}\u{3}"])
  }

  @Test(arguments: [
    ("<1>a", ""), ("<1>a\n", ""), ("<1>a\r\n", "r"), ("<1>a\0", "z"), ("5 <1>ab", "1"),
    ("6 <1>ab\n", "1n"), ("0000007 <1>ab\r\n", "7r"), ("6 <1>ab\0", "1z"), ("", ""), ("\n", ""),
    ("\0", "z"), ("\0\0", "z"), ("<1>a\n\0", "z"), ("<1>a\0\n", ""),
  ]) func `what stood around a datagram's message can be put back`(_ text: String, _ said: String)
    throws
  {
    let bytes = Array(text.utf8)
    let whole = 0..<bytes.count
    let range = StreamFraming.datagram(bytes.rawSpan, whole)
    let framing = DatagramFraming(bytes.rawSpan, whole, range)
    let message = try SyslogHarness.parse(Array(bytes[range]), framing: framing)
    #expect(message.value("_framing") == (said.isEmpty ? nil : said))
    #expect(
      message.raw + (bytes.last == Byte.lineFeed && said.isEmpty ? [Byte.lineFeed] : []) == bytes)
  }

  @Test(arguments: [
    ("<1>a\n", "<1>a"), ("<1>a\r\n", "<1>a"), ("<1>a\0", "<1>a"), ("5 <1>ab", "<1>ab"),
    ("6 <1>ab\n", "<1>ab"), ("7 <1>ab", "7 <1>ab"), ("<1>a\n\n", "<1>a\n"), ("", ""), ("\n", ""),
    ("5", "5"),
  ]) func `a datagram's framing is taken off`(_ text: String, _ message: String) {
    let bytes = Array(text.utf8)
    let range = StreamFraming.datagram(bytes.rawSpan, 0..<bytes.count)
    #expect(String(decoding: bytes[range], as: UTF8.self) == message)
  }
}
