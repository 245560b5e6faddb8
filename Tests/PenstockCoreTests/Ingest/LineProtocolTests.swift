import PenstockCore
import Testing

@Suite struct LineProtocolTests {
  private func request(_ text: String) -> Request {
    let bytes = Array(text.utf8)
    return Request(bytes.rawSpan, 0..<bytes.count)
  }

  @Test func `requests are read`() {
    #expect(request("HELLO penstock/1") == .hello)
    #expect(request("PUT 36") == .put(byteCount: 36))
    #expect(request("PUT 9999999999") == .put(byteCount: 9_999_999_999))
  }

  @Test(arguments: [
    ("", Refusal.unknownCommand), ("GET /", .unknownCommand), ("PUTS 3", .unknownCommand),
    ("put 3", .unknownCommand), ("PUT", .badCount), ("PUT ", .badCount), ("PUT 0", .badCount),
    ("PUT -1", .badCount), ("PUT 1x", .badCount), ("PUT 99999999999", .badCount),
    ("HELLO", .badVersion), ("HELLO penstock/2", .badVersion), ("HELLO penstock/1 x", .badVersion),
  ]) func `anything else is refused for what is wrong`(_ text: String, _ refusal: Refusal) {
    #expect(request(text) == .refused(refusal))
  }

  private func put(_ text: String) -> (PutLines.Outcome, String) {
    let bytes = Array(text.utf8)
    var source = AlignedBuffer(byteCount: max(1, bytes.count))
    source.copy(bytes.rawSpan, to: 0)
    var memory = AlignedBuffer(byteCount: 8192)
    var writer = EventWriter(offset: 0, limit: 4096)
    let outcome = PutLines.append(
      source, 0..<bytes.count, eventByteCountMax: 1 << 20,
      receivedAt: Timestamp(seconds: 0, nanoseconds: 1), &writer, &memory)
    return (outcome, String(decoding: memory.bytes(0..<writer.offset).array(), as: UTF8.self))
  }

  @Test func `lines are stored as they are and a dash becomes the time`() {
    let time = "2026-11-21T03:47:52.123456789Z"
    let (outcome, text) = put("- a T k=v\tone\n\(time) b - _id=0123abcd _escaped=\ttwo\\nthree\n")
    #expect(outcome == .written(count: 2))
    #expect(
      text == "1970-01-01T00:00:00.000000001Z a T k=v\tone\n"
        + "\(time) b - _id=0123abcd _escaped=\ttwo\\nthree\n")
  }

  @Test(arguments: [
    ("- a T\tx", Refusal.unterminated, 1), ("- a T\tx\n- a T\ty", .unterminated, 2),
    ("x a T\tx\n", .badTime, 1), ("2026-02-30T03:47:52.123456789Z a T\tx\n", .badTime, 1),
    ("- a\tx\n", .badStream, 1), ("-  T\tx\n", .badStream, 1), ("- a \tx\n", .badType, 1),
    ("- a T k\tx\n", .badAttribute, 1), ("- a T =v\tx\n", .badAttribute, 1),
    ("- a T  k=v\tx\n", .badAttribute, 1), ("- a T k=v \tx\n", .badAttribute, 1),
    ("- a T k=\\x\tx\n", .badEscape, 1), ("- a T k=v\n", .noPayload, 1), ("\n", .badTime, 1),
    ("- a T\tx\0y\n", .badPayload, 1), ("- /orders T\tx\n", .journal, 1),
    ("- _penstock/x T\tx\n", .reserved, 1), ("- a T _header=x\tx\n", .reserved, 1),
    ("- a T _id=xyz\tx\n", .reserved, 1), ("- a T\tx\n- /b T\tx\n", .journal, 2),
    ("", .noEvents, 0),
  ]) func `a wrong line refuses all of them and is named`(
    _ text: String, _ refusal: Refusal, _ line: Int
  ) {
    #expect(put(text).0 == .refused(refusal, line: line))
  }

  @Test func `lines that do not fit are full`() {
    let text = String(repeating: "- a T\t\(String(repeating: "x", count: 100))\n", count: 40)
    #expect(put(text).0 == .full)
  }

  @Test func `every refusal has a code of its own and a text`() {
    let codes = Set(Refusal.allCases.map { "\($0.code)" })
    #expect(codes.count == Refusal.allCases.count)
    #expect(Refusal.allCases.allSatisfy { $0.text.utf8CodeUnitCount > 10 })
  }
}
