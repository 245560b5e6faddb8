// Writes a table from events given in its order.
//
//     init → ( begin(key) → add(event)… )… → finish
//
// Keys (StreamKey) ascend by their bytes, events of one key by time and position. Memory is
// fixed by the block size and the largest event, apart from the index of the blocks, about 20
// bytes each. The file is synced before `finish` returns; naming it in the manifest is the
// archiver's business.

package import PenstockCore

/// What a finished table holds.
package struct TableSummary: Equatable, Sendable {
  package var eventCount: UInt64 = 0
  package var hash: UInt64 = 0
  package var byteCount = 0
  package var earliest = Timestamp.latest
  package var latest = Timestamp.earliest
  package var streamCount: UInt64 = 0
  package var blockCount = 0
}

/// One event for a table, as ranges of the bytes given with it: its fields as in an event line.
package struct TableRow {
  package var time: Timestamp
  package var log: LogNumber
  package var sequence: SequenceNumber
  package var type: ByteRange
  package var attributes: ByteRange
  package var payload: ByteRange

  package init(
    time: Timestamp, log: LogNumber, sequence: SequenceNumber, type: ByteRange,
    attributes: ByteRange, payload: ByteRange
  ) {
    self.time = time
    self.log = log
    self.sequence = sequence
    self.type = type
    self.attributes = attributes
    self.payload = payload
  }
}

/// Writes one table.
package struct TableWriter<Files: FileSystem>: ~Copyable {
  private let files: Files
  private let file: File
  private let effort: TableEffort
  private var offset: Int
  /// The kernel has been told to write what stands before it.
  private var writeBackOffset = 0
  private var summary = TableSummary()

  private var columns: BlockColumns
  private var part = PartBuilder()
  private var directory = DirectoryWriter()
  private var blocks = BlockIndexWriter()
  private var indexes: IndexWriter
  /// The stream begun last; it has a directory entry once it ended.
  private var stream = TableStream(
    key: [], eventCount: 0, blocks: 0...0, earliest: .latest, latest: .earliest)

  /// Creates the file, which must not exist.
  /// - Parameters:
  ///   - indexes: keys of attributes, escaped, or "type": their values are indexed.
  ///   - effort: how much time may go into making it small.
  package init(
    _ files: Files, path: String, store: StoreIdentifier, indexes keys: [[UInt8]] = [],
    effort: TableEffort = .fast
  ) throws(FileError) {
    var header = ColumnBuffer(capacity: TableFormat.headerByteCount)
    TableHeader(store: store).append(to: &header)
    let file = try files.open(path, .create)
    do throws(FileError) {
      try files.write(file, from: header.memory, 0..<header.count, at: 0)
    } catch {
      files.close(file)
      throw error
    }
    self.files = files
    self.file = file
    self.effort = effort
    columns = BlockColumns(effort)
    offset = header.count
    indexes = IndexWriter(keys)
  }

  deinit { files.close(file) }

  /// Bytes written so far.
  var byteCount: Int { offset }

  /// Begins the events of the next key; keys ascend and are at most `StreamKey.byteCountMax` long.
  package mutating func begin(_ key: RawSpan) throws(FileError) {
    precondition(key.byteCount > 0 && key.byteCount <= StreamKey.byteCountMax)
    precondition(stream.key.rawSpan.precedes(key))
    try endStream()
    stream.key = key.array()
    stream.eventCount = 0
  }

  private mutating func endStream() throws(FileError) {
    guard stream.eventCount > 0 else { return }
    // Its last row is in the open block, or went with the block before.
    let last = columns.rowCount > 0 ? summary.blockCount : summary.blockCount - 1
    stream.blocks = stream.blocks.lowerBound...last
    directory.add(stream)
    summary.streamCount += 1
    if directory.isFull { try endPage() }
  }

  private mutating func endPage() throws(FileError) {
    directory.finishPage(&part, at: offset, effort)
    try part.write(files, file, at: offset)
    offset += part.byteCount
  }

  /// Adds the next event of the key begun last; `row` names ranges of `bytes`.
  @inline(__always)
  package mutating func add(_ row: TableRow, _ bytes: RawSpan) throws(FileError) {
    if stream.eventCount == 0 {
      stream.blocks = summary.blockCount...summary.blockCount
      stream.earliest = row.time
      columns.begin(name: stream.key, number: summary.streamCount)
    } else if columns.rowCount == 0 {
      columns.begin(name: stream.key, number: summary.streamCount)
    }
    assert(stream.eventCount == 0 || stream.latest <= row.time, "times of a stream ascend")
    stream.latest = row.time
    stream.eventCount &+= 1
    indexes.take(
      bytes, type: row.type, attributes: row.attributes, row: columns.rowCount)
    columns.add(row, bytes)
    if columns.isFull { try endBlock() }
  }

  private mutating func endBlock() throws(FileError) {
    let rowCount = columns.rowCount
    guard rowCount > 0 else { return }
    summary.eventCount += UInt64(rowCount)
    summary.earliest = min(summary.earliest, columns.earliest)
    summary.latest = max(summary.latest, columns.latest)
    blocks.add(columns, at: offset)
    let raw = columns.finish(&part)
    blocks.finish(byteCount: part.byteCount, rawByteCount: raw, rowCount: rowCount)
    try part.write(files, file, at: offset)
    offset += part.byteCount
    beginWriteBack()
    indexes.endBlock(summary.blockCount)
    summary.blockCount += 1
    if indexes.isFull { try endSection() }
  }

  /// Lets the disk work while the next blocks are made, so that the sync has less to wait for. The
  /// page that is still being filled is left alone.
  private mutating func beginWriteBack() {
    let end = offset / AlignedBuffer.pageByteCount * AlignedBuffer.pageByteCount
    guard end - writeBackOffset >= TableFormat.writeBackByteCount else { return }
    files.beginWriteBack(file, writeBackOffset..<end)
    writeBackOffset = end
  }

  private mutating func endSection() throws(FileError) {
    try indexes.endSection(&part, files, file, &offset, effort)
  }

  /// Writes what is left, footer and trailer, and syncs the file.
  /// - Parameters:
  ///   - hash: the sum of `EventHash` over the events that were added.
  ///   - covered: the events and segments of each log that the table, and those written with it,
  ///     hold; ascending by log.
  ///   - replaced: the tables it was joined from, by their names in the manifest.
  package consuming func finish(
    hash: UInt64, covered: [TableCoverage], replaced: [String] = []
  ) throws(FileError) -> TableSummary {
    try endStream()
    try endBlock()
    if !directory.isEmpty { try endPage() }
    try endSection()
    summary.hash = hash
    let start = offset
    var coverage = ColumnBuffer(capacity: 4 << 10)
    for entry in covered {
      coverage.append(varint: UInt64(entry.log.value))
      coverage.append(varint: entry.sequences.lowerBound)
      coverage.append(varint: entry.sequences.upperBound)
      coverage.append(varint: entry.segments.lowerBound)
      coverage.append(varint: entry.segments.upperBound)
    }
    var names = ColumnBuffer(capacity: 1 << 10)
    for name in replaced {
      names.append(varint: name.utf8.count)
      names.append(Array(name.utf8))
    }
    part.begin(
      .footer, rowCount: summary.blockCount,
      columnCount: 3 + (names.isEmpty ? 0 : 1) + indexes.columnCount)
    part.put(.pages, &directory.pages)
    part.put(.blocks, &blocks.column)
    part.put(.covered, &coverage)
    if !names.isEmpty { part.put(.replaced, &names) }
    indexes.put(&part)
    part.finish(effort)
    try part.write(files, file, at: offset)
    offset += part.byteCount
    var trailer = ColumnBuffer(capacity: TableFormat.trailerByteCount)
    TableTrailer(
      footer: start..<offset, eventCount: summary.eventCount, hash: hash,
      streamCount: Int(summary.streamCount)
    ).append(to: &trailer)
    try files.write(file, from: trailer.memory, 0..<trailer.count, at: offset)
    summary.byteCount = offset + trailer.count
    try files.syncFile(file)
    return summary
  }
}

/// The footer's column of blocks.
struct BlockIndexWriter: ~Copyable {
  var column = ColumnBuffer(capacity: 16 << 10)
  private var previousEnd = TableFormat.headerByteCount
  private var previousStream: UInt64 = 0
  private var previousTime = Timestamp(seconds: 0, nanoseconds: 0)
  private var offset = 0
  private var streams: ClosedRange<UInt64> = 0...0
  private var times = Timestamp.earliest...Timestamp.earliest

  /// Takes what the columns of the block at `offset` know, before they are emptied.
  mutating func add(_ columns: borrowing BlockColumns, at offset: Int) {
    self.offset = offset
    streams = columns.firstStream...columns.lastStream
    times = columns.earliest...columns.latest
  }

  /// Adds the entry.
  mutating func finish(byteCount: Int, rawByteCount: Int, rowCount: Int) {
    column.append(varint: offset - previousEnd)
    column.append(varint: byteCount)
    column.append(varint: rawByteCount)
    column.append(varint: rowCount)
    column.append(varint: streams.lowerBound - previousStream)
    column.append(varint: streams.upperBound - streams.lowerBound)
    column.append(times.lowerBound, since: previousTime)
    column.append(span: times.lowerBound, times.upperBound)
    previousEnd = offset + byteCount
    previousStream = streams.lowerBound
    previousTime = times.lowerBound
  }
}
