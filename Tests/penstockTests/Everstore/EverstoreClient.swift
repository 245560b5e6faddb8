// A client of Everstore's protocol, as its adapters are: what they send, and how they put answers
// together.

import PenstockCore
import Testing

/// One connection; requests are answered one after the other unless they are sent ahead.
final class EverstoreClient {
  let wire: Wire
  private(set) var greeting: [UInt8]
  private var lastRequest: UInt32 = 0

  struct Answer: Equatable {
    var type: UInt32
    var request: UInt32
    var properties: UInt32
    var worker: UInt32
    var body: [UInt8]

    func number(_ index: Int) -> UInt32 {
      body.dropFirst(4 * index).prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
  }

  init(_ port: UInt16) throws {
    wire = try Wire(tcp: port)
    greeting = try wire.read(3)
  }

  static func bytes(_ numbers: UInt32...) -> [UInt8] {
    numbers.flatMap { number in
      [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: number >> $0) }
    }
  }

  @discardableResult
  func send(_ type: UInt32, _ body: [UInt8], properties: UInt32 = 0, worker: UInt32 = 0) throws
    -> UInt32
  {
    lastRequest += 1
    try wire.send(
      EverstoreClient.bytes(type, UInt32(body.count), lastRequest, properties, worker) + body)
    return lastRequest
  }

  func answer() throws -> Answer {
    let header = Answer(
      type: 0, request: 0, properties: 0, worker: 0, body: try wire.read(20))
    return Answer(
      type: header.number(0), request: header.number(2), properties: header.number(3),
      worker: header.number(4), body: try wire.read(Int(header.number(1))))
  }

  /// The answer to the request just sent, which has to be of its type.
  private func answer(_ type: UInt32) throws -> Answer {
    let answer = try answer()
    try #require(answer.request == lastRequest, "answers carry the request's number")
    guard answer.type == type else { throw Refused(code: answer.number(0)) }
    return answer
  }

  /// An ERROR.
  struct Refused: Error, Equatable { var code: UInt32 }

  private func named(_ numbers: UInt32..., name: String) -> [UInt8] {
    EverstoreClient.bytes(UInt32(name.utf8.count)) + numbers.flatMap { EverstoreClient.bytes($0) }
      + Array(name.utf8)
  }

  func open(_ name: String) throws -> (size: UInt32, transaction: UInt32) {
    try send(4, named(name: name))
    let answer = try answer(4)
    return (answer.number(0), answer.number(1))
  }

  func commitBody(_ name: String, _ transaction: UInt32, _ types: String, _ events: String)
    -> [UInt8]
  {
    EverstoreClient.bytes(
      UInt32(name.utf8.count), UInt32(types.utf8.count), UInt32(events.utf8.count), transaction)
      + Array((name + types + events).utf8)
  }

  func commit(_ name: String, _ transaction: UInt32, _ types: String, _ events: String) throws
    -> (success: Bool, size: UInt32)
  {
    try send(5, commitBody(name, transaction, types, events))
    let answer = try answer(5)
    return (answer.number(0) == 1, answer.number(1))
  }

  func rollback(_ name: String, _ transaction: UInt32) throws {
    try send(6, named(transaction, name: name))
    #expect(try answer(6).body == [1])
  }

  func exists(_ name: String) throws -> Bool {
    try send(8, named(name: name))
    return try answer(8).body == [1]
  }

  /// What an adapter makes of the parts of a READ: lines, of which one may go on in the next part.
  func read(_ name: String, from: UInt32 = 0, to size: UInt32, properties: UInt32 = 0) throws
    -> [String]
  {
    try send(7, named(from, size, name: name), properties: properties)
    var lines: [String] = []
    var left: [UInt8] = []
    while true {
      let part = try answer(7)
      let count = Int(part.number(0))
      #expect(count == part.body.count - 4)
      let bytes = left + part.body[4...]
      let hasMore = part.properties & 1 != 0
      // Adapters take a part without bytes for an answer without events.
      if bytes.isEmpty { return hasMore || lines.isEmpty ? lines : [] }
      var start = 0
      while let end = bytes[start...].firstIndex(of: 10) {
        lines.append(String(decoding: bytes[start..<end], as: UTF8.self))
        start = end + 1
      }
      left = Array(bytes[start...])
      guard hasMore else {
        if !left.isEmpty { lines.append(String(decoding: left, as: UTF8.self)) }
        return lines
      }
    }
  }
}

extension ServedStore {
  static let everstoreListener = "everstore+tcp://127.0.0.1:0"

  func everstore() throws -> EverstoreClient {
    try EverstoreClient(try #require(ports["everstore-tcp"]))
  }
}
