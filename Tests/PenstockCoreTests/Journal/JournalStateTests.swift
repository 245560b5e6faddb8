import Testing

@testable import PenstockCore

/// The journals line, and the times it keeps.
@Suite struct JournalStateTests {
  static let golden =
    "#journals last=0000000000003039 time=2026-11-21T03:47:52.123456789Z\n"

  private func parsed(_ text: String) -> JournalState? {
    let bytes = Array(text.utf8)
    return JournalState(bytes.rawSpan, at: 0)
  }

  @Test("the line is written and read as it is documented")
  func goldenLine() throws {
    let state = try #require(parsed(JournalStateTests.golden))
    #expect(state.last == 12345)
    var memory = AlignedBuffer(byteCount: 4096)
    state.write(into: &memory, at: 3)
    let text = String(span: memory.bytes(3..<(3 + JournalState.textByteCount)))
    #expect(text == JournalStateTests.golden)
  }

  @Test("any changed byte that is not a digit is refused, and so is any cut")
  func damage() {
    let bytes = Array(JournalStateTests.golden.utf8)
    for index in bytes.indices {
      #expect(parsed(String(decoding: bytes[..<index], as: UTF8.self)) == nil)
      var changed = bytes
      changed[index] = UInt8(ascii: "~")
      #expect(parsed(String(decoding: changed, as: UTF8.self)) == nil)
    }
  }

  @Test("times ascend although the clock stands or steps back")
  func times() {
    let state = JournalState(last: 1, time: Timestamp(seconds: 100, nanoseconds: 999_999_999))
    let behind = Timestamp(seconds: 101, nanoseconds: 0)
    #expect(state.next(after: Timestamp(seconds: 5, nanoseconds: 0)) == behind)
    #expect(state.next(after: state.time) == behind)
    let later = Timestamp(seconds: 101, nanoseconds: 7)
    #expect(state.next(after: later) == later)
    let early = JournalState(last: 1, time: Timestamp(seconds: 100, nanoseconds: 5))
    #expect(early.next(after: early.time) == Timestamp(seconds: 100, nanoseconds: 6))
  }
}
