// Reads batches a `LogView` lists, and walks the event lines inside.
//
// The bytes are read into own memory and then checked again: between the view and the read the
// disk may have rotted, or the segment may have been archived and unlinked.

/// Reads the content of batches; keeps the last segment open.
package struct BatchReader<Files: FileSystem>: ~Copyable {
  private let files: Files
  private var memory: AlignedBuffer
  private var segment: OpenSegment<Files>?
  private var contentByteCount = 0

  /// Memory at the start, in bytes; it grows to the largest batch read.
  private static var byteCountAtStart: Int { 256 << 10 }

  package init(_ files: Files) {
    self.files = files
    memory = AlignedBuffer(byteCount: BatchReader.byteCountAtStart)
  }

  /// Reads the batch `extent` of `segment`; `content` is its content until the next load.
  /// - Throws: `.changed` when the segment is gone, `.damaged` when the batch is no longer valid.
  package mutating func load(_ extent: BatchExtent, of segment: LogSegment) throws(LogError) {
    contentByteCount = 0
    do throws(FileError) {
      let file = try open(segment.path)
      if memory.byteCount < extent.byteCount { memory = AlignedBuffer(byteCount: extent.byteCount) }
      let count = try files.read(file, into: &memory, 0..<extent.byteCount, at: extent.offset)
      let span = memory.bytes(0..<count)
      guard let line = BatchLine(span, at: 0), line == extent.line, line.isIntact(in: span, at: 0)
      else { throw FileError(.read, segment.path, code: BatchReader.notIntact) }
    } catch {
      if error.code == System.notFound { throw .changed }
      if error.code == BatchReader.notIntact {
        throw .damaged(segment.name, offset: extent.offset)
      }
      throw .file(error)
    }
    contentByteCount = Int(extent.line.byteCount)
  }

  /// The content of the batch loaded last, behind its batch line.
  package var content: RawSpan {
    @_lifetime(borrow self) get {
      memory.bytes(
        BatchLine.textByteCount..<(BatchLine.textByteCount + contentByteCount))
    }
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

  private mutating func open(_ path: String) throws(FileError) -> File {
    if let segment, segment.path == path { return segment.file }
    segment = nil
    let opened = try OpenSegment(files, path)
    segment = opened
    return opened.file
  }
}

/// The segment that is open. A class: an optimised build does not run the `deinit` of a generic
/// `~Copyable` value that another module holds, only those of its fields (Swift 6.3).
private final class OpenSegment<Files: FileSystem> {
  let path: String
  let file: File
  private let files: Files

  init(_ files: Files, _ path: String) throws(FileError) {
    file = try files.open(path, .read)
    self.files = files
    self.path = path
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
