// The kernel's file verbs behind `FileSystem`. Holds nothing but a choice.

internal import CShims

/// The real file system.
package struct LinuxFileSystem: FileSystem {
  package let queuesReads: Bool

  /// - Parameter queuesReads: false keeps away from io_uring.
  package init(queuesReads: Bool = true) { self.queuesReads = queuesReads }

  /// - Parameter path: asked for only when the verb failed: the kernel's name of a file costs a call.
  private func check(
    _ result: Int32, _ operation: FileError.Operation, _ path: @autoclosure () -> String
  ) throws(FileError) {
    if result < 0 { throw FileError(operation, path(), code: -result) }
  }

  package func list(_ path: String) throws(FileError) -> [String] {
    var names: [String] = []
    let result = unsafe withUnsafeMutablePointer(to: &names) { names in
      unsafe penstock_list(
        path,
        { context, name in
          guard let context = unsafe context, let name = unsafe name else { return }
          unsafe context.assumingMemoryBound(to: [String].self).pointee.append(
            String(cString: name))
        }, names)
    }
    try check(result, .list, path)
    return names
  }

  package func makeDirectory(_ path: String) throws(FileError) {
    try check(unsafe penstock_make_directory(path), .makeDirectory, path)
  }

  package func rename(_ path: String, to other: String) throws(FileError) {
    try check(unsafe penstock_rename(path, other), .rename, path)
  }

  package func unlink(_ path: String) throws(FileError) {
    try check(unsafe penstock_unlink(path), .unlink, path)
  }

  package func syncDirectory(_ path: String) throws(FileError) {
    try check(unsafe penstock_sync_directory(path), .syncDirectory, path)
  }

  package func space(_ path: String) throws(FileError) -> (free: Int, total: Int) {
    let free = unsafe penstock_free_bytes(path)
    let total = unsafe penstock_total_bytes(path)
    try check(Int32(truncatingIfNeeded: min(free, 0)), .freeSpace, path)
    try check(Int32(truncatingIfNeeded: min(total, 0)), .freeSpace, path)
    return (Int(free), Int(total))
  }

  package func open(_ path: String, _ mode: OpenMode) throws(FileError) -> File {
    let flags: Int
    switch mode {
    case .read: flags = Int(PENSTOCK_READ)
    case .readDirect: flags = Int(PENSTOCK_READ | PENSTOCK_DIRECT)
    case .write: flags = Int(PENSTOCK_WRITE)
    case .writeDirect: flags = Int(PENSTOCK_WRITE | PENSTOCK_DIRECT)
    case .create: flags = Int(PENSTOCK_WRITE | PENSTOCK_CREATE)
    case .createDirect: flags = Int(PENSTOCK_WRITE | PENSTOCK_CREATE | PENSTOCK_DIRECT)
    case .createIfMissing: flags = Int(PENSTOCK_WRITE | PENSTOCK_CREATE_ANY)
    }
    let descriptor = unsafe penstock_open(path, Int32(flags))
    try check(descriptor, .open, path)
    return File(descriptor: descriptor)
  }

  package func close(_ file: File) { _ = penstock_close(file.descriptor) }

  package func byteCount(_ file: File) throws(FileError) -> Int {
    let size = penstock_file_size(file.descriptor)
    if size < 0 { throw FileError(.read, name(file), code: Int32(-size)) }
    return Int(size)
  }

  package func read(
    _ file: File, into memory: inout AlignedBuffer, _ range: ByteRange, at offset: Int
  ) throws(FileError) -> Int {
    let count = unsafe penstock_read_at(
      file.descriptor, memory.address(range), range.count, Int64(offset))
    if count < 0 { throw FileError(.read, name(file), code: Int32(-count)) }
    return Int(count)
  }

  package func write(
    _ file: File, from memory: borrowing AlignedBuffer, _ range: ByteRange, at offset: Int
  ) throws(FileError) {
    let result = unsafe penstock_write_at(
      file.descriptor, memory.address(range), range.count, Int64(offset))
    try check(result, .write, name(file))
  }

  package func syncData(_ file: File) throws(FileError) {
    try check(penstock_sync_data(file.descriptor), .sync, name(file))
  }

  package func syncFile(_ file: File) throws(FileError) {
    try check(penstock_sync_file(file.descriptor), .sync, name(file))
  }

  package func beginWriteBack(_ file: File, _ range: ByteRange) {
    penstock_begin_write_back(file.descriptor, Int64(range.lowerBound), Int64(range.count))
  }

  package func allocate(_ file: File, byteCount: Int) throws(FileError) {
    try check(penstock_allocate(file.descriptor, Int64(byteCount)), .allocate, name(file))
  }

  package func truncate(_ file: File, byteCount: Int) throws(FileError) {
    try check(penstock_truncate(file.descriptor, Int64(byteCount)), .truncate, name(file))
  }

  package func dropCache(_ file: File) { _ = penstock_drop_cache(file.descriptor) }

  package func directAlignment(_ file: File) -> Int {
    Int(penstock_direct_alignment(file.descriptor))
  }

  package func lock(_ file: File, waiting milliseconds: Int) throws(FileError) -> Bool {
    let result = penstock_lock(file.descriptor, Int32(milliseconds))
    if result == -System.wouldBlock { return false }
    try check(result, .lock, name(file))
    return true
  }

  /// The path an error names: the kernel's own, since a `File` is only a number.
  private func name(_ file: File) -> String {
    System.path(ofDescriptor: file.descriptor) ?? "descriptor \(file.descriptor)"
  }
}
