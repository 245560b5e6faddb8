// The real file system, with a word in between: a test acts right before a file is opened, or
// makes the N-th verb of a reader fail.

import PenstockCore
import Synchronization

/// A file system that calls a hook before it opens a file.
final class HookedFiles: LinkingFileSystem {
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
  func link(_ path: String, to other: String) throws(FileError) {
    try files.link(path, to: other)
  }
  func removeDirectory(_ path: String) throws(FileError) { try files.removeDirectory(path) }
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

/// A file system whose N-th reading verb fails, once or from then on.
final class FailingFiles: FileSystem {
  private let files = LinuxFileSystem()
  private let count = Mutex(0)
  private let failing: Int
  private let isLasting: Bool
  /// The kernel's number for an I/O error.
  static let code: Int32 = 5

  init(at failing: Int, isLasting: Bool) {
    self.failing = failing
    self.isLasting = isLasting
  }

  /// Whether the failure has happened.
  var hasFailed: Bool { count.withLock { $0 >= failing } }

  private func step(_ operation: FileError.Operation, _ path: String) throws(FileError) {
    let number = count.withLock { value in
      value += 1
      return value
    }
    guard number == failing || isLasting && number > failing else { return }
    throw FileError(operation, path, code: FailingFiles.code)
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> File {
    try step(.open, path)
    return try files.open(path, mode)
  }
  func list(_ path: String) throws(FileError) -> [String] {
    try step(.list, path)
    return try files.list(path)
  }
  func byteCount(_ file: File) throws(FileError) -> Int {
    try step(.read, "")
    return try files.byteCount(file)
  }
  func read(
    _ file: File, into memory: inout AlignedBuffer, _ range: ByteRange, at offset: Int
  ) throws(FileError) -> Int {
    try step(.read, "")
    return try files.read(file, into: &memory, range, at: offset)
  }
  func close(_ file: File) { files.close(file) }
  func dropCache(_ file: File) { files.dropCache(file) }
  func directAlignment(_ file: File) -> Int { files.directAlignment(file) }
  func space(_ path: String) throws(FileError) -> (free: Int, total: Int) {
    try files.space(path)
  }
  func makeDirectory(_ path: String) throws(FileError) { throw FailingFiles.refusal(path) }
  func rename(_ path: String, to other: String) throws(FileError) {
    throw FailingFiles.refusal(path)
  }
  func unlink(_ path: String) throws(FileError) { throw FailingFiles.refusal(path) }
  func syncDirectory(_ path: String) throws(FileError) { throw FailingFiles.refusal(path) }
  func write(
    _ file: File, from memory: borrowing AlignedBuffer, _ range: ByteRange, at offset: Int
  ) throws(FileError) {
    throw FailingFiles.refusal("")
  }
  func syncData(_ file: File) throws(FileError) { throw FailingFiles.refusal("") }
  func syncFile(_ file: File) throws(FileError) { throw FailingFiles.refusal("") }
  func allocate(_ file: File, byteCount: Int) throws(FileError) { throw FailingFiles.refusal("") }
  func truncate(_ file: File, byteCount: Int) throws(FileError) { throw FailingFiles.refusal("") }
  func lock(_ file: File, waiting milliseconds: Int) throws(FileError) -> Bool {
    throw FailingFiles.refusal("")
  }

  /// A reader changes nothing: a verb that would is refused, and the test sees it.
  private static func refusal(_ path: String) -> FileError { FileError(.write, path, code: 30) }
}
