// The client's side of the answers' grammar (PenstockCore's LineProtocol has all of it):
//
//     hello-ok  = "OK penstock/1 shard=" n " shards=" n
//     stored    = "OK shard=" n " first=" n " count=" n
//     head-ok   = "OK shard=" n " head=" ( n | "unknown" ) " at=" n
//     exists-ok = "OK shard=" n " exists=" ( "0" | "1" | "unknown" ) " at=" n
//     conflict  = "CONFLICT shard=" n " position=" n [ " journal=" journal " type=" type ]
//     moved     = "MOVED shard=" n [ " address=" address ]
//     error     = "ERR " code [ tag ] " " text
//     tag       = " tag=" n                     ; ends every other answer to a request that had one

internal import PenstockCore

/// One answer line.
enum LineAnswer: Equatable {
  case hello(shard: Int, shardCount: Int)
  case stored(LineClient.Receipt)
  /// The last event of a journal, 0 for none and nil when that is not known, and how far is known.
  case head(UInt64?, at: UInt64)
  /// Whether a journal has events; nil when that is not known.
  case exists(Bool?)
  case conflict(Conflict)
  /// Where a journal is, and how its shard is reached from here, if the server says so.
  case moved(shard: Int, address: String?)
  case refused(code: String, text: String)
  case unknown

  /// Reads the line in `range`, without its LF.
  init(_ span: RawSpan, _ range: ByteRange) {
    var fields = Fields(end: range.upperBound, offset: range.lowerBound)
    self = .unknown
    if fields.skip("OK penstock/1", span) {
      if let shard = fields.number(" shard=", span), let count = fields.number(" shards=", span) {
        self = .hello(shard: shard, shardCount: count)
      }
    } else if fields.skip("OK", span) {
      guard let shard = fields.number(" shard=", span) else { return }
      if let first = fields.number(" first=", span), let count = fields.number(" count=", span) {
        self = .stored(LineClient.Receipt(shard: shard, first: UInt64(first), count: count))
      } else if let head = fields.word(" head=", span), let at = fields.number(" at=", span) {
        self = .head(span.decimal(head).map { UInt64($0) }, at: UInt64(at))
      } else if let exists = fields.word(" exists=", span) {
        self = .exists(span.decimal(exists).map { $0 > 0 })
      }
    } else if fields.skip("CONFLICT", span) {
      guard fields.number(" shard=", span) != nil,
        let position = fields.number(" position=", span)
      else { return }
      let journal = fields.word(" journal=", span).map { LineAnswer.plain(span, $0) } ?? ""
      let type = fields.word(" type=", span).map { LineAnswer.plain(span, $0) }
      self = .conflict(
        Conflict(journal: journal, type: type == "*" ? nil : type, position: UInt64(position)))
    } else if fields.skip("MOVED", span) {
      guard let shard = fields.number(" shard=", span) else { return }
      let address = fields.word(" address=", span).map { LineAnswer.plain(span, $0) }
      self = .moved(shard: shard, address: address)
    } else if fields.skip("ERR ", span) {
      let start = fields.offset
      let end = span.nearIndex(of: Byte.space, from: start, to: range.upperBound)
      fields.offset = end
      _ = fields.word(" tag=", span)
      let text = min(fields.offset + 1, range.upperBound)..<range.upperBound
      self = .refused(
        code: String(span: span.extracting(start..<end)), text: String(span: span.extracting(text)))
    }
  }

  /// A name without its escapes.
  private static func plain(_ span: RawSpan, _ range: ByteRange) -> String {
    let name = span.extracting(range)
    return String(decoding: Escape.decode(name) ?? name.array(), as: UTF8.self)
  }

  /// Walks " key=value" pairs; fields a later version adds behind them are passed over.
  private struct Fields {
    let end: Int
    var offset: Int

    mutating func skip(_ text: StaticString, _ span: RawSpan) -> Bool {
      guard offset <= end, span.extracting(offset..<end).hasBytes(text, at: 0) else { return false }
      offset += text.utf8CodeUnitCount
      return true
    }

    mutating func word(_ key: StaticString, _ span: RawSpan) -> ByteRange? {
      guard skip(key, span) else { return nil }
      let start = offset
      offset = span.nearIndex(of: Byte.space, from: start, to: end)
      return start..<offset
    }

    mutating func number(_ key: StaticString, _ span: RawSpan) -> Int? {
      word(key, span).flatMap { span.decimal($0) }
    }
  }
}

/// An answer line with its tag.
struct AnswerLine: Equatable {
  let answer: LineAnswer
  /// The number a client of the library tags its requests with, as the line repeats it.
  let tag: Int?
  /// Whether it begins with OK, whatever follows.
  let isPositive: Bool

  /// Reads the line in `range`, without its LF.
  init(_ span: RawSpan, _ range: ByteRange) {
    answer = LineAnswer(span, range)
    tag = AnswerLine.tag(span, range)
    isPositive = span.extracting(range).hasBytes("OK", at: 0)
  }

  /// It stands behind the code of an error, and at the end of anything else.
  private static func tag(_ span: RawSpan, _ range: ByteRange) -> Int? {
    var end = range.upperBound
    if span.extracting(range).hasBytes("ERR ", at: 0) {
      let code = span.nearIndex(of: Byte.space, from: range.lowerBound + 4, to: end)
      end = span.nearIndex(of: Byte.space, from: min(code + 1, end), to: end)
    }
    var start = end
    while start > range.lowerBound, span.byte(at: start - 1) != Byte.space { start -= 1 }
    guard span.extracting(start..<end).hasBytes("tag=", at: 0) else { return nil }
    return span.decimal((start + 4)..<end)
  }
}
