// Clients that write while the store is being hurt, and what they were told.
//
// Each writer keeps a window of PUTs on its way, notes every receipt, and connects again whenever
// its connection ends. A PUT that was sent and not answered is neither stored nor lost for it.

import Foundation
import Synchronization
import Testing

/// What one PUT came to.
struct WrittenPut: Sendable {
  var payloads: [String]
  /// Where its first event is, when it was acknowledged.
  var place: (shard: Int, first: UInt64)?
}

/// Writers on threads of their own.
final class Writers: Sendable {
  private struct State {
    var puts: [WrittenPut] = []
    var isStopping = false
    var running = 0
    var acknowledgedEvents = 0
  }

  private let state = Mutex(State())
  private let port: UInt16
  private let name: String
  private let paddingByteCount: Int

  /// PUTs on their way in one connection.
  private static let window = 8
  /// After each receipt, in seconds: a load, but one whose every event can be looked at afterwards.
  private static let pause = 0.002

  /// - Parameters:
  ///   - name: tells these writers' events from those of others.
  ///   - paddingByteCount: bytes of noise in each event; 0 for a mix of small and large.
  init(port: UInt16, count: Int, name: String = "", paddingByteCount: Int = 0) {
    self.port = port
    self.name = name
    self.paddingByteCount = paddingByteCount
    for index in 0..<count {
      state.withLock { $0.running += 1 }
      Thread.detachNewThread { [self] in
        write(index)
        state.withLock { $0.running -= 1 }
      }
    }
  }

  var acknowledgedEvents: Int { state.withLock { $0.acknowledgedEvents } }

  /// Ends the writers and gives what they did.
  func finish() -> [WrittenPut] {
    state.withLock { $0.isStopping = true }
    while state.withLock({ $0.running }) > 0 { Thread.sleep(forTimeInterval: 0.005) }
    return state.withLock { $0.puts }
  }

  private func write(_ writer: Int) {
    var number = 0
    while !state.withLock({ $0.isStopping }) {
      var waiting: [WrittenPut] = []
      do {
        let session = try LineSession(Wire(tcp: port))
        var next: UInt64 = 0
        while !(state.withLock { $0.isStopping } && waiting.isEmpty) {
          while waiting.count < Writers.window, !state.withLock({ $0.isStopping }) {
            let put = put(writer, number)
            number += 1
            waiting.append(put)
            try session.send(
              put.payloads.map { "- load/\(writer) k\(number % 3) n=\(number)\t\($0)" })
          }
          guard let receipt = try session.receipt() else { break }
          #expect(receipt.first >= next, "a session's PUTs are numbered in their order")
          next = receipt.first + UInt64(receipt.count)
          note(&waiting, receipt)
          Thread.sleep(forTimeInterval: Writers.pause)
        }
      } catch {
        // The connection ended: what waits for its answer stays open.
        Thread.sleep(forTimeInterval: 0.002)
      }
      state.withLock { $0.puts += waiting }
    }
  }

  private func note(_ waiting: inout [WrittenPut], _ receipt: LineSession.Receipt) {
    var put = waiting.removeFirst()
    put.place = (receipt.shard, receipt.first)
    let count = put.payloads.count
    #expect(receipt.count == count)
    state.withLock {
      $0.puts.append(put)
      $0.acknowledgedEvents += count
    }
  }

  /// One to five events, some of them large enough that batches fill.
  private func put(_ writer: Int, _ number: Int) -> WrittenPut {
    var padding = String(repeating: "x", count: number % 17 == 0 ? 3000 : number % 50)
    if paddingByteCount > 0 {
      let letters = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/".utf8)
      padding = String(
        decoding: (0..<paddingByteCount).map { _ in letters[Int.random(in: 0..<64)] },
        as: UTF8.self)
    }
    return WrittenPut(
      payloads: (0...(number % 5)).map { "\(name)w\(writer)-\(number)-\($0)-\(padding)" },
      place: nil)
  }
}

extension ServedStore {
  /// Reads everything back and compares it with what writers were told: each acknowledged event is
  /// there once, where its receipt says; each other PUT is there whole or not at all.
  func check(_ puts: [WrittenPut], _ comment: String) throws {
    var places: [String: (shard: Int, sequence: UInt64)] = [:]
    for line in try run("query", "--stream", "load/*", "--format", "ndjson").lines {
      let event = try #require(
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      let payload = try #require(event["payload"] as? String)
      let shard = try #require(event["shard"] as? Int)
      let sequence = try #require(event["sequence"] as? Int)
      #expect(places[payload] == nil, "\(comment): \(payload.prefix(20)) is there twice")
      places[payload] = (shard, UInt64(sequence))
    }
    var acknowledged = 0
    for put in puts {
      let found = put.payloads.map { places.removeValue(forKey: $0) }
      if let place = put.place {
        acknowledged += found.count
        for (index, event) in found.enumerated() {
          #expect(
            event?.shard == place.shard && event?.sequence == place.first + UInt64(index),
            "\(comment): \(put.payloads[index].prefix(20)) was acknowledged as \(place), is \(event.map { "\($0)" } ?? "lost")"
          )
        }
      } else {
        let present = found.count { $0 != nil }
        #expect(
          present == 0 || present == found.count,
          "\(comment): \(present) of \(found.count) events of \(put.payloads[0].prefix(20))")
      }
    }
    #expect(places.isEmpty, "\(comment): \(places.count) events that nobody sent")
    #expect(acknowledged > 0, "\(comment): nothing was acknowledged")
  }
}
