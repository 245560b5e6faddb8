import PenstockCore
import Testing

@Suite struct TokensTests {
  private func token(
    _ name: String, _ secret: String, read: [String] = [], write: [String] = []
  ) throws -> AccessToken {
    AccessToken(
      name: name, secret: Array(secret.utf8), read: StreamPatterns(try read.map { try Glob($0) }),
      write: StreamPatterns(try write.map { try Glob($0) }))
  }

  private func memory(_ text: [UInt8]) -> AlignedBuffer {
    var memory = AlignedBuffer(byteCount: max(1, text.count))
    memory.copy(text.rawSpan, to: 0)
    return memory
  }

  private func grant(_ tokens: Tokens, _ secret: [UInt8]) -> Grant {
    tokens.grant(of: secret.rawSpan)
  }

  // MARK: - Secrets

  @Test func `a secret is found in its place, whatever its length`() throws {
    var random = TestRandom(seed: 11)
    let printable = Array(UInt8(0x21)...0x7E)
    let secrets = (16...128).map { random.bytes($0, from: printable) }
    let peer = random.bytes(64, from: printable)
    let tokens = Tokens(
      secrets.map { AccessToken(name: "t", secret: $0, read: .none, write: .none) },
      peerSecret: peer)
    for (place, secret) in secrets.enumerated() {
      #expect(grant(tokens, secret) == Grant(token: Int32(place)))
    }
    #expect(grant(tokens, peer) == .everything)
  }

  @Test func `a secret with any one bit changed, or a byte more or less, is nobody's`() throws {
    var random = TestRandom(seed: 12)
    for count in [16, 17, 24, 63, 64, 127, 128] {
      let secret = random.bytes(count, from: Array(UInt8(0)...255))
      let tokens = Tokens(
        [try token("other", "0123456789abcdef")]
          + [AccessToken(name: "t", secret: secret, read: .none, write: .none)])
      #expect(grant(tokens, secret) == Grant(token: 1))
      for bit in 0..<(8 * count) {
        var changed = secret
        changed[bit / 8] ^= 1 << UInt8(bit % 8)
        #expect(grant(tokens, changed) == .none, "bit \(bit) of \(count) bytes")
      }
      for other in [secret + [0], Array(secret.dropLast()), Array(secret.dropFirst())] {
        #expect(grant(tokens, other) == .none)
      }
    }
  }

  @Test func `an empty secret is nobody's, with and without a secret of the processes`() {
    let nothing: [UInt8] = []
    let zeros = [UInt8](repeating: 0, count: 16)
    for tokens in [Tokens.none, Tokens([], peerSecret: Array("0123456789abcdef".utf8))] {
      #expect(grant(tokens, nothing) == .none)
      #expect(grant(tokens, zeros) == .none)
    }
  }

  @Test func `a grant becomes that of the token with the same secret, or none`() throws {
    let before = Tokens([
      try token("a", "aaaaaaaaaaaaaaaa"), try token("b", "bbbbbbbbbbbbbbbb"),
      try token("c", "cccccccccccccccc"),
    ])
    let after = Tokens([
      try token("c", "xxxxxxxxxxxxxxxx"), try token("b2", "bbbbbbbbbbbbbbbb"),
      try token("a", "aaaaaaaaaaaaaaaa"),
    ])
    #expect(after.grant(after: Grant(token: 0), of: before) == Grant(token: 2))
    #expect(after.grant(after: Grant(token: 1), of: before) == Grant(token: 1))
    #expect(after.grant(after: Grant(token: 2), of: before) == .none)
    #expect(after.grant(after: .none, of: before) == .none)
    #expect(after.grant(after: .everything, of: before) == .everything)
    let old = before.tokens[2]
    #expect(before.token(named: "c", mark: old.mark) == old)
    #expect(after.token(named: "c", mark: old.mark) == nil)
    #expect(after.token(named: "a", mark: before.tokens[0].mark)?.name == "a")
  }

  // MARK: - Rights

  private func firstForbidden(_ text: String, _ patterns: [String]) throws -> Int? {
    let tokens = Tokens([try token("t", "0123456789abcdef", write: patterns)])
    let source = memory(Array(text.utf8))
    return tokens.firstForbiddenLine(source, 0..<text.utf8.count, Grant(token: 0))
  }

  @Test func `the first line that may not be written is named`() throws {
    let time = "2026-11-21T03:47:52.123456789Z"
    #expect(try firstForbidden("- a T\tx\n\(time) a T\ty\n", ["a"]) == nil)
    #expect(try firstForbidden("- a T\tx\n\(time) b T\ty\n", ["a"]) == 2)
    #expect(try firstForbidden("- a T\tx\n- a T\tx\n- ab T\ty\n", ["a"]) == 3)
    #expect(try firstForbidden("- ab T\tx\n- a T\ty\n", ["ab"]) == 2)
    #expect(try firstForbidden("- a T\tx b - a T\n- c T\ty\n", ["a"]) == 2)
    #expect(try firstForbidden("- a T\tx\n", []) == 1)
    #expect(try firstForbidden("- a T\tx\n- /b T\tx\n", ["*"]) == nil)
  }

  @Test func `patterns see names unescaped`() throws {
    #expect(try firstForbidden("- a\\sb T\tx\n", ["a?b"]) == nil)
    #expect(try firstForbidden("- a\\\\sb T\tx\n", ["a?b"]) == 1)
    #expect(try firstForbidden("- a\\\\sb T\tx\n", ["a\\\\sb"]) == nil)
    #expect(try firstForbidden("- a\\qb T\tx\n", ["a*"]) == 1)
    #expect(try firstForbidden("- a\\ T\tx\n", ["a*"]) == 1)
    let longest = String(repeating: "\\s", count: 511) + "ab"
    #expect(try firstForbidden("- \(longest) T\tx\n", ["?*b"]) == nil)
    #expect(try firstForbidden("- a\(longest) T\tx\n", ["a*"]) == 1)
  }

  @Test func `conditions about another journal want a right to it`() throws {
    let line = "COMMIT 12 since=1 in=/b if-unchanged@3 in=/c if-unchanged@4"
    func forbids(read: [String], write: [String], _ line: String) throws -> Bool {
      let tokens = Tokens([try token("t", "0123456789abcdef", read: read, write: write)])
      let source = memory(Array(line.utf8))
      return tokens.forbidsConditions(source, 0..<line.utf8.count, Grant(token: 0))
    }
    #expect(try forbids(read: [], write: ["/a"], line))
    #expect(try forbids(read: ["/b"], write: ["/a"], line))
    #expect(try forbids(read: ["/c"], write: ["/a"], line))
    #expect(try !forbids(read: ["/b"], write: ["/a", "/c"], line))
    #expect(try !forbids(read: ["/[bc]"], write: ["/a"], line))
    #expect(try !forbids(read: ["*"], write: ["/a"], line))
    #expect(try !forbids(read: [], write: ["/a"], "COMMIT 12 since=1 if-none=T@3"))
  }

  @Test func `nothing is allowed without a token, and all without tokens`() throws {
    let text = Array("- a T\tx\n".utf8)
    let source = memory(text)
    let tokens = Tokens([try token("t", "0123456789abcdef", read: ["*"], write: ["*"])])
    for (grant, isAllowed) in [(Grant.none, false), (.everything, true)] {
      let line = tokens.firstForbiddenLine(source, 0..<text.count, grant)
      let mayRead = tokens.mayRead(source, 2..<3, grant)
      let isForbidden = tokens.forbidsConditions(source, 0..<1, grant)
      #expect(line == (isAllowed ? nil : 1))
      #expect(mayRead == isAllowed)
      #expect(isForbidden == !isAllowed)
    }
  }

  /// Whatever is stored was allowed: the check, which does not know the grammar of whole lines, may
  /// not see other streams than those who store.
  @Test(arguments: 0..<8) func `lines that are taken are of allowed streams`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let patterns = StreamPatterns([try Glob("a*"), try Glob("/a*")])
    let tokens = Tokens([try token("t", "0123456789abcdef", write: ["a*", "/a*"])])
    var takenCount = 0
    for _ in 0..<4000 {
      var body: [UInt8] = []
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let start = random.chance(90) ? "- " : "2026-11-21T03:47:52.123456789Z "
        body += Array((random.chance(80) ? start + "a" : start).utf8)
        body += random.bytes(
          Int.random(in: 0...8, using: &random), from: Array("aab/  \t\\s\n".utf8))
        body += Array((random.chance(80) ? " T\tx\n" : "\n").utf8)
      }
      let source = memory(body)
      guard tokens.firstForbiddenLine(source, 0..<body.count, Grant(token: 0)) == nil else {
        continue
      }
      // Allowed: then every line that follows the grammar is of an allowed stream, or all are refused.
      var streams: [[UInt8]] = []
      for line in body.split(separator: 10, omittingEmptySubsequences: false).dropLast() {
        let bytes = Array(line)
        guard let event = try? EventLine(bytes.rawSpan, 0..<bytes.count) else {
          streams = []
          break
        }
        streams.append(Escape.decode(bytes.rawSpan.extracting(event.stream)) ?? [])
      }
      takenCount += streams.isEmpty ? 0 : 1
      for stream in streams {
        let isAllowed = patterns.matches(stream.rawSpan)
        #expect(
          isAllowed, "seed \(seed): \(String(decoding: body, as: UTF8.self))"
        )
      }
    }
    #expect(takenCount > 100, "seed \(seed)")
  }

  // MARK: - HELLO

  private func hello(_ text: String) -> (RequestLine, secret: String?) {
    let bytes = Array(text.utf8)
    let read = RequestLine(bytes.rawSpan, 0..<bytes.count)
    let secret = HelloToken.range(bytes.rawSpan, read.range)
    return (read, secret.map { String(decoding: bytes[$0], as: UTF8.self) })
  }

  @Test func `a HELLO may hold a token behind its other words and in front of its tag`() {
    let secret = "0123456789abcdef"
    let (plain, first) = hello("HELLO penstock/1 token=\(secret)")
    #expect(plain.request == .hello && first == secret)
    let (moved, second) = hello("HELLO penstock/1 moved token=\(secret) tag=x")
    #expect(moved.request == .helloMoved && second == secret)
    #expect(hello("HELLO penstock/1 moved").secret == nil)
    #expect(hello("HELLO penstock/1 tag=x").0.request == .hello)
    #expect(
      hello("HELLO penstock/1 token=\(String(repeating: "x", count: 128))").0.request == .hello)
  }

  @Test(arguments: [
    "HELLO penstock/1 token=", "HELLO penstock/1 token=0123456789abcdef moved",
    "HELLO penstock/1 token=a token=b", "HELLO penstock/1 token=a\u{7F}b",
    "HELLO penstock/1  token=0123456789abcdef", "HELLO penstock/2 token=0123456789abcdef",
    "HELLO token=0123456789abcdef", "HELLO penstock/1token=0123456789abcdef",
    "HELLO penstock/1 token=\(String(repeating: "x", count: 129))",
  ]) func `any other HELLO with a token is refused`(_ text: String) {
    #expect(hello(text).0.request == .refused(.badVersion))
  }
}
