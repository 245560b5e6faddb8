// A socket of a client, with the bytes on their way out and the lines coming in. Never waits.

internal import CShims
internal import PenstockCore

/// One connection; used by the client's thread only.
final class ClientConnection {
  let address: LineAddress
  /// Closed with the connection.
  let descriptor: Int32
  private var outbox: [UInt8] = []
  private var outboxStart = 0
  /// Bytes handed to the kernel so far, and given to the outbox.
  private(set) var sentCount = 0
  private(set) var queuedCount = 0
  private var inbox = AlignedBuffer(byteCount: ClientConnection.lineByteCountMax)
  private var inboxCount = 0

  /// Longest line taken from a server, in bytes: its longest answer names a journal and a type of
  /// 1 KiB each. One that does not end within is no answer.
  static let lineByteCountMax = 16 << 10
  /// Bytes received in one turn at most, so that one connection does not keep the others waiting.
  private static let turnByteCountMax = 1 << 20

  private init(_ address: LineAddress, _ descriptor: Int32) {
    self.address = address
    self.descriptor = descriptor
  }

  deinit { _ = penstock_close(descriptor) }

  /// Why a connection is of no more use, in words.
  struct Failure: Error {
    var reason: String
  }

  /// Begins to connect. Names are looked up meanwhile.
  static func open(_ address: LineAddress) throws(Failure) -> ClientConnection {
    let descriptor: Int32
    switch address.place {
    case .tcp(let host, let port): descriptor = unsafe penstock_connect_tcp_at_once(host, port)
    case .unix(let path): descriptor = unsafe penstock_connect_unix_at_once(path)
    }
    guard descriptor >= 0 else { throw Failure(reason: System.message(for: -descriptor)) }
    return ClientConnection(address, descriptor)
  }

  /// Whether it is connected, once the socket can be written to.
  func checkConnected() throws(Failure) {
    let outcome = penstock_connect_outcome(descriptor)
    guard outcome == 0 else { throw Failure(reason: System.message(for: -outcome)) }
  }

  // MARK: - Out

  var unsentCount: Int { outbox.count - outboxStart }

  /// Puts bytes behind those that are to be sent.
  func append(_ bytes: [UInt8]) {
    outbox += bytes
    queuedCount += bytes.count
  }

  /// Sends what the kernel takes now.
  func send() throws(Failure) {
    while outboxStart < outbox.count {
      let start = outboxStart
      let socket = descriptor
      let result = unsafe outbox.withUnsafeBytes { bytes in
        // `start` lies before the end, so there are bytes.
        unsafe penstock_send(
          socket, bytes.baseAddress.map { unsafe $0 + start }, bytes.count - start)
      }
      if result == Int64(-System.again) { return dropSent() }
      guard result >= 0 else { throw Failure(reason: System.message(for: Int32(-result))) }
      outboxStart += Int(result)
      sentCount += Int(result)
    }
    dropSent()
  }

  /// Lets go of what was sent, once it is the larger part or all there is.
  private func dropSent() {
    guard outboxStart >= unsentCount else { return }
    outbox.removeFirst(outboxStart)
    outboxStart = 0
  }

  // MARK: - In

  /// Receives what has come, and hands out its lines for as long as `take` says true.
  func receive(_ take: (AnswerLine) throws(Failure) -> Bool) throws(Failure) {
    var turnByteCount = 0
    while turnByteCount < ClientConnection.turnByteCountMax {
      let room = inboxCount..<inbox.byteCount
      let result = unsafe penstock_receive(descriptor, inbox.address(room), room.count)
      if result == Int64(-System.again) { return }
      guard result > 0 else {
        throw Failure(
          reason: result == 0 ? "the server closed it" : System.message(for: Int32(-result)))
      }
      inboxCount += Int(result)
      turnByteCount += Int(result)
      var start = 0
      while start < inboxCount {
        let end = inbox.bytes.nearIndex(of: Byte.lineFeed, from: start, to: inboxCount)
        guard end < inboxCount else { break }
        guard try take(AnswerLine(inbox.bytes, start..<end)) else { return }
        start = end + 1
      }
      inbox.move(start..<inboxCount, to: 0)
      inboxCount -= start
      guard inboxCount < inbox.byteCount else {
        throw Failure(reason: "it sent a line without end, which is not penstock/1")
      }
    }
  }
}
