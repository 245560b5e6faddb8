// Requests waiting to be sent together, each with its ticket: what waits for its answer.
//
//     put lines… (one open PUT takes the events of all threads) | whole requests, one by one
//
// An open PUT is closed when it is large enough, when a whole request follows, and when the outbox
// is sent. Its count has a fixed width and is filled in then.

internal import PenstockCore

/// One request on its way, and what became of it. Guarded by its link's gate.
final class Ticket {
  /// What the shard said.
  typealias Outcome = Result<LineAnswer, StoreError>

  /// Events of the request.
  var eventCount = 0
  var outcome: Outcome?
  var isSent = false
  /// Whether it holds an event that no thread waits for.
  var isUnawaited = false
  /// Whether it holds an event whose loss only `flush` and `close` can tell.
  var isToldByFlush = false
  /// Tasks that wait for it.
  var tasks: [CheckedContinuation<Outcome, Never>] = []
}

/// Requests in the order they are to be sent in. Guarded by its link's gate, but while it is sent.
final class Outbox {
  private(set) var memory: AlignedBuffer
  private var writer: EventWriter
  /// Requests, the open one last.
  private(set) var tickets: [Ticket] = []
  /// Where the open PUT begins; -1 when none is open.
  private var openStart = -1
  /// Whether somebody waits for an answer to something in it.
  var isAwaited = false

  /// Bytes of a usual outbox, and of one that takes the largest request.
  static let byteCount = 256 << 10
  static let byteCountMax = requestByteCountMax + Request.lineByteCountMax + (64 << 10)
  /// Bytes of a request's events at most: what one slot of a shard takes.
  static let requestByteCountMax = 1 << 20
  /// An open PUT of so many bytes is closed: more at once are not stored any quicker.
  private static let putByteCountTarget = 64 << 10
  /// "PUT ", ten digits, LF.
  private static let headByteCount = 15

  init(byteCount: Int = Outbox.byteCount) {
    memory = AlignedBuffer(byteCount: byteCount)
    writer = EventWriter(offset: 0, limit: memory.byteCount)
  }

  var isEmpty: Bool { tickets.isEmpty }
  var byteCount: Int { writer.offset }

  /// How an event was taken.
  enum Taken {
    /// Into this request, which had so many events before it.
    case placed(Ticket, index: Int)
    /// There is no room for it before what is here has been sent.
    case noRoom
    /// There is no room for it even in an empty outbox of this size.
    case larger
  }

  /// Takes an event into the open PUT.
  func put(_ fields: EventFields, _ payload: RawSpan) throws(StoreError) -> Taken {
    if openStart >= 0, writer.offset - openStart >= Outbox.putByteCountTarget { closePut() }
    while true {
      let isNew = openStart < 0
      let mark = writer.offset
      if isNew { openPut() }
      let lineStart = writer.offset
      do throws(StoreError) {
        try EventText.write(fields, payload, &writer, &memory)
      } catch {
        rollBack(to: isNew ? mark : lineStart, isNew)
        throw error
      }
      let byteCount = writer.offset - openStart - Outbox.headByteCount
      if !writer.isFull, byteCount <= Outbox.requestByteCountMax, let ticket = tickets.last {
        ticket.eventCount += 1
        return .placed(ticket, index: ticket.eventCount - 1)
      }
      let isFull = writer.isFull
      rollBack(to: isNew ? mark : lineStart, isNew)
      if isFull { return tickets.isEmpty ? .larger : .noRoom }
      guard !isNew else { throw .tooLarge(byteCountMax: Outbox.requestByteCountMax) }
      closePut()
    }
  }

  /// Takes a whole request of `eventCount` events.
  func append(_ request: RawSpan, eventCount: Int) -> Taken {
    closePut()
    let mark = writer.offset
    writer.put(verbatim: request, &memory)
    guard !writer.isFull else {
      rollBack(to: mark, false)
      return tickets.isEmpty ? .larger : .noRoom
    }
    let ticket = Ticket()
    ticket.eventCount = eventCount
    tickets.append(ticket)
    return .placed(ticket, index: 0)
  }

  private func openPut() {
    openStart = writer.offset
    writer.put("PUT 0000000000\n", &memory)
    tickets.append(Ticket())
  }

  private func rollBack(to mark: Int, _ isNew: Bool) {
    writer.offset = mark
    writer.isFull = false
    guard isNew else { return }
    tickets.removeLast()
    openStart = -1
  }

  /// Fills in the open PUT's count.
  func closePut() {
    guard openStart >= 0 else { return }
    var count = writer.offset - openStart - Outbox.headByteCount
    var offset = openStart + Outbox.headByteCount - 2
    while count > 0 {
      memory.store(Byte.zero + UInt8(count % 10), at: offset)
      count /= 10
      offset -= 1
    }
    openStart = -1
  }

  /// Empties it once everything in it has been sent.
  func reset() {
    writer.offset = 0
    tickets.removeAll(keepingCapacity: true)
    isAwaited = false
  }
}
