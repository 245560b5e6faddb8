// The kernel's file verbs without barriers: for making what a benchmark then reads. A hundred
// thousand files are made in seconds, not in minutes, and whether they would outlast a power cut is
// nobody's concern.

internal import PenstockCore

/// The real file system, never synced.
struct UnsyncedFiles: FileSystem {
  private let files = LinuxFileSystem()

  func syncDirectory(_ path: String) throws(FileError) {}
  func syncData(_ file: File) throws(FileError) {}
  func syncFile(_ file: File) throws(FileError) {}

  func list(_ path: String) throws(FileError) -> [String] { try files.list(path) }
  func makeDirectory(_ path: String) throws(FileError) { try files.makeDirectory(path) }
  func rename(_ path: String, to other: String) throws(FileError) {
    try files.rename(path, to: other)
  }
  func unlink(_ path: String) throws(FileError) { try files.unlink(path) }
  func space(_ path: String) throws(FileError) -> (free: Int, total: Int) {
    try files.space(path)
  }
  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> File {
    try files.open(path, mode)
  }
  func close(_ file: File) { files.close(file) }
  func byteCount(_ file: File) throws(FileError) -> Int { try files.byteCount(file) }
  func read(_ file: File, into memory: inout AlignedBuffer, _ range: ByteRange, at offset: Int)
    throws(FileError) -> Int
  {
    try files.read(file, into: &memory, range, at: offset)
  }
  func write(_ file: File, from memory: borrowing AlignedBuffer, _ range: ByteRange, at offset: Int)
    throws(FileError)
  {
    try files.write(file, from: memory, range, at: offset)
  }
  func allocate(_ file: File, byteCount: Int) throws(FileError) {
    try files.allocate(file, byteCount: byteCount)
  }
  func truncate(_ file: File, byteCount: Int) throws(FileError) {
    try files.truncate(file, byteCount: byteCount)
  }
  func dropCache(_ file: File) { files.dropCache(file) }
  func directAlignment(_ file: File) -> Int { files.directAlignment(file) }
  func lock(_ file: File, waiting milliseconds: Int) throws(FileError) -> Bool {
    try files.lock(file, waiting: milliseconds)
  }
}
