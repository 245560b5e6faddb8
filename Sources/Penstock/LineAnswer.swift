// The client's side of the answers' grammar (PenstockCore's LineProtocol has all of it):
//
//     hello-ok = "OK penstock/1 shard=" n " shards=" n
//     put-ok   = "OK shard=" n " first=" n " count=" n
//     error    = "ERR " code " " text

internal import PenstockCore

/// One answer line.
enum LineAnswer: Equatable {
  case hello(shard: Int, shardCount: Int)
  case stored(LineClient.Receipt)
  case refused(code: String, text: String)
  case unknown

  /// Reads the line in `range`, without its LF.
  init(_ span: RawSpan, _ range: ByteRange) {
    var fields = Fields(end: range.upperBound, offset: range.lowerBound)
    if span.extracting(range).hasBytes("OK penstock/1", at: 0) {
      fields.offset += "OK penstock/1".utf8.count
      if let shard = fields.number(" shard=", span), let count = fields.number(" shards=", span) {
        self = .hello(shard: shard, shardCount: count)
        return
      }
    } else if span.extracting(range).hasBytes("OK", at: 0) {
      fields.offset += 2
      if let shard = fields.number(" shard=", span), let first = fields.number(" first=", span),
        let count = fields.number(" count=", span)
      {
        self = .stored(LineClient.Receipt(shard: shard, first: UInt64(first), count: count))
        return
      }
    } else if span.extracting(range).hasBytes("ERR ", at: 0) {
      let start = range.lowerBound + 4
      let end = span.nearIndex(of: Byte.space, from: start, to: range.upperBound)
      let text = min(end + 1, range.upperBound)..<range.upperBound
      self = .refused(
        code: String(span: span.extracting(start..<end)), text: String(span: span.extracting(text)))
      return
    }
    self = .unknown
  }

  /// Walks " key=number" pairs; fields a later version adds behind them are passed over.
  private struct Fields {
    let end: Int
    var offset: Int

    mutating func number(_ key: StaticString, _ span: RawSpan) -> Int? {
      guard offset <= end, span.extracting(offset..<end).hasBytes(key, at: 0) else { return nil }
      let start = offset + key.utf8CodeUnitCount
      let stop = span.nearIndex(of: Byte.space, from: start, to: end)
      offset = stop
      return span.decimal(start..<stop)
    }
  }
}
