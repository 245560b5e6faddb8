// Reads a table: trailer and footer when it is opened, pages and blocks on demand.
//
//     init ─▶ candidates(selection) ─▶ load(block) …          streams, groups(ofStream:), verify
//       └── footer damaged ─▶ TableSalvage: the blocks, found one after the other
//
// Memory: the index of the blocks, about 80 bytes each; a page or a block at a time.

package import PenstockCore

/// An open table.
package final class TableReader<Files: FileSystem> {
  package let path: String
  package let store: StoreIdentifier
  package let blocks: [TableBlockEntry]
  /// Which events and segments of each log the table, and those written with it, hold.
  package let covered: [TableCoverage]
  /// The tables it was joined from, by their names in the manifest.
  package let replaced: [String]
  package let eventCount: UInt64
  package let streamCount: Int
  /// The sum of `EventHash` over the events that went in.
  package let hash: UInt64
  /// What is wrong with the table as a whole: empty, unless the footer was damaged.
  package let damage: [TableError]
  /// Blocks read and decoded so far.
  package private(set) var decodedBlockCount = 0

  let pages: [TablePageEntry]
  let indexKeys: [[UInt8]]
  let indexPages: [IndexPageEntry]
  private let files: Files
  private let file: TableFile
  private(set) var part = TablePart()

  /// Opens the table at `path`.
  /// - Parameter pastCache: reads see the disk, not the page cache.
  package init(_ files: Files, path: String, pastCache: Bool = false) throws(TableError) {
    self.files = files
    self.path = path
    let opened: TableFile
    do throws(FileError) {
      opened = try TableFile(files, path, pastCache: pastCache)
    } catch {
      throw TableError(path: path, fault: .file(error))
    }
    let opening: TableOpening<Files>
    do throws(TableError) {
      opening = try TableOpening(files, opened, path)
    } catch {
      files.close(opened.file)
      throw error
    }
    file = opened
    store = opening.store
    pages = opening.footer.pages
    blocks = opening.footer.blocks
    covered = opening.footer.covered
    replaced = opening.footer.replaced
    indexKeys = opening.footer.indexKeys
    indexPages = opening.footer.indexPages
    eventCount = opening.trailer.eventCount
    streamCount = opening.trailer.streamCount
    hash = opening.trailer.hash
    damage = opening.damage
  }

  deinit { files.close(file.file) }

  /// Reads and checks one block.
  package func load(_ index: Int, into block: inout TableBlock) throws(TableError) {
    let entry = blocks[index]
    decodedBlockCount += 1
    let reading: TablePart.Reading
    do throws(FileError) {
      reading = try block.load(files, file, entry.place)
    } catch {
      throw TableError(path: path, fault: .file(error))
    }
    try check(reading, index)
  }

  /// Reads and checks one block through a window onto the table's file.
  func load(_ index: Int, into block: inout TableBlock, _ window: inout FileWindow<Files>)
    throws(TableError)
  {
    let entry = blocks[index]
    guard entry.place.count <= FileWindow<Files>.pieceByteCount else {
      return try load(index, into: &block)
    }
    decodedBlockCount += 1
    let reading: TablePart.Reading
    do throws(FileError) {
      reading = try block.load(&window, entry.place)
    } catch {
      throw TableError(path: path, fault: .file(error))
    }
    try check(reading, index)
  }

  private func check(_ reading: TablePart.Reading, _ index: Int) throws(TableError) {
    switch reading {
    case .whole: return
    case .damaged: throw TableError(path: path, fault: blockDamage(index))
    case .newer:
      throw TableError(path: path, fault: .newerPart(offset: blocks[index].place.lowerBound))
    }
  }

  private func blockDamage(_ index: Int) -> TableError.Fault {
    let entry = blocks[index]
    let first = name(ofStream: entry.streams.lowerBound)
    let last = name(ofStream: entry.streams.upperBound)
    return .damagedBlock(
      index: index, streams: first == last ? first : "\(first) … \(last)",
      times: "\(entry.earliest.text) to \(entry.latest.text)")
  }

  private func name(ofStream stream: Int) -> String {
    guard let index = pages.firstIndex(where: { $0.streams.contains(stream) }),
      let streams = try? page(index)
    else { return "stream \(stream)" }
    return String(decoding: streams[stream - pages[index].streams.lowerBound].name, as: UTF8.self)
  }

  // MARK: - Directory

  /// Reads and checks a part that is not a block.
  func loadPart(_ place: ByteRange, _ kind: TableFormat.Part) throws(FileError)
    -> TablePart.Reading
  {
    try part.load(files, file, place, kind)
  }

  /// The streams of one page.
  func page(_ index: Int) throws(TableError) -> [TableStream] {
    let reading: TablePart.Reading
    do throws(FileError) {
      reading = try loadPart(pages[index].place, .page)
    } catch {
      throw TableError(path: path, fault: .file(error))
    }
    if reading == .newer {
      throw TableError(path: path, fault: .newerPart(offset: pages[index].place.lowerBound))
    }
    guard reading == .whole,
      let streams = part.streams(of: pages[index], blockCount: blocks.count)
    else { throw TableError(path: path, fault: .damagedPage(index: index)) }
    return streams
  }

  /// Calls `body` with every stream, group by group, in order of their keys; false when pages were damaged, and
  /// what is said of streams is not all.
  package func forEachStream(_ body: (TableStream) -> Void) throws(TableError) -> Bool {
    var isWhole = damage.isEmpty
    for index in pages.indices {
      do throws(TableError) {
        for stream in try page(index) { body(stream) }
      } catch {
        if case .file = error.fault { throw error }
        isWhole = false
      }
    }
    return isWhole
  }

  /// What the table says about one stream, group by group; nothing when it has none of this name,
  /// escaped as in a line.
  package func groups(ofStream name: [UInt8]) throws(TableError) -> [TableStream] {
    var found: [TableStream] = []
    for index in pageRange(beginningWith: name) {
      found += try page(index).filter { $0.name == name }
    }
    return found
  }

  /// The pages that can hold names that begin with `prefix`.
  private func pageRange(beginningWith prefix: [UInt8]) -> Range<Int> {
    var low = 0
    var high = pages.count
    // The last page whose first name is not behind the prefix.
    while low < high {
      let middle = (low + high) / 2
      if prefix.lexicographicallyPrecedes(pages[middle].firstName) {
        high = middle
      } else {
        low = middle + 1
      }
    }
    let start = max(0, low - 1)
    var end = low
    while end < pages.count, pages[end].firstName.starts(with: prefix) { end += 1 }
    return start..<end
  }

  /// The blocks that can hold events of the selection, by stream, time and indexes, in stored order.
  package func candidates(_ selection: Selection) throws(TableError) -> [Int] {
    var timely = blocks.indices.filter {
      selection.mayMatch(blocks[$0].earliest...blocks[$0].latest)
    }
    try filter(&timely, byIndexes: selection)
    guard !selection.streams.isEmpty, damage.isEmpty, !timely.isEmpty else { return timely }
    var wantedPages = [Bool](repeating: false, count: pages.count)
    for pattern in selection.streams {
      let prefix = Escape.encode(pattern.prefix.rawSpan, .word)
      for index in pageRange(beginningWith: prefix) { wantedPages[index] = true }
    }
    var wantedBlocks = [Bool](repeating: false, count: blocks.count)
    for index in pages.indices where wantedPages[index] {
      try mark(&wantedBlocks, page: index, selection)
    }
    return timely.filter { wantedBlocks[$0] }
  }

  private func mark(_ wanted: inout [Bool], page index: Int, _ selection: Selection)
    throws(TableError)
  {
    let streams: [TableStream]
    do throws(TableError) {
      streams = try page(index)
    } catch {
      if case .file = error.fault { throw error }
      // Blocks name their streams themselves: those of a damaged page are looked at.
      for (block, entry) in blocks.enumerated() where pages[index].streams.overlaps(entry.streams) {
        wanted[block] = true
      }
      return
    }
    for stream in streams where selection.matches(stream: stream.name.rawSpan) {
      guard selection.mayMatch(stream.earliest...stream.latest) else { continue }
      for block in stream.blocks { wanted[block] = true }
    }
  }
}

/// What opening a table finds.
private struct TableOpening<Files: FileSystem> {
  var store = StoreIdentifier(high: 0, low: 0)
  var trailer = TableTrailer(footer: 0..<0, eventCount: 0, hash: 0, streamCount: 0)
  var footer = TableFooter()
  var damage: [TableError] = []

  init(_ files: Files, _ file: TableFile, _ path: String) throws(TableError) {
    let refused: TableError.Fault?
    do throws(FileError) {
      refused = try open(files, file, path)
    } catch {
      throw TableError(path: path, fault: .file(error))
    }
    if let refused { throw TableError(path: path, fault: refused) }
  }

  /// Why the table cannot be read at all, or nil.
  private mutating func open(_ files: Files, _ file: TableFile, _ path: String) throws(FileError)
    -> TableError.Fault?
  {
    let size = try files.byteCount(file.file)
    var memory = AlignedBuffer(byteCount: AlignedBuffer.pageByteCount)
    let header = try TableOpening.read(
      files, file, &memory, 0..<min(size, TableFormat.headerByteCount))
    var isForeign = false
    switch TableHeader.read(memory.bytes(header)) {
    case .otherVersion(let version): return .otherVersion(version)
    case .header(let header): store = header.store
    case .damaged: break
    case .foreign: isForeign = true
    }
    switch try readFooter(files, file, size, &memory) {
    case .whole: return nil
    case .newer: return .newerPart(offset: trailer.footer.lowerBound)
    case .damaged: break
    }
    let salvage = try TableSalvage(files, file, fileByteCount: size)
    if isForeign, salvage.blocks.isEmpty { return .notATable }
    take(salvage, path)
    return nil
  }

  private mutating func take(_ salvage: TableSalvage, _ path: String) {
    damage = [TableError(path: path, fault: .damagedFooter)]
    damage += salvage.damaged.map { TableError(path: path, fault: .damagedBytes($0)) }
    footer = TableFooter()
    footer.blocks = salvage.blocks
    trailer.eventCount = salvage.blocks.reduce(0) { $0 + UInt64($1.rowCount) }
  }

  /// Where `range` of the file lies in `memory`; nowhere when the device cannot read it.
  private static func read(
    _ files: Files, _ file: TableFile, _ memory: inout AlignedBuffer, _ range: ByteRange
  ) throws(FileError) -> ByteRange {
    do throws(FileError) {
      return try file.read(files, range, into: &memory) ?? 0..<0
    } catch {
      guard System.isUnreadableBlock(error.code) else { throw error }
      return 0..<0
    }
  }

  private mutating func readFooter(
    _ files: Files, _ file: TableFile, _ size: Int, _ memory: inout AlignedBuffer
  ) throws(FileError) -> TablePart.Reading {
    let start = size - TableFormat.trailerByteCount
    guard start >= TableFormat.headerByteCount else { return .damaged }
    let range = try TableOpening.read(files, file, &memory, start..<size)
    guard let found = TableTrailer(memory.bytes(range), at: start) else { return .damaged }
    trailer = found
    var part = TablePart()
    let reading = try part.load(files, file, found.footer, .footer)
    guard reading == .whole else { return reading }
    guard
      let read = TableFooter(
        part, end: found.footer.lowerBound, streamCount: found.streamCount)
    else { return .damaged }
    footer = read
    return .whole
  }
}
