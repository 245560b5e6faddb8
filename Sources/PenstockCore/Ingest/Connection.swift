// A connection's state between two receives, and the memory partial frames are kept in.
//
//     ready ──partial frame──▶ collecting ──whole──▶ ready
//       │                          └──too large──▶ (collecting, counting what is dropped)
//       └──refused PUT──▶ skipping ──passed over──▶ ready
//
// A provided buffer never outlives its turn: what is left of it when a frame is not whole is
// copied to the connection's carry, or, when it is larger than that, to one of some middle slots or of
// a few large ones. All lie in one piece of memory. Without a free slot a frame is cut to what it has.

/// What a listener speaks.
package enum ListenerKind: UInt8, BitwiseCopyable, Sendable, CaseIterable {
  case syslogStream, syslogDatagram, line, relp
}

/// One connection.
package struct Connection: BitwiseCopyable {
  package enum Phase: UInt8, BitwiseCopyable { case ready, collecting, skipping }

  package var socket = Socket(descriptor: -1)
  /// Grows with each use of the slot, so that late completions are told apart.
  package var generation: UInt32 = 0
  package var listener = 0
  package var kind = ListenerKind.syslogStream
  package var isOpen = false

  package var framing = StreamFraming.undecided
  package var phase = Phase.ready
  /// Bytes of the partial frame that are kept.
  package var keptCount = 0
  /// Bytes the whole frame has, or -1 while unknown.
  package var wholeCount = -1
  /// Bytes of the partial frame that did not fit and were counted only.
  package var droppedCount = 0
  /// What of a collected frame's end is framing.
  package var frameEnd = FrameEnd.delimited
  /// The slot that keeps the frame, the large ones first, or -1 for the carry.
  package var frameSlot = -1
  /// Whether what is collected is the octets of a request, and how long the request line is that
  /// is kept in front of them: 0 for a PUT, whose line says no more than their count.
  package var isPut = false
  package var requestLineByteCount = 0
  /// The shard it leads to, when this one made it to pass requests on; -1 otherwise.
  package var peer: Int32 = -1
  /// Whether it leads to the reader, to which this shard lends connections.
  package var isReader = false
  /// Whether it is lent: the reader answers the first request that waits, and nobody else sends.
  package var isLent = false
  /// Whether it is told where journals of other shards are, instead of having requests passed on.
  package var wantsMoved = false
  /// Whether a RELP session was opened on it.
  package var isRelpOpen = false
  /// What it may do.
  package var grant = Grant.everything
  /// The tag of the request that is being answered.
  package var tag = RequestTag.none
  /// Octets of a refused request still to be passed over.
  package var skipCount = 0
  /// Monotonic time of the last bytes received, or of the last answer taken.
  package var progressAt: Int64 = 0
  /// Whether it has sent anything yet.
  package var hasSent = false

  package var isReceiving = false
  package var isSending = false
  /// The peer will send no more.
  package var hasEnded = false
  /// In the list of connections with answers; belongs to the slot, like `endIsPending`.
  package var isAnswering = false
  /// Its end waits among the pending bytes.
  package var endIsPending = false
  /// Its receive found no buffer.
  package var isStarved = false
  /// Not read until its answers have gone out.
  package var isPaused = false
  /// What is being sent, in the connection's part of the answer memory.
  package var sendStart = 0
  package var sendEnd = 0
  package var answers = AnswerList()

  package init() {}

  /// Whether every byte of the frame being collected has come: it waits for room in a batch.
  package var isFrameWhole: Bool {
    phase == .collecting && wholeCount >= 0 && keptCount &+ droppedCount >= wholeCount
  }
}

/// What belongs to the framing at the end of a frame that was collected. It is the frame's own:
/// on an octet-counted connection a frame without a count is delimited.
package enum FrameEnd: UInt8, BitwiseCopyable, Sendable {
  /// A final LF that was counted.
  case counted
  /// A CR in front of the LF.
  case delimited
  /// Nothing any more.
  case taken
}

/// All connections of a shard, and their partial frames.
package struct Sessions: ~Copyable {
  package var connections: Table<Connection>
  /// Carries, one for each connection, then the large slots, then the middle ones.
  package var frames: AlignedBuffer
  private var freeSlots: FixedQueue<Int32>
  private var freeLargeSlots: FixedQueue<Int32>
  private var freeMiddleSlots: FixedQueue<Int32>
  private let carryByteCount: Int
  private let largeStart: Int
  private let largeCount: Int
  private let largeByteCount: Int
  private let middleStart: Int
  private let middleByteCount: Int
  /// Connections open now.
  package private(set) var openCount = 0

  package init(_ limits: Limits) {
    connections = Table(count: limits.connectionCountMax, repeating: Connection())
    carryByteCount = limits.carryByteCount
    largeStart = limits.connectionCountMax * limits.carryByteCount
    largeByteCount = limits.octetCountMax + Request.lineByteCountMax
    largeCount = limits.largeSlotCount
    middleStart = largeStart + largeCount * largeByteCount
    middleByteCount = limits.middleSlotByteCount
    frames = AlignedBuffer(byteCount: middleStart + limits.middleSlotCount * middleByteCount)
    freeSlots = FixedQueue(capacity: limits.connectionCountMax, repeating: 0)
    for slot in 0..<limits.connectionCountMax { freeSlots.append(Int32(slot)) }
    freeLargeSlots = FixedQueue(capacity: limits.largeSlotCount, repeating: 0)
    for slot in 0..<largeCount { freeLargeSlots.append(Int32(slot)) }
    freeMiddleSlots = FixedQueue(capacity: limits.middleSlotCount, repeating: 0)
    for slot in 0..<limits.middleSlotCount { freeMiddleSlots.append(Int32(largeCount + slot)) }
  }

  package var hasRoom: Bool { !freeSlots.isEmpty }

  /// Takes a slot for a connection that was accepted.
  package mutating func open(
    _ socket: Socket, listener: Int, kind: ListenerKind, now: Int64
  ) -> Int {
    let slot = Int(freeSlots.first)
    freeSlots.removeFirst()
    var connection = Connection()
    connection.socket = socket
    connection.generation = connections[slot].generation &+ 1
    connection.isAnswering = connections[slot].isAnswering
    connection.endIsPending = connections[slot].endIsPending
    connection.listener = listener
    connection.kind = kind
    connection.isOpen = true
    connection.progressAt = now
    if kind == .line { connection.framing = .lineFeed }
    connections[slot] = connection
    openCount += 1
    return slot
  }

  /// Gives a slot back. Its generation stays, so that late completions find nobody.
  package mutating func close(_ slot: Int) {
    releaseFrame(slot)
    connections[slot].isOpen = false
    connections[slot].generation &+= 1
    freeSlots.append(Int32(slot))
    openCount -= 1
  }

  /// Where the partial frame of a connection is kept.
  package func keptRange(_ slot: Int) -> ByteRange {
    let start = storeStart(slot)
    return start..<(start &+ connections[slot].keptCount)
  }

  private func storeStart(_ slot: Int) -> Int {
    let taken = connections[slot].frameSlot
    if taken < 0 { return slot &* carryByteCount }
    return taken < largeCount
      ? largeStart &+ taken &* largeByteCount
      : middleStart &+ (taken &- largeCount) &* middleByteCount
  }

  /// Bytes of a partial frame that find room where it is kept now.
  private func capacity(_ slot: Int) -> Int {
    let taken = connections[slot].frameSlot
    if taken < 0 { return carryByteCount }
    return taken < largeCount ? largeByteCount : middleByteCount
  }

  /// Begins a partial frame that will have `wholeCount` bytes, or an unknown number (-1).
  package mutating func beginFrame(_ slot: Int, wholeCount: Int, isPut: Bool, now: Int64) {
    connections[slot].phase = .collecting
    connections[slot].keptCount = 0
    connections[slot].wholeCount = wholeCount
    connections[slot].droppedCount = 0
    connections[slot].frameEnd = wholeCount < 0 ? .delimited : .counted
    connections[slot].isPut = isPut
    connections[slot].requestLineByteCount = 0
    connections[slot].progressAt = now
    makeRoom(slot, for: wholeCount)
  }

  /// Goes on behind a request line that was collected: its first `line` bytes stay.
  package mutating func extendFrame(_ slot: Int, line: Int, octets: Int, now: Int64) {
    connections[slot].keptCount = line
    connections[slot].requestLineByteCount = line
    connections[slot].wholeCount = line + octets
    connections[slot].frameEnd = .counted
    connections[slot].isPut = true
    connections[slot].progressAt = now
    makeRoom(slot, for: line + octets)
  }

  /// Whether a frame of `count` bytes can be kept whole now.
  package func canKeep(_ count: Int) -> Bool {
    count <= carryByteCount || (count <= middleByteCount && !freeMiddleSlots.isEmpty)
      || (count <= largeByteCount && !freeLargeSlots.isEmpty)
  }

  /// Moves a partial frame to where `count` bytes find room, or to where most do.
  package mutating func makeRoom(_ slot: Int, for count: Int) {
    guard count > capacity(slot) else { return }
    let kept = keptRange(slot)
    let before = connections[slot].frameSlot
    if count <= middleByteCount, !freeMiddleSlots.isEmpty {
      connections[slot].frameSlot = Int(freeMiddleSlots.first)
      freeMiddleSlots.removeFirst()
    } else if !freeLargeSlots.isEmpty {
      connections[slot].frameSlot = Int(freeLargeSlots.first)
      freeLargeSlots.removeFirst()
    } else if before < 0, !freeMiddleSlots.isEmpty {
      connections[slot].frameSlot = Int(freeMiddleSlots.first)
      freeMiddleSlots.removeFirst()
    } else {
      return
    }
    frames.move(kept, to: storeStart(slot))
    release(before)
  }

  private mutating func release(_ frameSlot: Int) {
    if frameSlot >= largeCount {
      freeMiddleSlots.append(Int32(frameSlot))
    } else if frameSlot >= 0 {
      freeLargeSlots.append(Int32(frameSlot))
    }
  }

  /// Appends to a partial frame; what neither carry nor large slot holds is counted as dropped.
  package mutating func keep(
    _ range: ByteRange, in source: borrowing AlignedBuffer, of slot: Int, limit: Int, now: Int64
  ) {
    connections[slot].progressAt = now
    if connections[slot].droppedCount == 0 {
      makeRoom(slot, for: min(connections[slot].keptCount &+ range.count, limit))
    }
    let capacity = min(capacity(slot), limit)
    let room = max(0, capacity &- connections[slot].keptCount)
    let count = connections[slot].droppedCount > 0 ? 0 : min(room, range.count)
    frames.copy(
      source.bytes(range.lowerBound..<(range.lowerBound &+ count)),
      to: storeStart(slot) &+ connections[slot].keptCount)
    connections[slot].keptCount &+= count
    connections[slot].droppedCount &+= range.count &- count
  }

  /// Drops the first `count` kept bytes: a frame's count, once it has been read.
  package mutating func dropKeptPrefix(_ slot: Int, count: Int) {
    let kept = keptRange(slot)
    frames.move((kept.lowerBound &+ count)..<kept.upperBound, to: kept.lowerBound)
    connections[slot].keptCount &-= count
  }

  /// Ends a partial frame and frees what it took.
  package mutating func releaseFrame(_ slot: Int) {
    release(connections[slot].frameSlot)
    connections[slot].frameSlot = -1
    connections[slot].keptCount = 0
    connections[slot].wholeCount = -1
    connections[slot].droppedCount = 0
    connections[slot].isPut = false
    connections[slot].requestLineByteCount = 0
    connections[slot].phase = .ready
  }
}
