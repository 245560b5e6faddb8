// Where the parts of an event line lie that the archive keeps apart.

internal import PenstockCore

extension TableRow {
  /// The fields of a line behind its stream.
  @inline(__always)
  init(tail: RawSpan, time: Timestamp, log: LogNumber, sequence: SequenceNumber) {
    let end = tail.byteCount
    let tab = tail.firstIndex(of: Byte.tab, from: 0, to: end)
    let typeEnd = tail.nearIndex(of: Byte.space, from: 0, to: tab)
    self.init(
      time: time, log: log, sequence: sequence, type: 0..<typeEnd,
      attributes: min(typeEnd &+ 1, tab)..<tab, payload: min(tab &+ 1, end)..<end)
  }
}

/// Where the parts of a line lie that the archive keeps apart.
struct LineFields {
  var time: Timestamp
  var stream: ByteRange
  var typeStart: Int
  var tab: Int

  /// Nil for a line that could not be put together again from its parts, byte for byte: no shard
  /// writes one.
  @inline(__always)
  init?(_ span: RawSpan, _ range: ByteRange, _ times: inout JournalTimeReader) {
    let end = range.upperBound
    let start = range.lowerBound &+ Timestamp.textByteCount
    guard start < end, span.byte(at: start) == Byte.space,
      let time = times.time(span, at: range.lowerBound)
    else { return nil }
    let tab = span.firstIndex(of: Byte.tab, from: start, to: end)
    let streamEnd = span.nearIndex(of: Byte.space, from: start &+ 1, to: tab)
    guard tab < end, streamEnd < tab, streamEnd > start &+ 1,
      streamEnd &- start &- 1 <= EventLine.streamByteCountMax
    else { return nil }
    let typeEnd = span.nearIndex(of: Byte.space, from: streamEnd &+ 1, to: tab)
    guard typeEnd > streamEnd &+ 1, typeEnd == tab || typeEnd &+ 1 < tab else { return nil }
    self.time = time
    stream = (start &+ 1)..<streamEnd
    typeStart = streamEnd &+ 1
    self.tab = tab
  }

  /// The attributes of the line in `span`.
  func attributes(_ span: RawSpan) -> ByteRange {
    let typeEnd = span.nearIndex(of: Byte.space, from: typeStart, to: tab)
    return min(typeEnd &+ 1, tab)..<tab
  }
}
