// Compares a table's indexes with its events: for each key the sum over all postings, which does
// not depend on their order, is built from the events and from the index.

internal import PenstockCore

/// A comparison in progress.
final class IndexCheck {
  private var writer: IndexWriter
  private var sums: [UInt64]

  init(_ keys: [[UInt8]]) {
    writer = IndexWriter(keys)
    sums = [UInt64](repeating: 0, count: keys.count)
  }

  /// Takes the events of a block.
  func take(_ block: borrowing TableBlock, number: Int) {
    for row in 0..<block.rowCount {
      let fields = block.fields(row)
      writer.take(block.bytes, type: fields.type, attributes: fields.attributes, row: row)
    }
    writer.endBlock(number)
    if writer.isFull { collect() }
  }

  private func collect() {
    writer.drain { key, value, postings in
      for posting in postings { sums[key] &+= IndexCheck.hash(value, posting) }
    }
  }

  private static func hash(_ value: [UInt8], _ posting: IndexPosting) -> UInt64 {
    let place = UInt64(posting.block) << 32 | UInt64(posting.eventCount)
    return (UInt64(value.rawSpan.checksum()) &+ place) &* 0x9E37_79B9_7F4A_7C15
      ^ place &* 0xD6E8_FEB8_6659_FD93
  }

  /// Whether the table's indexes say what the blocks taken say.
  func agrees<Files: FileSystem>(with table: TableReader<Files>) throws(TableError) -> Bool {
    collect()
    var said = [UInt64](repeating: 0, count: sums.count)
    try table.forEachPosting { key, value, postings in
      for posting in postings { said[key] &+= IndexCheck.hash(value, posting) }
    }
    return said == sums
  }

  /// Reads every page, whatever it says.
  static func readAll<Files: FileSystem>(_ table: TableReader<Files>) throws(TableError) {
    try table.forEachPosting { _, _, _ in }
  }
}
