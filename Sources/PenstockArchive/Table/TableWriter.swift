// Writes a table from events given in its order.
//
//     init → add(event)… in ascending order → finish
//
// Memory is fixed by the block size and the largest event, apart from the footer, which grows with
// the number of streams and blocks. The file is synced before `finish` returns; naming it in the
// manifest is the archiver's business.

package import PenstockCore

/// What a finished table holds.
package struct TableSummary: Equatable, Sendable {
  package var eventCount: UInt64 = 0
  package var hash: UInt64 = 0
  package var byteCount = 0
  package var earliest = Timestamp.latest
  package var latest = Timestamp.earliest
  package var streamCount = 0
  package var blockCount = 0
}

/// One event for a table, as ranges of the bytes given with it.
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
  private var offset = 0
  private var summary = TableSummary()

  private var columns: Columns
  private var block: ColumnBuffer
  private var rowCount = 0
  private var rowByteCount = 0
  private var blockEarliest: Int128 = 0
  private var blockLatest: Int128 = 0
  private var blockFirstStream = 0

  private var streams = ColumnBuffer(capacity: 64 << 10)
  private var blocks = ColumnBuffer(capacity: 64 << 10)
  private var covered: [UInt8: ClosedRange<UInt64>] = [:]
  private var previousName: [UInt8] = []
  private var name: [UInt8] = []
  private var streamIndex = -1
  private var streamEvents: UInt64 = 0
  private var streamFirstBlock = 0
  private var streamEarliest: Int128 = 0
  private var streamLatest: Int128 = 0

  /// The columns of the open block.
  private struct Columns: ~Copyable {
    var streams = ColumnBuffer(capacity: 64 << 10)
    var times = ColumnBuffer(capacity: 64 << 10)
    var logs = ColumnBuffer(capacity: 4 << 10)
    var sequences = ColumnBuffer(capacity: 64 << 10)
    var typeSizes = ColumnBuffer(capacity: 64 << 10)
    var attributeSizes = ColumnBuffer(capacity: 64 << 10)
    var payloadSizes = ColumnBuffer(capacity: 64 << 10)
    var types = ColumnBuffer(capacity: 64 << 10)
    var attributes = ColumnBuffer(capacity: 256 << 10)
    var payloads = ColumnBuffer(capacity: 512 << 10)
    var previousTime: Int128 = 0
    var previousSequence: UInt64 = 0
    var runStream = -1
    var previousRunStream = 0
    var runStreamRows: UInt64 = 0
    var runLog: UInt8?
    var runLogRows: UInt64 = 0
  }

  /// Creates the file, which must not exist.
  package init(_ files: Files, path: String, store: StoreIdentifier) throws(FileError) {
    let header = TableWriter.header(store)
    let file = try files.open(path, .create)
    do throws(FileError) {
      try files.write(file, from: header.memory, 0..<header.count, at: 0)
    } catch {
      files.close(file)
      throw error
    }
    self.init(files, file, offset: header.count)
  }

  private init(_ files: Files, _ file: File, offset: Int) {
    self.files = files
    self.file = file
    self.offset = offset
    columns = Columns()
    block = ColumnBuffer(capacity: 1 << 20)
  }

  private static func header(_ store: StoreIdentifier) -> ColumnBuffer {
    var header = ColumnBuffer(capacity: TableFormat.headerByteCount)
    header.append(TableFormat.headerMagic)
    header.append(TableFormat.version)
    header.append(UInt32(0))
    header.append(store.high)
    header.append(store.low)
    while header.count < TableFormat.headerByteCount - 4 { header.append(UInt32(0)) }
    let sum = header.bytes.checksum()
    header.append(sum)
    return header
  }

  /// Begins the next stream; names come in ascending order of their bytes.
  package mutating func begin(stream newName: RawSpan) {
    endStream()
    name = newName.array()
    precondition(streamIndex < 0 || previousName.lexicographicallyPrecedes(name))
    streamIndex += 1
    streamEvents = 0
    streamFirstBlock = summary.blockCount
  }

  private mutating func endStream() {
    guard streamIndex >= 0, streamEvents > 0 else { return }
    var shared = 0
    while shared < min(previousName.count, name.count), previousName[shared] == name[shared] {
      shared += 1
    }
    streams.append(varint: UInt64(shared))
    streams.append(varint: UInt64(name.count - shared))
    let rest = Array(name[shared...])
    streams.append(rest.rawSpan)
    streams.append(varint: streamEvents)
    streams.append(varint: UInt64(streamFirstBlock))
    streams.append(varint: UInt64(rowCount > 0 ? summary.blockCount : summary.blockCount - 1))
    streams.append(zigzag: streamEarliest)
    streams.append(zigzag: streamLatest - streamEarliest)
    previousName = name
    summary.streamCount += 1
  }

  /// Adds the next event of the stream begun last; `row` points into `line`.
  package mutating func add(_ row: TableRow, _ line: RawSpan) throws(FileError) {
    let time = row.time.nanosecondsSince1970
    if rowCount == 0 {
      blockEarliest = time
      blockLatest = time
      blockFirstStream = streamIndex
    }
    if streamEvents == 0 {
      // A stream whose first row opens a block begins there.
      streamFirstBlock = summary.blockCount
      streamEarliest = time
    }
    streamLatest = time
    streamEvents += 1
    blockEarliest = min(blockEarliest, time)
    blockLatest = max(blockLatest, time)
    noteRuns(row.log)
    columns.times.append(zigzag: time - columns.previousTime)
    columns.previousTime = time
    columns.sequences.append(
      zigzag: Int128(row.sequence.value) - Int128(columns.previousSequence))
    columns.previousSequence = row.sequence.value
    columns.typeSizes.append(varint: UInt64(row.type.count))
    columns.attributeSizes.append(varint: UInt64(row.attributes.count))
    columns.payloadSizes.append(varint: UInt64(row.payload.count))
    columns.types.append(line.extracting(row.type))
    columns.attributes.append(line.extracting(row.attributes))
    columns.payloads.append(line.extracting(row.payload))
    rowCount += 1
    rowByteCount += line.byteCount
    note(row, time)
    if rowByteCount >= TableFormat.blockByteCount || rowCount == TableFormat.rowCountMax {
      try endBlock()
    }
  }

  private mutating func note(_ row: TableRow, _ time: Int128) {
    summary.eventCount += 1
    summary.earliest = min(summary.earliest, row.time)
    summary.latest = max(summary.latest, row.time)
    let sequence = row.sequence.value
    if let range = covered[row.log.value] {
      if !range.contains(sequence) {
        covered[row.log.value] =
          min(range.lowerBound, sequence)...max(range.upperBound, sequence)
      }
    } else {
      covered[row.log.value] = sequence...sequence
    }
  }

  private mutating func noteRuns(_ log: LogNumber) {
    if columns.runStream != streamIndex {
      endStreamRun()
      columns.runStream = streamIndex
    }
    columns.runStreamRows += 1
    if columns.runLog != log.value {
      endLogRun()
      columns.runLog = log.value
    }
    columns.runLogRows += 1
  }

  private mutating func endStreamRun() {
    guard columns.runStreamRows > 0 else { return }
    columns.streams.append(varint: UInt64(columns.runStream - columns.previousRunStream))
    columns.streams.append(varint: columns.runStreamRows)
    columns.previousRunStream = columns.runStream
    columns.runStreamRows = 0
  }

  private mutating func endLogRun() {
    guard columns.runLogRows > 0, let log = columns.runLog else { return }
    columns.logs.append(varint: UInt64(log))
    columns.logs.append(varint: columns.runLogRows)
    columns.runLogRows = 0
  }

  /// Writes the open block.
  private mutating func endBlock() throws(FileError) {
    guard rowCount > 0 else { return }
    endStreamRun()
    endLogRun()
    let columnCount = TableFormat.Column.allCases.count
    block.removeAll()
    block.append(TableFormat.blockMagic)
    block.append(UInt32(rowCount))
    block.append(UInt32(columnCount))
    block.append(UInt32(0))
    block.append(UInt32(0))
    block.append(UInt32(0))
    let entries = block.count
    for _ in 0..<(columnCount * 3) { block.append(UInt32(0)) }
    var index = 0
    func put(_ kind: TableFormat.Column, _ column: inout ColumnBuffer, _ block: inout ColumnBuffer)
    {
      let (encoding, byteCount) = block.append(encoded: column)
      let entry = entries + index * TableFormat.entryByteCount
      block.replace(UInt32(kind.rawValue) | UInt32(encoding) << 16, at: entry)
      block.replace(UInt32(column.count), at: entry + 4)
      block.replace(UInt32(byteCount), at: entry + 8)
      column.removeAll()
      index += 1
    }
    put(.streams, &columns.streams, &block)
    put(.times, &columns.times, &block)
    put(.logs, &columns.logs, &block)
    put(.sequences, &columns.sequences, &block)
    put(.typeSizes, &columns.typeSizes, &block)
    put(.attributeSizes, &columns.attributeSizes, &block)
    put(.payloadSizes, &columns.payloadSizes, &block)
    put(.types, &columns.types, &block)
    put(.attributes, &columns.attributes, &block)
    put(.payloads, &columns.payloads, &block)
    block.replace(UInt32(block.count - TableFormat.blockHeaderByteCount), at: 12)
    let head = block.bytes.extracting(0..<20).checksum()
    let sum = block.bytes.extracting(TableFormat.blockHeaderByteCount..<block.count)
      .checksum(seed: head)
    block.replace(sum, at: 20)
    try files.write(file, from: block.memory, 0..<block.count, at: offset)
    blocks.append(varint: UInt64(offset))
    blocks.append(varint: UInt64(block.count))
    blocks.append(varint: UInt64(rowCount))
    blocks.append(varint: UInt64(blockFirstStream))
    blocks.append(varint: UInt64(streamIndex))
    blocks.append(zigzag: blockEarliest)
    blocks.append(zigzag: blockLatest - blockEarliest)
    offset += block.count
    summary.blockCount += 1
    resetBlock()
  }

  private mutating func resetBlock() {
    rowCount = 0
    rowByteCount = 0
    columns.previousTime = 0
    columns.previousSequence = 0
    columns.runStream = -1
    columns.previousRunStream = 0
    columns.runLog = nil
  }

  /// Writes what is left, footer and trailer, and syncs the file.
  /// - Parameter hash: the sum of `EventHash` over the events that were added.
  package consuming func finish(hash: UInt64) throws(FileError) -> TableSummary {
    // The stream's entry names the block its last row goes to.
    endStream()
    try endBlock()
    summary.hash = hash
    var footer = ColumnBuffer(capacity: 64 << 10)
    TableWriter.putSection(streams, count: summary.streamCount, &footer)
    TableWriter.putSection(blocks, count: summary.blockCount, &footer)
    var ranges = ColumnBuffer(capacity: 4 << 10)
    for (log, range) in covered.sorted(by: { $0.key < $1.key }) {
      ranges.append(varint: UInt64(log))
      ranges.append(varint: range.lowerBound)
      ranges.append(varint: range.upperBound)
    }
    TableWriter.putSection(ranges, count: covered.count, &footer)
    let footerSum = footer.bytes.checksum()
    let footerByteCount = footer.count
    let start = footer.count
    footer.append(UInt64(offset))
    footer.append(UInt64(footerByteCount))
    footer.append(summary.eventCount)
    footer.append(summary.hash)
    for _ in 0..<3 { footer.append(UInt32(0)) }
    footer.append(footerSum)
    footer.append(TableFormat.version)
    footer.append(TableFormat.trailerMagic)
    let trailerSum = footer.bytes.extracting(start..<footer.count).checksum()
    footer.append(trailerSum)
    try files.write(file, from: footer.memory, 0..<footer.count, at: offset)
    summary.byteCount = offset + footer.count
    try files.syncFile(file)
    files.close(file)
    return summary
  }

  private static func putSection(
    _ section: borrowing ColumnBuffer, count: Int, _ footer: inout ColumnBuffer
  ) {
    var whole = ColumnBuffer(capacity: section.count + 16)
    whole.append(varint: UInt64(count))
    whole.append(section.bytes)
    let start = footer.count
    footer.append(UInt32(whole.count))
    footer.append(UInt32(0))
    footer.append(UInt32(0))
    let (encoding, byteCount) = footer.append(encoded: whole)
    footer.replace(UInt32(byteCount), at: start + 4)
    footer.replace(UInt32(encoding), at: start + 8)
  }
}
