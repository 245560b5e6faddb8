// How producers stand in the log: lines that are no events, in the batches of what they tell.
//
//     produced   = "#produced epoch=" number " counter=" number " first=" number " count=" number
//                  " name=" name LF
//     table      = "#producers floor=" number " count=" number LF  count( producer )
//     producer   = "#producer epoch=" number " name=" name [ record *( older ) ] " below=" number LF
//     record     = SP number ":" number ":" number           ; counter, first event, events
//     older      = SP number ":" [ "-" ] number ":" number   ; how much less counter and first are
//                                                            ; than those of the record before it
//     number     = 1*16( lower-case hexadecimal digit )      ; no leading zeros
//     name       = 1*64( %x21-7E )
//
//     #produced epoch=19f2a3b4c5d counter=7 first=3039 count=2 name=web-1
//     #producers floor=19f00000000 count=1
//     #producer epoch=19f2a3b4c5d name=web-1 7:3039:2 1:4:1 2:-9:3 below=0
//
// A `#produced` line stands behind the events of each request with a counter, in their batch: both are
// there, or neither. The first batch a shard writes to a segment, and every recovery batch, ends with a
// table of what is true behind it, the producers in the order in which they last stored something. So
// the table is never older than the oldest live segment, and archiving loses nothing.
//
// A `#producer` line has at most `lineByteCountMax` bytes. Counters or events very far apart may leave
// no room for all of a window in it: then the oldest are left out, and `below` says so.

/// The lines of producers.
package enum ProducerLines {
  /// Longest `#producer` line, in bytes, LF included: a whole window with records of 15 bytes.
  package static let lineByteCountMax = 1152
  /// Longest `#producers` line, in bytes, LF included.
  package static let headByteCountMax = 56
  /// Longest `#produced` line, in bytes, LF included.
  package static let producedByteCountMax = 176
  /// Longest record, and longest end behind the records, in bytes.
  private static let recordByteCountMax = 1 + 16 + 1 + 17 + 1 + 8
  private static let endByteCountMax = 7 + 16 + 1

  /// Bytes a table of `count` producers takes at most.
  package static func tableByteCountMax(_ count: Int) -> Int {
    headByteCountMax + count * lineByteCountMax
  }

  // MARK: - Writing

  /// Writes the line of a request that was stored.
  package static func putProduced(
    _ name: RawSpan, _ stamp: ProducerStamp, first: UInt64, count: UInt32,
    _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    writer.put("#produced epoch=", &memory)
    put(stamp.epoch, &writer, &memory)
    writer.put(" counter=", &memory)
    put(stamp.counter, &writer, &memory)
    writer.put(" first=", &memory)
    put(first, &writer, &memory)
    writer.put(" count=", &memory)
    put(UInt64(count), &writer, &memory)
    writer.put(" name=", &memory)
    writer.put(verbatim: name, &memory)
    writer.put(Byte.lineFeed, &memory)
  }

  /// Writes the table.
  package static func put(
    _ producers: borrowing Producers, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    writer.put("#producers floor=", &memory)
    put(producers.floor, &writer, &memory)
    writer.put(" count=", &memory)
    put(UInt64(producers.count), &writer, &memory)
    writer.put(Byte.lineFeed, &memory)
    var last: Int?
    while let index = producers.next(after: last) {
      put(producers, index, &writer, &memory)
      last = index
    }
  }

  private static func put(
    _ producers: borrowing Producers, _ index: Int, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    let end = writer.offset + lineByteCountMax - endByteCountMax - recordByteCountMax
    writer.put("#producer epoch=", &memory)
    put(producers.epoch(index), &writer, &memory)
    writer.put(" name=", &memory)
    writer.put(verbatim: producers.name(index), &memory)
    var place = producers.windowCount(index) - 1
    var newer: Producers.Record?
    while place >= 0, writer.offset <= end {
      let record = producers.record(index, place)
      writer.put(Byte.space, &memory)
      put((newer?.counter ?? 0).distance(to: record.counter).magnitude, &writer, &memory)
      writer.put(UInt8(ascii: ":"), &memory)
      if let newer, newer.first < record.first { writer.put(Byte.dash, &memory) }
      put(UInt64((newer?.first ?? 0).distance(to: record.first).magnitude), &writer, &memory)
      writer.put(UInt8(ascii: ":"), &memory)
      put(UInt64(record.count), &writer, &memory)
      newer = record
      place -= 1
    }
    let left = place >= 0 ? producers.record(index, place).counter : 0
    writer.put(" below=", &memory)
    put(max(producers.below(index), left), &writer, &memory)
    writer.put(Byte.lineFeed, &memory)
  }

  private static func put(
    _ value: some UnsignedInteger & FixedWidthInteger, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    let value = UInt64(value)
    var shift = max(0, 63 - value.leadingZeroBitCount) / 4 * 4
    while shift >= 0 {
      let digit = UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 0xF
      writer.put(digit < 10 ? Byte.zero &+ digit : UInt8(ascii: "a") &+ digit &- 10, &memory)
      shift -= 4
    }
  }

  // MARK: - Reading

  /// What a line tells.
  package enum Line: Equatable {
    case produced
    /// A table of so many producers follows.
    case table(Int)
    case producer
    /// It is none of these.
    case other
    /// It is one of these, and wrong.
    case bad
  }

  /// Takes the line in `range` of `span`, without its LF, into `producers`.
  package static func take(_ span: RawSpan, _ range: ByteRange, _ producers: inout Producers)
    -> Line
  {
    var fields = LineFields(offset: range.lowerBound, end: range.upperBound)
    if fields.skip("#produced ", span) { return takeProduced(span, &fields, &producers) }
    if fields.skip("#producers ", span) {
      guard fields.skip("floor=", span), let floor = fields.number(span),
        fields.skip(" count=", span), let count = fields.number(span), fields.isAtEnd,
        floor <= ProducerStamp.numberMax, count <= UInt64(Int32.max)
      else { return .bad }
      producers.begin(floor: floor)
      return .table(Int(count))
    }
    if fields.skip("#producer ", span) { return takeProducer(span, &fields, &producers) }
    return .other
  }

  private static func takeProduced(
    _ span: RawSpan, _ fields: inout LineFields, _ producers: inout Producers
  ) -> Line {
    guard fields.skip("epoch=", span), let epoch = fields.number(span),
      fields.skip(" counter=", span), let counter = fields.number(span),
      fields.skip(" first=", span), let first = fields.number(span),
      fields.skip(" count=", span), let count = fields.number(span),
      fields.skip(" name=", span), let name = fields.name(span), fields.isAtEnd,
      epoch <= ProducerStamp.numberMax, isPossible(counter, first, count)
    else { return .bad }
    let stamp = ProducerStamp(epoch: epoch, counter: counter)
    let isTaken = producers.take(
      span.extracting(name), stamp, first: first, count: UInt32(count))
    return isTaken ? .produced : .bad
  }

  private static func takeProducer(
    _ span: RawSpan, _ fields: inout LineFields, _ producers: inout Producers
  ) -> Line {
    guard fields.skip("epoch=", span), let epoch = fields.number(span),
      epoch <= ProducerStamp.numberMax,
      fields.skip(" name=", span), let name = fields.name(span)
    else { return .bad }
    let index = producers.take(span.extracting(name), epoch: epoch)
    var newer: Producers.Record?
    var count = 0
    while !fields.skip(" below=", span) {
      guard count < Producers.windowCount, let record = fields.record(behind: newer, span) else {
        return .bad
      }
      producers.take(record, index)
      newer = record
      count += 1
    }
    guard let below = fields.number(span), fields.isAtEnd, below <= ProducerStamp.numberMax else {
      return .bad
    }
    producers.take(below: below, index)
    return .producer
  }

  /// Whether a request can have been stored under these numbers.
  fileprivate static func isPossible(_ counter: UInt64, _ first: UInt64, _ count: UInt64) -> Bool {
    counter > 0 && counter <= ProducerStamp.numberMax && first > 0 && first <= BatchLine.numberMax
      && count > 0 && count <= UInt64(Int32.max)
  }
}

/// Reads a line of producers from left to right.
private struct LineFields {
  var offset: Int
  let end: Int

  var isAtEnd: Bool { offset == end }

  /// Passes over `text` when it stands here.
  mutating func skip(_ text: StaticString, _ span: RawSpan) -> Bool {
    guard end - offset >= text.utf8CodeUnitCount, span.hasBytes(text, at: offset) else {
      return false
    }
    offset += text.utf8CodeUnitCount
    return true
  }

  /// The number here; nil when there is none, or it is not in its one form.
  mutating func number(_ span: RawSpan) -> UInt64? {
    let start = offset
    while offset < end, offset - start <= 16 {
      guard span.hexadecimal(at: offset, digitCount: 1) != nil else { break }
      offset += 1
    }
    let count = offset - start
    guard count > 0, count <= 16, count == 1 || span.byte(at: start) != Byte.zero else {
      return nil
    }
    return span.hexadecimal(at: start, digitCount: count)
  }

  mutating func name(_ span: RawSpan) -> ByteRange? {
    let stop = span.nearIndex(of: Byte.space, from: offset, to: end)
    let name = offset..<stop
    offset = stop
    return ProducerName.isValid(span, name) ? name : nil
  }

  mutating func record(behind newer: Producers.Record?, _ span: RawSpan) -> Producers.Record? {
    guard skip(" ", span), let counter = number(span), skip(":", span) else { return nil }
    let isMore = newer != nil && skip("-", span)
    guard let first = number(span), skip(":", span), let count = number(span) else { return nil }
    var found = (counter: counter, first: first)
    if let newer {
      guard counter > 0, counter < newer.counter, isMore || first < newer.first,
        first <= BatchLine.numberMax
      else { return nil }
      found.counter = newer.counter - counter
      found.first = isMore ? newer.first + first : newer.first - first
    }
    guard ProducerLines.isPossible(found.counter, found.first, count) else { return nil }
    return Producers.Record(counter: found.counter, first: found.first, count: UInt32(count))
  }
}

/// Names of producers.
package enum ProducerName {
  /// Whether `range` holds a name: printable ASCII, which needs no escape anywhere.
  package static func isValid(_ span: RawSpan, _ range: ByteRange) -> Bool {
    guard !range.isEmpty, range.count <= Producers.nameByteCountMax else { return false }
    for offset in range where !(0x21...0x7E).contains(span.byte(at: offset)) { return false }
    return true
  }
}
