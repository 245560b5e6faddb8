// Scans of one key of a table, forward and backward: its rows lie one after the other, in order of
// time, so a scan decodes the key's blocks one by one and stops when it is told to.

package import PenstockCore

/// A scan of the events of one stream and group.
package struct TableScan<Files: FileSystem>: ~Copyable {
  private let table: TableReader<Files>
  private let key: [UInt8]
  private let direction: ReadDirection
  private let since: Timestamp?
  private let until: Timestamp?
  /// The blocks that are left, in the order of the scan.
  private var blocks: [Int]
  private var nextBlock = 0
  /// The decoded block, and the rows of the key in it.
  package private(set) var block = TableBlock()
  private var rows = 0..<0
  private var position = 0

  /// - Parameters:
  ///   - stream: what the directory says of stream and group.
  ///   - wanted: the only blocks to look at, ascending; nil for all of the stream.
  package init(
    _ table: TableReader<Files>, _ stream: TableStream, _ direction: ReadDirection = .forward,
    since: Timestamp? = nil, until: Timestamp? = nil, blocks wanted: [Int]? = nil
  ) {
    self.table = table
    key = stream.key
    self.direction = direction
    self.since = since
    self.until = until
    let all = wanted.map { $0.filter { stream.blocks.contains($0) } } ?? Array(stream.blocks)
    let timely = all.filter { index in
      let entry = table.blocks[index]
      if let since, entry.latest < since { return false }
      if let until, !(entry.earliest < until) { return false }
      return true
    }
    blocks = direction == .forward ? timely : timely.reversed()
  }

  /// The next row of `block`; nil at the end.
  @inline(__always)
  package mutating func next() throws(TableError) -> Int? {
    while position == rows.count {
      guard try loadNext() else { return nil }
    }
    let row =
      direction == .forward
      ? rows.lowerBound &+ position : rows.upperBound &- 1 &- position
    position &+= 1
    return row
  }

  /// Hands out the rows of the key in the next block that is left; false at the end. They ascend
  /// in either direction. Callers outside of this module come by whole blocks: a generic verb
  /// costs them more than a row does.
  package mutating func nextBlock(
    _ body: (borrowing TableBlock, Range<Int>) -> Void
  ) throws(TableError) -> Bool {
    guard try loadNext() else { return false }
    position = rows.count
    body(block, rows)
    return true
  }

  private mutating func loadNext() throws(TableError) -> Bool {
    guard nextBlock < blocks.count else { return false }
    try table.load(blocks[nextBlock], into: &block)
    nextBlock += 1
    position = 0
    rows = block.rows(of: key)
    if let since { rows = block.firstRow(of: rows, notBefore: since)..<rows.upperBound }
    if let until { rows = rows.lowerBound..<block.firstRow(of: rows, notBefore: until) }
    return true
  }
}

extension TableBlock {
  /// The rows of one stream and group.
  func rows(of key: [UInt8]) -> Range<Int> {
    var low = 0
    var high = rowCount
    // The first row that is not of a key before this one.
    while low < high {
      let middle = (low + high) / 2
      if self.key(ofName: name(ofRow: middle)).precedes(key.rawSpan) {
        low = middle + 1
      } else {
        high = middle
      }
    }
    let start = low
    high = rowCount
    while low < high {
      let middle = (low + high) / 2
      if isOf(key, middle) {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return start..<low
  }

  /// The first of the rows, which are of one key, at or behind an instant.
  func firstRow(of rows: Range<Int>, notBefore time: Timestamp) -> Int {
    var low = rows.lowerBound
    var high = rows.upperBound
    while low < high {
      let middle = (low + high) / 2
      if self.time(middle) < time {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return low
  }
}
