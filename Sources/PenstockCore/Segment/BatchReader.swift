// Reads batches a `LogView` lists, and walks the event lines inside.
//
// The bytes are read into own memory and then checked again: between the view and the read the
// disk may have rotted, or the segment may have been archived and unlinked. Who reads a log once,
// from front to back, takes a `BatchStream`.

/// Reads the content of batches; keeps the last segment open.
package struct BatchReader<Files: FileSystem>: ~Copyable {
  private let files: Files
  private var memory: AlignedBuffer
  private var segment: OpenSegment<Files>?
  /// Where in memory the content of the batch lies.
  private var contentRange: ByteRange = 0..<0

  /// Memory at the start, in bytes; it grows to the largest batch read.
  private static var byteCountAtStart: Int { 256 << 10 }

  package init(_ files: Files) {
    self.files = files
    memory = AlignedBuffer(byteCount: BatchReader.byteCountAtStart)
  }

  /// Reads the batch `extent` of `segment`; `content` is its content until the next load.
  /// - Throws: `.changed` when the segment is gone, `.damaged` when the batch is no longer valid.
  package mutating func load(_ extent: BatchExtent, of segment: LogSegment) throws(LogError) {
    contentRange = 0..<0
    do throws(FileError) {
      let open = try open(segment.path)
      if memory.byteCount < extent.byteCount {
        memory = AlignedBuffer(byteCount: extent.byteCount)
      }
      let count = try files.read(
        open.file, into: &memory, 0..<extent.byteCount, at: extent.offset)
      guard extent.isIntact(in: memory.bytes(0..<count)) else {
        throw FileError(.read, segment.path, code: BatchExtent.notIntact)
      }
    } catch {
      throw extent.error(error, in: segment)
    }
    contentRange = extent.contentRange
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

  private mutating func open(_ path: String) throws(FileError) -> OpenSegment<Files> {
    if let segment, segment.path == path { return segment }
    segment = nil
    let opened = try OpenSegment(files, path)
    segment = opened
    return opened
  }
}

/// The segment that is open. A class: an optimised build does not run the `deinit` of a generic
/// `~Copyable` value that another module holds, only those of its fields (Swift 6.3).
private final class OpenSegment<Files: FileSystem> {
  let path: String
  let file: File
  private let files: Files

  init(_ files: Files, _ path: String) throws(FileError) {
    self.files = files
    self.path = path
    file = try files.open(path, .read)
  }

  deinit { files.close(file) }
}

extension BatchExtent {
  /// No kernel error: a batch that is not what the view said.
  static var notIntact: Int32 { -1 }

  /// Where the content is, behind the batch line, counted from the first byte of the batch.
  var contentRange: ByteRange {
    BatchLine.textByteCount..<(BatchLine.textByteCount + Int(line.byteCount))
  }

  /// Whether `span` begins with the batch as the view saw it.
  func isIntact(in span: RawSpan) -> Bool {
    guard let line = BatchLine(span, at: 0), line == self.line else { return false }
    return line.isIntact(in: span, at: 0)
  }

  /// What it means for who reads the log that the batch could not be read.
  func error(_ error: FileError, in segment: LogSegment) -> LogError {
    switch error.code {
    case System.notFound: .changed
    case BatchExtent.notIntact: .damaged(segment.name, offset: offset)
    default: .file(error)
    }
  }
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
