// The real file system, with a word in between: a test acts right before a file is opened.

import PenstockCore
import Synchronization

/// A file system that calls a hook before it opens a file.
final class HookedFiles: FileSystem {
  private let files = LinuxFileSystem()
  private let hook: Mutex<(@Sendable (String) -> Void)?>

  init(_ hook: @escaping @Sendable (String) -> Void) { self.hook = Mutex(hook) }

  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> File {
    // Taken out while it runs: what it opens itself does not call it again.
    let hook = self.hook.withLock { held in
      defer { held = nil }
      return held
    }
    hook?(path)
    self.hook.withLock { $0 = hook }
    return try files.open(path, mode)
  }

  func list(_ path: String) throws(FileError) -> [String] { try files.list(path) }
  func makeDirectory(_ path: String) throws(FileError) { try files.makeDirectory(path) }
  func rename(_ path: String, to other: String) throws(FileError) {
    try files.rename(path, to: other)
  }
  func unlink(_ path: String) throws(FileError) { try files.unlink(path) }
  func syncDirectory(_ path: String) throws(FileError) { try files.syncDirectory(path) }
  func space(_ path: String) throws(FileError) -> (free: Int, total: Int) {
    try files.space(path)
  }
  func close(_ file: File) { files.close(file) }
  func byteCount(_ file: File) throws(FileError) -> Int { try files.byteCount(file) }
  func read(
    _ file: File, into memory: inout AlignedBuffer, _ range: ByteRange, at offset: Int
  ) throws(FileError) -> Int {
    try files.read(file, into: &memory, range, at: offset)
  }
  func write(
    _ file: File, from memory: borrowing AlignedBuffer, _ range: ByteRange, at offset: Int
  ) throws(FileError) {
    try files.write(file, from: memory, range, at: offset)
  }
  func syncData(_ file: File) throws(FileError) { try files.syncData(file) }
  func syncFile(_ file: File) throws(FileError) { try files.syncFile(file) }
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
