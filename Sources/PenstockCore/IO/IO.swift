// The queued half of the I/O seam: what a shard asks of the kernel, and what comes back.
//
// Three conformers: `Ring` (io_uring), `Poller` (epoll and a writer thread) and the simulated one.
// Verbs queue; `submitAndWait` hands the queue over and sleeps; `nextCompletion` takes one result.
// A queued operation names a range of registered memory and never lends a span: the kernel uses
// the bytes after the call has returned. Every operation carries a token and completes exactly
// once, except where stated; a completion runs no code.
//
// Memory is the shard's (`ShardMemory`) and outlives the conformer.

/// The memory of one shard that the kernel reads and writes.
package struct ShardMemory: ~Copyable {
  /// Buffers that streams are received into: `streamBufferCount` × `streamBufferByteCount`.
  package var streams: AlignedBuffer
  /// Buffers that datagrams are received into.
  package var datagrams: AlignedBuffer
  /// Batches being filled and written.
  package var commits: AlignedBuffer
  /// Bytes going out to connections.
  package var answers: AlignedBuffer

  package init(_ limits: Limits) {
    streams = AlignedBuffer(
      byteCount: limits.streamBufferCount * limits.streamBufferByteCount,
      inHugePages: limits.inHugePages)
    datagrams = AlignedBuffer(
      byteCount: limits.datagramBufferCount * limits.datagramBufferByteCount)
    commits = AlignedBuffer(
      byteCount: limits.batchSlotCount * limits.batchSlotByteCount,
      inHugePages: limits.inHugePages)
    let requests = limits.shardCount > 1 ? limits.shardCount * limits.requestByteCount : 0
    answers = AlignedBuffer(
      byteCount: limits.connectionCountMax * limits.answerByteCount + requests)
  }
}

/// A socket, pipe or listener: a descriptor, or a simulated one.
package struct Socket: Hashable, Sendable, BitwiseCopyable {
  package var descriptor: Int32
  package init(descriptor: Int32) { self.descriptor = descriptor }
}

/// A place in the table of files that writes go to. The lease and the segments live only there.
package struct FileSlot: Hashable, Sendable, BitwiseCopyable {
  package var index: Int
  package init(_ index: Int) { self.index = index }
}

/// Names an operation: what kind it is, which slot of the shard's tables it belongs to, and which
/// life of that slot, so that a late completion of a closed connection is told from its successor.
package struct Token: Hashable, Sendable, BitwiseCopyable {
  package var raw: UInt64

  package enum Kind: UInt8, Sendable {
    case accept = 1
    case receive, datagram, send, control, commit, commitWrite, cancel
  }

  @inline(__always)
  package init(_ kind: Kind, slot: Int, generation: UInt32 = 0) {
    assert(slot >= 0 && slot < 1 << 24)
    raw = UInt64(kind.rawValue) << 56 | UInt64(slot) << 32 | UInt64(generation)
  }

  @inline(__always)
  package init(raw: UInt64) { self.raw = raw }

  /// Nil for a value no token was made with.
  package var kind: Kind? {
    @inline(__always) get { Kind(rawValue: UInt8(truncatingIfNeeded: raw >> 56)) }
  }
  package var slot: Int { @inline(__always) get { Int(raw >> 32 & 0xFF_FFFF) } }
  package var generation: UInt32 { @inline(__always) get { UInt32(truncatingIfNeeded: raw) } }
}

/// The end of one operation.
package struct Completion: BitwiseCopyable {
  package var token: Token
  /// The operation's value, or -errno: an accepted socket, bytes received or sent, 0 for a commit.
  package var result: Int32
  /// The receive buffer that was filled, or -1. The shard gives it back with `giveBack`.
  package var buffer: Int
  /// Where the received bytes lie in `streams` or `datagrams`.
  package var payload: ByteRange {
    get { payloadOffset..<(payloadOffset &+ payloadByteCount) }
    set {
      payloadOffset = newValue.lowerBound
      payloadByteCount = newValue.count
    }
  }
  private var payloadOffset = 0
  private var payloadByteCount = 0
  /// Bytes of each datagram in the payload but the last (UDP_GRO); the payload's size otherwise.
  package var segmentByteCount: Int
  /// Whether the same operation will complete again without being queued again.
  package var hasMore: Bool

  package init(
    token: Token, result: Int32, buffer: Int = -1, payload: ByteRange = 0..<0,
    segmentByteCount: Int = 0, hasMore: Bool = false
  ) {
    self.token = token
    self.result = result
    self.buffer = buffer
    payloadOffset = payload.lowerBound
    payloadByteCount = payload.count
    self.segmentByteCount = segmentByteCount
    self.hasMore = hasMore
  }
}

/// What a control pipe holds.
package enum ControlReading: Equatable, Sendable {
  case byte(UInt8)
  /// Nothing right now.
  case empty
  /// The host is gone.
  case end
}

/// Which of the two buffer pools a receive buffer belongs to.
package enum BufferPool: Sendable { case streams, datagrams }

/// Queued operations and their completions.
package protocol IO: ~Copyable {
  /// The file system its files come from.
  associatedtype Files: FileSystem
  /// The synchronous half, for what a shard opens and reads.
  var files: Files { get }

  /// Accepts one connection; `result` is its descriptor.
  mutating func accept(_ listener: Socket, token: Token)
  /// Connects to a unix socket; nil when nobody listens there.
  mutating func connect(_ path: String) -> Socket?
  /// Connects to a unix socket of packets; nil when nobody listens there.
  mutating func connectPackets(_ path: String) -> Socket?
  /// Lends a socket to the process at the other end of `link`, with `range` of
  /// `ShardMemory.answers` as words on it; false when that process does not take them now.
  mutating func lend(_ socket: Socket, over link: Socket, _ range: ByteRange) -> Bool
  /// Receives once into a buffer the backend chooses. `result` 0 is the end of the stream,
  /// -ENOBUFS means no buffer was free: queue it again when some are back.
  mutating func receive(_ socket: Socket, token: Token)
  /// Receives datagrams until a completion says `hasMore` is false.
  mutating func receiveDatagrams(_ socket: Socket, token: Token)
  /// Sends `range` of `ShardMemory.answers`; may send less.
  mutating func send(_ socket: Socket, _ range: ByteRange, token: Token)
  /// Completes once when the descriptor is readable or at its end.
  mutating func watch(_ socket: Socket, token: Token)
  /// Ends a socket: operations queued on it complete with an error.
  mutating func close(_ socket: Socket)
  /// Tells the peer that nothing more will be sent; receiving goes on.
  mutating func finishSending(_ socket: Socket)

  /// Puts an open file into a slot and closes the descriptor: from here on the file is open only
  /// in the slot, until every operation on it has retired.
  mutating func keep(_ file: File, in slot: FileSlot) throws(FileError)
  /// Writes `range` of `ShardMemory.commits` at `offset`, then syncs the data. Completes with 0
  /// when both succeeded in full, else with -errno (-EIO for a short write).
  mutating func commit(_ slot: FileSlot, _ range: ByteRange, at offset: Int, token: Token)

  /// Gives a receive buffer back to its pool.
  mutating func giveBack(_ buffer: Int, to pool: BufferPool)
  /// Hands the queue over and waits for `count` completions or `timeoutNanoseconds`.
  mutating func submitAndWait(count: Int, timeoutNanoseconds: Int64) throws(FileError)
  /// The next completion, or nil when there is none right now.
  mutating func nextCompletion() -> Completion?

  /// One byte of the control pipe, without waiting.
  mutating func takeControl(_ control: Socket) -> ControlReading
  /// Datagram buffers the kernel dropped on this socket so far.
  func droppedBuffers(_ socket: Socket) -> Int
  func now() -> Timestamp
  func monotonicNanoseconds() -> Int64
}
