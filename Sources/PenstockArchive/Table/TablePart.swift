// A part of a table, written and read: a head, column entries, columns. Blocks, pages of the
// directory and the footer are parts; what their columns mean is told elsewhere. The columns are
// compressed together: short ones share much with each other.

internal import PenstockCore

/// The first bytes of a part.
struct PartHead {
  var kind: TableFormat.Part
  var rowCount: Int
  var columnCount: Int
  var packing: UInt16
  /// Bytes behind the head.
  var storedByteCount: Int
  /// Bytes of the columns.
  var poolByteCount: Int
  var checksum: UInt32

  /// Nil unless a part may begin like this.
  init?(_ span: RawSpan, at offset: Int = 0) {
    guard offset + TableFormat.partHeaderByteCount <= span.byteCount,
      let kind = TableFormat.Part(rawValue: UInt32(truncatingIfNeeded: span.word(at: offset)))
    else { return nil }
    self.kind = kind
    rowCount = Int(span.word(at: offset) >> 32)
    columnCount = Int(UInt16(truncatingIfNeeded: span.word(at: offset + 8)))
    packing = UInt16(truncatingIfNeeded: span.word(at: offset + 8) >> 16)
    storedByteCount = Int(span.word(at: offset + 8) >> 32)
    poolByteCount = Int(UInt32(truncatingIfNeeded: span.word(at: offset + 16)))
    checksum = UInt32(truncatingIfNeeded: span.word(at: offset + 16) >> 32)
    guard columnCount <= TableFormat.columnCountMax, entryByteCount <= storedByteCount,
      poolByteCount <= PartHead.poolByteCountMax(kind),
      !PoolPacking.isKnown(packing)
        || PoolPacking.mayDecode(
          packing, stored: storedByteCount - entryByteCount, count: poolByteCount)
    else { return nil }
  }

  /// Bytes of all entries.
  var entryByteCount: Int { columnCount * TableFormat.entryByteCount }
  var byteCount: Int { TableFormat.partHeaderByteCount + storedByteCount }

  static func poolByteCountMax(_ kind: TableFormat.Part) -> Int {
    kind == .footer ? TableFormat.footerByteCountMax : TableFormat.rawByteCountMax
  }
}

/// A part's columns, side by side in memory that is used again for the next part.
struct TablePart: ~Copyable {
  enum Reading: Equatable { case whole, damaged, newer }

  private(set) var rowCount = 0
  private var stored = AlignedBuffer(byteCount: 64 << 10)
  private var memory = AlignedBuffer(byteCount: 64 << 10)
  private var places: [Place] = []

  private struct Place {
    var kind: TableFormat.Column
    var encoding: UInt16
    var range: ByteRange
  }

  /// The columns.
  var bytes: RawSpan {
    @_lifetime(borrow self) get { memory.bytes }
  }

  /// Where a column lies in `bytes`; nil when the part has none of this kind.
  func column(_ kind: TableFormat.Column) -> ByteRange? {
    places.first { $0.kind == kind }?.range
  }

  /// How a column of the part is made.
  func encoding(_ kind: TableFormat.Column) -> UInt16 {
    places.first { $0.kind == kind }?.encoding ?? 0
  }

  /// Appends bytes of `bytes` to `target`.
  func append(_ range: ByteRange, to target: inout ColumnBuffer) {
    target.append(memory.bytes(range))
  }

  /// Reads and checks the part that fills `place` of the file.
  mutating func load<Files: FileSystem>(
    _ files: Files, _ file: TableFile, _ place: ByteRange, _ kind: TableFormat.Part
  ) throws(FileError) -> Reading {
    do throws(FileError) {
      guard let range = try file.read(files, place, into: &stored) else { return .damaged }
      return decode(range, kind)
    } catch {
      // A block of the device that cannot be read is damage like any other.
      guard System.isUnreadableBlock(error.code) else { throw error }
      return .damaged
    }
  }

  /// The same through a window, which shows what cannot be read as damage.
  mutating func load<Files: FileSystem>(
    _ window: inout FileWindow<Files>, _ place: ByteRange, _ kind: TableFormat.Part
  ) throws(FileError) -> Reading {
    guard try window.hold(place.lowerBound, count: place.count) >= place.upperBound else {
      return .damaged
    }
    if stored.byteCount < place.count { stored = AlignedBuffer(byteCount: place.count) }
    stored.copy(window.bytes(place), to: 0)
    return decode(0..<place.count, kind)
  }

  private mutating func decode(_ range: ByteRange, _ kind: TableFormat.Part) -> Reading {
    places.removeAll(keepingCapacity: true)
    rowCount = 0
    guard let head = PartHead(stored.bytes(range)), head.kind == kind,
      head.byteCount == range.count, TablePart.isIntact(stored.bytes(range), head)
    else { return .damaged }
    guard PoolPacking.isKnown(head.packing) else { return .newer }
    let reading = TablePart.places(stored, range, head, &places)
    guard reading == .whole else { return reading }
    if memory.byteCount < head.poolByteCount {
      memory = AlignedBuffer(byteCount: head.poolByteCount)
    }
    let start = range.lowerBound + TableFormat.partHeaderByteCount + head.entryByteCount
    guard
      PoolPacking.decode(
        stored, start..<range.upperBound, head.packing, count: head.poolByteCount, into: &memory)
    else { return .damaged }
    rowCount = head.rowCount
    return .whole
  }

  private static func isIntact(_ span: RawSpan, _ head: PartHead) -> Bool {
    span.extracting(TableFormat.partHeaderByteCount..<span.byteCount)
      .checksum(seed: span.extracting(0..<20).checksum()) == head.checksum
  }

  private static func places(
    _ stored: borrowing AlignedBuffer, _ range: ByteRange, _ head: PartHead,
    _ places: inout [Place]
  ) -> Reading {
    let span = stored.bytes(range)
    var offset = 0
    for index in 0..<head.columnCount {
      let entry = TableFormat.partHeaderByteCount + index * TableFormat.entryByteCount
      let word = span.word(at: entry)
      let kind = UInt16(truncatingIfNeeded: word)
      let encoding = UInt16(truncatingIfNeeded: word >> 16)
      let count = Int(word >> 32)
      guard count <= head.poolByteCount - offset else { return .damaged }
      defer { offset += count }
      guard let column = TableFormat.Column(rawValue: kind) else {
        if kind >= TableFormat.skippableKind { continue }
        return .newer
      }
      guard encoding <= column.encodingMax else { return .newer }
      guard !places.contains(where: { $0.kind == column }) else { return .damaged }
      places.append(Place(kind: column, encoding: encoding, range: offset..<(offset + count)))
    }
    return offset == head.poolByteCount ? .whole : .damaged
  }
}

/// A table's file, open for reading.
struct TableFile {
  let file: File
  /// What direct reads have to be a multiple of; 1 when they go through the page cache.
  let blockByteCount: Int

  /// Opens `path`.
  /// - Parameter pastCache: read what the disk holds, not what the page cache does.
  init<Files: FileSystem>(_ files: Files, _ path: String, pastCache: Bool) throws(FileError) {
    let plain = try files.open(path, .read)
    guard pastCache else {
      file = plain
      blockByteCount = 1
      return
    }
    let direct = files.directAlignment(plain)
    if direct > 0, direct <= SegmentHeader.alignmentMax,
      let past = try? files.open(path, .readDirect)
    {
      files.close(plain)
      file = past
      blockByteCount = max(AlignedBuffer.pageByteCount, direct)
    } else {
      files.dropCache(plain)
      file = plain
      blockByteCount = 1
    }
  }

  /// Reads `place` into `memory`, which grows to hold it: where it lies there, or nil when the file
  /// ends before.
  func read<Files: FileSystem>(
    _ files: Files, _ place: ByteRange, into memory: inout AlignedBuffer
  ) throws(FileError) -> ByteRange? {
    let start = place.lowerBound / blockByteCount * blockByteCount
    let end = (place.upperBound + blockByteCount - 1) / blockByteCount * blockByteCount
    if memory.byteCount < end - start { memory = AlignedBuffer(byteCount: end - start) }
    let count = try files.read(file, into: &memory, 0..<(end - start), at: start)
    guard count >= place.upperBound - start else { return nil }
    return (place.lowerBound - start)..<(place.upperBound - start)
  }
}

/// Puts a part together.
struct PartBuilder: ~Copyable {
  private(set) var buffer = ColumnBuffer(capacity: 256 << 10)
  /// The columns, one after the other.
  var pool = ColumnBuffer(capacity: 512 << 10)
  private var columnIndex = 0
  private var columnCount = 0
  /// Where the next column begins in `pool`.
  private var columnStart = 0

  var byteCount: Int { buffer.count }

  /// Begins a part of `columnCount` columns.
  mutating func begin(_ kind: TableFormat.Part, rowCount: Int, columnCount: Int) {
    buffer.removeAll()
    pool.removeAll()
    columnIndex = 0
    columnStart = 0
    self.columnCount = columnCount
    buffer.append(kind.rawValue)
    buffer.append(UInt32(rowCount))
    buffer.append(UInt32(columnCount))
    for _ in 0..<(3 + 2 * columnCount) { buffer.append(UInt32(0)) }
  }

  /// Adds the next column and empties it.
  mutating func put(_ kind: TableFormat.Column, _ column: inout ColumnBuffer) {
    pool.append(column.bytes)
    column.removeAll()
    end(kind, encoding: 0)
  }

  /// Ends the next column: what was appended to `pool` since the one before.
  mutating func end(_ kind: TableFormat.Column, encoding: UInt16) {
    precondition(columnIndex < columnCount)
    let entry = TableFormat.partHeaderByteCount + columnIndex * TableFormat.entryByteCount
    buffer.replace(UInt32(kind.rawValue) | UInt32(encoding) << 16, at: entry)
    buffer.replace(UInt32(pool.count - columnStart), at: entry + 4)
    columnStart = pool.count
    columnIndex += 1
  }

  /// Packs the pool and seals the part.
  mutating func finish(_ effort: TableEffort) {
    precondition(columnIndex == columnCount)
    let start = TableFormat.partHeaderByteCount
    let packing = buffer.append(packed: pool, effort)
    buffer.replace(UInt32(columnCount) | UInt32(packing) << 16, at: 8)
    buffer.replace(UInt32(buffer.count - start), at: 12)
    buffer.replace(UInt32(pool.count), at: 16)
    let head = buffer.bytes.extracting(0..<20).checksum()
    let sum = buffer.bytes.extracting(start..<buffer.count).checksum(seed: head)
    buffer.replace(sum, at: 20)
  }

  /// Writes the part at `offset` of the file.
  func write<Files: FileSystem>(_ files: Files, _ file: File, at offset: Int) throws(FileError) {
    try files.write(file, from: buffer.memory, 0..<buffer.count, at: offset)
  }
}
