// Finds the blocks of a table without its footer: part after part, and behind damaged bytes from
// the next mark of a part on. Every block it finds is whole: it was read and checked.

internal import PenstockCore

/// The blocks of a table whose footer is damaged.
struct TableSalvage {
  private(set) var blocks: [TableBlockEntry] = []
  /// Bytes that are no part.
  private(set) var damaged: [ByteRange] = []

  /// Bytes read at a time when the next part is looked for.
  private static let searchByteCount = 64 << 10

  init<Files: FileSystem>(_ files: Files, _ file: TableFile, fileByteCount size: Int)
    throws(FileError)
  {
    var memory = AlignedBuffer(byteCount: TableSalvage.searchByteCount)
    var block = TableBlock()
    var part = TablePart()
    var offset = TableFormat.headerByteCount
    var damageStart: Int?
    // The footer and what stands behind it are known to be damaged.
    while offset < size {
      if let head = try TableSalvage.head(files, file, &memory, offset, size),
        try take(files, file, head, offset, &block, &part)
      {
        close(&damageStart, at: offset)
        if head.kind == .footer { return }
        offset += head.byteCount
      } else {
        damageStart = damageStart ?? offset
        offset = try TableSalvage.nextMark(files, file, &memory, offset + 1, size)
      }
    }
    close(&damageStart, at: size)
  }

  private mutating func close(_ start: inout Int?, at end: Int) {
    if let start { damaged.append(start..<end) }
    start = nil
  }

  private static func head<Files: FileSystem>(
    _ files: Files, _ file: TableFile, _ memory: inout AlignedBuffer, _ offset: Int, _ size: Int
  ) throws(FileError) -> PartHead? {
    let range = try read(
      files, file, &memory, offset..<min(offset + TableFormat.partHeaderByteCount, size))
    guard let head = PartHead(memory.bytes(range)), head.byteCount <= size - offset else {
      return nil
    }
    return head
  }

  /// Whether the part at `offset` is whole; a block is kept.
  private mutating func take<Files: FileSystem>(
    _ files: Files, _ file: TableFile, _ head: PartHead, _ offset: Int, _ block: inout TableBlock,
    _ part: inout TablePart
  ) throws(FileError) -> Bool {
    let place = offset..<(offset + head.byteCount)
    guard head.kind == .block else {
      return try part.load(files, file, place, head.kind) != .damaged
    }
    switch try block.load(files, file, place) {
    case .damaged: return false
    // What a newer version wrote is met again, and named, when it is read.
    case .newer: break
    case .whole: break
    }
    blocks.append(
      TableBlockEntry(
        place: place, rawByteCount: block.rawByteCount, rowCount: head.rowCount, streams: 0...0,
        earliest: min(block.earliest, block.latest), latest: max(block.earliest, block.latest)))
    return true
  }

  /// The next offset at which a part may begin.
  private static func nextMark<Files: FileSystem>(
    _ files: Files, _ file: TableFile, _ memory: inout AlignedBuffer, _ from: Int, _ size: Int
  ) throws(FileError) -> Int {
    var offset = from
    while offset < size {
      let range = try read(files, file, &memory, offset..<min(offset + searchByteCount, size))
      let span = memory.bytes(range)
      let count = range.count
      for index in 0..<max(0, count - 3)
      where TableFormat.Part(rawValue: UInt32(truncatingIfNeeded: span.word(at: index))) != nil {
        return offset + index
      }
      // The last three bytes may be the beginning of a mark.
      offset += max(count - 3, AlignedBuffer.pageByteCount)
    }
    return size
  }

  /// Where `range` of the file lies in `memory`; nowhere when the device cannot read it.
  private static func read<Files: FileSystem>(
    _ files: Files, _ file: TableFile, _ memory: inout AlignedBuffer, _ range: ByteRange
  ) throws(FileError) -> ByteRange {
    do throws(FileError) {
      return try file.read(files, range, into: &memory) ?? 0..<0
    } catch {
      guard System.isUnreadableBlock(error.code) else { throw error }
      return 0..<0
    }
  }
}
