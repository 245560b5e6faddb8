// Syslog over TCP and UDP while the store is being hurt. There are no receipts: what comes out has
// to be a part of what was sent, each message whole and once, and in the order of its connection.

import Foundation
import Synchronization
import Testing

/// Senders on threads of their own. Every connection is a session with a number; every message
/// says which one of which session it is.
final class SyslogSenders: Sendable {
  private struct State {
    /// Messages sent, or begun to be sent, by session.
    var sent: [Int] = []
    var isDatagram: [Bool] = []
    var isStopping = false
    var running = 0
  }

  private let state = Mutex(State())

  /// Messages sent between two pauses, and the pause, in seconds.
  private static let burst = 5
  private static let pause = 0.002

  init(tcp: UInt16, tcpCount: Int, udp: UInt16) {
    for index in 0...tcpCount {
      state.withLock { $0.running += 1 }
      Thread.detachNewThread { [self] in
        send(to: index == 0 ? udp : tcp, isDatagram: index == 0)
        state.withLock { $0.running -= 1 }
      }
    }
  }

  /// Ends the senders.
  func finish() {
    state.withLock { $0.isStopping = true }
    while state.withLock({ $0.running }) > 0 { Thread.sleep(forTimeInterval: 0.005) }
  }

  private var isStopping: Bool { state.withLock { $0.isStopping } }

  private func send(to port: UInt16, isDatagram: Bool) {
    while !isStopping {
      let session = state.withLock {
        $0.sent.append(0)
        $0.isDatagram.append(isDatagram)
        return $0.sent.count - 1
      }
      do {
        let wire = try isDatagram ? Wire(udp: port) : Wire(tcp: port)
        var number = 0
        while !isStopping {
          for _ in 0..<SyslogSenders.burst {
            state.withLock { $0.sent[session] += 1 }
            let text = "<14>1 - h app - - - " + SyslogSenders.text(session, number)
            try wire.send(isDatagram ? text : text + "\n")
            number += 1
          }
          Thread.sleep(forTimeInterval: SyslogSenders.pause)
        }
      } catch {
        // The connection ended, or nobody listens right now.
        Thread.sleep(forTimeInterval: 0.01)
      }
    }
  }

  /// What the message `number` of `session` says: its length differs from its neighbours'.
  static func text(_ session: Int, _ number: Int) -> String {
    "s\(session)-\(number)-" + String(repeating: "z", count: number * 7 % 400)
  }

  /// A message that was found, and where.
  private struct Found {
    var number: Int
    var shard: Int
    var sequence: Int
  }

  /// Compares what the store holds with what was sent. Returns the numbers of messages found, by
  /// stream and by datagram.
  func check(_ store: ServedStore, _ comment: String) throws -> (streams: Int, datagrams: Int) {
    let (sent, isDatagram) = state.withLock { ($0.sent, $0.isDatagram) }
    var found: [[Found]] = Array(repeating: [], count: sent.count)
    for line in try store.run("query", "--stream", "syslog/*", "--format", "ndjson").lines {
      let event = try #require(
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      let payload = try #require(event["payload"] as? String)
      let words = payload.dropFirst().split(separator: "-", omittingEmptySubsequences: false)
      guard payload.hasPrefix("s"), words.count == 3, let session = Int(words[0]),
        let number = Int(words[1]), found.indices.contains(session), number < sent[session],
        payload == SyslogSenders.text(session, number)
      else {
        Issue.record("\(comment): nobody sent '\(payload.prefix(60))'")
        continue
      }
      found[session].append(
        Found(
          number: number, shard: try #require(event["shard"] as? Int),
          sequence: try #require(event["sequence"] as? Int)))
    }
    var counts = (streams: 0, datagrams: 0)
    for (session, messages) in found.enumerated() {
      let inOrder = messages.sorted { $0.sequence < $1.sequence }
      #expect(
        Set(messages.map(\.number)).count == messages.count,
        "\(comment): a message of session \(session) is there twice")
      if isDatagram[session] {
        counts.datagrams += messages.count
        continue
      }
      counts.streams += messages.count
      #expect(
        zip(inOrder, inOrder.dropFirst()).allSatisfy { $0.number < $1.number },
        "\(comment): session \(session) is out of order")
      #expect(Set(messages.map(\.shard)).count <= 1, "\(comment): one connection, one shard")
    }
    return counts
  }
}
