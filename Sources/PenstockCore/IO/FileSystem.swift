// The synchronous half of the I/O seam: directory and file verbs.
//
// Recovery, the preparer, the archiver and readers do all their I/O here; the shard does its own
// through `IO`, the queued half. Two conformers: `LinuxFileSystem`, and a simulated one that
// tears, drops and fails. Nothing is retried here: an error carries what was tried, and on which
// path, and the caller decides what it means for durability.

/// An open file of a file system: a number, copied freely; whoever opened it closes it.
package struct File: Hashable, Sendable {
  package var descriptor: Int32
  package init(descriptor: Int32) { self.descriptor = descriptor }
}

/// How a file is opened.
package enum OpenMode: Sendable {
  /// Read only.
  case read
  /// Read only, past the page cache.
  case readDirect
  /// Read and write; it exists.
  case write
  /// Read and write past the page cache; it exists.
  case writeDirect
  /// Read and write; it must not exist yet.
  case create
  /// Read and write past the page cache; it must not exist yet.
  case createDirect
  /// Read and write; created when it does not exist.
  case createIfMissing
}

/// A verb that failed: what was tried, on which path, and the kernel's error number.
package struct FileError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Operation: String, Sendable {
    case open, read, write, sync, syncDirectory, allocate, truncate, list, makeDirectory, rename,
      unlink, link, lock, map, freeSpace
  }
  package var operation: Operation
  package var path: String
  package var code: Int32

  package init(_ operation: Operation, _ path: String, code: Int32) {
    self.operation = operation
    self.path = path
    self.code = code
  }

  package var description: String {
    "\(operation.rawValue) of \(path) failed: \(System.message(for: code))"
  }
}

/// Directory and file verbs. Paths are absolute or relative to the working directory.
package protocol FileSystem: Sendable {
  func list(_ path: String) throws(FileError) -> [String]
  func makeDirectory(_ path: String) throws(FileError)
  func rename(_ path: String, to other: String) throws(FileError)
  func unlink(_ path: String) throws(FileError)
  func syncDirectory(_ path: String) throws(FileError)
  /// Free bytes and all bytes of the file system that holds `path`.
  func space(_ path: String) throws(FileError) -> (free: Int, total: Int)

  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> File
  func close(_ file: File)
  func byteCount(_ file: File) throws(FileError) -> Int
  /// Reads up to `range.count` bytes at `offset` of the file into `range` of `memory`; the number
  /// read, less than asked only at the end of the file.
  func read(_ file: File, into memory: inout AlignedBuffer, _ range: ByteRange, at offset: Int)
    throws(FileError) -> Int
  /// Writes all of `range` of `memory` at `offset` of the file.
  func write(_ file: File, from memory: borrowing AlignedBuffer, _ range: ByteRange, at offset: Int)
    throws(FileError)
  /// Makes the file's bytes durable (fdatasync).
  func syncData(_ file: File) throws(FileError)
  /// Makes the file's bytes and size durable (fsync).
  func syncFile(_ file: File) throws(FileError)
  /// Has the kernel begin to write what was written to `range` of the file, so that a sync later has
  /// less to wait for. Promises nothing, and fails silently: that sync tells.
  func beginWriteBack(_ file: File, _ range: ByteRange)
  /// Reserves the file's first `byteCount` bytes and sets its size.
  func allocate(_ file: File, byteCount: Int) throws(FileError)
  func truncate(_ file: File, byteCount: Int) throws(FileError)
  /// Drops the file's clean pages from the cache, so that the next read sees the disk.
  func dropCache(_ file: File)
  /// The block size direct writes to this file respect, or 0 when direct I/O is not proved.
  func directAlignment(_ file: File) -> Int
  /// Takes the file's exclusive lock, waiting up to `milliseconds`; false when another holds it.
  func lock(_ file: File, waiting milliseconds: Int) throws(FileError) -> Bool
  /// Whether reads may be queued on the descriptors of its files (`ReadSlots`), because they are the
  /// kernel's. Where not, whoever reads ahead reads when it asks.
  var queuesReads: Bool { get }
}

extension FileSystem {
  package var queuesReads: Bool { false }
  package func beginWriteBack(_ file: File, _ range: ByteRange) {}
}
