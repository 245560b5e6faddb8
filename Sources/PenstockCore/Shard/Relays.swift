// Requests on their way to the shards that own their journals, and who waits for the answers.
//
//     client ─▶ this shard ──request──▶ owner        one connection for each other shard, made when
//     client ◀─ this shard ◀──answer─── owner        it is first needed; answers come in order
//
// What is to be sent lies in the answer memory behind that of the connections. What does not fit is
// refused as busy; when a connection ends, all that waited for it is answered with "unavailable",
// because nobody knows what became of it.

/// A connection to another shard.
struct Peer: BitwiseCopyable {
  /// Its slot among the connections, or -1.
  var slot: Int32 = -1
  /// Bytes to be sent, in the peer's part of the answer memory; those up to `sendingEnd` are with the
  /// kernel.
  var start = 0
  var end = 0
  var isSending = false
  /// Requests without an answer, in the peer's part of the ring.
  var head = 0
  var count = 0
}

/// A request that was passed on.
struct RelayedRequest: BitwiseCopyable {
  /// The connection it came from, which may have ended since.
  var slot: Int32
  var generation: UInt32
  /// The record of its answer.
  var record: Int32
}

/// All requests that were passed on.
struct Relays: ~Copyable {
  var peers: Table<Peer>
  private var waiting: Table<RelayedRequest>

  /// Requests that wait for one shard at most: they cost 12 bytes each.
  static let waitingCountMax = 4096

  init(shardCount: Int) {
    peers = Table(count: shardCount, repeating: Peer())
    waiting = Table(zeroedCount: shardCount * Relays.waitingCountMax)
  }

  func hasRoom(_ peer: Int) -> Bool { peers[peer].count < Relays.waitingCountMax }

  mutating func append(_ request: RelayedRequest, _ peer: Int) {
    precondition(hasRoom(peer))
    let place = (peers[peer].head + peers[peer].count) % Relays.waitingCountMax
    waiting[peer * Relays.waitingCountMax + place] = request
    peers[peer].count += 1
  }

  /// The request that is answered next; nil when none waits.
  mutating func takeFirst(_ peer: Int) -> RelayedRequest? {
    guard peers[peer].count > 0 else { return nil }
    let request = waiting[peer * Relays.waitingCountMax + peers[peer].head]
    peers[peer].head = (peers[peer].head + 1) % Relays.waitingCountMax
    peers[peer].count -= 1
    return request
  }
}
