// A server that does what its test says on one connection after the other.

import CShims
import Foundation
import PenstockCore
import Synchronization

/// Listens on loopback; the first connection runs the first script, and so on. Each on a thread of
/// its own.
final class ScriptedServer: Sendable {
  typealias Script = @Sendable (FakeConnection) throws -> Void

  let port: UInt16
  private let listener: Int32
  private let isClosed = Mutex(false)
  private let failures = Mutex<[any Error]>([])
  private let done = DispatchGroup()

  init(_ scripts: Script...) {
    penstock_ignore_write_signals()
    let socket = unsafe penstock_listen_tcp("127.0.0.1", 0, 16, 0)
    listener = socket
    port = UInt16(max(0, penstock_bound_port(socket)))
    done.enter()
    Thread.detachNewThread { [self] in
      defer { done.leave() }
      for (index, script) in scripts.enumerated() {
        guard penstock_await(socket, false, FakeConnection.patience) > 0, !isClosed.withLock({ $0 })
        else {
          return note(FakeConnection.Silence(received: "no connection \(index)"))
        }
        let accepted = penstock_accept(socket)
        guard accepted >= 0 else { return }
        done.enter()
        Thread.detachNewThread { [self] in
          defer { done.leave() }
          do { try script(FakeConnection(descriptor: accepted)) } catch { note(error) }
        }
      }
      // Nobody comes in any more: further attempts are refused.
      close()
    }
  }

  deinit { close() }

  var url: String { "line+tcp://127.0.0.1:\(port)" }

  private func note(_ error: any Error) { failures.withLock { $0.append(error) } }

  private func close() {
    isClosed.withLock { isClosed in
      if !isClosed { _ = penstock_close(listener) }
      isClosed = true
    }
  }

  /// Waits for the end of all scripts and throws what one threw.
  func finish() throws {
    guard done.wait(timeout: .now() + 120) == .success else {
      throw FakeConnection.Silence(received: "a script does not end")
    }
    if let first = failures.withLock({ $0.first }) { throw first }
  }
}

/// A request as a server reads it.
struct ReadRequest: Equatable {
  /// The verb.
  var verb: String
  /// What stands behind the verb and its argument, without the tag.
  var options: [String]
  var tag: String
  var body: String

  /// The producer's counter.
  var counter: Int? {
    options.first { $0.hasPrefix("counter=") }.flatMap { Int($0.dropFirst(8)) }
  }
}

extension FakeConnection {
  /// The shard of so many that a journal belongs to.
  static func owner(of journal: String, width: Int) -> Int {
    JournalKey.owner(of: Array(journal.utf8).rawSpan, width: width)
  }

  /// Reads a request whole.
  func readRequest() throws -> ReadRequest {
    let line = try readLine()
    let words = line.split(separator: " ").map(String.init)
    guard words.count >= 2, let tag = words.last, tag.hasPrefix("tag=") else {
      throw Silence(received: line)
    }
    var request = ReadRequest(
      verb: words[0], options: Array(words.dropFirst(2).dropLast()), tag: tag, body: "")
    if words[0] == "PUT" || words[0] == "COMMIT", let count = Int(words[1]) {
      request.body = String(decoding: try read(count), as: UTF8.self)
    } else {
      request.body = words[1]
    }
    return request
  }

  /// Says that a request's events are stored.
  func acknowledge(_ request: ReadRequest, first: Int = 1, shard: Int = 0) {
    let count = request.body.utf8.count { $0 == 0x0A }
    write("OK shard=\(shard) first=\(first) count=\(count) \(request.tag)\n")
  }

  /// Reads a line and answers it.
  func expect(_ line: String, _ answer: String) throws {
    let read = try readLine()
    guard read == line else { throw Silence(received: "\(read), expected \(line)") }
    write(answer + "\n")
  }
}
