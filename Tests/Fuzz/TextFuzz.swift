// Columns of texts and numbers, without the table around them: what a checksum and a compressor
// keep other damage from.
//
//     input = flags rest
//     flags   bits 0–1: 0 the rest is a column with encoding 0   1 with encoding 1
//                       2 it is rows, cut at each LF             3 it is numbers
//             bits 2–7: of a column and of numbers, how many there are
//                       of rows, bit 2 the effort, bit 3 each is there a dozen times

import PenstockArchive
import PenstockCore

enum TextFuzz {
  /// A block's columns, and as much again of what may stand behind the last row.
  private static let textByteCountMax = 17 << 20

  static func run(_ input: [UInt8]) {
    var reader = InputReader(input)
    let flags = reader.byte()
    let count = Int(flags >> 2)
    switch flags & 3 {
    case 2: encode(reader.rest(), flags)
    case 3: numbers(reader.rest(), count)
    default:
      // Most columns are short; many rows are asked for too.
      let rowCount = count < 60 ? count + 1 : 1 << (count - 60 + 13)
      decode(reader.rest(), encoding: UInt16(flags & 1), rowCount: rowCount)
    }
  }

  private static func decode(_ bytes: [UInt8], encoding: UInt16, rowCount: Int) {
    guard let texts = texts(bytes, encoding: encoding, rowCount: rowCount) else { return }
    require(texts.count == rowCount, "\(texts.count) rows of \(rowCount)")
    // What stood in memory before must not matter.
    require(
      TextFuzz.texts(bytes, encoding: encoding, rowCount: rowCount, isUsed: true) == texts,
      "a column decodes otherwise in memory that was used")
    let total = texts.reduce(0) { $0 + $1.count }
    if total < 4 << 10 { comesBack(texts, rowCount % 2 == 0 ? .fast : .thorough) }
  }

  private static func encode(_ bytes: [UInt8], _ flags: UInt8) {
    let rows = bytes.split(separator: Byte.lineFeed, omittingEmptySubsequences: false)
      .map(Array.init)
    let effort = flags & 4 == 0 ? TableEffort.fast : .thorough
    // A statement is met again and again.
    comesBack(flags & 8 == 0 ? rows : (0..<12).flatMap { _ in rows }, effort)
  }

  private static func comesBack(_ rows: [[UInt8]], _ effort: TableEffort) {
    var collected = TextRows(capacity: 64)
    for row in rows { collected.append(row.rawSpan) }
    var encoder = TextEncoder()
    var buffer = ColumnBuffer(capacity: 64)
    let encoding = encoder.encode(collected, effort, into: &buffer)
    let back = texts(buffer.bytes.array(), encoding: encoding, rowCount: rows.count)
    require(back == rows, "rows do not come back, \(effort)")
  }

  private static func texts(
    _ bytes: [UInt8], encoding: UInt16, rowCount: Int, isUsed: Bool = false
  ) -> [[UInt8]]? {
    var decoder = TextDecoder()
    var texts = ColumnBuffer(capacity: 64)
    var starts = NumberBuffer()
    if isUsed {
      texts.append([UInt8](repeating: 0xA5, count: 300).rawSpan)
      _ = decoder.decode(
        bytes.rawSpan, 0..<(bytes.count / 2), encoding: 1, rowCount: 3, into: &texts,
        starts: &starts)
      texts.removeAll()
      texts.append(UInt8(7))
    }
    let start = texts.count
    let isWhole = decoder.decode(
      bytes.rawSpan, 0..<bytes.count, encoding: encoding, rowCount: rowCount, into: &texts,
      starts: &starts)
    require(texts.count <= textByteCountMax, "\(texts.count) bytes of texts")
    guard isWhole else { return nil }
    require(
      starts.count == rowCount + 1 && Int(starts[0]) == start
        && Int(starts[rowCount]) == texts.count, "rows that do not fill the texts")
    let all = texts.bytes.array()
    var rows: [[UInt8]] = []
    for row in 0..<rowCount {
      require(starts[row] <= starts[row + 1], "a row ends before it begins")
      rows.append(Array(all[Int(starts[row])..<Int(starts[row + 1])]))
    }
    return rows
  }

  private static func numbers(_ bytes: [UInt8], _ count: Int) {
    let wanted = count < 60 ? count : 1 << (count - 60 + 14)
    var values = NumberBuffer()
    var reader = NumberReader(0..<bytes.count)
    guard reader.numbers(bytes.rawSpan, count: wanted, into: &values) else { return }
    require(values.count == wanted, "\(values.count) numbers of \(wanted)")
    var encoder = NumberEncoder()
    var buffer = ColumnBuffer(capacity: 64)
    encoder.encode(values, 0..<wanted, .thorough, into: &buffer)
    var back = NumberBuffer()
    let encoded = buffer.bytes.array()
    var again = NumberReader(0..<encoded.count)
    require(
      again.numbers(encoded.rawSpan, count: wanted, into: &back) && again.isAtEnd,
      "numbers cannot be read again")
    for index in 0..<wanted { require(values[index] == back[index], "another number") }
  }
}
