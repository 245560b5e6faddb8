// Who may do what on a shard's connections.
//
//     accepted ─▶ none ──HELLO token=──▶ token's rights ──reload: secret gone──▶ ended
//                   └── anything else: ERR unauthorized       └──rights changed──▶ the new ones
//
// Without tokens every connection is granted everything from the start, and a request costs one
// branch more. With them, requests about a stream are checked here; those that the reader answers
// go there with the token's name, and the reader checks them. Other shards say a secret that the host
// made for this start: what they pass on was checked where it came in.

/// What a shard with tokens is told when it starts.
package struct AccessConfiguration: Sendable {
  /// The file of tokens.
  package var path: String
  /// What the store's own processes say.
  package var peerSecret: [UInt8]

  package init(path: String, peerSecret: [UInt8]) {
    self.path = path
    self.peerSecret = peerSecret
  }

  /// Reads the file. One that cannot be used lets nobody in, and the shard serves what needs no token.
  func tokensAtStart(_ tell: (String) -> Void) -> Tokens {
    do throws(PrivateFile.Fault) {
      return Tokens(try TokenFile.read(path), peerSecret: peerSecret)
    } catch {
      tell("\(error); nobody is let in until it is right and 'penstock reload' was run")
      return Tokens([], peerSecret: peerSecret)
    }
  }
}

extension Shard where Machine: ~Copyable {
  /// What a connection that is accepted is granted.
  var firstGrant: Grant { configuration.access == nil ? .everything : .none }

  /// What becomes of the request line of a connection that has not every right.
  mutating func permitted(
    _ request: Request, _ slot: Int, _ source: Source, _ line: ByteRange
  ) -> Request {
    let grant = sessions.connections[slot].grant
    switch request {
    case .hello, .helloMoved: return welcomed(request, slot, source, line)
    case .refused(.badVersion): return request
    case _ where grant == .none: return request.refused(.unauthorized)
    case .head(let name), .exists(let name):
      let isAllowed =
        source == .frames
        ? access.mayRead(sessions.frames, name, grant) : access.mayRead(memory.streams, name, grant)
      return isAllowed ? request : .refused(.forbidden)
    case .producer:
      // Whoever writes nothing must not fence those who do.
      return access.mayWriteAnything(grant) ? request : .refused(.forbidden)
    default:
      // What is written is checked when it is there, what is read by the reader.
      return request
    }
  }

  /// Looks at the token of a HELLO. A wrong one ends the connection: a guess costs one.
  private mutating func welcomed(
    _ request: Request, _ slot: Int, _ source: Source, _ line: ByteRange
  ) -> Request {
    let said =
      source == .frames
      ? HelloToken.range(sessions.frames, line) : HelloToken.range(memory.streams, line)
    guard let said else {
      return sessions.connections[slot].grant == .none ? .refused(.unauthorized) : request
    }
    let grant =
      source == .frames
      ? access.grant(sessions.frames, of: said) : access.grant(memory.streams, of: said)
    guard grant != .none else {
      statistics[.tokensRefused] &+= 1
      sessions.connections[slot].hasEnded = true
      return .refused(.unauthorized)
    }
    sessions.connections[slot].grant = grant
    return request
  }

  /// Refuses a PUT or a COMMIT that is about streams its connection has no right to; whether it did.
  mutating func refusesEvents(
    _ request: Request, _ slot: Int, _ source: Source, line: ByteRange, _ body: ByteRange
  ) -> Bool {
    let grant = sessions.connections[slot].grant
    let forbidden =
      source == .frames
      ? access.firstForbiddenLine(sessions.frames, body, grant)
      : access.firstForbiddenLine(memory.streams, body, grant)
    if let forbidden {
      refuse(slot, .forbidden, line: forbidden)
      return true
    }
    guard case .commit = request else { return false }
    let isForbidden =
      source == .frames
      ? access.forbidsConditions(sessions.frames, line, grant)
      : access.forbidsConditions(memory.streams, line, grant)
    if isForbidden { refuse(slot, .forbidden) }
    return isForbidden
  }

  /// Says to the reader whose rights count: " NAME MARK", "*" for everything.
  mutating func putGrant(_ slot: Int, _ writer: inout EventWriter) {
    guard configuration.access != nil else { return }
    let grant = sessions.connections[slot].grant
    writer.put(Byte.space, &memory.answers)
    guard grant.token >= 0 else { return writer.put("* 0", &memory.answers) }
    let token = access.tokens[Int(grant.token)]
    let name = Array(token.name.utf8)
    writer.put(verbatim: name.rawSpan, &memory.answers)
    writer.put(Byte.space, &memory.answers)
    writer.put(decimal: token.mark, &memory.answers)
  }

  /// Reads the file of tokens again. Open connections get what their token gives now; those whose
  /// token is gone end. Rare and small, so that the loop may wait for it.
  mutating func reloadTokens() {
    guard let configured = configuration.access else { return }
    let name = "shard \(configuration.log.value)"
    let fresh: Tokens
    do throws(PrivateFile.Fault) {
      fresh = Tokens(try TokenFile.read(configured.path), peerSecret: configured.peerSecret)
    } catch {
      return configuration.tell(name, "\(error); the tokens before stay in force")
    }
    var endedCount = 0
    for slot in 0..<limits.connectionCountMax where sessions.connections[slot].isOpen {
      let before = sessions.connections[slot].grant
      guard before.token >= 0 else { continue }
      let grant = fresh.grant(after: before, of: access)
      sessions.connections[slot].grant = grant
      guard grant == .none else { continue }
      endedCount += 1
      endConnection(slot)
    }
    access = fresh
    configuration.tell(
      name,
      "\(Readable.counted(fresh.tokens.count, "token")) read; "
        + "\(Readable.counted(endedCount, "session")) ended with theirs")
  }
}
