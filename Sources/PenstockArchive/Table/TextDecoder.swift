// Puts the texts of a column together again, from bytes that may be damaged.
//
// Nothing is written before there is room for it: a row's literals have to fit what is left of the
// bytes that were announced, and so has each of its strings; what the other slots may give is added
// to the room once. So no number read from a file decides how much memory is taken, but the
// announced size, and that is limited.

package import PenstockCore

/// Decodes text columns, told in TextColumn.swift, into memory that is used again.
package struct TextDecoder: ~Copyable {
  private var bits = TextBits()
  private var values = NumberBuffer()
  private var templates: [Template] = []
  private var slots: [Slot] = []
  private var rowCounts = NumberBuffer()
  /// Where the next value of each column stands.
  private var cursors = NumberBuffer()
  private let slotText = SlotText()
  /// Where the strings begin in the part, and where the last ends.
  private var strings = NumberBuffer()

  package init() {}

  private struct Template {
    /// Its slots.
    var first = 0
    var end = 0
    /// What stands behind the last slot.
    var tail: ByteRange = 0..<0
    /// Bytes of all that is not a slot.
    var literalByteCount = 0
  }

  private struct Slot {
    /// What stands before it.
    var literalStart: UInt32
    var literalByteCount: UInt32
    var column: UInt32
    var kind: TextSlot
  }

  /// The numbers at the head of a column.
  private struct Head {
    var textByteCount: Int
    var templateCount: Int
    var ownCount: Int
    var leadingCount: Int
    var stringCount: Int
    var stringByteCount: Int
    var templateByteCount: Int

    init?(_ span: RawSpan, _ reader: inout NumberReader, _ rowCount: Int, _ byteCount: Int) {
      guard let texts = reader.count(span, max: TableFormat.rawByteCountMax),
        let templates = reader.count(span, max: rowCount), templates > 0,
        let own = reader.count(span, max: templates),
        let leading = reader.count(span, max: TextColumn.slotCountMax),
        let strings = reader.count(span, max: TextColumn.valueCountMax),
        let stringBytes = reader.count(span, max: byteCount), strings <= stringBytes,
        let templateBytes = reader.count(span, max: byteCount)
      else { return nil }
      textByteCount = texts
      templateCount = templates
      ownCount = own
      leadingCount = leading
      stringCount = strings
      stringByteCount = stringBytes
      templateByteCount = templateBytes
    }
  }

  /// Appends the texts of `rowCount` rows to `texts`, and to `starts` where each begins, and where
  /// the last ends; false unless all of them are there.
  package mutating func decode(
    _ span: RawSpan, _ range: ByteRange, encoding: UInt16, rowCount: Int,
    into texts: inout ColumnBuffer, starts: inout NumberBuffer
  ) -> Bool {
    starts.removeAll()
    values.removeAll()
    var reader = NumberReader(range)
    switch encoding {
    case TextColumn.raw: return raw(span, &reader, rowCount, into: &texts, &starts)
    case TextColumn.templates:
      guard let head = Head(span, &reader, rowCount, range.count),
        readTables(span, &reader, head, rowCount), reader.isAtEnd
      else { return false }
      return putRows(span, head, rowCount, into: &texts, &starts)
    default: return false
    }
  }

  private mutating func raw(
    _ span: RawSpan, _ reader: inout NumberReader, _ rowCount: Int,
    into texts: inout ColumnBuffer, _ starts: inout NumberBuffer
  ) -> Bool {
    guard reader.numbers(span, count: rowCount, into: &values) else { return false }
    let limit = reader.remainingCount
    var total = 0
    for row in 0..<rowCount {
      starts.append(UInt64(truncatingIfNeeded: texts.count &+ total))
      let count = values[row]
      guard count <= UInt64(limit &- total) else { return false }
      total &+= Int(truncatingIfNeeded: count)
    }
    guard total == limit, let bytes = reader.bytes(total) else { return false }
    texts.append(span.extracting(bytes))
    starts.append(UInt64(texts.count))
    return true
  }

  // MARK: - Tables

  private mutating func readTables(
    _ span: RawSpan, _ reader: inout NumberReader, _ head: Head, _ rowCount: Int
  ) -> Bool {
    // The templates stand last, and tell how many values there are.
    let end = reader.offset + reader.remainingCount
    let templateStart = end - head.templateByteCount
    guard templateStart - head.stringByteCount >= reader.offset,
      reader.numbers(span, count: rowCount, into: &values),
      let columnCount = readTemplates(span, templateStart..<end, head),
      readStrings(span, &reader, head, end: templateStart),
      readColumns(span, &reader, rowCount, columnCount, head)
    else { return false }
    return reader.bytes(head.stringByteCount + head.templateByteCount) != nil
  }

  /// The number of columns; nil unless the templates fill the range.
  private mutating func readTemplates(_ span: RawSpan, _ range: ByteRange, _ head: Head) -> Int? {
    templates.removeAll(keepingCapacity: true)
    slots.removeAll(keepingCapacity: true)
    let text = span.extracting(range)
    bits.look(at: text)
    var columns = TextColumnNumbers(ownCount: head.ownCount, leadingCount: head.leadingCount)
    var start = 0
    for number in 0..<head.templateCount {
      columns.begin(template: number)
      var template = Template(first: slots.count)
      while true {
        let place = bits.marks.next(start)
        guard place < text.byteCount else { return nil }
        let mark = text.byte(at: place)
        let literal = (range.lowerBound &+ start)..<(range.lowerBound &+ place)
        template.literalByteCount &+= literal.count
        start = place &+ 1
        if mark == TextColumn.end {
          template.tail = literal
          break
        }
        guard let kind = TextSlot(rawValue: mark),
          slots.count &- template.first < TextColumn.slotCountMax,
          slots.count < TextColumn.totalSlotCountMax
        else { return nil }
        slots.append(
          Slot(
            literalStart: UInt32(literal.lowerBound), literalByteCount: UInt32(literal.count),
            column: UInt32(columns.next(mark)), kind: kind))
      }
      template.end = slots.count
      templates.append(template)
    }
    return start == text.byteCount ? columns.columnCount : nil
  }

  private mutating func readStrings(
    _ span: RawSpan, _ reader: inout NumberReader, _ head: Head, end: Int
  ) -> Bool {
    strings.removeAll()
    let first = values.count
    guard reader.numbers(span, count: head.stringCount, into: &values) else { return false }
    var place = end - head.stringByteCount
    for index in first..<values.count {
      strings.append(UInt64(place))
      guard values[index] > 0, values[index] <= UInt64(end &- place) else { return false }
      place += Int(values[index])
    }
    strings.append(UInt64(place))
    return place == end
  }

  private mutating func readColumns(
    _ span: RawSpan, _ reader: inout NumberReader, _ rowCount: Int, _ columnCount: Int,
    _ head: Head
  ) -> Bool {
    rowCounts.removeAll()
    rowCounts.append(zeros: templates.count)
    for row in 0..<rowCount {
      let number = values[row]
      guard number < UInt64(templates.count) else { return false }
      rowCounts[Int(truncatingIfNeeded: number)] &+= 1
    }
    cursors.removeAll()
    cursors.append(zeros: columnCount)
    // Every value gives a byte at least.
    let limit = min(TextColumn.valueCountMax, head.textByteCount)
    var total = 0
    for number in templates.indices {
      let rows = Int(rowCounts[number])
      for slot in templates[number].first..<templates[number].end {
        cursors[Int(slots[slot].column)] &+= UInt64(rows)
      }
      total += rows * (templates[number].end - templates[number].first)
      guard total <= limit else { return false }
    }
    for column in 0..<columnCount {
      let count = Int(cursors[column])
      cursors[column] = UInt64(values.count)
      guard reader.numbers(span, count: count, into: &values) else { return false }
    }
    return true
  }

  // MARK: - Rows

  private mutating func putRows(
    _ span: RawSpan, _ head: Head, _ rowCount: Int, into texts: inout ColumnBuffer,
    _ starts: inout NumberBuffer
  ) -> Bool {
    let literalMax = templates.reduce(0) { max($0, $1.literalByteCount) }
    // Of a row that does not fit, this much may be written before it is noticed.
    let slack = literalMax + TextColumn.slotCountMax * TextSlot.byteCountMax + 96
    texts.reserve(head.textByteCount + slack)
    if slots.isEmpty { return putWhole(span, head, rowCount, into: &texts, &starts) }
    let limit = texts.count + head.textByteCount
    var offset = texts.count
    for row in 0..<rowCount {
      starts.append(UInt64(truncatingIfNeeded: offset))
      let template = templates[Int(truncatingIfNeeded: values[row])]
      guard offset &+ template.literalByteCount <= limit else { return false }
      for index in template.first..<template.end {
        let slot = slots[index]
        let count = Int(slot.literalByteCount)
        TextDecoder.copy(span, Int(slot.literalStart), count, &texts, offset)
        offset &+= count
        let column = Int(slot.column)
        let cursor = Int(truncatingIfNeeded: cursors[column])
        cursors[column] = UInt64(truncatingIfNeeded: cursor &+ 1)
        let value = values[cursor]
        // Most slots are digits.
        if slot.kind == .digits {
          guard let count = slotText.putDigits(value, &texts, offset) else { return false }
          offset &+= count
          continue
        }
        guard
          let next = TextDecoder.put(
            span, value, slot.kind, slotText, strings, &texts, offset, limit)
        else { return false }
        offset = next
      }
      let tail = template.tail
      TextDecoder.copy(span, tail.lowerBound, tail.count, &texts, offset)
      offset &+= tail.count
      guard offset <= limit else { return false }
    }
    guard offset == limit else { return false }
    starts.append(UInt64(truncatingIfNeeded: offset))
    texts.setCount(offset)
    return true
  }

  /// The same where no template has a slot: a few texts, over and over. There is room for them.
  private mutating func putWhole(
    _ span: RawSpan, _ head: Head, _ rowCount: Int, into texts: inout ColumnBuffer,
    _ starts: inout NumberBuffer
  ) -> Bool {
    let limit = texts.count + head.textByteCount
    var offset = texts.count
    for row in 0..<rowCount {
      starts.append(UInt64(truncatingIfNeeded: offset))
      let text = templates[Int(truncatingIfNeeded: values[row])].tail
      guard text.count <= limit &- offset else { return false }
      TextDecoder.copy(span, text.lowerBound, text.count, &texts, offset)
      offset &+= text.count
    }
    guard offset == limit else { return false }
    starts.append(UInt64(truncatingIfNeeded: offset))
    texts.setCount(offset)
    return true
  }

  /// Writes a slot's value at `offset`; where it ends.
  private static func put(
    _ span: RawSpan, _ value: UInt64, _ kind: TextSlot, _ slotText: borrowing SlotText,
    _ strings: borrowing NumberBuffer, _ texts: inout ColumnBuffer, _ offset: Int, _ limit: Int
  ) -> Int? {
    guard kind == .string else {
      return slotText.put(value, kind, &texts, offset).map { offset &+ $0 }
    }
    guard value < UInt64(strings.count &- 1) else { return nil }
    let start = Int(truncatingIfNeeded: strings[Int(value)])
    let count = Int(truncatingIfNeeded: strings[Int(value) &+ 1]) &- start
    guard offset <= limit, count <= limit &- offset else { return nil }
    TextDecoder.copy(span, start, count, &texts, offset)
    return offset &+ count
  }

  /// Copies bytes of `span`; a few behind them are overwritten.
  @inline(__always)
  private static func copy(
    _ span: RawSpan, _ start: Int, _ count: Int, _ texts: inout ColumnBuffer, _ offset: Int
  ) {
    if count <= 64 {
      texts.putShort(span, start, count, at: offset)
    } else {
      texts.put(span.extracting(start..<(start &+ count)), at: offset)
    }
  }
}
