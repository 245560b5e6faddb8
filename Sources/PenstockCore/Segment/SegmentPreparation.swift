// Makes a segment ready for use:
//
//     create (must not exist) → sync folder → reserve → fill with LF → sync → header block → sync
//
// The header comes last, so a file whose preparation was cut short has none and counts as empty, and
// one that has a header has a durable name: whoever finds the header, also of a preparer that was
// killed right after, may write there. (Its first barrier makes the header durable, if the preparer
// did not.) Once `prepare` has returned, name, header and salt are durable and the blocks have been written
// once: switching to the segment does no directory operation, and a barrier into written blocks
// costs a third of one into blocks that were merely reserved.
//
// Filling goes past the page cache where that is proved, in large writes: a preparer must not push
// the readers' pages out. A file that could not be prepared stays, cut to nothing: numbers are
// never used again, so that segment numbers follow on without a hole.

/// Preparation of segments.
package enum SegmentPreparation {
  /// Size of one filling write, in bytes: larger ones gained nothing on the reference machine. From
  /// a huge page 4 MiB with their sync took it 2.1 ms, from small pages 3.0.
  package static let chunkByteCount = 1 << 20
  /// Largest segment that is asked for, in bytes: it must hold fewer batches and events than the
  /// numbers recovery sets aside for one (Limits).
  package static let byteCountMax = 512 << 20

  /// Prepares the segment `name`, of at least `byteCount` bytes, in the live folder.
  /// - Parameters:
  ///   - isFilled: false merely reserves the blocks: quick, for use under pressure.
  ///   - room: bytes that have to fit behind the header block, however small `byteCount` is.
  ///   - salt: the segment's 64 secret bits.
  /// - Throws: with `System.exists` when the name is taken, with `System.noSpace` before anything
  ///   was created when there is no room.
  package static func prepare<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, name: SegmentName, store: StoreIdentifier,
    byteCount: Int, isFilled: Bool, room: Int = 0, salt: UInt64 = System.random()
  ) throws(FileError) -> SegmentHeader {
    precondition(byteCount > 0 && byteCount <= byteCountMax && room >= 0)
    let path = layout.segment(name)
    // A retry on a full disk must not leave an empty file behind each time.
    guard try files.space(layout.live).free >= max(byteCount, room) else {
      throw FileError(.allocate, path, code: System.noSpace)
    }
    let file = try files.open(path, .create)
    defer { files.close(file) }
    let body = try makeBody(
      files, layout, name, file, byteCount, room, isFilled: isFilled, store, salt)
    let header = body.header
    // From here on the segment may be in use: nothing takes it back.
    try files.write(file, from: body.memory, 0..<header.alignment, at: 0)
    try files.syncFile(file)
    // The header went through the page cache; the shard's direct writes should find it clean.
    files.dropCache(file)
    return header
  }

  /// Everything but the header, durable, name included.
  /// - Returns: the header, and memory that begins with its block.
  private static func makeBody<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, _ name: SegmentName, _ file: File, _ byteCount: Int,
    _ room: Int, isFilled: Bool, _ store: StoreIdentifier, _ salt: UInt64
  ) throws(FileError) -> PreparedBody {
    let path = layout.segment(name)
    do throws(FileError) {
      // First of all, so that names become durable in the order of their numbers.
      try files.syncDirectory(layout.live)
      let direct = files.directAlignment(file)
      let isDirect = direct > 0 && direct <= SegmentHeader.alignmentMax
      let alignment =
        isDirect ? max(SegmentHeader.alignmentMin, direct) : SegmentHeader.alignmentMin
      let blocks = max(
        2, (byteCount + alignment - 1) / alignment, 1 + (room + alignment - 1) / alignment)
      let header = SegmentHeader(
        name: name, store: store, salt: salt, alignment: alignment, byteCount: blocks * alignment)
      try files.allocate(file, byteCount: header.byteCount)
      let chunk = min(max(chunkByteCount, alignment), header.byteCount)
      var memory = AlignedBuffer(
        byteCount: chunk, inHugePages: isFilled && chunk >= chunkByteCount)
      memory.fill(0..<chunk, with: Byte.lineFeed)
      // LF where the header will stand: should its own sync fail, and the power go, the first batch
      // is still found behind it.
      try files.write(file, from: memory, 0..<alignment, at: 0)
      if isFilled {
        try fill(files, path, file, isDirect: isDirect, header, memory, chunk)
      }
      try files.syncFile(file)
      memory.copy(Array(header.text.utf8).rawSpan, to: 0)
      return PreparedBody(header: header, memory: memory)
    } catch {
      // Gives the space back; the error that is thrown says more than one of this would.
      _ = try? files.truncate(file, byteCount: 0)
      throw error
    }
  }

  /// Writes LF behind the header block, past the cache when `isDirect`, `chunk` bytes at a time.
  private static func fill<Files: FileSystem>(
    _ files: Files, _ path: String, _ file: File, isDirect: Bool, _ header: SegmentHeader,
    _ memory: borrowing AlignedBuffer, _ chunk: Int
  ) throws(FileError) {
    let target = isDirect ? try files.open(path, .writeDirect) : file
    defer { if isDirect { files.close(target) } }
    var offset = header.alignment
    while offset < header.byteCount {
      let count = min(chunk, header.byteCount - offset)
      try files.write(target, from: memory, 0..<count, at: offset)
      offset += count
    }
    try files.syncData(target)
  }
}

/// A segment that lacks nothing but its header.
private struct PreparedBody: ~Copyable {
  let header: SegmentHeader
  /// Begins with the header's block.
  let memory: AlignedBuffer

  init(header: SegmentHeader, memory: consuming AlignedBuffer) {
    self.header = header
    self.memory = memory
  }
}
