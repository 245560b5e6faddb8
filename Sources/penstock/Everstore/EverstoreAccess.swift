// Who may do what over Everstore's protocol: with tokens, AUTH has to come first. Its user is a token's
// name, its password the token's secret. Reading a journal, opening a transaction and asking whether it
// exists want the right to read it, a COMMIT that to write it.

internal import PenstockCore

/// The tokens as the server of Everstore's protocol has them.
struct EverstoreAccess {
  private let path: String
  private var tokens: Tokens
  /// What the store's shards take this process for one of theirs by.
  let peerSecret: [UInt8]

  /// - Parameter path: the file of tokens. While it cannot be used, nobody is let in.
  init(_ path: String, peerSecret: [UInt8]) {
    self.path = path
    self.peerSecret = peerSecret
    do throws(PrivateFile.Fault) {
      tokens = Tokens(try TokenFile.read(path))
    } catch {
      tokens = .none
      ShardProcess.say(
        "everstore", "\(error); nobody is let in until it is right and 'penstock reload' was run")
    }
  }

  /// Reads the file again; keeps what there is when it is wrong.
  /// - Returns: what a grant is now.
  mutating func reload() -> (Grant) -> Grant {
    let before = tokens
    do throws(PrivateFile.Fault) {
      tokens = Tokens(try TokenFile.read(path))
      ShardProcess.say("everstore", "\(Readable.counted(tokens.tokens.count, "token")) read")
    } catch {
      ShardProcess.say("everstore", "\(error); the tokens before stay in force")
    }
    let now = tokens
    return { now.grant(after: $0, of: before) }
  }

  /// What a user and a password give.
  func grant(user: RawSpan, secret: RawSpan) -> Grant {
    let grant = tokens.grant(of: secret)
    guard grant.token >= 0 else { return .none }
    let name = Array(tokens.tokens[Int(grant.token)].name.utf8)
    return name.rawSpan.equals(user) ? grant : .none
  }

  /// Whether a journal, escaped, may be read, or written.
  func allows(_ grant: Grant, _ name: [UInt8], writing: Bool) -> Bool {
    guard grant.token >= 0 else { return grant == .everything }
    let token = tokens.tokens[Int(grant.token)]
    return (writing ? token.write : token.read).matches(escaped: name.rawSpan)
  }
}
