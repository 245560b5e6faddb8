// Reads batches a `LogView` lists, and walks the event lines inside.
//
// The bytes are read into own memory and then checked again: between the view and the read the
// disk may have rotted, or the segment may have been archived and unlinked.

/// Reads the content of batches; keeps the last segment open.
package struct BatchReader<Files: FileSystem>: ~Copyable {
  private let files: Files
  private var memory: AlignedBuffer
  private var file: File?
  private var path = ""
  private var contentByteCount = 0

  /// Memory at the start, in bytes; it grows to the largest batch read.
  private static var byteCountAtStart: Int { 256 << 10 }

  package init(_ files: Files) {
    self.files = files
    memory = AlignedBuffer(byteCount: BatchReader.byteCountAtStart)
  }

  deinit {
    if let file { files.close(file) }
  }

  /// Reads the batch `extent` of `segment`; `content` is its content until the next load.
  /// - Throws: `.changed` when the segment is gone, `.damaged` when the batch is no longer valid.
  package mutating func load(_ extent: BatchExtent, of segment: LogSegment) throws(LogError) {
    contentByteCount = 0
    do throws(FileError) {
      try open(segment.path)
      if memory.byteCount < extent.byteCount { memory = AlignedBuffer(byteCount: extent.byteCount) }
      guard let file else { preconditionFailure("the segment was just opened") }
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

  private mutating func open(_ wanted: String) throws(FileError) {
    guard file == nil || path != wanted else { return }
    if let file { files.close(file) }
    file = nil
    file = try files.open(wanted, .read)
    path = wanted
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
