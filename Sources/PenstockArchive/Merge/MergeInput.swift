// A table that is being joined with others: its rows, one after the other, in their order.

internal import PenstockCore

/// The rows of one table that belong to the output, in order.
final class MergeInput<Files: FileSystem> {
  private let table: TableReader<Files>
  private let choice: MergeChoice
  private var block = TableBlock()
  private var blockIndex = -1
  /// The row met; behind the last one there is none.
  private(set) var row = 0
  private(set) var isAtEnd = false

  /// Opens the table at `path` and goes to its first row.
  init(_ files: Files, path: String, _ choice: MergeChoice) throws(TableError) {
    table = try TableReader(files, path: path)
    self.choice = choice
    // Without its footer a table does not say whether this is all of it.
    if let damage = table.damage.first { throw damage }
    try loadNext()
    if !isAtEnd, !isWanted { try advance() }
  }

  var covered: [TableCoverage] { table.covered }

  /// Goes to the next row.
  @inline(__always)
  func advance() throws(TableError) {
    repeat {
      row &+= 1
      if row >= block.rowCount { try loadNext() }
    } while !isAtEnd && !isWanted
  }

  private var isWanted: Bool {
    @inline(__always) get { choice.isAll || choice.takes(block.time(row)) }
  }

  private func loadNext() throws(TableError) {
    row = 0
    repeat {
      blockIndex += 1
    } while blockIndex < table.blocks.count
      && !choice.mayTake(table.blocks[blockIndex])
    guard blockIndex < table.blocks.count else {
      isAtEnd = true
      return
    }
    try table.load(blockIndex, into: &block)
  }

  /// Whether the row met comes before that of `other`.
  @inline(__always)
  func precedes(_ other: MergeInput<Files>) -> Bool {
    block.precedes(row, other.block, other.row)
  }

  var eventKey: EventKey { block.key(row) }

  /// Whether the row met is of the stream and group `key`.
  @inline(__always)
  func isOf(_ key: [UInt8]) -> Bool { block.isOf(key, row) }

  /// Stream and group of the row met.
  var key: [UInt8] { block.key(ofRow: row) }

  /// Puts the line of the row met together, from the start of `memory` on.
  @inline(__always)
  func putLine(into memory: inout AlignedBuffer, _ fields: inout EventLine) {
    let sizes = block.sizes(row)
    if memory.byteCount < sizes.byteCount {
      memory = AlignedBuffer(byteCount: 2 * sizes.byteCount)
    }
    block.putLine(row, sizes, into: &memory, at: 0)
    sizes.fields(block.time(row), &fields)
  }
}

/// Which events of the inputs an output takes.
enum MergeChoice: Equatable, Sendable {
  case all
  /// Those of one bucket.
  case bucket(Int64, BucketLength)
  /// Those of no bucket that has an output of its own.
  case others(Set<Int64>, BucketLength)

  var isAll: Bool { self == .all }

  func takes(_ time: Timestamp) -> Bool {
    switch self {
    case .all: true
    case .bucket(let number, let length): length.number(of: time) == number
    case .others(let own, let length): !own.contains(length.number(of: time))
    }
  }

  func mayTake(_ block: TableBlockEntry) -> Bool {
    guard case .bucket(let number, let length) = self else { return true }
    return length.number(of: block.earliest) <= number && number <= length.number(of: block.latest)
  }
}
