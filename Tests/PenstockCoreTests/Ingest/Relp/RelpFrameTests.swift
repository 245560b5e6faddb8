import PenstockCore
import Testing

/// The frames of RELP.
@Suite struct RelpFrameTests {
  private func step(_ text: String) -> RelpFrame.Step {
    let bytes = Array(text.utf8)
    return RelpFrame.step(bytes.rawSpan, 0, bytes.count)
  }

  private func frame(_ transaction: UInt32, _ command: RelpFrame.Command, _ data: Int, _ head: Int)
    -> RelpFrame.Step
  {
    .head(
      RelpFrame(
        transaction: transaction, command: command, dataByteCount: data, headByteCount: head))
  }

  @Test func `heads are read as clients write them`() {
    #expect(step("1 open 86 relp_version=0") == frame(1, .open, 86, 10))
    #expect(step("999999999 syslog 3 abc\n") == frame(999_999_999, .syslog, 3, 19))
    // Without data the SP may be there or not.
    #expect(step("14 close 0\n") == frame(14, .close, 0, 10))
    #expect(step("14 close 0 \n") == frame(14, .close, 0, 11))
    #expect(step("2 syslog 0 \n") == frame(2, .syslog, 0, 11))
    #expect(step("3 starttls 0\n") == frame(3, .other, 0, 12))
    #expect(step("3 Syslog 1 x\n") == frame(3, .other, 1, 11))
  }

  @Test func `a head that was cut is open, whatever its length`() {
    for text in ["123 syslog 105 <13>x", "7 close 0\n"] {
      let end = text.utf8.count - (text.hasSuffix("x") ? 5 : 1)
      for count in 0...end where count < end {
        #expect(step(String(text.prefix(count))) == .open, "\(text.prefix(count))")
      }
    }
  }

  @Test(arguments: [
    "x", " 1 open 0\n", "1  open 0\n", "1 open x", "1 open -1 ", "1234567890 open 0\n",
    "1 open 1234567890 ", "1 open 5\n", "1 open 0x", "1 op3n 0\n", "-1 open 0\n", "1\topen 0\n",
    "1 abcdefghijklmnopqrstuvwxyzabcdefg 0\n", "\n", "1 open\n", "<13>syslog",
  ])
  func `what is no frame is told`(_ text: String) {
    #expect(step(text) == .bad)
  }

  @Test func `offers are looked through for syslog`() {
    func offers(_ text: String) -> Bool {
      let bytes = Array(text.utf8)
      return RelpFrame.offersSyslog(bytes.rawSpan, 0..<bytes.count)
    }
    #expect(offers("relp_version=0\nrelp_software=librelp,1.11.0\ncommands=syslog"))
    #expect(offers("commands=starttls,syslog\n"))
    for text in ["", "commands=", "commands=syslogs", "xcommands=syslog", "commands=a,b\nsyslog"] {
      #expect(!offers(text), "\(text)")
    }
  }

  @Test(arguments: 0..<200) func `no bytes make it trap`(_ seed: UInt64) {
    var random = TestRandom(seed: seed)
    let alphabet = Array("0123456789 syslogopenclse\n,=".utf8)
    let bytes = (0..<Int.random(in: 0..<80, using: &random)).map { _ in
      Int.random(in: 0..<20, using: &random) == 0
        ? UInt8.random(in: 0...255, using: &random)
        : alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
    }
    for start in 0...bytes.count {
      _ = RelpFrame.step(bytes.rawSpan, start, bytes.count)
      _ = RelpFrame.offersSyslog(bytes.rawSpan, start..<bytes.count)
    }
  }
}
