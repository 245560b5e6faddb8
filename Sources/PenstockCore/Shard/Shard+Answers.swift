// The text of answers; LineProtocol.swift has the grammar.

extension Shard where Machine: ~Copyable {
  /// Writes an answer into the answer memory.
  mutating func write(_ answer: Answer, _ writer: inout EventWriter) {
    switch answer.kind {
    case .hello:
      putShard("OK penstock/1", &writer)
      put(" shards=", configuration.shardCount, &writer)
    case .stored:
      writer.put("OK", &memory.answers)
      put(" shard=", Int(answer.shard), &writer)
      put(" first=", Int(answer.first), &writer)
      put(" count=", Int(answer.count), &writer)
    case .head:
      putShard("OK", &writer)
      put(" head=", answer.first, &writer)
      put(" at=", Int(answer.at), &writer)
    case .exists:
      putShard("OK", &writer)
      put(
        " exists=", answer.first == Answer.unknown ? Answer.unknown : min(answer.first, 1), &writer)
      put(" at=", Int(answer.at), &writer)
    case .conflict:
      putShard("CONFLICT", &writer)
      put(" position=", Int(answer.first), &writer)
      AnswerText.putNames(of: answer, answers, &writer, &memory.answers)
    case .moved:
      put("MOVED shard=", Int(answer.count), &writer)
      putAddress(ofShard: Int(answer.count), listener: Int(answer.at), &writer)
    case .producer:
      putShard("OK", &writer)
      writer.put(" producer", &memory.answers)
    case .refused: return writeRefusal(answer, &writer)
    case .text:
      AnswerText.put(answer, answers, &writer, &memory.answers)
      return writer.put(Byte.lineFeed, &memory.answers)
    case .relpOpen, .relpStored, .relpUnknown, .relpClosed, .relpEnded:
      return writeRelp(answer, &writer)
    case .relayed, .read: preconditionFailure("an answer leaves before it is there")
    }
    put(answer.tag, &writer)
    writer.put(Byte.lineFeed, &memory.answers)
  }

  private mutating func writeRefusal(_ answer: Answer, _ writer: inout EventWriter) {
    writer.put("ERR ", &memory.answers)
    writer.put(answer.refusal.code, &memory.answers)
    put(answer.tag, &writer)
    writer.put(Byte.space, &memory.answers)
    if answer.line > 0 {
      writer.put("line ", &memory.answers)
      writer.put(decimal: Int(answer.line), &memory.answers)
      writer.put(": ", &memory.answers)
    }
    writer.put(answer.refusal.text, &memory.answers)
    switch answer.refusal {
    case .tooOld, .counterTooOld: put(", from=", Int(answer.first), &writer)
    case .fenced: put(", epoch=", Int(answer.first), &writer)
    case .unknownProducer: put(", floor=", Int(answer.first), &writer)
    case .epochAhead: put(", max=", Int(answer.first), &writer)
    default: break
    }
    writer.put(Byte.lineFeed, &memory.answers)
  }

  private mutating func putAddress(
    ofShard shard: Int, listener: Int, _ writer: inout EventWriter
  ) {
    guard listener < configuration.listeners.count,
      shard < configuration.listeners[listener].shardAddresses.count
    else { return }
    let address = configuration.listeners[listener].shardAddresses[shard]
    guard !address.isEmpty, address.count <= ListenerConfiguration.addressByteCountMax else {
      return
    }
    writer.put(" address=", &memory.answers)
    writer.put(verbatim: address.rawSpan, &memory.answers)
  }

  private mutating func putShard(_ text: StaticString, _ writer: inout EventWriter) {
    writer.put(text, &memory.answers)
    put(" shard=", Int(configuration.log.value), &writer)
  }

  private mutating func put(_ text: StaticString, _ number: Int, _ writer: inout EventWriter) {
    writer.put(text, &memory.answers)
    writer.put(decimal: number, &memory.answers)
  }

  private mutating func put(_ text: StaticString, _ last: UInt64, _ writer: inout EventWriter) {
    writer.put(text, &memory.answers)
    if last == Answer.unknown {
      writer.put("unknown", &memory.answers)
    } else {
      writer.put(decimal: Int(last), &memory.answers)
    }
  }

  mutating func put(_ tag: RequestTag, _ writer: inout EventWriter) {
    guard !tag.isNone else { return }
    writer.put(" tag=", &memory.answers)
    writer.put(tag.words.low, count: min(tag.byteCount, 8), &memory.answers)
    if tag.byteCount > 8 {
      writer.put(tag.words.high, count: tag.byteCount - 8, &memory.answers)
    }
  }
}

/// Takes the names of an answer where they may be taken: a span of one stored property cannot be
/// passed along with another property of the same value.
private enum AnswerText {
  /// The text of another shard.
  static func put(
    _ answer: Answer, _ answers: borrowing AnswerPool, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    writer.put(verbatim: answers.journal(answer), &memory)
  }

  static func putNames(
    of answer: Answer, _ answers: borrowing AnswerPool, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    guard answer.names >= 0 else { return }
    writer.put(" journal=", &memory)
    writer.put(verbatim: answers.journal(answer), &memory)
    writer.put(" type=", &memory)
    if answers.type(answer).byteCount == 0 {
      writer.put("*", &memory)
    } else {
      writer.put(verbatim: answers.type(answer), &memory)
    }
  }
}
