// READ, FOLLOW and COPY: the shard lends the connection to the reader for the time of the answer.
//
//     client ─READ─▶ shard ── the connection, and the request ──▶ reader ──▶ files
//                      ▲  ◀──────────── "BACK" ─────────────────── │
//                      └─ goes on with the answers behind it       └─ answer ─▶ client
//
// So no byte that is read back goes through a shard, and a client that takes its answer slowly holds
// up nobody. The shard goes on receiving meanwhile: answers to what came behind the request wait for
// its end, as behind any other.
//
//     to the reader    "LEND " slot SP generation [ SP name SP mark ] LF request
//                                                          with the connection's descriptor
//     from the reader  "BACK " slot SP generation LF
//
// Name and mark, a decimal number, are those of the connection's token (AccessToken), and there when
// the store has tokens; the name is "*" for everything. Each is a packet of its own. When the reader's
// connection ends, those that are lent end with it: nobody knows how much of an answer was sent. And
// when the shard ends one that is lent, because its token is gone, say, the reader can send no more on
// it either: it has no place among the shard's connections any longer.

extension Shard where Machine: ~Copyable {
  /// Queues a request that the reader answers; what the connection stored before it will be seen.
  mutating func queueRead(_ slot: Int, _ source: Source, _ line: ByteRange) {
    guard configuration.hasReader else { return refuse(slot, .noReader) }
    var answer = Answer(
      kind: .read, batchOrdinal: ordinal(of: batches[openSlot].nextSequence.value - 1))
    answer.tag = sessions.connections[slot].tag
    let outcome =
      source == .frames
      ? LentText.append(
        answer, sessions.frames, line, &answers, &sessions.connections[slot].answers)
      : LentText.append(answer, memory.streams, line, &answers, &sessions.connections[slot].answers)
    if outcome == .noPlace { return refuse(slot, .busy) }
    noteAnswer(slot, isKept: outcome == .kept)
  }

  /// Lends a connection for the answer that is its next.
  mutating func lend(_ slot: Int, _ answer: Answer) {
    let base = slot * limits.answerByteCount
    var writer = EventWriter(offset: base, limit: base + limits.answerByteCount)
    writer.put("LEND ", &memory.answers)
    writer.put(decimal: slot, &memory.answers)
    writer.put(Byte.space, &memory.answers)
    writer.put(decimal: Int(sessions.connections[slot].generation), &memory.answers)
    putGrant(slot, &writer)
    writer.put(Byte.lineFeed, &memory.answers)
    LentText.put(answer, answers, &writer, &memory.answers)
    put(answer.tag, &writer)
    if connectToReader(),
      io.lend(
        sessions.connections[slot].socket, over: sessions.connections[readerSlot].socket,
        base..<writer.offset)
    {
      sessions.connections[slot].isLent = true
      return
    }
    answers.removeFirst(of: &sessions.connections[slot].answers)
    writer.offset = base
    var refusal = refusalAnswer(.noReader)
    refusal.tag = answer.tag
    write(refusal, &writer)
    sessions.connections[slot].sendStart = 0
    sessions.connections[slot].sendEnd = writer.offset - base
    queueSend(slot)
  }

  /// Whether there is a connection to the reader, made now when there is none.
  private mutating func connectToReader() -> Bool {
    if readerSlot >= 0 { return true }
    guard sessions.hasRoom, isAccepting,
      let socket = io.connectPackets(configuration.layout.readerSocket)
    else { return false }
    readerSlot = sessions.open(socket, listener: 0, kind: .line, now: now)
    sessions.connections[readerSlot].isReader = true
    sessions.connections[readerSlot].hasSent = true
    armReceive(readerSlot)
    return true
  }

  /// Takes connections back.
  mutating func consumeReaderWords(_ item: inout Pending) {
    while item.offset < item.end {
      let stop = memory.streams.bytes.firstIndex(
        of: Byte.lineFeed, from: item.offset, to: item.end)
      let line = item.offset..<stop
      item.offset = min(stop + 1, item.end)
      guard let back = LentName(memory.streams.bytes, line),
        back.slot < limits.connectionCountMax
      else { continue }
      let connection = sessions.connections[back.slot]
      guard connection.isOpen, connection.isLent, connection.generation == back.generation else {
        continue
      }
      sessions.connections[back.slot].isLent = false
      sessions.connections[back.slot].progressAt = now
      answers.removeFirst(of: &sessions.connections[back.slot].answers)
      noteAnswering(back.slot)
    }
  }

  /// The reader has ended: so do the connections it has.
  mutating func noteEndOfReader(_ slot: Int) {
    guard sessions.connections[slot].isReader else { return }
    sessions.connections[slot].isReader = false
    readerSlot = -1
    for index in 0..<limits.connectionCountMax
    where sessions.connections[index].isOpen && sessions.connections[index].isLent {
      endConnection(index)
    }
  }
}

/// A lent connection, as its shard calls it.
package struct LentName: Hashable, Sendable, BitwiseCopyable {
  package var slot: Int
  package var generation: UInt32

  package init(slot: Int, generation: UInt32) {
    self.slot = slot
    self.generation = generation
  }

  /// Reads the two words behind "LEND " or "BACK ", without the LF.
  package init?(_ span: RawSpan, _ range: ByteRange) {
    guard range.count > 5,
      span.hasBytes("BACK ", at: range.lowerBound) || span.hasBytes("LEND ", at: range.lowerBound)
    else { return nil }
    let start = range.lowerBound + 5
    let space = span.nearIndex(of: Byte.space, from: start, to: range.upperBound)
    guard space < range.upperBound, let slot = span.decimal(start..<space, digitCountMax: 8)
    else { return nil }
    let end = span.nearIndex(of: Byte.space, from: space + 1, to: range.upperBound)
    guard let generation = span.decimal((space + 1)..<end, digitCountMax: 10),
      generation <= Int(UInt32.max)
    else { return nil }
    self.init(slot: slot, generation: UInt32(generation))
  }
}

/// Takes bytes where they may be taken: a span of one stored property cannot be passed along with
/// another property of the same value.
private enum LentText {
  static func append(
    _ answer: Answer, _ source: borrowing AlignedBuffer, _ line: ByteRange,
    _ answers: inout AnswerPool, _ list: inout AnswerList
  ) -> AnswerPool.TextOutcome {
    answers.append(answer, text: source.bytes(line), to: &list)
  }

  static func put(
    _ answer: Answer, _ answers: borrowing AnswerPool, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    writer.put(verbatim: answers.journal(answer), &memory)
  }
}
