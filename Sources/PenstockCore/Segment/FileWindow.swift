// Reads a file through a window of fixed size, forward or anywhere.
//
//     open(path) → hold(offset) → bytes(offset, count) …
//
// Past the page cache when asked and where that is proved, so that what is read is what the disk
// holds. A block the device cannot read is damage, not an error: it reads as `unreadableByte`,
// which is neither filler nor text. Only a file of which no block can be read is an error, because
// then the device is gone and dropping the whole file would be wrong.

/// A window onto one file at a time.
package struct FileWindow<Files: FileSystem>: ~Copyable {
  private let files: Files
  private let readsPastCache: Bool
  private var memory: AlignedBuffer
  private var file: File?
  private var blockByteCount = AlignedBuffer.pageByteCount
  /// The part of the file the window holds.
  private var held: ByteRange = 0..<0
  /// Size of the open file, in bytes.
  package private(set) var fileByteCount = 0
  /// Bytes of the open file that were read, and bytes the device refused.
  private var readByteCount = 0
  private var unreadable: FileError?

  /// Size of the window, in bytes: large enough for the device's full speed, and for any alignment.
  package static var byteCount: Int { 1 << 20 }
  /// What a block reads as that the device cannot read.
  package static var unreadableByte: UInt8 { 0xFF }

  /// - Parameter readsPastCache: read what the disk holds, not what the page cache does.
  package init(_ files: Files, readsPastCache: Bool) {
    self.files = files
    self.readsPastCache = readsPastCache
    memory = AlignedBuffer(byteCount: FileWindow.byteCount)
  }

  deinit {
    if let file { files.close(file) }
  }

  /// Opens `path` and closes what was open before.
  package mutating func open(_ path: String) throws(FileError) {
    close()
    let plain = try files.open(path, .read)
    file = plain
    fileByteCount = try files.byteCount(plain)
    guard readsPastCache else { return }
    let direct = files.directAlignment(plain)
    if direct > 0, direct <= SegmentHeader.alignmentMax, fileByteCount > 0,
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
    let start = offset / blockByteCount * blockByteCount
    precondition(end - start <= memory.byteCount)
    held = 0..<0
    let got: Int
    do throws(FileError) {
      got = try files.read(file, into: &memory, 0..<memory.byteCount, at: start)
    } catch {
      guard System.isUnreadableBlock(error.code) else { throw error }
      got = try readBlocks(file, at: start, error)
    }
    readByteCount += got
    held = start..<min(start + got, fileByteCount)
    // The file became shorter while it was read: its end is where reading ended.
    if held.upperBound < end { fileByteCount = held.upperBound }
    return held.upperBound
  }

  /// Reads block by block around those the device refuses.
  private mutating func readBlocks(_ file: File, at start: Int, _ first: FileError)
    throws(FileError) -> Int
  {
    unreadable = unreadable ?? first
    let wanted = min(memory.byteCount, fileByteCount - start)
    var position = 0
    while position < wanted {
      let block = position..<(position + blockByteCount)
      do throws(FileError) {
        let got = try files.read(file, into: &memory, block, at: start + position)
        if got < block.count { return position + got }
      } catch {
        guard System.isUnreadableBlock(error.code) else { throw error }
        memory.fill(block, with: FileWindow.unreadableByte)
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
    return memory.bytes(
      (range.lowerBound - held.lowerBound)..<(range.upperBound - held.lowerBound))
  }

  /// Writes the bytes of `range` of the file, which the window holds, to another file.
  package func copy(_ range: ByteRange, to target: File, at offset: Int) throws(FileError) {
    precondition(range.lowerBound >= held.lowerBound && range.upperBound <= held.upperBound)
    let inMemory = (range.lowerBound - held.lowerBound)..<(range.upperBound - held.lowerBound)
    try files.write(target, from: memory, inMemory, at: offset)
  }
}
