// The right to write a log: an exclusive flock on its lock file.
//
// The shard moves the locked descriptor into its ring's fixed-file table and keeps no other, so
// that after a kill the lock falls only when the last write of the dead process has retired; the
// fallback's writer thread holds its process's descriptors the same way. The text is for people
// and for readers of shared pages:
//
//     pid=1234 epoch=0000000000000007 LF
//
// The epoch grows with every acquisition: a page stamped with another epoch is an earlier
// holder's.

/// A lease that was acquired, its descriptor still open.
package struct Lease: Sendable {
  package var file: File
  package var epoch: UInt64

  /// Why a lease was not acquired.
  package enum Failure: Error, Sendable, CustomStringConvertible {
    /// Another process holds it; its number, when the file tells.
    case held(path: String, processIdentifier: Int?)
    case failed(FileError)

    package var description: String {
      switch self {
      case .held(let path, let processIdentifier):
        let holder = processIdentifier.map { "process \($0)" } ?? "another process"
        return "\(path) is held by \(holder); stop it first, or give this store another log"
      case .failed(let error): return error.description
      }
    }
  }

  /// Acquires the lease of `log`, waiting up to `milliseconds` for a killed holder's last writes.
  package static func acquire<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, _ log: LogNumber, waiting milliseconds: Int
  ) throws(Failure) -> Lease {
    let path = layout.lock(log)
    let attempt: Attempt
    do throws(FileError) {
      attempt = try Lease.attempt(files, path, waiting: milliseconds)
    } catch {
      throw .failed(error)
    }
    switch attempt {
    case .acquired(let lease): return lease
    case .held(let processIdentifier):
      throw .held(path: path, processIdentifier: processIdentifier)
    }
  }

  /// Who holds the lease of `log`, after up to `milliseconds` in which it was not given back: nil when
  /// nobody does, 0 when that is not known.
  package static func holder<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, _ log: LogNumber, waiting milliseconds: Int
  ) throws(FileError) -> Int? {
    let file: File
    do throws(FileError) {
      file = try files.open(layout.lock(log), .read)
    } catch {
      if error.code == System.notFound { return nil }
      throw error
    }
    defer { files.close(file) }
    if try files.lock(file, waiting: milliseconds) { return nil }
    return try read(files, file).processIdentifier ?? 0
  }

  private enum Attempt {
    case acquired(Lease)
    case held(processIdentifier: Int?)
  }

  private static func attempt<Files: FileSystem>(
    _ files: Files, _ path: String, waiting milliseconds: Int
  ) throws(FileError) -> Attempt {
    let file = try files.open(path, .createIfMissing)
    guard try files.lock(file, waiting: milliseconds) else {
      defer { files.close(file) }
      return .held(processIdentifier: try read(files, file).processIdentifier)
    }
    let epoch = try read(files, file).epoch &+ 1
    let bytes = Array(
      "pid=\(System.processIdentifier) epoch=\(Hexadecimal.text(epoch, digits: 16))\n".utf8)
    var memory = AlignedBuffer(byteCount: AlignedBuffer.pageByteCount)
    memory.copy(bytes.rawSpan, to: 0)
    try files.write(file, from: memory, 0..<bytes.count, at: 0)
    try files.truncate(file, byteCount: bytes.count)
    return .acquired(Lease(file: file, epoch: epoch))
  }

  /// The epoch the lock file of `log` names now; 0 when there is none.
  package static func epoch<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, _ log: LogNumber
  ) -> UInt64 {
    guard let file = try? files.open(layout.lock(log), .read) else { return 0 }
    defer { files.close(file) }
    return (try? read(files, file))?.epoch ?? 0
  }

  private static func read<Files: FileSystem>(_ files: Files, _ file: File) throws(FileError)
    -> (processIdentifier: Int?, epoch: UInt64)
  {
    var memory = AlignedBuffer(byteCount: AlignedBuffer.pageByteCount)
    let count = try files.read(file, into: &memory, 0..<AlignedBuffer.pageByteCount, at: 0)
    let span = memory.bytes(0..<count)
    guard span.hasBytes("pid=", at: 0) else { return (nil, 0) }
    let end = span.nearIndex(of: Byte.space, from: 4, to: count)
    guard span.hasBytes(" epoch=", at: end),
      let epoch = span.hexadecimal(at: end + 7, digitCount: 16)
    else { return (nil, 0) }
    return (span.decimal(4..<end), epoch)
  }
}
