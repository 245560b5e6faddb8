// A server that does what its test says: one connection, one script, on a thread of its own.

import CShims
import Foundation

/// One end of an accepted connection, for a script. Reads fail after a minute of silence:
/// tests share threads with others, which may keep them that long.
final class FakeConnection {
  private let descriptor: Int32
  private var received: [UInt8] = []

  struct Silence: Error { var received: String }

  /// How long a read waits, in milliseconds.
  static let patience: Int32 = 60_000

  init(descriptor: Int32) { self.descriptor = descriptor }
  deinit { _ = penstock_close(descriptor) }

  /// Reads more; false at the end of the stream or when nothing comes in time.
  private func fill(milliseconds: Int32) -> Bool {
    guard penstock_await(descriptor, false, milliseconds) > 0 else { return false }
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    let count = unsafe buffer.withUnsafeMutableBytes {
      unsafe penstock_receive(descriptor, $0.baseAddress, $0.count)
    }
    guard count > 0 else { return false }
    received += buffer[..<Int(count)]
    return true
  }

  func read(_ count: Int) throws -> [UInt8] {
    while received.count < count {
      guard fill(milliseconds: FakeConnection.patience) else {
        throw Silence(received: text(received))
      }
    }
    defer { received.removeFirst(count) }
    return Array(received[..<count])
  }

  func readLine() throws -> String {
    while true {
      if let end = received.firstIndex(of: 10) { return text(try read(end + 1).dropLast()) }
      guard fill(milliseconds: FakeConnection.patience) else {
        throw Silence(received: text(received))
      }
    }
  }

  /// The event lines of the next PUT.
  func readPut() throws -> String {
    let line = try readLine()
    guard line.hasPrefix("PUT "), let count = Int(line.dropFirst(4)) else {
      throw Silence(received: line)
    }
    return text(try read(count))
  }

  /// Whether nothing comes for a while.
  func isSilent(milliseconds: Int32) -> Bool {
    received.isEmpty && penstock_await(descriptor, false, milliseconds) == 0
  }

  /// Everything until the peer is through.
  func readAll() -> [UInt8] {
    while fill(milliseconds: FakeConnection.patience) {}
    defer { received = [] }
    return received
  }

  func write(_ text: String) { write(Array(text.utf8)) }

  func write(_ bytes: [UInt8]) {
    _ = unsafe bytes.withUnsafeBytes { unsafe penstock_write(descriptor, $0.baseAddress, $0.count) }
  }

  /// Writes all of it, as fast as the peer takes it.
  func writeAll(_ text: String) {
    let bytes = Array(text.utf8)
    var start = 0
    while start < bytes.count {
      let sent = unsafe bytes[start...].withUnsafeBytes {
        unsafe penstock_send(descriptor, $0.baseAddress, $0.count)
      }
      if sent >= 0 {
        start += Int(sent)
      } else if penstock_await(descriptor, true, FakeConnection.patience)
        & Int32(PENSTOCK_WRITABLE) == 0
      {
        return
      }
    }
  }

  func sayHello(shard: Int = 0, shards: Int = 1) throws {
    let line = try readLine()
    guard line == "HELLO penstock/1" else { throw Silence(received: line) }
    write("OK penstock/1 shard=\(shard) shards=\(shards)\n")
  }

  private func text(_ bytes: some Sequence<UInt8>) -> String {
    String(decoding: Array(bytes), as: UTF8.self)
  }
}

/// Listens, accepts one connection and runs a script on it.
final class FakeServer: @unchecked Sendable {
  let port: UInt16
  private let listener: Int32
  private let done = DispatchSemaphore(value: 0)
  private var failure: (any Error)?

  /// - Parameter path: a unix socket's path; nil listens on a TCP port the kernel chooses.
  init(path: String? = nil, _ script: @escaping @Sendable (FakeConnection) throws -> Void) {
    penstock_ignore_write_signals()
    if let path {
      listener = unsafe penstock_listen_unix(path, 4)
    } else {
      listener = unsafe penstock_listen_tcp("127.0.0.1", 0, 4, 0)
    }
    port = UInt16(max(0, penstock_bound_port(listener)))
    Thread.detachNewThread { self.serve(script) }
  }

  deinit { _ = penstock_close(listener) }

  private func serve(_ script: (FakeConnection) throws -> Void) {
    defer { done.signal() }
    guard penstock_await(listener, false, FakeConnection.patience) > 0 else { return }
    let accepted = penstock_accept(listener)
    guard accepted >= 0 else { return }
    do {
      try script(FakeConnection(descriptor: accepted))
    } catch {
      failure = error
    }
  }

  /// Waits for the script's end and throws what it threw.
  func finish() throws {
    _ = done.wait(timeout: .now() + 70)
    if let failure { throw failure }
  }
}
