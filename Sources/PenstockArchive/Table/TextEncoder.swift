// Takes the texts of a column apart and stores them, as told in TextColumn.swift.
//
//     rows ─▶ TextScanner: skeletons, values ─▶ templates in order of use ─▶ columns ─▶ bytes
//                                                                       raw, when that is smaller

internal import PenstockCore

/// Stores the texts of columns.
package struct TextEncoder: ~Copyable {
  private var scanner = TextScanner()
  private var templates = ByteTable()
  /// For each row: its template, as numbered by the table.
  private var rowTemplates = NumberBuffer(capacity: 8 << 10)
  private var numbers = NumberEncoder()
  /// Values by column.
  private var columnValues = NumberBuffer(capacity: 16 << 10)
  private var sizes = NumberBuffer(capacity: 8 << 10)
  private var trial = ColumnBuffer(capacity: 64 << 10)
  private var packing = TrialPacking()
  private var uses: [Use] = []

  package init() {}

  /// What is known of a template.
  private struct Use {
    var rowCount = 0
    var slotCount = 0
    /// Its number in the block; templates used often have low ones.
    var number = 0
  }

  /// Which templates have columns of their own, and from which slot on.
  private struct Layout {
    /// Templates with so many rows are own ones.
    var ownRowCountMin: Int
    var leadingCount: Int
    /// Templates in order of their numbers.
    var order: [Int] = []
    var ownCount = 0
    /// For each template, where its slots begin in `columns`.
    var starts: [Int] = []
    /// The column of each slot.
    var columns: [Int] = []
    var columnCount = 0
  }

  /// The layout tables written in a hurry get: dates and processes stand first in most lines, and
  /// are like those of other templates.
  private static let usualLayout = Layout(ownRowCountMin: 32, leadingCount: 2)
  private static let layouts = [
    usualLayout, Layout(ownRowCountMin: 24, leadingCount: 1),
    Layout(ownRowCountMin: 24, leadingCount: 3), Layout(ownRowCountMin: 128, leadingCount: 2),
    Layout(ownRowCountMin: .max, leadingCount: 2), Layout(ownRowCountMin: 8, leadingCount: 1),
  ]

  /// Appends `rows` to `target` and gives the number of their encoding.
  /// - Parameter isRaw: they are stored as they are, without a try.
  package mutating func encode(
    _ rows: borrowing TextRows, _ effort: TableEffort, isRaw: Bool = false,
    into target: inout ColumnBuffer
  ) -> UInt16 {
    let start = target.count
    if !isRaw, rows.byteCount > 0, takeApart(rows) {
      var layout = effort == .fast ? TextEncoder.usualLayout : bestLayout()
      arrange(&layout)
      putTemplates(layout, rows.byteCount, effort, into: &target)
      if isWorthIt(rows, target, from: start) { return TextColumn.templates }
      target.setCount(start)
    }
    putRaw(rows, effort, into: &target)
    return TextColumn.raw
  }

  // MARK: - Raw

  private mutating func putRaw(
    _ rows: borrowing TextRows, _ effort: TableEffort, into target: inout ColumnBuffer
  ) {
    sizes.removeAll()
    for row in 0..<rows.count { sizes.append(UInt64(rows.range(row).count)) }
    numbers.encode(sizes, 0..<sizes.count, effort, into: &target)
    target.reserve(rows.byteCount)
    for row in 0..<rows.count { target.append(rows.buffer.bytes(rows.range(row))) }
  }

  /// Whether what stands in `target` from `start` on is smaller than the texts as they are.
  private mutating func isWorthIt(
    _ rows: borrowing TextRows, _ target: borrowing ColumnBuffer, from start: Int
  ) -> Bool {
    let byteCount = target.count - start
    // LZ4 makes no text of half the size of one it was made from.
    if 3 * byteCount < rows.byteCount { return true }
    trial.removeAll()
    trial.append(target.bytes.extracting(start..<target.count))
    let packed = packing.byteCount(trial)
    var raw = ColumnBuffer(capacity: max(1, rows.byteCount))
    putRaw(rows, .fast, into: &raw)
    return packed < packing.byteCount(raw)
  }

  // MARK: - Taking apart

  /// Finds templates and values; false when there are too many for it to be worth anything.
  private mutating func takeApart(_ rows: borrowing TextRows) -> Bool {
    scanner.begin(rows.buffer.bytes)
    templates.removeAll()
    rowTemplates.removeAll()
    uses.removeAll(keepingCapacity: true)
    var previous = 0..<0
    for row in 0..<rows.count {
      let range = rows.range(row)
      if row > 0, isRepeated(rows.buffer.bytes, range, previous) {
        let number = rowTemplates[row &- 1]
        rowTemplates.append(number)
        uses[Int(number)].rowCount &+= 1
        let count = scanner.values.count
        scanner.values.append(copyOf: (count &- scanner.slotCount)..<count)
      } else {
        scanner.scan(rows.buffer.bytes, range)
        take()
        if row & 1023 == 1023, templates.bytes.count > range.upperBound / 2 { return false }
      }
      previous = range
    }
    return scanner.values.count <= TextColumn.valueCountMax
  }

  @inline(__always)
  private func isRepeated(_ text: RawSpan, _ range: ByteRange, _ previous: ByteRange) -> Bool {
    // Most rows differ early or in their size.
    guard range.count == previous.count,
      range.isEmpty
        || text.byte(at: range.upperBound &- 1) == text.byte(at: previous.upperBound &- 1)
    else { return false }
    return text.extracting(range).equals(text.extracting(previous))
  }

  @inline(__always)
  private mutating func take() {
    let count = templates.count
    let number = templates.number(
      of: scanner.skeleton, 0..<scanner.skeletonByteCount, hash: scanner.hash.value)
    if number == count { uses.append(Use(slotCount: scanner.slotCount)) }
    uses[number].rowCount &+= 1
    rowTemplates.append(UInt64(number))
  }

  // MARK: - Layout

  /// Numbers templates and columns.
  private mutating func arrange(_ layout: inout Layout) {
    layout.order = uses.indices.sorted { left, right in
      uses[left].rowCount != uses[right].rowCount
        ? uses[left].rowCount > uses[right].rowCount : left < right
    }
    layout.ownCount = layout.order.prefix { uses[$0].rowCount >= layout.ownRowCountMin }.count
    var columns = TextColumnNumbers(ownCount: layout.ownCount, leadingCount: layout.leadingCount)
    layout.starts = [Int](repeating: 0, count: uses.count)
    layout.columns = []
    for (number, template) in layout.order.enumerated() {
      uses[template].number = number
      layout.starts[template] = layout.columns.count
      columns.begin(template: number)
      guard uses[template].slotCount > 0 else { continue }
      for offset in templates.range(template) {
        let byte = templates.bytes.bytes.byte(at: offset)
        if TextSlot.isMark(byte) { layout.columns.append(columns.next(byte)) }
      }
    }
    layout.columnCount = columns.columnCount
  }

  /// Brings the values of each column together; where each column begins.
  private mutating func gather(_ layout: Layout) -> [Int] {
    var starts = [Int](repeating: 0, count: layout.columnCount + 1)
    for template in uses.indices {
      for slot in 0..<uses[template].slotCount {
        starts[layout.columns[layout.starts[template] + slot] + 1] += uses[template].rowCount
      }
    }
    for column in 0..<layout.columnCount { starts[column + 1] += starts[column] }
    columnValues.removeAll()
    columnValues.append(zeros: scanner.values.count)
    var cursors = starts
    var place = 0
    for row in 0..<rowTemplates.count {
      let template = Int(truncatingIfNeeded: rowTemplates[row])
      let start = layout.starts[template]
      for slot in 0..<uses[template].slotCount {
        let column = layout.columns[start &+ slot]
        columnValues[cursors[column]] = scanner.values[place]
        cursors[column] &+= 1
        place &+= 1
      }
    }
    return starts
  }

  private mutating func bestLayout() -> Layout {
    var best = TextEncoder.usualLayout
    var least = Int.max
    for candidate in TextEncoder.layouts {
      var layout = candidate
      arrange(&layout)
      let starts = gather(layout)
      trial.removeAll()
      var byteCount = 0
      for column in 0..<layout.columnCount {
        byteCount += numbers.encode(
          columnValues, starts[column]..<starts[column + 1], .fast, into: &trial)
      }
      if byteCount < least {
        least = byteCount
        best = candidate
      }
    }
    return best
  }

  // MARK: - Storing

  private mutating func putTemplates(
    _ layout: Layout, _ textByteCount: Int, _ effort: TableEffort,
    into target: inout ColumnBuffer
  ) {
    let starts = gather(layout)
    let strings = scanner.strings.bytes.count
    target.append(varint: textByteCount)
    target.append(varint: uses.count)
    target.append(varint: layout.ownCount)
    target.append(varint: layout.leadingCount)
    target.append(varint: scanner.strings.count)
    target.append(varint: strings)
    target.append(varint: templates.bytes.count + uses.count)
    for row in 0..<rowTemplates.count {
      rowTemplates[row] = UInt64(uses[Int(truncatingIfNeeded: rowTemplates[row])].number)
    }
    numbers.encode(rowTemplates, 0..<rowTemplates.count, effort, into: &target)
    sizes.removeAll()
    for string in 0..<scanner.strings.count {
      sizes.append(UInt64(scanner.strings.range(string).count))
    }
    numbers.encode(sizes, 0..<sizes.count, effort, into: &target)
    for column in 0..<layout.columnCount {
      numbers.encode(columnValues, starts[column]..<starts[column + 1], effort, into: &target)
    }
    target.append(scanner.strings.bytes.bytes)
    for template in layout.order {
      target.append(templates.bytes.bytes(templates.range(template)))
      target.append(TextColumn.end)
    }
  }
}
