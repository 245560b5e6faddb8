import PenstockCore
import Testing

@Suite struct GlobTests {
  private func matches(_ pattern: String, _ name: String) throws -> Bool {
    let bytes = Array(name.utf8)
    return try Glob(pattern).matches(bytes.rawSpan)
  }

  @Test(arguments: [
    ("syslog/web-1", "syslog/web-1"), ("*", ""), ("*", "a/b"), ("syslog/*", "syslog/a/b"),
    ("*/web-?", "syslog/web-1"), ("a*b*c", "aXXbYYc"), ("a*b*c", "abbbcbc"), ("?", "ö"),
    ("[a-c]x", "bx"), ("[!a-c]x", "dx"), ("[]]", "]"), ("[a-]", "-"), ("\\*", "*"),
    ("**a", "xa"), ("/orders/[0-9]*", "/orders/42"), ("*ö", "xxö"), ("[ä-ü]", "ö"), ("", ""),
    ("é*", "éa"), ("a*", "a"), ("[!a][b-d]*", "xc"), ("[a-c][!a-c][x]", "bdx"),
  ])
  func `a pattern matches the names it describes`(pattern: String, name: String) throws {
    #expect(try matches(pattern, name))
  }

  @Test(arguments: [
    ("syslog/web-1", "syslog/web-11"), ("syslog/web-1", "syslog/web-"), ("?", ""), ("?", "ab"),
    ("a*b", "a"), ("a*b", "abc"), ("[a-c]", "d"), ("[!a-c]", "b"), ("\\*", "x"), ("", "x"),
    ("*a", "ab"), ("syslog/*", "syslog"), ("[ä-ü]", "z"),
    ("é*", "e"), ("ab*", "a"), ("[!a][b-d]*", "ac"), ("[a-c][!a-c][x]", "bdy"),
  ])
  func `a pattern refuses other names`(pattern: String, name: String) throws {
    #expect(try !matches(pattern, name))
  }

  @Test(arguments: ["[", "a[", "[]", "[a", "[z-a]", "a\\", "[\\"])
  func `a broken pattern is refused with a reason`(pattern: String) {
    let fault = #expect(throws: Glob.Fault.self) { try Glob(pattern) }
    #expect(fault?.description.isEmpty == false)
  }

  @Test func `bytes that are not text match wildcards only`() throws {
    let name: [UInt8] = [0x61, 0xFF, 0xC3]
    #expect(try Glob("a??").matches(name.rawSpan))
    #expect(try Glob("a*").matches(name.rawSpan))
    #expect(try Glob("a[!b]?").matches(name.rawSpan))
    #expect(try !Glob("a?").matches(name.rawSpan))
    #expect(try !Glob("aÿ?").matches(name.rawSpan))
  }

  @Test(arguments: 0..<8) func `random patterns agree with a naive matcher`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    for _ in 0..<2000 {
      let pattern = random.bytes(Int.random(in: 0...8, using: &random), from: Array("ab*?".utf8))
      let name = random.bytes(Int.random(in: 0...10, using: &random), from: Array("ab".utf8))
      let text = String(decoding: pattern, as: UTF8.self)
      let expected = naive(pattern[...], name[...])
      #expect(
        try Glob(text).matches(name.rawSpan) == expected,
        "seed \(seed): \(text) and \(String(decoding: name, as: UTF8.self))")
    }
  }

  private func naive(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
    guard let first = pattern.first else { return name.isEmpty }
    let rest = pattern.dropFirst()
    switch first {
    case UInt8(ascii: "*"):
      return naive(rest, name) || (!name.isEmpty && naive(pattern, name.dropFirst()))
    case UInt8(ascii: "?"): return !name.isEmpty && naive(rest, name.dropFirst())
    default: return name.first == first && naive(rest, name.dropFirst())
    }
  }
}
