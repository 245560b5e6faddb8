// Reads batches a `LogView` lists, and walks the event lines inside.
//
// The bytes are read into own memory and then checked again: between the view and the read the
// disk may have rotted, or the segment may have been archived and unlinked. Past the page cache, on
// request: who reads a log once has no use for copies of it, and making them costs more than
// everything else that is done with the bytes. Then a stretch is read at once, of which the batches
// behind the one asked for are lent without another read.

/// Reads the content of batches; keeps the last segment open.
package struct BatchReader<Files: FileSystem>: ~Copyable {
  private let files: Files
  private let readsPastCache: Bool
  private var memory: AlignedBuffer
  private var segment: OpenSegment<Files>?
  /// The part of the open segment that memory holds.
  private var held: ByteRange = 0..<0
  /// Where in memory the content of the batch lies.
  private var contentRange: ByteRange = 0..<0

  /// Memory at the start, in bytes; it grows to the largest batch read.
  private static var byteCountAtStart: Int { 256 << 10 }

  /// Bytes read at once past the cache: the device's full speed, and no more than the largest batch
  /// takes anyway.
  private static var stretchByteCount: Int { 2 << 20 }

  /// - Parameter readsPastCache: where that is possible.
  package init(_ files: Files, readsPastCache: Bool = false) {
    self.files = files
    self.readsPastCache = readsPastCache
    memory = AlignedBuffer(byteCount: BatchReader.byteCountAtStart)
  }

  /// Reads the batch `extent` of `segment`; `content` is its content until the next load.
  /// - Throws: `.changed` when the segment is gone, `.damaged` when the batch is no longer valid.
  package mutating func load(_ extent: BatchExtent, of segment: LogSegment) throws(LogError) {
    contentRange = 0..<0
    var start = 0
    do throws(FileError) {
      let open = try open(segment.path)
      let known = held
      if extent.offset < known.lowerBound || extent.end > known.upperBound {
        try hold(extent, open)
      }
      let range = held
      start = extent.offset - range.lowerBound
      let span = memory.bytes(0..<min(range.count, start + extent.byteCount))
      guard let line = BatchLine(span, at: start), line == extent.line,
        line.isIntact(in: span, at: start)
      else { throw FileError(.read, segment.path, code: BatchReader.notIntact) }
    } catch {
      held = 0..<0
      if error.code == System.notFound { throw .changed }
      if error.code == BatchReader.notIntact {
        throw .damaged(segment.name, offset: extent.offset)
      }
      throw .file(error)
    }
    // Through the cache each batch is read for itself.
    if !readsPastCache { held = 0..<0 }
    let first = start + BatchLine.textByteCount
    contentRange = first..<(first + Int(extent.line.byteCount))
  }

  /// Reads the batch, and past the cache as much behind it as a stretch holds.
  private mutating func hold(_ extent: BatchExtent, _ open: OpenSegment<Files>) throws(FileError) {
    held = 0..<0
    let start = extent.offset - extent.offset % open.blockByteCount
    let batch = open.whole(extent.end - start)
    let wanted = readsPastCache ? max(batch, BatchReader.stretchByteCount) : batch
    if memory.byteCount < wanted { memory = AlignedBuffer(byteCount: wanted) }
    do throws(FileError) {
      let count = try files.read(open.file, into: &memory, 0..<wanted, at: start)
      held = start..<(start + count)
    } catch {
      // A block that cannot be read costs the batch it is in, not those in front of it.
      guard wanted > batch, System.isUnreadableBlock(error.code) else { throw error }
      let count = try files.read(open.file, into: &memory, 0..<batch, at: start)
      held = start..<(start + count)
    }
  }

  /// The content of the batch loaded last, behind its batch line.
  package var content: RawSpan {
    @_lifetime(borrow self) get { memory.bytes(contentRange) }
  }

  /// Reads the batch `extent` of `segment` and lends `body` its content.
  package mutating func read<R>(
    _ extent: BatchExtent, of segment: LogSegment, _ body: (RawSpan) throws -> R
  ) throws -> R {
    try load(extent, of: segment)
    return try body(content)
  }

  /// No kernel error: a batch that is not what the view said.
  private static var notIntact: Int32 { -1 }

  private mutating func open(_ path: String) throws(FileError) -> OpenSegment<Files> {
    if let segment, segment.path == path { return segment }
    segment = nil
    held = 0..<0
    let opened = try OpenSegment(files, path, readsPastCache: readsPastCache)
    segment = opened
    return opened
  }
}

/// The segment that is open. A class: an optimised build does not run the `deinit` of a generic
/// `~Copyable` value that another module holds, only those of its fields (Swift 6.3).
private final class OpenSegment<Files: FileSystem> {
  let path: String
  let file: File
  /// Reads begin and end at multiples of it.
  let blockByteCount: Int
  private let files: Files

  init(_ files: Files, _ path: String, readsPastCache: Bool) throws(FileError) {
    self.files = files
    self.path = path
    let plain = try files.open(path, .read)
    let direct = readsPastCache ? files.directAlignment(plain) : 0
    if direct > 0, direct <= SegmentHeader.alignmentMax,
      let past = try? files.open(path, .readDirect)
    {
      files.close(plain)
      file = past
      blockByteCount = max(AlignedBuffer.pageByteCount, direct)
    } else {
      file = plain
      blockByteCount = 1
    }
  }

  /// `byteCount` up to the end of its last block.
  func whole(_ byteCount: Int) -> Int {
    (byteCount + blockByteCount - 1) / blockByteCount * blockByteCount
  }

  deinit { files.close(file) }
}

/// The event lines of one batch's content.
package struct BatchContent {
  private var sequence: SequenceNumber
  private var offset = 0

  /// - Parameter firstSequence: the batch's first sequence number.
  package init(firstSequence: SequenceNumber) { sequence = firstSequence }

  /// The next event line's sequence number and place, without its LF; `#` lines are skipped.
  package mutating func next(in content: RawSpan) -> (SequenceNumber, ByteRange)? {
    while offset < content.byteCount {
      let start = offset
      let end = content.firstIndex(of: Byte.lineFeed, from: start, to: content.byteCount)
      offset = end &+ 1
      if content.byte(at: start) == Byte.hash || end == start { continue }
      defer { sequence = sequence.advanced(by: 1) }
      return (sequence, start..<end)
    }
    return nil
  }
}
