import PenstockCore
import Testing

@testable import PenstockArchive

@Suite struct ReadRequestTests {
  private func parse(_ text: String) throws(ReadRequest.Fault) -> ReadRequest {
    let bytes = Array(text.utf8)
    return try ReadRequest(bytes.rawSpan)
  }

  private func code(_ text: String) -> String? {
    do throws(ReadRequest.Fault) {
      _ = try parse(text)
      return nil
    } catch {
      return error.code
    }
  }

  @Test("a READ names a stream, and what of it")
  func read() throws {
    guard case .read(let plain) = try parse("READ app/we\\sb"),
      case .read(let journal) = try parse("READ /a from=3 to=9 limit=2 reverse positions")
    else {
      Issue.record("not a READ")
      return
    }
    #expect(plain.stream == Array("app/we b".utf8))
    #expect(plain.limit == nil && plain.direction == .forward && !plain.tellsPositions)
    #expect(journal.from == .sequence(SequenceNumber(3)))
    #expect(journal.to == .sequence(SequenceNumber(9)))
    #expect(journal.limit == 2 && journal.direction == .reverse && journal.tellsPositions)
    // Both ends are included.
    #expect(journal.query.aboveAll == SequenceNumber(2))
    #expect(journal.query.throughAll == SequenceNumber(9))
    guard case .read(let timed) = try parse("READ app/web from=2026-11-21T03:47:52.123456789Z")
    else { return }
    #expect(timed.query.selection.since?.text == "2026-11-21T03:47:52.123456789Z")
  }

  @Test("a FOLLOW names a pattern, and from where on")
  func follow() throws {
    guard case .follow(let now) = try parse("FOLLOW *"),
      case .follow(let start) = try parse("FOLLOW /a/* from=start positions"),
      case .follow(let behind) = try parse("FOLLOW /a/* from=0:12,17:3")
    else {
      Issue.record("not a FOLLOW")
      return
    }
    #expect(now.start == .now)
    #expect(start.start == .behind(FollowPosition()) && start.tellsPositions)
    #expect(PositionVector().text == "start")
    let vector = PositionVector([
      LogNumber(0): SequenceNumber(12), LogNumber(17): SequenceNumber(3),
    ])
    #expect(behind.start == .behind(FollowPosition(vector)))
    #expect(vector.text == "0:12,17:3")
  }

  @Test("a place in the middle of a read is told and read whole, and nothing else is one")
  func positions() throws {
    let vector = PositionVector([LogNumber(0): SequenceNumber(12)])
    let through = PositionVector([
      LogNumber(0): SequenceNumber(20), LogNumber(3): SequenceNumber(4),
    ])
    let key = EventKey(
      time: Timestamp(seconds: 1_763_000_000, nanoseconds: 7), log: LogNumber(3),
      sequence: SequenceNumber(2))
    let position = FollowPosition(
      vector, FollowPosition.Reading(through: through, last: key))
    let text = "0:12;0:20,3:4;\(key.time.text);3:2"
    #expect(position.text == text)
    func read(_ text: String) -> FollowPosition? {
      let bytes = Array(text.utf8)
      return FollowPosition(bytes.rawSpan)
    }
    #expect(read(text) == position)
    #expect(read("start;0:20;\(key.time.text);0:2")?.vector == PositionVector())
    for length in 0..<text.utf8.count where length != 4 {
      let cut = String(text.prefix(length))
      #expect(read(cut)?.reading == nil, "\(cut)")
    }
    for wrong in [
      text + ";", text + ",0:1", ";" + text, "0:12;;;", "0:12;0:20;\(key.time.text);start",
      "0:12;0:20;yesterday;0:2", text.replacing("Z;", with: "z;"),
    ] { #expect(read(wrong) == nil, "\(wrong)") }
    // Of many logs it tells where the read began.
    let many = PositionVector(
      Dictionary(uniqueKeysWithValues: (0...200).map { (LogNumber($0), SequenceNumber(1_000_000)) })
    )
    let long = FollowPosition(vector, FollowPosition.Reading(through: many, last: key))
    #expect(long.text == vector.text)
  }

  @Test("a COPY names a log, and where in it")
  func copy() throws {
    guard case .copy(let whole) = try parse("COPY 3"),
      case .copy(let rest) = try parse("COPY 255 from=00000000000000af:4096")
    else {
      Issue.record("not a COPY")
      return
    }
    #expect(whole == ReadRequest.Copy(log: LogNumber(3)))
    #expect(rest.log == LogNumber(255) && rest.segment.value == 0xAF && rest.offset == 4096)
  }

  @Test(
    "anything else is refused",
    arguments: [
      "READ", "READ ", "READ /a b", "READ /a limit=x", "READ /a limit=", "READ /a from=",
      "READ app/web from=3", "READ /a from=2026-11-21", "READ a\\q", "READ /a  limit=1",
      "FOLLOW", "FOLLOW [a", "FOLLOW * from=", "FOLLOW * from=1", "FOLLOW * from=1:2,",
      "FOLLOW * from=1:2,1:3", "FOLLOW * from=256:1", "FOLLOW * limit=1", "COPY", "COPY x",
      "COPY 256", "COPY 1 from=1:2", "COPY 1 from=00000000000000af", "COPY 1 positions",
      "READ \(String(repeating: "x", count: 1025))", "READ /a from=99999999999999999999",
    ])
  func refused(_ text: String) { #expect(code(text) == "bad-read") }
}
