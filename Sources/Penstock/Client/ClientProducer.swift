// How a client makes what it sends again be stored once:
//
//     producer = "PRODUCER " name SP epoch eol        ; behind HELLO; answered "OK …" or "ERR …"
//     name     = 1*64( %x21-7E )
//     epoch    = 1*19DIGIT                            ; Unix milliseconds when the client was made
//     counter  = " counter=" 1*19DIGIT                ; of a PUT or COMMIT, behind the byte count
//
// A counter that was stored before gets the first answer again. So two clients must never count alike:
// those of one process never have one epoch, and each begins to count at random, so that even two
// processes that take one name in one millisecond are not given each other's answers.
//
// Each connection of a client counts for itself, under a name of its own: the one to shard N adds "|N"
// to the name, which no name of a caller's holds. A producer the server has forgotten goes on with a
// later epoch, and what was in doubt by then stays so.

internal import PenstockCore
internal import Synchronization

/// What a client's requests are told apart by across its connections.
struct ClientProducer: Sendable {
  let name: String
  /// A later client of the same name, with a higher epoch, takes over.
  let epoch: Int64

  /// Bytes of a name at most: what a server takes, less room for the number of a shard.
  static let nameByteCountMax = 60
  /// Counters a server remembers of a producer: so many requests may be without an answer.
  static let requestsInFlightMax = 64
  /// Room for " counter=" and the largest counter.
  static let optionByteCountMax = 9 + 19

  /// - Parameter name: nil for a random one.
  init(name: String?) throws(StoreError) {
    self.name = name ?? "client-" + Hexadecimal.text(System.random(), digits: 16)
    epoch = ClientProducer.nextEpoch()
    guard (1...ClientProducer.nameByteCountMax).contains(self.name.utf8.count),
      self.name.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != ClientProducer.separator })
    else {
      throw .invalid(
        "a producer's name has 1 to \(ClientProducer.nameByteCountMax) visible ASCII characters and "
          + "no '|'; '\(self.name)' has not")
    }
  }

  /// Stands between a name and the number of a shard.
  private static let separator = UInt8(ascii: "|")

  private static let lastEpoch = Mutex<Int64>(0)

  /// Unix milliseconds, and later than any epoch this process took before.
  static func nextEpoch() -> Int64 {
    let now = System.now()
    let milliseconds = now.seconds * 1000 + Int64(now.nanoseconds / 1_000_000)
    return lastEpoch.withLock { last in
      last = max(milliseconds, last + 1)
      return last
    }
  }

  /// What counting begins behind: at random, below 2^32.
  static func counterBefore() -> UInt64 { System.random() >> 32 }

  /// The request that names it, for a connection to this shard; nil for the plain one.
  func request(shard: Int?, epoch: Int64) -> [UInt8] {
    Array("PRODUCER \(name)\(shard.map { "|\($0)" } ?? "") \(epoch)\n".utf8)
  }

  /// The option of a counted request.
  static func option(_ counter: UInt64) -> [UInt8] { Array(" counter=\(counter)".utf8) }

  /// The epoch a server that has forgotten the producer wants a later one than; nil for other errors.
  static func floor(_ code: String, _ text: String) -> Int64? {
    guard code == "unknown-producer" else { return nil }
    // A number that makes no sense is refused by the server, once more.
    return min(text.split(separator: "=").last.flatMap { Int64($0) } ?? 0, Int64.max / 2)
  }

  /// Whether a refusal says that a request that had been sent before was not stored either: it is of
  /// the events or the conditions themselves, at which a server looks behind the counter. Any other
  /// may have come before the counter was looked at.
  static func settlesDoubt(_ code: String) -> Bool { codesBehindCounter.contains(code) }

  private static let codesBehindCounter: Set<String> = [
    "no-events", "unterminated", "bad-time", "bad-stream", "bad-type", "bad-attribute",
    "bad-escape", "no-payload", "bad-payload", "journal", "reserved", "bad-condition",
    "not-a-journal", "journal-time", "several-shards", "too-old",
  ]
}
