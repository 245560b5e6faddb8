// One block of a table, decoded.

package import PenstockCore

/// A decoded block: its rows in stored order, by stream, time and position.
package final class TableBlock {
  package let rowCount: Int
  private let memory: AlignedBuffer
  private var rows: [Row] = []

  private struct Row {
    var time: Int128
    var sequence: UInt64
    var stream: Int32
    var log: UInt8
    var type: Int32
    var typeCount: Int32
    var attributes: Int32
    var attributeCount: Int32
    var payload: Int32
    var payloadCount: Int32
  }

  /// Decodes the bytes of a block; nil unless its checksum and every number hold.
  package init?(_ span: RawSpan, _ entry: TableBlockEntry, streamCount: Int) {
    guard span.byteCount >= TableFormat.blockHeaderByteCount,
      UInt32(truncatingIfNeeded: span.word(at: 0)) == TableFormat.blockMagic
    else { return nil }
    let rowCount = Int(UInt32(truncatingIfNeeded: span.word(at: 4)))
    let columnCount = Int(UInt32(truncatingIfNeeded: span.word(at: 8)))
    let stored = Int(UInt32(truncatingIfNeeded: span.word(at: 12)))
    guard rowCount == entry.rowCount, columnCount <= 64,
      stored == span.byteCount - TableFormat.blockHeaderByteCount,
      columnCount * TableFormat.entryByteCount <= stored
    else { return nil }
    let head = span.extracting(0..<20).checksum()
    let sum = span.extracting(TableFormat.blockHeaderByteCount..<span.byteCount)
      .checksum(seed: head)
    guard sum == UInt32(truncatingIfNeeded: span.word(at: 20)) else { return nil }
    guard let places = TableBlock.places(span, columnCount) else { return nil }
    var memory = AlignedBuffer(byteCount: max(1, places.rawByteCount))
    for place in places.columns {
      guard
        ColumnEncoding.decode(
          span.extracting(place.stored), encoding: place.encoding, rawByteCount: place.raw.count,
          into: &memory, at: place.raw.lowerBound)
      else { return nil }
    }
    guard
      let rows = TableBlock.rows(
        memory.bytes, places, rowCount: rowCount, streams: entry.streams, streamCount: streamCount)
    else { return nil }
    self.rowCount = rowCount
    self.memory = memory
    self.rows = rows
  }

  /// Where the columns lie in the block and in decoded memory.
  private struct Places {
    struct Place {
      var kind: TableFormat.Column
      var encoding: UInt16
      var stored: ByteRange
      var raw: ByteRange
    }
    var columns: [Place] = []
    var rawByteCount = 0

    func range(_ kind: TableFormat.Column) -> ByteRange? {
      columns.first { $0.kind == kind }?.raw
    }
  }

  private static func places(_ span: RawSpan, _ columnCount: Int) -> Places? {
    var places = Places()
    var offset = TableFormat.blockHeaderByteCount + columnCount * TableFormat.entryByteCount
    for index in 0..<columnCount {
      let entry = TableFormat.blockHeaderByteCount + index * TableFormat.entryByteCount
      let word = span.word(at: entry)
      let stored = Int(UInt32(truncatingIfNeeded: span.word(at: entry + 8)))
      let raw = Int(UInt32(truncatingIfNeeded: word >> 32))
      guard raw <= TableFormat.columnByteCountMax, stored <= span.byteCount - offset else {
        return nil
      }
      defer { offset += stored }
      // A kind of a later version: its bytes are passed over.
      guard let kind = TableFormat.Column(rawValue: UInt16(truncatingIfNeeded: word)) else {
        continue
      }
      places.columns.append(
        Places.Place(
          kind: kind, encoding: UInt16(truncatingIfNeeded: word >> 16),
          stored: offset..<(offset + stored),
          raw: places.rawByteCount..<(places.rawByteCount + raw)))
      places.rawByteCount += raw
    }
    return offset == span.byteCount ? places : nil
  }

  private static func rows(
    _ span: RawSpan, _ places: Places, rowCount: Int, streams: ClosedRange<Int>, streamCount: Int
  ) -> [Row]? {
    guard let streamRange = places.range(.streams), let timeRange = places.range(.times),
      let logRange = places.range(.logs), let sequenceRange = places.range(.sequences),
      let typeSizes = places.range(.typeSizes), let attributeSizes = places.range(.attributeSizes),
      let payloadSizes = places.range(.payloadSizes), let types = places.range(.types),
      let attributes = places.range(.attributes), let payloads = places.range(.payloads)
    else { return nil }
    var runs = NumberReader(streamRange)
    var times = NumberReader(timeRange)
    var logs = NumberReader(logRange)
    var sequences = NumberReader(sequenceRange)
    var sizes = (
      NumberReader(typeSizes), NumberReader(attributeSizes), NumberReader(payloadSizes)
    )
    var starts = (types.lowerBound, attributes.lowerBound, payloads.lowerBound)
    var stream = 0
    var streamRows = 0
    var log = 0
    var logRows = 0
    var time: Int128 = 0
    var sequence: Int128 = 0
    var rows: [Row] = []
    rows.reserveCapacity(rowCount)
    for _ in 0..<rowCount {
      if streamRows == 0 {
        guard let step = runs.count(span, max: streamCount),
          let count = runs.count(span, max: rowCount), count > 0
        else { return nil }
        stream += step
        streamRows = count
        guard streams.contains(stream) else { return nil }
      }
      if logRows == 0 {
        guard let number = logs.count(span, max: 255),
          let count = logs.count(span, max: rowCount), count > 0
        else { return nil }
        log = number
        logRows = count
      }
      guard let nextTime = times.time(span, after: time),
        let step = sequences.zigzag(span), step > -(1 << 65), step < (1 << 65),
        case let nextSequence = sequence + step, nextSequence >= 0,
        nextSequence <= Int128(UInt64.max),
        let typeCount = sizes.0.count(span, max: types.upperBound - starts.0),
        let attributeCount = sizes.1.count(span, max: attributes.upperBound - starts.1),
        let payloadCount = sizes.2.count(span, max: payloads.upperBound - starts.2)
      else { return nil }
      time = nextTime
      sequence = nextSequence
      rows.append(
        Row(
          time: time, sequence: UInt64(sequence), stream: Int32(stream), log: UInt8(log),
          type: Int32(starts.0), typeCount: Int32(typeCount), attributes: Int32(starts.1),
          attributeCount: Int32(attributeCount), payload: Int32(starts.2),
          payloadCount: Int32(payloadCount)))
      starts.0 += typeCount
      starts.1 += attributeCount
      starts.2 += payloadCount
      streamRows -= 1
      logRows -= 1
    }
    guard streamRows == 0, logRows == 0, runs.isAtEnd, times.isAtEnd, logs.isAtEnd,
      sequences.isAtEnd, starts == (types.upperBound, attributes.upperBound, payloads.upperBound)
    else { return nil }
    return rows
  }

  /// Which stream a row is of, as an index into the table's directory.
  package func stream(_ row: Int) -> Int { Int(rows[row].stream) }

  /// A row's time.
  package func time(_ row: Int) -> Timestamp {
    Timestamp(nanosecondsSince1970: rows[row].time)
  }

  /// Whether row `left` comes before row `right` in time, then position.
  package func precedes(_ left: Int, _ right: Int) -> Bool {
    let first = rows[left]
    let second = rows[right]
    if first.time != second.time { return first.time < second.time }
    if first.log != second.log { return first.log < second.log }
    return first.sequence < second.sequence
  }

  /// Puts a row's event together as the line it was.
  package func fill(_ event: inout StoredEvent, _ row: Int, _ streams: [TableStream]) {
    let entry = rows[row]
    event.log = LogNumber(entry.log)
    event.sequence = SequenceNumber(entry.sequence)
    event.time = Timestamp(nanosecondsSince1970: entry.time)
    event.isProvisional = false
    let name = streams[Int(entry.stream)].name
    event.bytes.removeAll(keepingCapacity: true)
    event.time.append(to: &event.bytes)
    event.bytes.append(Byte.space)
    let streamStart = event.bytes.count
    event.bytes.append(contentsOf: name)
    let streamEnd = event.bytes.count
    event.bytes.append(Byte.space)
    let typeStart = event.bytes.count
    memory.append(range(entry.type, entry.typeCount), to: &event.bytes)
    let typeEnd = event.bytes.count
    var attributeStart = typeEnd
    if entry.attributeCount > 0 {
      event.bytes.append(Byte.space)
      attributeStart = event.bytes.count
      memory.append(range(entry.attributes, entry.attributeCount), to: &event.bytes)
    }
    let attributeEnd = event.bytes.count
    event.bytes.append(Byte.tab)
    let payloadStart = event.bytes.count
    memory.append(range(entry.payload, entry.payloadCount), to: &event.bytes)
    event.fields.time = event.time
    event.fields.stream = streamStart..<streamEnd
    event.fields.type = typeStart..<typeEnd
    event.fields.attributes = attributeStart..<attributeEnd
    event.fields.payload = payloadStart..<event.bytes.count
    event.fields.line = 0..<event.bytes.count
  }

  private func range(_ start: Int32, _ count: Int32) -> ByteRange {
    Int(start)..<(Int(start) + Int(count))
  }
}
