// Writes the lines of a COMMIT into a batch, once its conditions hold.

/// How a commit ended.
package enum CommitOutcome: Equatable, Sendable {
  /// All lines were written; so many.
  case written(count: Int)
  /// The batch has no room for all of them; nothing counts.
  case full
  /// Line `line`, counted from 1, or the request line, 0, is wrong; nothing counts.
  case refused(Refusal, line: Int)
  /// A condition does not hold; nothing counts.
  case conflict(CommitConflict)
  /// Its first event's journal is another shard's; nothing counts.
  case moved(shard: Int)
}

/// Writes the lines of a COMMIT.
package enum CommitLines {
  /// Checks conditions and event lines, and writes the lines. The caller rolls the writer back
  /// unless all were written, and then has the journals remember them.
  /// - Parameters:
  ///   - line: the request line in `source`, without its tag.
  ///   - body: the event lines in `source`.
  ///   - eventByteCountMax: longest line of an event, in bytes.
  ///   - time: what the events get.
  package static func append(
    _ source: borrowing AlignedBuffer, line: ByteRange, body: ByteRange, eventByteCountMax: Int,
    time: Timestamp, _ journals: borrowing Journals, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) -> CommitOutcome {
    let span = source.bytes
    var offset = body.lowerBound
    var count = 0
    while offset < body.upperBound {
      let end = span.firstIndex(of: Byte.lineFeed, from: offset, to: body.upperBound)
      count &+= 1
      guard end < body.upperBound else { return .refused(.unterminated, line: count) }
      guard end &- offset <= eventByteCountMax else {
        return .refused(.eventTooLarge, line: count)
      }
      let event: EventLine
      do throws(EventLine.Fault) {
        event = try EventLine(span, offset..<end)
      } catch {
        return .refused(Refusal(error), line: count)
      }
      guard event.time == nil else { return .refused(.journalTime, line: count) }
      guard JournalName.isValid(span, event.stream) else {
        return .refused(.notJournal, line: count)
      }
      guard event.type.count <= CommitLines.typeByteCountMax else {
        return .refused(.badType, line: count)
      }
      if let refusal = PutLines.attributeRefusal(event, span) {
        return .refused(refusal, line: count)
      }
      if let owner = journals.otherOwner(span.extracting(event.stream)) {
        return count == 1 ? .moved(shard: owner) : .refused(.severalShards, line: count)
      }
      writer.put(time, &memory)
      writer.put(verbatim: span.extracting((offset &+ 1)..<(end &+ 1)), &memory)
      guard !writer.isFull else { return .full }
      offset = end &+ 1
    }
    guard count > 0 else { return .refused(.noEvents, line: 0) }
    switch journals.check(span, line: line, body: body) {
    case .holds: return .written(count: count)
    case .broken(let conflict): return .conflict(conflict)
    case .tooOld: return .refused(.tooOld, line: 0)
    case .moved: return .refused(.severalShards, line: 0)
    case .malformed: return .refused(.badCondition, line: 0)
    }
  }

  /// Longest type of a journal's event, in bytes: answers name it.
  package static let typeByteCountMax = 1024
}
