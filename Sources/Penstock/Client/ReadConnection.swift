// A connection on which one READ or FOLLOW is answered:
//
//     connect ─▶ "HELLO penstock/1 LF" request LF ─▶ "OK penstock/1 …" ─▶ pieces … ─▶ end
//
// Nothing is received before it is asked for, and no more than one piece is held. A piece counts when
// it is here whole: one that was cut off never was.

internal import CShims
internal import PenstockArchive
internal import PenstockCore

/// Used by one task at a time; closed with its last reference.
final class ReadConnection {
  /// Why it is of no more use.
  enum Failure: Error {
    /// The server or the way to it: another connection may work.
    case lost(String)
    /// The server answered, and not with what was asked for.
    case refused(code: String, text: String)
    /// The client was closed, or its process was forked, or the kernel refused.
    case ended(StoreError)
    case cancelled
  }

  /// What the server sends.
  enum Piece: Equatable {
    /// Event lines, which `nextLine` gives, and up to where they go.
    case events(position: String?)
    /// All was said.
    case end
  }

  let address: LineAddress
  private let descriptor: Int32
  private let waiter: SocketWaiter
  private var memory = AlignedBuffer(byteCount: ReadConnection.byteCountMin)
  /// What of `memory` is received and not taken yet.
  private var held = 0..<0
  /// Bytes of the piece that were not given as lines.
  private var pieceByteCount = 0

  /// Held when nothing larger comes, in bytes: a piece of an answer with its line.
  private static let byteCountMin = 96 << 10
  /// Longest line in front of a piece, in bytes: the positions of as many logs as there can be.
  private static let headerByteCountMax = 16 << 10
  /// Largest piece taken, in bytes: a server sends 64 KiB, and one event of up to 1 MiB more. A
  /// larger count is not of a server.
  private static let pieceByteCountMax = 4 << 20

  private init(_ address: LineAddress, _ descriptor: Int32, _ waiter: SocketWaiter) {
    self.address = address
    self.descriptor = descriptor
    self.waiter = waiter
    waiter.open(descriptor)
  }

  deinit { waiter.close(descriptor) }

  // MARK: - Asking

  /// Connects, says HELLO and asks.
  /// - Parameter deadline: when HELLO has to be answered, in monotonic nanoseconds.
  nonisolated(nonsending) static func ask(
    _ request: [UInt8], at address: LineAddress, _ waiter: SocketWaiter, until deadline: Int64
  ) async throws(Failure) -> ReadConnection {
    let connection = ReadConnection(address, try await open(address, waiter), waiter)
    try await connection.wait(wantsWrite: true, until: deadline, "it does not accept connections")
    let outcome = penstock_connect_outcome(connection.descriptor)
    guard outcome == 0 else { throw .lost(System.message(for: -outcome)) }
    try await connection.send(Array("HELLO penstock/1\n".utf8) + request, until: deadline)
    let line = try await connection.header(until: deadline)
    let words = line.split(separator: " ")
    if words.first == "ERR" { throw connection.refusal(line) }
    guard line.hasPrefix("OK penstock/1 ") else {
      throw .lost("it did not answer HELLO as penstock/1 does")
    }
    return connection
  }

  private nonisolated(nonsending) static func open(_ address: LineAddress, _ waiter: SocketWaiter)
    async throws(Failure) -> Int32
  {
    let opened: Int32?
    do throws(StoreError) {
      opened = try await waiter.run {
        switch address.place {
        case .tcp(let host, let port): unsafe penstock_connect_tcp_at_once(host, port)
        case .unix(let path): unsafe penstock_connect_unix_at_once(path)
        }
      }
    } catch {
      throw .ended(error)
    }
    guard let descriptor = opened else { throw .ended(.closed) }
    guard descriptor >= 0 else { throw .lost(System.message(for: -descriptor)) }
    return descriptor
  }

  private nonisolated(nonsending) func send(_ bytes: [UInt8], until deadline: Int64)
    async throws(Failure)
  {
    var start = 0
    while start < bytes.count {
      let rest = bytes[start...]
      let sent = unsafe rest.withUnsafeBytes { bytes in
        unsafe penstock_send(descriptor, bytes.baseAddress, bytes.count)
      }
      if sent >= 0 {
        start += Int(sent)
      } else if sent == Int64(-System.again) {
        try await wait(wantsWrite: true, until: deadline, "it does not take the request")
      } else {
        throw .lost(System.message(for: Int32(-sent)))
      }
    }
  }

  private nonisolated(nonsending) func wait(
    wantsWrite: Bool, until deadline: Int64, _ late: String
  ) async throws(Failure) {
    let outcome: SocketWaiter.Outcome
    do throws(StoreError) {
      outcome = try await waiter.wait(descriptor, wantsWrite: wantsWrite, until: deadline)
    } catch {
      throw .ended(error)
    }
    switch outcome {
    case .ready: return
    case .late: throw .lost(late)
    case .cancelled: throw .cancelled
    case .closed: throw .ended(.closed)
    }
  }

  // MARK: - Answers

  /// The next piece, once all of it is here. Lines of the one before are gone.
  /// - Parameter silence: how long the server may say nothing, in nanoseconds.
  nonisolated(nonsending) func piece(silence: Int64) async throws(Failure) -> Piece {
    held = (held.lowerBound + pieceByteCount)..<held.upperBound
    pieceByteCount = 0
    let line = try await header(silence: silence)
    let words = line.split(separator: " ")
    switch words.first {
    case "OK": return .end
    case "ERR": throw refusal(line)
    case "EVENTS":
      guard words.count >= 2, let count = Int(words[1]),
        (0...ReadConnection.pieceByteCountMax).contains(count)
      else { break }
      while held.count < count { try await receive(atLeast: count, silence: silence) }
      pieceByteCount = count
      let position = words.first { $0.hasPrefix("at=") }.map { String($0.dropFirst(3)) }
      return .events(position: position)
    default: break
    }
    throw .lost("it answered '\(line.prefix(80))', which is not penstock/1")
  }

  /// The next event of the piece; nil when all were given.
  func nextEvent() throws(Failure) -> Event? {
    guard pieceByteCount > 0 else { return nil }
    let start = held.lowerBound
    let end = memory.bytes.nearIndex(of: Byte.lineFeed, from: start, to: start + pieceByteCount)
    guard end < start + pieceByteCount else {
      throw .ended(.failed("\(address) sent an event without its end"))
    }
    let line = memory.bytes.extracting(start..<end).array()
    pieceByteCount -= end + 1 - start
    held = (end + 1)..<held.upperBound
    guard let event = Event(answered: line) else {
      let shown = String(decoding: line.prefix(80), as: UTF8.self)
      throw .ended(.failed("\(address) sent '\(shown)' as an event"))
    }
    return event
  }

  private func refusal(_ line: String) -> Failure {
    let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    return .refused(
      code: words.count > 1 ? String(words[1]) : "", text: words.count > 2 ? String(words[2]) : "")
  }

  private nonisolated(nonsending) func header(until deadline: Int64) async throws(Failure) -> String
  {
    try await header(silence: max(0, deadline - System.monotonicNanoseconds()))
  }

  /// The next line, without its LF.
  private nonisolated(nonsending) func header(silence: Int64) async throws(Failure) -> String {
    while true {
      let end = memory.bytes.nearIndex(
        of: Byte.lineFeed, from: held.lowerBound, to: held.upperBound)
      if end < held.upperBound {
        defer { held = (end + 1)..<held.upperBound }
        return String(span: memory.bytes.extracting(held.lowerBound..<end))
      }
      guard held.count < ReadConnection.headerByteCountMax else {
        throw .lost("it sent a line without end, which is not penstock/1")
      }
      try await receive(atLeast: held.count + 1, silence: silence)
    }
  }

  /// Receives once, with room for `count` bytes held.
  private nonisolated(nonsending) func receive(atLeast count: Int, silence: Int64)
    async throws(Failure)
  {
    makeRoom(count)
    let deadline = System.monotonicNanoseconds() + silence
    while true {
      let room = held.upperBound..<memory.byteCount
      let received = unsafe penstock_receive(descriptor, memory.address(room), room.count)
      if received > 0 {
        held = held.lowerBound..<(held.upperBound + Int(received))
        return
      }
      guard received == Int64(-System.again) else {
        throw .lost(received == 0 ? "the server closed it" : System.message(for: Int32(-received)))
      }
      try await wait(wantsWrite: false, until: deadline, "the server says nothing")
    }
  }

  private func makeRoom(_ count: Int) {
    // A large piece does not keep its memory for ever.
    let wanted = max(count, ReadConnection.byteCountMin)
    if memory.byteCount < wanted || memory.byteCount > 4 * wanted {
      var other = AlignedBuffer(byteCount: max(wanted, held.count))
      other.copy(memory.bytes(held), to: 0)
      memory = other
      held = 0..<held.count
    } else if memory.byteCount - held.lowerBound < wanted || held.upperBound == memory.byteCount {
      memory.move(held, to: 0)
      held = 0..<held.count
    }
  }
}

extension Event {
  /// Reads an event line that ends with the position as its last attribute; nil when it is none.
  init?(answered line: [UInt8]) {
    var stored = StoredEvent()
    stored.bytes = line
    guard let fields = try? EventLine(line.rawSpan, 0..<line.count), let time = fields.time else {
      return nil
    }
    stored.fields = fields
    stored.time = time
    self.init(stored)
    guard let place = attributes.popLast(), place.key == "_at",
      let positions = PositionVector(Array(place.value.utf8).rawSpan)?.positions,
      positions.count == 1, let position = positions.first
    else { return nil }
    log = Int(position.key.value)
    sequence = position.value.value
  }
}
