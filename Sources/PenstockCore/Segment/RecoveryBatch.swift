// The recovery batch: the first batch of a fresh segment, as one atomic unit
//
//     batch line     number far beyond anything seen, durable = the last batch left in place,
//                    prev = that batch's checksum
//     #end lines     where each older segment ends
//     contents       of the provisional batches, verbatim, in order, without the `#end` lines they
//                    begin with: what those end is said by the lines above
//     producers      the table of what is true behind all that (ProducerLines)
//
// It is written with fixed memory, in one pass: the first block, whose checksum is known only at
// the end, goes out last. Each source is checked once more while it is copied.

/// A batch to be copied.
package struct RecoverySource: Sendable {
  package var path: String
  package var extent: BatchExtent
}

/// Writes the recovery batch.
package struct RecoveryBatch<Files: FileSystem>: ~Copyable {
  private let files: Files
  private let file: File
  private let alignment: Int
  /// The block with the batch line; it is written last.
  private var head: AlignedBuffer
  private var chunk: AlignedBuffer
  private var used = 0
  private var isHeadTaken = false
  /// Where the next chunk goes.
  private var offset: Int
  private var sum: UInt32 = 0

  /// Size of one write, in bytes.
  private static var chunkByteCount: Int { 1 << 20 }

  /// Writes the batch behind the header of the segment `header` describes, and syncs it.
  /// - Parameter line: its `byteCount` and `checksum` are found here.
  /// - Returns: the batch's extent.
  package static func write(
    _ files: Files, _ layout: StoreLayout, _ header: SegmentHeader, _ line: BatchLine,
    _ ends: [EndLine], _ sources: [RecoverySource], _ producers: [UInt8] = []
  ) throws(LogError) -> BatchExtent {
    let path = layout.segment(header.name)
    var line = line
    line.salt = header.salt
    line.byteCount = UInt32(byteCount(ends, sources) + producers.count)
    line.checksum = 0
    do throws(FileError) {
      let plain = try files.open(path, .write)
      defer { files.close(plain) }
      let isDirect = files.directAlignment(plain) > 0
      let file = isDirect ? try files.open(path, .writeDirect) : plain
      defer { if isDirect { files.close(file) } }
      var writer = RecoveryBatch(files, file, header.alignment)
      try writer.begin(line)
      for end in ends { try writer.append(Array(end.text.utf8).rawSpan) }
      var window = FileWindow(files, readsPastCache: true)
      for source in sources { try writer.append(source, &window) }
      try writer.append(producers.rawSpan)
      line.checksum = writer.sum
      try writer.finish(line)
      return BatchExtent(
        line: line, offset: header.alignment, isProved: true, isRecovery: !ends.isEmpty)
    } catch {
      throw .file(error)
    }
  }

  /// Bytes of the batch behind its line, without the producers.
  package static func byteCount(_ ends: [EndLine], _ sources: [RecoverySource]) -> Int {
    sources.reduce(ends.count * EndLine.textByteCount) { $0 + $1.extent.contentBehindEnds.count }
  }

  private init(_ files: Files, _ file: File, _ alignment: Int) {
    self.files = files
    self.file = file
    self.alignment = alignment
    head = AlignedBuffer(byteCount: alignment)
    chunk = AlignedBuffer(byteCount: max(RecoveryBatch.chunkByteCount, alignment))
    offset = alignment
  }

  private mutating func begin(_ line: BatchLine) throws(FileError) {
    line.write(into: &chunk, at: 0)
    sum = chunk.bytes(0..<BatchLine.checksummedByteCount).checksum(
      seed: Checksum.ofWord(line.salt))
    used = BatchLine.textByteCount
  }

  private mutating func append(_ content: RawSpan) throws(FileError) {
    sum = content.checksum(seed: sum)
    var position = 0
    while position < content.byteCount {
      let count = min(content.byteCount - position, chunk.byteCount - used)
      chunk.copy(content.extracting(position..<(position + count)), to: used)
      used += count
      position += count
      if used == chunk.byteCount { try flush() }
    }
  }

  private mutating func append(_ source: RecoverySource, _ window: inout FileWindow<Files>)
    throws(FileError)
  {
    let extent = source.extent
    try window.open(source.path)
    var check = Checksum.ofWord(extent.line.salt)
    let line = extent.offset..<(extent.offset + BatchLine.checksummedByteCount)
    if try window.hold(line.lowerBound, count: line.count) >= line.upperBound {
      check = window.bytes(line).checksum(seed: check)
    }
    var position = extent.content.lowerBound
    let copied = extent.contentBehindEnds
    while position < extent.end {
      let limit = position < copied.lowerBound ? copied.lowerBound : extent.end
      let end = min(try window.hold(position), limit)
      guard end > position else { break }
      let bytes = window.bytes(position..<end)
      check = bytes.checksum(seed: check)
      if position >= copied.lowerBound { try append(bytes) }
      position = end
    }
    // It was valid a moment ago. Reading it again decides what it is now.
    guard check == extent.line.checksum else {
      throw FileError(.read, source.path, code: System.inputOutputError)
    }
  }

  /// Writes what the chunk holds, up to a whole block, filler behind it.
  private mutating func flush() throws(FileError) {
    let end = (used + alignment - 1) / alignment * alignment
    chunk.fill(used..<end, with: Byte.lineFeed)
    var from = 0
    if !isHeadTaken {
      RecoveryBatch.copyBlock(from: chunk, to: &head, alignment)
      isHeadTaken = true
      from = alignment
    }
    if from < end { try files.write(file, from: chunk, from..<end, at: offset + from) }
    offset += end
    used = 0
  }

  private static func copyBlock(
    from chunk: borrowing AlignedBuffer, to head: inout AlignedBuffer, _ byteCount: Int
  ) {
    head.copy(chunk.bytes(0..<byteCount), to: 0)
  }

  private mutating func finish(_ line: BatchLine) throws(FileError) {
    if used > 0 { try flush() }
    line.write(into: &head, at: 0)
    try files.write(file, from: head, 0..<alignment, at: alignment)
    try files.syncData(file)
  }
}
