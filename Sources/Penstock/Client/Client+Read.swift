// Reading a store that is served:
//
//     for try await event in try client.read("/orders/42") { … }
//     for try await event in try client.follow("app/*", from: .beginning) { … }
//
// Each of them has a connection of its own, from the first event that is asked for to the last, or to
// the end of the loop or of its task. What is not asked for is not received: one piece of an answer,
// 64 KiB or one large event, is held at a time, and a server that nobody listens to stops sending.
//
// A follow goes on at the place it got to when its connection is lost, on another one, without an event
// left out or given twice. A read shows the stream as it stood when it began, which another connection
// could not: when its own is lost after the first event it ends with an error.

internal import PenstockArchive
internal import PenstockCore

/// Where a read begins or ends.
public enum ReadBound: Equatable, Sendable {
  /// An instant, in nanoseconds since 1970-01-01T00:00:00Z: from it on, or to before it.
  case time(Int64)
  /// A position of a journal, which is included.
  case position(UInt64)
}

/// Where following begins.
public enum FollowStart: Equatable, Sendable {
  /// With what becomes durable once the server has answered.
  case now
  /// With the first event there is, imported ones and those of former shards included.
  case beginning
  /// Behind what `FollowedEvents.position` said.
  case position(String)
}

extension Client {
  /// Reads a stream as it stands when the first event is asked for.
  /// - Parameters:
  ///   - stream: its name.
  ///   - from: where to begin; nil for the first event.
  ///   - to: where to end; nil for the last event.
  ///   - limit: so many events at most.
  ///   - reverse: the newest first.
  /// - Returns: events in order of time, a journal's in order of position, for one task at a time.
  /// - Throws: `invalid` for a name that no stream has, or a position of a plain stream. The sequence
  ///   throws `unreachable`, `refused`, `closed`, `failed` when the connection is lost behind an event
  ///   that was given, and `CancellationError`.
  public func read(
    _ stream: String, from: ReadBound? = nil, to: ReadBound? = nil, limit: Int? = nil,
    reverse: Bool = false
  ) throws(StoreError) -> ReadEvents {
    let name = Escape.encode(Array(stream.utf8).rawSpan, .word)
    guard (1...EventLine.streamByteCountMax).contains(name.count) else {
      throw .invalid(
        "a stream's name has 1 to \(EventLine.streamByteCountMax) bytes, not \(name.count)")
    }
    guard limit ?? 0 >= 0 else { throw .invalid("a read cannot have a limit below 0") }
    var request = Array("READ ".utf8) + name
    if let from { request += Array(" from=\(try from.text(of: stream))".utf8) }
    if let to { request += Array(" to=\(try to.text(of: stream))".utf8) }
    if let limit { request += Array(" limit=\(limit)".utf8) }
    if reverse { request += Array(" reverse".utf8) }
    return ReadEvents(ServedRead(self, request + Array(" positions\n".utf8), silence: patience))
  }

  /// Follows the events of streams as they become durable.
  /// - Parameters:
  ///   - streams: a pattern for the names of streams, with "*", "?" and "[a-z]"; a "?" stands for a
  ///     space, too, which a pattern here cannot have.
  ///   - start: where to begin.
  /// - Returns: events in the order of each log, what was there before in order of time, for one task
  ///   at a time. It has no end of its own.
  /// - Throws: `invalid` for a pattern or a position that is none. The sequence throws `unreachable`
  ///   when no server answered for as long as the client's patience, `refused`, `closed`, and
  ///   `CancellationError`.
  public func follow(_ streams: String = "*", from start: FollowStart = .now) throws(StoreError)
    -> FollowedEvents
  {
    do throws(Glob.Fault) {
      _ = try Glob(streams)
    } catch {
      throw .invalid(error.description)
    }
    guard streams.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }), !streams.isEmpty,
      streams.utf8.count <= EventLine.streamByteCountMax
    else {
      throw .invalid(
        "a pattern has 1 to \(EventLine.streamByteCountMax) visible bytes; '?' matches a space")
    }
    let position: String?
    switch start {
    case .now: position = nil
    case .beginning: position = FollowPosition().text
    case .position(let text):
      let bytes = Array(text.utf8)
      guard FollowPosition(bytes.rawSpan) != nil else {
        throw .invalid("'\(text.prefix(80))' is no position of a follow")
      }
      position = text
    }
    let silence = Int64(options.followSilenceMilliseconds) * 1_000_000
    return FollowedEvents(
      ServedRead(self, Array("FOLLOW \(streams) positions".utf8), silence: silence), position)
  }

  private var patience: Int64 { Int64(options.patienceMilliseconds) * 1_000_000 }
}

extension ReadBound {
  fileprivate func text(of stream: String) throws(StoreError) -> String {
    switch self {
    case .time(let time): return Timestamp(nanosecondsSince1970: Int128(time)).text
    case .position(let position):
      guard stream.utf8.first == Byte.slash else {
        throw .invalid("positions are for journals; '\(stream)' is a plain stream and takes times")
      }
      return "\(min(position, 999_999_999_999_999_999))"
    }
  }
}

// MARK: - Sequences

/// The events of a read, in order. Used by one task at a time; ends its connection when it is let go.
public final class ReadEvents: AsyncSequence, AsyncIteratorProtocol {
  public typealias Element = Event
  private let read: ServedRead
  private var hasGiven = false

  init(_ read: ServedRead) { self.read = read }

  public func makeAsyncIterator() -> ReadEvents { self }

  /// The next event; nil at the end.
  public nonisolated(nonsending) func next() async throws -> Event? {
    while !read.isOver {
      do throws(ReadConnection.Failure) {
        if let event = try read.connection?.nextEvent() {
          hasGiven = true
          return event
        }
        if try await read.piece() == .end { read.end() }
      } catch {
        if case .lost(let reason) = error, hasGiven, !read.isClosed {
          read.end()
          throw StoreError.failed(
            "the connection to \(read.place) was lost in the middle of an answer (\(reason)); "
              + "read again from behind the last event")
        }
        try await read.retry(after: error)
      }
    }
    return nil
  }
}

/// Events as they become durable. Used by one task at a time; ends its connection when it is let go.
public final class FollowedEvents: AsyncSequence, AsyncIteratorProtocol {
  public typealias Element = Event
  private let read: ServedRead
  /// Where the server said the piece ends of which events are given.
  private var told: String?
  /// Up to where events were given and asked beyond: who follows from this position, in this program
  /// or another, misses none of the others, and is given again at most those of the last piece of 64
  /// KiB. Nil until the server has answered a follow from now on.
  public private(set) var position: String?

  init(_ read: ServedRead, _ position: String?) {
    self.read = read
    self.position = position
    told = position
  }

  public func makeAsyncIterator() -> FollowedEvents { self }

  /// The next event, once there is one. Nil only when it has failed or was cancelled before.
  public nonisolated(nonsending) func next() async throws -> Event? {
    while !read.isOver {
      do throws(ReadConnection.Failure) {
        if let event = try read.connection?.nextEvent() { return event }
        position = told
        let from = position.map { " from=\($0)" } ?? ""
        guard case .events(let end) = try await read.piece(Array("\(from)\n".utf8)) else {
          throw .lost("the server ended the answer")
        }
        told = end ?? told
      } catch {
        try await read.retry(after: error)
      }
    }
    return nil
  }
}

/// A request that is answered in pieces, over one connection or, until there is an answer, several.
final class ServedRead {
  /// Held, so that it ends when it is closed, and not with its last use elsewhere.
  private let client: Client
  private let request: [UInt8]
  /// How long a server may say nothing, in nanoseconds.
  private let silence: Int64
  private(set) var connection: ReadConnection?
  private(set) var isOver = false
  private var isCounted = false
  private var addressIndex: Int
  private var pause = RetryPause()
  /// When there has to be an answer again; nil while there is one.
  private var answerBy: Int64?

  init(_ client: Client, _ request: [UInt8], silence: Int64) {
    self.client = client
    self.request = request
    self.silence = silence
    addressIndex = Int(System.random() % UInt64(client.addresses.count))
  }

  deinit { if isCounted { client.waiter.endRead() } }

  private var patience: Int64 { Int64(client.options.patienceMilliseconds) * 1_000_000 }

  private var address: LineAddress { client.addresses[addressIndex % client.addresses.count] }

  /// Whether the client was closed.
  var isClosed: Bool { client.waiter.isClosed }

  /// Where it is read, in words.
  var place: String { address.description }

  /// The next piece of the answer, of a new connection when there is none.
  /// - Parameter options: what stands behind the request this time, its LF included.
  nonisolated(nonsending) func piece(_ options: [UInt8] = []) async throws(ReadConnection.Failure)
    -> ReadConnection.Piece
  {
    if Task.isCancelled { throw .cancelled }
    if isClosed { throw .ended(.closed) }
    if !isCounted {
      guard client.waiter.beginRead() else {
        throw .refused(
          code: "busy", text: "a client reads \(SocketWaiter.readCountMax) streams at once at most")
      }
      isCounted = true
    }
    let open: ReadConnection
    if let connection {
      open = connection
    } else {
      let limit = Int64(client.options.connectTimeoutMilliseconds) * 1_000_000
      let now = System.monotonicNanoseconds()
      if answerBy == nil { answerBy = now + patience }
      open = try await ReadConnection.ask(
        request + options, at: address, client.waiter, until: now + limit)
      connection = open
    }
    let piece = try await open.piece(silence: silence)
    answerBy = nil
    pause.reset()
    return piece
  }

  /// Lets go of the connection. Nothing comes any more.
  func end() {
    isOver = true
    connection = nil
  }

  /// Makes ready for another attempt, after a pause; throws when there is none to be made.
  nonisolated(nonsending) func retry(after failure: ReadConnection.Failure) async throws {
    connection = nil
    if isClosed {
      end()
      throw StoreError.closed
    }
    let reason: String
    switch failure {
    case .cancelled:
      end()
      throw CancellationError()
    case .ended(let error):
      end()
      throw error
    case .refused(let code, let text):
      guard ["busy", "no-reader", "unavailable"].contains(code), isCounted else {
        end()
        throw StoreError.refused(code: code, text: text)
      }
      reason = "\(code): \(text)"
    case .lost(let text): reason = text
    }
    let now = System.monotonicNanoseconds()
    let deadline = answerBy ?? now + patience
    answerBy = deadline
    let pause = pause.fail(
      addressCount: client.addresses.count,
      nanosecondsMax: Int64(client.options.reconnectPauseMaxMilliseconds) * 1_000_000)
    guard now + pause < deadline else {
      end()
      throw StoreError.unreachable("\(place) cannot be read from: \(reason)")
    }
    addressIndex += 1
    do {
      try await Task.sleep(nanoseconds: UInt64(pause))
    } catch {
      end()
      throw error
    }
  }
}
