import PenstockArchive
import PenstockCore
import Testing

@Suite struct ImportTimeTests {
  private func parse(_ text: String) -> String? {
    ImportTime.parse(Array(text.utf8).rawSpan)?.text
  }

  @Test func `text is RFC 3339, UTC where it names no zone`() {
    #expect(parse("2026-11-21T03:47:52.125Z") == "2026-11-21T03:47:52.125000000Z")
    #expect(parse("2026-11-21T03:47:52+01:00") == "2026-11-21T02:47:52.000000000Z")
    #expect(parse("2026-11-21 03:47:52") == "2026-11-21T03:47:52.000000000Z")
    #expect(parse("2026-11-21") == "2026-11-21T00:00:00.000000000Z")
    for text in ["", "now", "3d", "yesterday", "2026-13-01", "2026-11-21T25:00:00Z", "-", "."] {
      #expect(parse(text) == nil, "\(text)")
    }
  }

  @Test func `a number's size tells its unit`() {
    let time = "2026-11-21T03:47:52"
    #expect(parse("1795232872") == time + ".000000000Z")
    #expect(parse("1795232872.125") == time + ".125000000Z")
    #expect(parse("1795232872.1234567891") == time + ".123456789Z")
    #expect(parse("1795232872125") == time + ".125000000Z")
    #expect(parse("1795232872125.5") == time + ".125500000Z")
    #expect(parse("1795232872125250") == time + ".125250000Z")
    #expect(parse("1795232872125250125") == time + ".125250125Z")
    #expect(parse("1.795232872e9") == time + ".000000000Z")
    #expect(parse("0") == "1970-01-01T00:00:00.000000000Z")
    #expect(parse("-1.5") == "1969-12-31T23:59:58.500000000Z")
    #expect(parse("99999999999") == "5138-11-16T09:46:39.000000000Z")
    for text in [
      "1e", "1e400", "-", "1.", "1.e5", "99999999999999999999999999", "1x", "-99999999999",
    ] {
      #expect(parse(text) == nil, "\(text)")
    }
  }

  @Test func `a line's time ends with a space or a TAB`() {
    func leading(_ text: String) -> String? {
      ImportTime.leading(Array(text.utf8).rawSpan)?.text
    }
    #expect(leading("2026-11-21T03:47:52Z hello") == "2026-11-21T03:47:52.000000000Z")
    #expect(leading("2026-11-21T03:47:52Z\thello") == "2026-11-21T03:47:52.000000000Z")
    #expect(leading("2026-11-21 03:47:52.5 hello") == "2026-11-21T03:47:52.500000000Z")
    #expect(leading("2026-11-21 hello there") == "2026-11-21T00:00:00.000000000Z")
    #expect(leading("2026-11-21T03:47:52Z") == "2026-11-21T03:47:52.000000000Z")
    for text in ["", "hello", "2026-11-21T", " 2026-11-21T03:47:52Z"] {
      #expect(leading(text) == nil, "\(text)")
    }
  }
}
