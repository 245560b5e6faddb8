// run/control.sock: commands to a running host.
//
//     request = ( "seal" | "status" | "reload" ) LF
//     answer  = *( line LF ) ( "OK" | "ERR" SP text ) LF, then the connection is closed
//
// A client that says nothing, or too much, is dropped: it keeps no place for long.

internal import CShims
internal import PenstockCore

/// The host's side of the control socket.
struct ControlServer {
  private let listener: Int32
  private var clients: [Client] = []

  private struct Client {
    var descriptor: Int32
    var received: [UInt8] = []
    /// When it is dropped, in monotonic nanoseconds.
    var deadline: Int64
  }

  /// Clients served at once: commands are short, and one host has few operators.
  private static let clientCountMax = 16
  private static let requestByteCountMax = 256
  /// How long a client may take to say its command, in nanoseconds.
  private static let patienceNanoseconds: Int64 = 2_000_000_000

  init(_ layout: StoreLayout) throws(FileError) {
    let path = layout.controlSocket
    listener = unsafe penstock_listen_unix(path, Int32(ControlServer.clientCountMax))
    if listener < 0 { throw FileError(.open, path, code: -listener) }
    _ = penstock_set_nonblocking(listener, true)
    try RunFolder.protect(socket: path)
  }

  /// What to wait for. With every place taken, more clients wait in the kernel.
  var descriptors: [Int32] {
    (clients.count < ControlServer.clientCountMax ? [listener] : []) + clients.map(\.descriptor)
  }

  /// When the next client is to be dropped.
  var deadline: Int64? { clients.map(\.deadline).min() }

  /// Takes what has come and answers whole requests.
  mutating func serve(_ now: Int64, _ answer: (String) -> String) {
    while clients.count < ControlServer.clientCountMax {
      let accepted = penstock_accept(listener)
      guard accepted >= 0 else { break }
      clients.append(
        Client(descriptor: accepted, deadline: now + ControlServer.patienceNanoseconds))
    }
    clients = clients.compactMap { client in
      if let kept = take(client, answer), now < kept.deadline { return kept }
      _ = penstock_close(client.descriptor)
      return nil
    }
  }

  /// Nil when the client is through.
  private func take(_ client: Client, _ answer: (String) -> String) -> Client? {
    var client = client
    var buffer = [UInt8](repeating: 0, count: ControlServer.requestByteCountMax)
    let count = unsafe buffer.withUnsafeMutableBytes {
      unsafe penstock_receive(client.descriptor, $0.baseAddress, $0.count)
    }
    if count == Int64(-System.again) { return client }
    guard count > 0 else { return nil }
    client.received += buffer[..<Int(count)]
    guard let end = client.received.firstIndex(of: Byte.lineFeed) else {
      return client.received.count < ControlServer.requestByteCountMax ? client : nil
    }
    let text = String(decoding: client.received[..<end], as: UTF8.self)
    let reply = Array(answer(text).utf8)
    // A short answer always fits the socket; a client that is gone does not need it.
    _ = unsafe reply.withUnsafeBytes {
      unsafe penstock_send(client.descriptor, $0.baseAddress, $0.count)
    }
    return nil
  }

  /// Sends one command to the host of `layout` and gives its answer; nil when none runs.
  /// - Parameter milliseconds: how long the answer may take; nil waits for it.
  static func ask(_ layout: StoreLayout, _ command: String, milliseconds: Int32? = nil) -> String? {
    let descriptor = unsafe penstock_connect_unix(layout.controlSocket)
    guard descriptor >= 0 else { return nil }
    defer { _ = penstock_close(descriptor) }
    let request = Array((command + "\n").utf8)
    let sent = unsafe request.withUnsafeBytes {
      unsafe penstock_send(descriptor, $0.baseAddress, $0.count)
    }
    guard sent == request.count else { return nil }
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      var awaited = descriptor
      if let milliseconds {
        guard unsafe penstock_wait_readable(&awaited, 1, milliseconds) > 0 else { return nil }
      }
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe penstock_read(descriptor, $0.baseAddress, $0.count)
      }
      guard count > 0 else { break }
      answer += buffer[..<Int(count)]
    }
    return answer.isEmpty ? nil : String(decoding: answer, as: UTF8.self)
  }
}
