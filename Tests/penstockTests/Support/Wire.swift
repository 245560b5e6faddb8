// One end of a connection, blocking, for tests that speak a protocol byte by byte.

import CShims
import Foundation
import PenstockCore
import Testing

/// A connected stream or datagram socket.
final class Wire {
  private let descriptor: Int32
  private var received: [UInt8] = []

  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  /// How long a read may wait, in milliseconds: far beyond what any answer takes.
  static let patience: Int32 = 20_000

  convenience init(tcp port: UInt16) throws {
    try self.init(unsafe penstock_connect_tcp("127.0.0.1", port), "port \(port)")
  }

  convenience init(udp port: UInt16) throws {
    try self.init(unsafe penstock_connect_udp("127.0.0.1", port), "port \(port)")
  }

  convenience init(unix path: String) throws {
    try self.init(unsafe penstock_connect_unix(path), path)
  }

  private init(_ descriptor: Int32, _ place: String) throws {
    guard descriptor >= 0 else {
      throw Failure(description: "\(place): \(System.message(for: -descriptor))")
    }
    self.descriptor = descriptor
  }

  deinit { _ = penstock_close(descriptor) }

  /// Sends all bytes.
  func send(_ bytes: [UInt8]) throws {
    // MSG_NOSIGNAL: a peer that is gone is an error here, not the end of the tests.
    var offset = 0
    while offset < bytes.count || bytes.isEmpty {
      let sent = unsafe bytes.withUnsafeBytes { buffer in
        unsafe penstock_send(
          descriptor, buffer.baseAddress.map { unsafe $0 + offset }, bytes.count - offset)
      }
      if sent == Int64(-System.again) {
        guard penstock_wait_writable(descriptor, Wire.patience) > 0 else {
          throw Failure(description: "nothing was taken within \(Wire.patience / 1000) s")
        }
        continue
      }
      guard sent >= 0 else { throw Failure(description: System.message(for: Int32(-sent))) }
      offset += Int(sent)
      if bytes.isEmpty { return }
    }
  }

  func send(_ text: String) throws { try send(Array(text.utf8)) }

  /// Says that nothing more will be sent.
  func finish() { penstock_finish_sending(descriptor) }

  /// The next line without its LF; nil at the end of the stream.
  func readLine() throws -> String? {
    while true {
      if let end = received.firstIndex(of: 0x0A) {
        defer { received.removeFirst(end + 1) }
        return String(decoding: received[..<end], as: UTF8.self)
      }
      guard try receive() else { return nil }
    }
  }

  /// The next `count` bytes.
  func read(_ count: Int) throws -> [UInt8] {
    while received.count < count {
      guard try receive() else { throw Failure(description: "it was closed") }
    }
    defer { received.removeFirst(count) }
    return Array(received[..<count])
  }

  /// Takes so many bytes at most of those that are there, past what was read already.
  func take(_ byteCount: Int) {
    var waited = descriptor
    guard unsafe penstock_wait_readable(&waited, 1, 0) != 0 else { return }
    var buffer = [UInt8](repeating: 0, count: byteCount)
    _ = unsafe buffer.withUnsafeMutableBytes {
      unsafe penstock_read(descriptor, $0.baseAddress, $0.count)
    }
  }

  /// Takes what comes until nothing does for a while; whether the stream has ended.
  func drain() -> Bool {
    var waited = descriptor
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    while unsafe penstock_wait_readable(&waited, 1, 500) != 0 {
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe penstock_read(descriptor, $0.baseAddress, $0.count)
      }
      if count <= 0 { return true }
    }
    return false
  }

  /// Everything up to the end of the stream.
  func readToEnd() throws -> String {
    while try receive() {}
    defer { received = [] }
    return String(decoding: received, as: UTF8.self)
  }

  /// False at the end of the stream; a reset is an end too.
  private func receive() throws -> Bool {
    var waited = descriptor
    guard unsafe penstock_wait_readable(&waited, 1, Wire.patience) != 0 else {
      throw Failure(description: "nothing came within \(Wire.patience / 1000) s")
    }
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    let count = unsafe buffer.withUnsafeMutableBytes {
      unsafe penstock_read(descriptor, $0.baseAddress, $0.count)
    }
    guard count > 0 else { return false }
    received += buffer[..<Int(count)]
    return true
  }
}

/// A session of the line protocol.
final class LineSession {
  let wire: Wire
  let shard: Int

  /// A receipt: events `first` … `first + count - 1` of the log `shard` are durable.
  struct Receipt: Equatable {
    var shard: Int
    var first: UInt64
    var count: Int
  }

  init(_ wire: Wire) throws {
    self.wire = wire
    try wire.send("HELLO penstock/1\n")
    let answer = try wire.readLine() ?? ""
    guard answer.hasPrefix("OK penstock/1 shard="),
      let number = Int(answer.dropFirst(20).prefix { $0.isNumber })
    else { throw Wire.Failure(description: "HELLO was answered '\(answer)'") }
    shard = number
  }

  convenience init(tcp port: UInt16) throws { try self.init(Wire(tcp: port)) }

  static func request(_ lines: [String]) -> [UInt8] {
    let body = Array(lines.map { $0 + "\n" }.joined().utf8)
    return Array("PUT \(body.count)\n".utf8) + body
  }

  /// Sends one PUT without waiting.
  func send(_ lines: [String]) throws { try wire.send(LineSession.request(lines)) }

  /// The next receipt; nil at the end of the stream.
  func receipt() throws -> Receipt? {
    guard let answer = try wire.readLine() else { return nil }
    let words = answer.split(separator: " ")
    guard words.count == 4, words[0] == "OK",
      let shard = Int(words[1].dropFirst("shard=".count)),
      let first = UInt64(words[2].dropFirst("first=".count)),
      let count = Int(words[3].dropFirst("count=".count))
    else { throw Wire.Failure(description: "PUT was answered '\(answer)'") }
    return Receipt(shard: shard, first: first, count: count)
  }

  @discardableResult
  func put(_ lines: [String]) throws -> Receipt {
    try send(lines)
    return try #require(try receipt())
  }
}
