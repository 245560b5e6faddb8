// What the reader gives whom: it reads the same file of tokens as the shards.
//
//     LEND … NAME MARK ─▶ rights of that token ─▶ each event, each piece of an answer
//                              ▲ reload: looked up again; gone: the answer ends
//
// Shards read a reloaded file on their own, a little earlier or later: the mark tells a token from
// another of its name, and one that either side does not know any more gets nothing.

internal import PenstockArchive
internal import PenstockCore
internal import Synchronization

/// The tokens as the reader has them.
final class ReaderAccess: Sendable {
  private let path: String
  private let state: Mutex<Tokens>
  /// Grows with each reload.
  fileprivate let version = Atomic(0)

  /// - Parameter path: the file of tokens. While it cannot be used, nobody gets anything.
  init(_ path: String) {
    self.path = path
    var tokens = Tokens.none
    do throws(PrivateFile.Fault) {
      tokens = Tokens(try TokenFile.read(path))
    } catch {
      ShardProcess.say(
        "reader", "\(error); nobody is answered until it is right and 'penstock reload' was run")
    }
    state = Mutex(tokens)
  }

  /// Reads the file again; keeps what there is when it is wrong.
  func reload() {
    do throws(PrivateFile.Fault) {
      let tokens = Tokens(try TokenFile.read(path))
      state.withLock { $0 = tokens }
      version.add(1, ordering: .releasing)
      ShardProcess.say("reader", "\(Readable.counted(tokens.tokens.count, "token")) read")
    } catch {
      ShardProcess.say("reader", "\(error); the tokens before stay in force")
    }
  }

  fileprivate func token(_ grant: LentGrant) -> AccessToken? {
    state.withLock { $0.token(named: grant.name, mark: grant.mark) }
  }
}

/// Whose rights a lent connection has, as its shard says.
struct LentGrant: Equatable, Sendable {
  var name: String
  var mark: Int

  /// What the store's own processes have.
  static let everythingName = "*"

  /// Reads the words behind a lent connection's name; nil when there are none.
  init?(_ head: String) {
    let words = head.split(separator: " ")
    guard words.count == 5, let mark = Int(words[4]) else { return nil }
    name = String(words[3])
    self.mark = mark
  }
}

/// What one request may be told. Used by one thread.
struct ReadRights {
  private let access: ReaderAccess?
  private let grant: LentGrant?
  private var version = 0
  private var patterns = StreamPatterns.everything

  private static let unauthorized = ReadRequest.Fault(
    code: "unauthorized", text: "the session's token is not known; say HELLO with another")
  private static let forbidden = ReadRequest.Fault(
    code: "forbidden",
    text: "the token gives no right to read this; the server's token file says who may")

  /// - Parameter access: nil when no tokens are asked for.
  init(_ access: ReaderAccess?, _ lent: LentConnection) throws(ReadRequest.Fault) {
    self.access = access
    grant = lent.grant
    guard let access else { return }
    version = access.version.load(ordering: .acquiring)
    patterns = try look(access)
  }

  private func look(_ access: ReaderAccess) throws(ReadRequest.Fault) -> StreamPatterns {
    guard let grant else { throw ReadRights.unauthorized }
    if grant.name == LentGrant.everythingName { return .everything }
    guard let token = access.token(grant) else { throw ReadRights.unauthorized }
    return token.read
  }

  /// Looks again when tokens were read anew. A token that is gone ends the connection: an answer that
  /// has begun has no other end.
  mutating func renew() throws(LentFailure) {
    guard let access else { return }
    let newest = access.version.load(ordering: .acquiring)
    guard newest != version else { return }
    version = newest
    do throws(ReadRequest.Fault) {
      patterns = try look(access)
    } catch {
      throw .gone
    }
  }

  /// Refuses to read a stream, unescaped, without a right to it.
  func require(_ stream: [UInt8]) throws(ReadRequest.Fault) {
    guard patterns.matches(stream.rawSpan) else { throw ReadRights.forbidden }
  }

  /// Refuses what is about all streams without a right to all.
  func requireEverything() throws(ReadRequest.Fault) {
    guard patterns.isEverything else { throw ReadRights.forbidden }
  }

  /// Whether an event may be told.
  func allow(_ event: borrowing StoredEvent) -> Bool {
    if patterns.isEverything { return true }
    return patterns.matches(escaped: event.bytes.rawSpan.extracting(event.fields.stream))
  }
}
