// Reads a file through a window of fixed size, forward or anywhere.
//
//     open(path) → hold(offset) → bytes(offset, count) …
//
// Past the page cache when asked and where that is proved, so that what is read is what the disk
// holds. A block the device cannot read is damage, not an error: it reads as `unreadableByte`,
// which is neither filler nor text. Only a file of which no block can be read is an error, because
// then the device is gone and dropping the whole file would be wrong.
//
// A window that reads ahead keeps the chunks behind the one it holds on their way, so that the
// device works while what it gave is checked. What comes of such a read counts only when it is all
// that was asked for; otherwise the chunk is read again when its turn comes, and that read decides:
// errors and the end of a file are met in one place.

/// A window onto one file at a time.
package struct FileWindow<Files: FileSystem>: ~Copyable {
  private let files: Files
  private let readsPastCache: Bool
  private var slots: ReadSlots
  private var file: File?
  private var blockByteCount = AlignedBuffer.pageByteCount
  /// The part of the file the window holds, and where in memory it begins.
  private var held: ByteRange = 0..<0
  private var heldPlace = 0
  /// The chunks on their way: where in the file the first one begins, its slot, how many. The
  /// others follow in the file and in the circle of slots. When there are none, the slot that is
  /// read into next.
  private var aheadOffset = 0
  private var aheadSlot = 0
  private var aheadCount = 0
  /// Size of the open file, in bytes.
  package private(set) var fileByteCount = 0
  /// Bytes of the open file that were read, and bytes the device refused.
  private var readByteCount = 0
  private var unreadable: FileError?

  /// The largest stretch that can be held at once, in bytes: large enough for the device's full
  /// speed, and for any alignment.
  package static var byteCount: Int { 1 << 20 }
  /// What a window that reads ahead keeps without a seam: more than the longest line.
  package static var lineByteCount: Int { 64 << 10 }
  /// The same for windows of which larger pieces are wanted whole, like batches at full rate.
  package static var pieceByteCount: Int { 512 << 10 }
  /// What a block reads as that the device cannot read.
  package static var unreadableByte: UInt8 { 0xFF }

  /// - Parameters:
  ///   - readsPastCache: read what the disk holds, not what the page cache does.
  ///   - readsAhead: for files that are read from front to back.
  ///   - seamlessByteCount: the largest piece that is wanted often, a multiple of every alignment;
  ///     for larger ones what is on its way is read again. Memory is eight times as much.
  package init(
    _ files: Files, readsPastCache: Bool, readsAhead: Bool = false,
    seamlessByteCount: Int = FileWindow.lineByteCount
  ) {
    self.files = files
    self.readsPastCache = readsPastCache
    slots = ReadSlots(
      inHugePages: readsAhead, readsAhead: readsAhead && files.queuesReads,
      byteCount: FileWindow.byteCount, headroomByteCount: seamlessByteCount)
  }

  deinit {
    if let file { files.close(file) }
  }

  /// All memory the window has, in bytes, whatever it reads.
  package var memoryByteCount: Int { slots.byteCount }

  /// Opens `path` and closes what was open before.
  package mutating func open(_ path: String) throws(FileError) {
    close()
    let plain = try files.open(path, .read)
    file = plain
    fileByteCount = try files.byteCount(plain)
    guard readsPastCache else { return }
    let direct = files.directAlignment(plain)
    // A piece that begins inside a block is held from where the block begins.
    if direct > 0, direct <= FileWindow.byteCount - FileWindow.pieceByteCount, fileByteCount > 0,
      let past = try? files.open(path, .readDirect)
    {
      files.close(plain)
      file = past
      blockByteCount = max(AlignedBuffer.pageByteCount, direct)
    } else {
      files.dropCache(plain)
    }
  }

  /// Closes the file.
  package mutating func close() {
    dropAhead()
    if let file { files.close(file) }
    file = nil
    held = 0..<0
    fileByteCount = 0
    readByteCount = 0
    unreadable = nil
    blockByteCount = AlignedBuffer.pageByteCount
  }

  /// Makes the window hold `count` bytes at `offset`, or those up to the end of the file.
  /// - Returns: the file offset up to which the window holds bytes without a gap.
  package mutating func hold(_ offset: Int, count: Int = 1) throws(FileError) -> Int {
    precondition(offset >= 0 && count >= 1)
    let end = min(offset + count, fileByteCount)
    if offset >= held.lowerBound, end <= held.upperBound { return held.upperBound }
    guard let file else { preconditionFailure("the window has no file") }
    // What the window has of it already is moved in front of the next chunk.
    let kept = keptByteCount(from: offset)
    let start = kept == nil ? offset / blockByteCount * blockByteCount : held.upperBound
    precondition(end - start <= FileWindow.byteCount)
    let tail = heldPlace + held.count
    held = 0..<0
    let got = try fetch(file, start, count: end - start, behind: (tail - (kept ?? 0))..<tail)
    readByteCount += got
    held = (start - (kept ?? 0))..<max(start, min(start + got, fileByteCount))
    // The file became shorter while it was read: its end is where reading ended.
    if held.upperBound < end { fileByteCount = held.upperBound }
    return held.upperBound
  }

  /// How many bytes the window holds from `offset` on; nil when they do not end where the next chunk
  /// can begin, or do not fit in front of it.
  private func keptByteCount(from offset: Int) -> Int? {
    guard offset >= held.lowerBound, offset <= held.upperBound,
      held.upperBound % blockByteCount == 0,
      held.upperBound - offset <= slots.headroomByteCount
    else { return nil }
    return held.upperBound - offset
  }

  /// Reads the chunk at `start`, of at least `count` bytes up to the end of the file, and moves
  /// the bytes in `tail` of the memory in front of it.
  /// - Returns: the number of bytes read.
  private mutating func fetch(_ file: File, _ start: Int, count: Int, behind tail: ByteRange)
    throws(FileError) -> Int
  {
    let chunk = slots.chunkByteCount
    // More at once than a slot holds goes into all of the memory.
    let isWide = count > chunk || chunk % blockByteCount != 0
    if isWide || aheadOffset != start { dropAhead() }
    if isWide { aheadSlot = 0 }
    let slot = aheadSlot
    let place = slots.place(slot)
    slots.move(tail, to: place - tail.count)
    heldPlace = place - tail.count
    if isWide { return try read(file, place..<(place + FileWindow.byteCount), at: start) }
    if aheadCount == 0 { aheadOffset = start }
    beginAhead(file)
    if aheadCount > 0 {
      let got = slots.wait(slot)
      aheadOffset += chunk
      aheadSlot = (slot + 1) % slots.count
      aheadCount -= 1
      if got >= min(chunk, fileByteCount - start) { return got }
    }
    return try read(file, place..<(place + chunk), at: start)
  }

  /// Puts as many chunks on their way as there are slots. The slot of what was held is free again.
  private mutating func beginAhead(_ file: File) {
    while aheadCount < slots.count {
      let offset = aheadOffset + aheadCount * slots.chunkByteCount
      let slot = (aheadSlot + aheadCount) % slots.count
      guard offset < fileByteCount,
        slots.begin(file, count: slots.chunkByteCount, at: offset, slot: slot)
      else { break }
      aheadCount += 1
    }
  }

  /// Waits for the chunks on their way and forgets them.
  private mutating func dropAhead() {
    while aheadCount > 0 {
      _ = slots.wait(aheadSlot)
      aheadSlot = (aheadSlot + 1) % slots.count
      aheadCount -= 1
    }
  }

  /// Reads into `range` of the memory, around blocks the device refuses.
  private mutating func read(_ file: File, _ range: ByteRange, at start: Int) throws(FileError)
    -> Int
  {
    do throws(FileError) {
      return try slots.read(files, file, range, at: start)
    } catch {
      guard System.isUnreadableBlock(error.code) else { throw error }
      return try readBlocks(file, range, at: start, error)
    }
  }

  /// Reads block by block around those the device refuses.
  private mutating func readBlocks(
    _ file: File, _ range: ByteRange, at start: Int, _ first: FileError
  ) throws(FileError) -> Int {
    unreadable = unreadable ?? first
    let wanted = min(range.count, fileByteCount - start)
    var position = 0
    while position < wanted {
      let block = position..<(position + blockByteCount)
      let place = (range.lowerBound + block.lowerBound)..<(range.lowerBound + block.upperBound)
      do throws(FileError) {
        let got = try slots.read(files, file, place, at: start + position)
        if got < block.count { return position + got }
      } catch {
        guard System.isUnreadableBlock(error.code) else { throw error }
        slots.fill(place, with: FileWindow.unreadableByte)
        readByteCount -= block.count
      }
      position += block.count
    }
    return position
  }

  /// Throws when the file has bytes and none of those asked for could be read.
  package func checkReadable() throws(FileError) {
    if let unreadable, readByteCount <= 0 { throw unreadable }
  }

  /// The bytes of `range` of the file, which the window holds.
  @_lifetime(borrow self)
  package func bytes(_ range: ByteRange) -> RawSpan {
    precondition(range.lowerBound >= held.lowerBound && range.upperBound <= held.upperBound)
    return slots.bytes(inMemory(range))
  }

  /// Writes the bytes of `range` of the file, which the window holds, to another file.
  package func copy(_ range: ByteRange, to target: File, at offset: Int) throws(FileError) {
    precondition(range.lowerBound >= held.lowerBound && range.upperBound <= held.upperBound)
    try slots.write(files, target, inMemory(range), at: offset)
  }

  private func inMemory(_ range: ByteRange) -> ByteRange {
    let shift = heldPlace - held.lowerBound
    return (range.lowerBound + shift)..<(range.upperBound + shift)
  }
}
