// Reads batches a `LogView` lists from front to back, once, while those before are worked on.
//
//     load(batch) → content …  next segment: load opens it …  close
//
// Past the page cache: who reads a log once has no use for copies of it, and making them costs more
// than everything else that is done with the bytes. What follows is on its way meanwhile, so that
// the device works while events are taken. As with `BatchReader`, every batch is checked again.

/// Reads the content of batches in file order, segment after segment.
package struct BatchStream<Files: FileSystem>: ~Copyable {
  private var window: FileWindow<Files>
  /// The segment the window has open.
  private var path = ""
  /// Batches larger than a piece of the window are put together here.
  private var memory = AlignedBuffer(byteCount: AlignedBuffer.pageByteCount)
  /// Where the content lies: in the window's file, or in memory.
  private var contentRange: ByteRange = 0..<0
  private var isInMemory = true

  private static var pieceByteCount: Int { FileWindow<Files>.pieceByteCount }

  package init(_ files: Files) {
    window = FileWindow(
      files, readsPastCache: true, readsAhead: true,
      seamlessByteCount: FileWindow<Files>.pieceByteCount)
  }

  /// Closes the segment; a later load opens one again. Whoever makes a stream closes it.
  package mutating func close() {
    window.close()
    path = ""
    forget()
  }

  private mutating func forget() {
    contentRange = 0..<0
    isInMemory = true
  }

  /// Reads the batch `extent` of `segment`; `content` is its content until the next load.
  /// - Throws: `.changed` when the segment is gone, `.damaged` when the batch is no longer valid.
  package mutating func load(_ extent: BatchExtent, of segment: LogSegment) throws(LogError) {
    forget()
    do throws(FileError) {
      if path != segment.path {
        path = ""
        try window.open(segment.path)
        path = segment.path
      }
      guard try hold(extent) else {
        // A device that reads nothing at all is no damage of this batch.
        try window.checkReadable()
        throw FileError(.read, segment.path, code: BatchExtent.notIntact)
      }
    } catch {
      throw extent.error(error, in: segment)
    }
  }

  /// Makes the content that of the batch; false when it is no longer intact.
  private mutating func hold(_ extent: BatchExtent) throws(FileError) -> Bool {
    guard extent.byteCount <= BatchStream.pieceByteCount else { return try gather(extent) }
    guard try window.hold(extent.offset, count: extent.byteCount) >= extent.end,
      extent.isIntact(in: window.bytes(extent.offset..<extent.end))
    else { return false }
    let content = extent.contentRange
    contentRange = (extent.offset + content.lowerBound)..<(extent.offset + content.upperBound)
    isInMemory = false
    return true
  }

  /// The same for a batch that the window does not show whole.
  private mutating func gather(_ extent: BatchExtent) throws(FileError) -> Bool {
    if memory.byteCount < extent.byteCount { memory = AlignedBuffer(byteCount: extent.byteCount) }
    for start in stride(from: extent.offset, to: extent.end, by: BatchStream.pieceByteCount) {
      let end = min(start + BatchStream.pieceByteCount, extent.end)
      guard try window.hold(start, count: end - start) >= end else { return false }
      memory.copy(window.bytes(start..<end), to: start - extent.offset)
    }
    guard extent.isIntact(in: memory.bytes(0..<extent.byteCount)) else { return false }
    contentRange = extent.contentRange
    return true
  }

  /// The content of the batch loaded last, behind its batch line.
  package var content: RawSpan {
    @_lifetime(borrow self) get {
      isInMemory ? memory.bytes(contentRange) : window.bytes(contentRange)
    }
  }
}
