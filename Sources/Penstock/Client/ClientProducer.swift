// How a client makes what it stores again be stored once:
//
//     producer = "PRODUCER " name SP epoch eol       ; after HELLO; answered "OK …" or "ERR …"
//     name     = 1*64 bytes, escaped like a stream's
//     epoch    = 1*19DIGIT                           ; Unix milliseconds when the client was made
//     count    = " count=" 1*19DIGIT                 ; of a PUT or COMMIT, behind the byte count
//
// A counter that was taken before gets the first answer again. Each connection of a client counts for
// itself, under a name of its own: the connection to shard N adds ".N" to the name.

internal import PenstockCore

/// What a client's requests are told apart by across its connections.
struct ClientProducer: Sendable {
  let name: String
  /// Unix milliseconds: a later client of the same name takes over.
  let epoch: Int64

  static let nameByteCountMax = 64
  /// Room for " count=" and the largest counter.
  static let optionByteCountMax = 7 + 19

  /// - Parameter name: nil for a random one.
  init(name: String?) throws(StoreError) {
    self.name = name ?? "client-" + Hexadecimal.text(System.random(), digits: 16)
    let now = System.now()
    epoch = now.seconds * 1000 + Int64(now.nanoseconds / 1_000_000)
    let escaped = Escape.encode(Array(self.name.utf8).rawSpan, .word)
    guard (1...ClientProducer.nameByteCountMax).contains(escaped.count) else {
      throw .invalid(
        "a producer's name has 1 to \(ClientProducer.nameByteCountMax) bytes, not \(escaped.count)")
    }
  }

  /// The request that names it, for a connection to this shard; nil for the plain one.
  func request(shard: Int?) -> [UInt8] {
    let whole = shard.map { "\(name).\($0)" } ?? name
    return Array("PRODUCER ".utf8) + Escape.encode(Array(whole.utf8).rawSpan, .word)
      + Array(" \(epoch)\n".utf8)
  }

  /// The option of a counted request.
  static func option(_ counter: UInt64) -> [UInt8] { Array(" count=\(counter)".utf8) }

  /// Whether an error says that it is not known any more what became of a counter.
  static func isForgotten(_ code: String) -> Bool { code.hasPrefix("producer") }
}
