// Checks a whole table: every block, the order of its rows, what footer and directory say of it,
// and that the events are those that went in.
//
//     blocks, in order ─▶ rows ─▶ count, hash, order
//            └─▶ streams ─▶ compared with the directory, page by page

internal import PenstockCore

extension TableReader {
  /// Reads everything and compares it with what went in.
  /// - Parameter comparesIndexes: whether indexes are compared with the events, not only read.
  /// - Returns: what is wrong; empty when the table is whole.
  package func verify(comparesIndexes: Bool = true) throws(TableError) -> [TableError] {
    try verify(comparesIndexes: comparesIndexes) { index, block throws(TableError) in
      try load(index, into: &block)
    }
  }

  private func verify(
    comparesIndexes: Bool, _ load: (Int, inout TableBlock) throws(TableError) -> Void
  ) throws(TableError) -> [TableError] {
    var check = TableCheck(self, comparesIndexes: comparesIndexes)
    var block = TableBlock()
    for index in blocks.indices {
      do throws(TableError) {
        try load(index, &block)
        check.take(block, blocks[index])
        for row in 0..<block.rowCount { check.take(row, &block) }
        check.endBlock(block)
      } catch {
        if case .file = error.fault { throw error }
        check.note(error)
      }
    }
    return try check.finish()
  }

  /// Reads a table past the cache and compares it with what went in. The blocks behind the one that
  /// is compared are on their way meanwhile.
  static func prove(_ files: Files, path: String, eventCount: UInt64, hash: UInt64)
    throws(TableError)
  {
    let table = try TableReader(files, path: path, pastCache: true)
    var window = FileWindow(
      files, readsPastCache: true, readsAhead: true,
      seamlessByteCount: FileWindow<Files>.pieceByteCount)
    defer { window.close() }
    do throws(FileError) {
      try window.open(path)
    } catch {
      throw TableError(path: path, fault: .file(error))
    }
    // What was just written from these events needs no comparing.
    let errors = try table.verify(comparesIndexes: false) { index, block throws(TableError) in
      try table.load(index, into: &block, &window)
    }
    if let error = errors.first { throw error }
    guard table.eventCount == eventCount, table.hash == hash else {
      throw TableError(path: path, fault: .notProved)
    }
  }
}

/// A check in progress.
private struct TableCheck<Files: FileSystem>: ~Copyable {
  private let table: TableReader<Files>
  private var errors: [TableError]
  private var count: UInt64 = 0
  private var hash: UInt64 = 0
  private var memory = AlignedBuffer(byteCount: 64 << 10)
  private var index = -1
  private var name = -1
  private var last: EventKey?
  private var isOrdered = true
  /// The streams met since the last comparison with the directory, in order.
  private var streams: [TableStream] = []
  private var comparedPageCount = 0
  /// Number of the stream met last.
  private var streamNumber = -1
  /// Whether every block so far could be read: only then is the directory known to be wrong.
  private var hasAllBlocks = true

  private let indexes: IndexCheck?

  init(_ table: TableReader<Files>, comparesIndexes: Bool) {
    self.table = table
    indexes = comparesIndexes && table.damage.isEmpty ? IndexCheck(table.indexKeys) : nil
    errors = table.damage
  }

  mutating func note(_ error: TableError) {
    errors.append(error)
    hasAllBlocks = false
    index += 1
    last = nil
  }

  private mutating func contradict(_ what: String) {
    errors.append(TableError(path: table.path, fault: .contradiction(what)))
  }

  mutating func take(_ block: borrowing TableBlock, _ entry: TableBlockEntry) {
    index += 1
    name = -1
    let isAsIndexed =
      block.rowCount == entry.rowCount && block.earliest == entry.earliest
      && block.latest == entry.latest
      && (!table.damage.isEmpty || block.nameCount == entry.streams.count)
    if !isAsIndexed {
      contradict("the footer says something else of block \(index) than it holds")
    }
  }

  mutating func take(_ row: Int, _ block: inout TableBlock) {
    let key = block.key(row)
    if name != block.name(ofRow: row) {
      begin(block.name(ofRow: row), block)
      checkNumber(row)
    }
    if let last, !(last < key), isOrdered {
      isOrdered = false
      contradict("events of block \(index) are not in order")
    }
    last = key
    let place = streams.count - 1
    streams[place].eventCount += 1
    streams[place].earliest = min(streams[place].earliest, key.time)
    streams[place].latest = max(streams[place].latest, key.time)
    let sizes = block.sizes(row)
    if memory.byteCount < sizes.byteCount { memory = AlignedBuffer(byteCount: sizes.byteCount) }
    block.putLine(row, sizes, into: &memory, at: 0)
    hash &+= EventHash.of(memory.bytes(0..<sizes.byteCount), key.log, key.sequence)
    count += 1
  }

  func endBlock(_ block: borrowing TableBlock) { indexes?.take(block, number: index) }

  /// A row of another stream than the one before, or the first of a block.
  private mutating func begin(_ number: Int, _ block: borrowing TableBlock) {
    name = number
    let bytes = block.key(ofName: number)
    if let known = streams.last, known.key.rawSpan.equals(bytes) {
      let place = streams.count - 1
      streams[place].blocks = known.blocks.lowerBound...index
      return
    }
    last = nil
    streamNumber += 1
    if let before = streams.last, !before.key.rawSpan.precedes(bytes) {
      contradict("streams of block \(index) are not in order")
    }
    if streams.count > 4096 {
      compare(keepingLast: true)
      if !hasAllBlocks { streams.removeAll() }
    }
    streams.append(
      TableStream(
        key: bytes.array(), eventCount: 0, blocks: index...index, earliest: .latest,
        latest: .earliest))
  }

  private mutating func checkNumber(_ row: Int) {
    guard row == 0, hasAllBlocks, table.damage.isEmpty else { return }
    let said = table.blocks[index].streams.lowerBound
    if said != streamNumber {
      contradict("the footer says block \(index) begins with stream \(said), not \(streamNumber)")
    }
  }

  /// Compares whole pages of the directory with the streams met.
  private mutating func compare(keepingLast: Bool) {
    while comparedPageCount < table.pages.count {
      let page = table.pages[comparedPageCount]
      guard page.streams.count < streams.count + (keepingLast ? 0 : 1) else { return }
      do throws(TableError) {
        let said = try table.page(comparedPageCount)
        if hasAllBlocks, said != Array(streams.prefix(said.count)) {
          contradict(
            "page \(comparedPageCount) of the directory says something else than the blocks")
        }
      } catch {
        errors.append(error)
      }
      comparedPageCount += 1
      if hasAllBlocks { streams.removeFirst(page.streams.count) }
    }
  }

  private mutating func checkIndexes() throws(TableError) {
    do throws(TableError) {
      guard let indexes else { return try IndexCheck.readAll(table) }
      guard try indexes.agrees(with: table) else {
        contradict("the indexes say something else than the events")
        return
      }
    } catch {
      if case .file = error.fault { throw error }
      errors.append(error)
    }
  }

  consuming func finish() throws(TableError) -> [TableError] {
    if hasAllBlocks, table.damage.isEmpty {
      compare(keepingLast: false)
      if comparedPageCount < table.pages.count || !streams.isEmpty {
        contradict("the directory has other streams than the blocks")
      }
      try checkIndexes()
      if count != table.eventCount || hash != table.hash {
        errors.append(TableError(path: table.path, fault: .notProved))
      }
    } else {
      for index in comparedPageCount..<max(comparedPageCount, table.pages.count) {
        do throws(TableError) {
          _ = try table.page(index)
        } catch {
          errors.append(error)
        }
      }
    }
    if let failure = errors.first(where: { if case .file = $0.fault { true } else { false } }) {
      throw failure
    }
    return errors
  }
}
