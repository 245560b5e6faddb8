// Who may do what: tokens, the rights they give, and finding the token a client says.
//
//     HELLO … token=SECRET ─▶ grant(of:) ─▶ Grant, kept with the connection ─▶ rights, per request
//
// A set never changes; a reload makes another, and those who hold grants of the one before translate
// them by secret (`grant(after:)`). Looking up a right costs an index and a match; nothing here
// allocates but the making of a set.

/// What one token gives.
package struct AccessToken: Sendable, Equatable {
  /// What it is called in messages and between the processes of a store.
  package var name: String
  package var secret: [UInt8]
  /// What READ, FOLLOW, HEAD and EXISTS may be about; COPY wants all of it.
  package var read: StreamPatterns
  /// What PUT and COMMIT may write.
  package var write: StreamPatterns

  package init(name: String, secret: [UInt8], read: StreamPatterns, write: StreamPatterns) {
    self.name = name
    self.secret = secret
    self.read = read
    self.write = write
  }

  /// Lengths of secrets, in bytes: shorter ones are guessed, longer ones only make lines long.
  package static let secretByteCounts = 16...128

  /// Whether bytes can stand behind "token=" in a HELLO.
  package static func canBeSaid(_ bytes: [UInt8]) -> Bool {
    (1...secretByteCounts.upperBound).contains(bytes.count)
      && bytes.allSatisfy { (0x21...0x7E).contains($0) }
  }

  /// Tells this secret from an earlier one of the same name (FNV-1a, 62 bits). It goes from shard to
  /// reader, over a socket that is the owner's alone, and nowhere else.
  package var mark: Int {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in secret { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    return Int(hash >> 2)
  }
}

/// What a connection may do: the rights of a token, nothing or everything.
package struct Grant: BitwiseCopyable, Equatable, Sendable {
  /// The token's place in its set, or one of the two below.
  package var token: Int32

  package init(token: Int32) { self.token = token }

  /// No token was said.
  package static let none = Grant(token: -1)
  /// No tokens are asked for, or a process of the store's own.
  package static let everything = Grant(token: -2)
}

/// A set of tokens.
package struct Tokens: Sendable {
  package let tokens: [AccessToken]
  /// The secrets, each in a row of `rowWordCount` words, zeros behind it; the last row is the secret
  /// of the store's own processes.
  private var rows: [UInt64] = []
  private var lengths: [UInt64] = []

  private static let rowWordCount = AccessToken.secretByteCounts.upperBound / 8
  private typealias Row = InlineArray<16, UInt64>

  /// A set that lets nobody in.
  package static let none = Tokens([])

  /// - Parameter peerSecret: what the store's own processes say; empty when there are none.
  package init(_ tokens: [AccessToken], peerSecret: [UInt8] = []) {
    precondition(Tokens.rowWordCount == 16, "a row holds the longest secret")
    self.tokens = tokens
    for secret in tokens.map(\.secret) + [peerSecret] {
      precondition(secret.isEmpty || AccessToken.secretByteCounts.contains(secret.count))
      let row = Tokens.row(secret.rawSpan)
      for word in 0..<Tokens.rowWordCount { rows.append(row[word]) }
      lengths.append(UInt64(secret.count))
    }
  }

  private static func row(_ secret: RawSpan) -> Row {
    var row = Row(repeating: 0)
    for word in 0..<rowWordCount where word * 8 < secret.byteCount {
      row[word] = secret.word(at: word * 8)
    }
    return row
  }

  // MARK: - Secrets

  /// What a secret gives; `.none` when nobody has it.
  package func grant(of said: RawSpan) -> Grant {
    guard AccessToken.secretByteCounts.contains(said.byteCount) else { return .none }
    let found = place(of: said)
    guard found >= 0 else { return .none }
    return found == tokens.count ? .everything : Grant(token: Int32(found))
  }

  package func grant(_ source: borrowing AlignedBuffer, of said: ByteRange) -> Grant {
    grant(of: source.bytes(said))
  }

  /// The row that holds `said`, or -1.
  ///
  /// In constant time: every row is compared in full, whatever was found in those before it, and every
  /// word of a row, whatever differed in those before it. Differences are collected with OR, and the
  /// number of the row is taken with a mask that is computed and not chosen: no branch and no address
  /// depends on a secret. What time tells is how many tokens there are and how long `said` is.
  @inline(never)
  private func place(of said: RawSpan) -> Int {
    let wanted = Tokens.row(said)
    var found: UInt64 = 0
    for row in 0..<lengths.count {
      var difference = lengths[row] ^ UInt64(said.byteCount)
      for word in 0..<Tokens.rowWordCount {
        difference |= rows[row &* Tokens.rowWordCount &+ word] ^ wanted[word]
      }
      // The highest bit of d | -d is set unless d is 0: all ones for the row that is the same.
      let mask = ((difference | (0 &- difference)) >> 63) &- 1
      found |= mask & UInt64(row &+ 1)
    }
    return Int(found) &- 1
  }

  /// What a grant of `before` is in this set: the token with the same secret, or none.
  package func grant(after grant: Grant, of before: borrowing Tokens) -> Grant {
    guard grant.token >= 0 else { return grant }
    let secret = before.tokens[Int(grant.token)].secret
    return self.grant(of: secret.rawSpan)
  }

  /// The token of this name, when its secret is still the one of this mark.
  package func token(named name: String, mark: Int) -> AccessToken? {
    tokens.first { $0.name == name && $0.mark == mark }
  }

  // MARK: - Rights

  /// Whether a stream, escaped, may be read.
  package func mayRead(
    _ source: borrowing AlignedBuffer, _ name: ByteRange, _ grant: Grant
  ) -> Bool {
    guard grant.token >= 0 else { return grant == .everything }
    return tokens[Int(grant.token)].read.matches(escaped: source.bytes(name))
  }

  /// Whether there is a stream that may be written.
  package func mayWriteAnything(_ grant: Grant) -> Bool {
    guard grant.token >= 0 else { return grant == .everything }
    return tokens[Int(grant.token)].write != .none
  }

  /// The first of some event lines, counted from 1, whose stream may not be written; nil when all may.
  ///
  /// Looks at no more of a line than the words in front of its type: a line that does not follow the
  /// grammar is refused by those who take it, and one that does has its stream where it is looked for.
  package func firstForbiddenLine(
    _ source: borrowing AlignedBuffer, _ body: ByteRange, _ grant: Grant
  ) -> Int? {
    guard grant.token >= 0 else { return grant == .everything ? nil : 1 }
    let patterns = tokens[Int(grant.token)].write
    if patterns.isEverything { return nil }
    let span = source.bytes
    var offset = body.lowerBound
    var line = 0
    // Most requests are about one stream.
    var allowed = 0..<0
    while offset < body.upperBound {
      line &+= 1
      let timeEnd = span.nearIndex(of: Byte.space, from: offset, to: body.upperBound)
      let start = min(timeEnd &+ 1, body.upperBound)
      let end = span.nearIndex(of: Byte.space, from: start, to: body.upperBound)
      let isSame =
        end &- start == allowed.count && allowed.count > 0
        && span.holds(start, allowed.count, of: span, at: allowed.lowerBound)
      if !isSame {
        guard patterns.matches(escaped: span.extracting(start..<end)) else { return line }
        allowed = start..<end
      }
      offset = span.firstIndex(of: Byte.lineFeed, from: end, to: body.upperBound) &+ 1
    }
    return nil
  }

  /// Whether a COMMIT has conditions about a journal that may be neither read nor written.
  /// - Parameter line: the request line, without its tag.
  package func forbidsConditions(
    _ source: borrowing AlignedBuffer, _ line: ByteRange, _ grant: Grant
  ) -> Bool {
    guard grant.token >= 0 else { return grant != .everything }
    let token = tokens[Int(grant.token)]
    if token.write.isEverything || token.read.isEverything { return false }
    let span = source.bytes
    var options = CommitOptions(span, line)
    while let option = options.next(in: span) {
      guard case .journal(let range) = option else { continue }
      let name = span.extracting(range)
      if !token.write.matches(escaped: name), !token.read.matches(escaped: name) { return true }
    }
    return false
  }
}

/// Where the token stands in a HELLO.
package enum HelloToken {
  /// The secret behind "token=", the last word of a HELLO line without its tag; nil when there is none.
  package static func range(_ span: RawSpan, _ line: ByteRange) -> ByteRange? {
    var start = line.upperBound
    while start > line.lowerBound, span.byte(at: start &- 1) != Byte.space { start &-= 1 }
    guard start > line.lowerBound, line.upperBound &- start > 6,
      span.hasBytes("token=", at: start)
    else { return nil }
    return (start &+ 6)..<line.upperBound
  }

  package static func range(_ source: borrowing AlignedBuffer, _ line: ByteRange) -> ByteRange? {
    range(source.bytes, line)
  }

  /// Where a HELLO line ends without its token; with one that nobody can have, where the line ends.
  package static func lineEnd(_ span: RawSpan, _ line: ByteRange) -> Int {
    guard let secret = range(span, line), secret.count <= AccessToken.secretByteCounts.upperBound
    else { return line.upperBound }
    for offset in secret where !(0x21...0x7E).contains(span.byte(at: offset)) {
      return line.upperBound
    }
    return secret.lowerBound &- 7
  }
}
