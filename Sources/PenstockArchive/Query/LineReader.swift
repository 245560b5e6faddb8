// Reads single event lines of a segment again and checks each by its own checksum.
//
// Lines are mostly wanted in the order they stand, or against it: a read takes a stretch that
// goes on in the reading direction when the line touches the stretch before, and only what is
// needed when it lies elsewhere.

internal import PenstockCore

/// Reads lines through one window of a file.
struct LineReader<Files: FileSystem>: ~Copyable {
  private let files: Files
  private let path: String
  private let direction: ReadDirection
  private var file: File?
  private var memory: AlignedBuffer
  /// Which bytes of the file `memory` holds from its start.
  private var held: ByteRange = 0..<0

  /// A stretch read at once, in bytes: a system call for a few hundred lines.
  private static var windowByteCount: Int { 128 << 10 }
  /// Read when a line lies elsewhere: its block and the next.
  private static var jumpByteCount: Int { 8 << 10 }

  init(_ files: Files, path: String, _ direction: ReadDirection) {
    self.files = files
    self.path = path
    self.direction = direction
    memory = AlignedBuffer(byteCount: AlignedBuffer.pageByteCount)
  }

  deinit {
    if let file { files.close(file) }
  }

  /// Closes the file and gives the memory back; a later read opens it again.
  mutating func close() {
    if let file { files.close(file) }
    file = nil
    memory = AlignedBuffer(byteCount: AlignedBuffer.pageByteCount)
    held = 0..<0
  }

  /// Reads the line of `entry`; false when it is not what its checksum says.
  mutating func read(_ entry: SegmentEntry, into bytes: inout [UInt8]) throws(FileError) -> Bool {
    let line = entry.offset..<(entry.offset + Int(entry.byteCount))
    if line.lowerBound < held.lowerBound || line.upperBound > held.upperBound {
      try hold(line)
      guard line.upperBound <= held.upperBound else { return false }
    }
    let start = line.lowerBound - held.lowerBound
    let span = memory.bytes(start..<(start + line.count))
    guard span.checksum() == entry.checksum else { return false }
    bytes.replaceAll(with: span)
    return true
  }

  private mutating func hold(_ line: ByteRange) throws(FileError) {
    let isNext =
      direction == .forward
      ? line.lowerBound >= held.lowerBound
        && line.lowerBound <= held.upperBound + LineReader.windowByteCount
      : line.upperBound <= held.upperBound
        && line.upperBound + LineReader.windowByteCount >= held.lowerBound
    let wanted = max(line.count, isNext ? LineReader.windowByteCount : LineReader.jumpByteCount)
    if memory.byteCount < wanted {
      memory = AlignedBuffer(byteCount: max(wanted, LineReader.windowByteCount))
    }
    if file == nil { file = try files.open(path, .read) }
    guard let file else { preconditionFailure("the segment was just opened") }
    let start = direction == .forward ? line.lowerBound : max(0, line.upperBound - wanted)
    held = 0..<0
    let count = try files.read(file, into: &memory, 0..<wanted, at: start)
    held = start..<(start + count)
  }
}
