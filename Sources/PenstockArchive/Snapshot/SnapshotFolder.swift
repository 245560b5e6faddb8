// The folder a snapshot is built in, and how it gets its name.
//
//     PATH.partial, locked ──links, copies──▶ sync ──▶ rename to PATH ──▶ sync of the folder
//                          └───failed───────▶ removed
//
// PATH is not there, or an empty folder, until everything in it is durable. What a killed snapshot
// left in PATH.partial is removed by the next one to the same path; the lock file in it tells such
// a leftover, and a snapshot at work, from a folder that is none of ours.

internal import PenstockCore

/// Where a snapshot is being built.
final class SnapshotFolder<Files: LinkingFileSystem> {
  private let files: Files
  private let path: String
  private let lock: File
  private var isOpen = true
  /// The store that is being built.
  private(set) var layout: StoreLayout
  /// Whether files get second names; not across file systems, and not where they are refused.
  private(set) var links = true
  private(set) var linkedByteCount = 0
  private(set) var copiedByteCount = 0
  private var chunk = AlignedBuffer(byteCount: 1 << 20)

  private static var lockName: String { "snapshot.lock" }

  /// Claims `path`.
  init(_ files: Files, path: String) throws(SnapshotError) {
    self.files = files
    let path = StoreLayout(root: path).root
    self.path = path
    layout = StoreLayout(root: path + ".partial")
    lock = try SnapshotFolder.claim(files, path: path, partial: path + ".partial")
    do throws(FileError) {
      try removeContents(of: layout.root)
      for folder in [layout.live, layout.archive, layout.quarantine] {
        try files.makeDirectory(folder)
      }
    } catch {
      discard()
      throw .file(error)
    }
  }

  deinit { discard() }

  private static func claim(_ files: Files, path: String, partial: String) throws(SnapshotError)
    -> File
  {
    do throws(FileError) {
      if let names = try names(files, path), !names.isEmpty {
        throw FileError(.makeDirectory, path, code: System.exists)
      }
    } catch {
      throw error.code == System.exists ? .occupied(path) : .file(error)
    }
    var isNew = false
    do throws(FileError) {
      isNew = try names(files, partial) == nil
      try files.makeFolderIfMissing(partial)
      if let names = try names(files, partial), !names.isEmpty, !names.contains(lockName) {
        throw FileError(.makeDirectory, partial, code: System.exists)
      }
      let lock = try files.open(partial + "/" + lockName, .createIfMissing)
      do throws(FileError) {
        guard try files.lock(lock, waiting: 0) else {
          throw FileError(.lock, partial, code: System.wouldBlock)
        }
      } catch {
        files.close(lock)
        throw error
      }
      return lock
    } catch {
      switch error.code {
      case System.exists: throw .foreign(partial)
      case System.wouldBlock: throw .busy(partial)
      default:
        // Only what was made here goes, and only a folder that is empty.
        if isNew { _ = try? files.unlinkIfThere(partial + "/" + lockName) }
        _ = try? files.removeDirectory(partial)
        throw .file(error)
      }
    }
  }

  private static func names(_ files: Files, _ folder: String) throws(FileError) -> [String]? {
    do throws(FileError) {
      return try files.list(folder)
    } catch {
      guard error.code == System.notFound else { throw error }
      return nil
    }
  }

  // MARK: - Taking files

  /// Gives a file that never changes again a second name in the snapshot, or copies it.
  func take(_ source: String, as target: String) throws(FileError) {
    if links, try link(source, as: target) {
      linkedByteCount += try byteCount(target)
      return
    }
    do throws(FileError) {
      copiedByteCount += try copy(source, as: target)
    } catch {
      guard error.code == System.exists, error.operation == .open else { throw error }
      // An attempt before this one has it.
      copiedByteCount += try byteCount(target)
    }
  }

  /// Gives a file a second name; false where that cannot be done.
  func link(_ source: String, as target: String) throws(FileError) -> Bool {
    do throws(FileError) {
      try files.link(source, to: target)
    } catch {
      if error.code == System.exists { return true }
      guard System.meansNoLinks(error.code) else { throw error }
      links = false
    }
    return links
  }

  /// Copies a file, as it stands, and makes the copy durable.
  /// - Returns: its bytes.
  func copy(_ source: String, as target: String) throws(FileError) -> Int {
    let from = try files.open(source, .read)
    defer { files.close(from) }
    let to = try files.open(target, .create)
    defer { files.close(to) }
    do throws(FileError) {
      var offset = 0
      while true {
        let count = try files.read(from, into: &chunk, 0..<chunk.byteCount, at: offset)
        if count > 0 { try files.write(to, from: chunk, 0..<count, at: offset) }
        offset += count
        if count < chunk.byteCount { break }
      }
      try files.syncFile(to)
      return offset
    } catch {
      _ = try? files.unlink(target)
      throw error
    }
  }

  /// Copies a segment up to `end`, with a header that says so.
  func copySegment(_ source: String, as target: String, end: Int) throws(FileError) {
    let from = try files.open(source, .read)
    defer { files.close(from) }
    let to = try files.open(target, .create)
    defer { files.close(to) }
    var offset = 0
    while offset < end {
      let wanted = min(chunk.byteCount, end - offset)
      let count = try files.read(from, into: &chunk, 0..<wanted, at: offset)
      // What was read a moment ago is gone: the caller compares and starts over.
      guard count > 0 else { break }
      if offset == 0, case .header(var header) = SegmentHeader.read(chunk.bytes(0..<count)) {
        header.byteCount = end
        chunk.copy(Array(header.text.utf8).rawSpan, to: 0)
      }
      try files.write(to, from: chunk, 0..<count, at: offset)
      offset += count
    }
    try files.syncFile(to)
    files.dropCache(to)
    copiedByteCount += offset
  }

  /// Writes a small file.
  func write(_ bytes: [UInt8], to target: String) throws(FileError) {
    let file = try files.open(target, .createIfMissing)
    defer { files.close(file) }
    var memory = AlignedBuffer(byteCount: max(1, bytes.count))
    memory.copy(bytes.rawSpan, to: 0)
    try files.truncate(file, byteCount: 0)
    if !bytes.isEmpty { try files.write(file, from: memory, 0..<bytes.count, at: 0) }
    try files.syncFile(file)
  }

  func byteCount(_ path: String) throws(FileError) -> Int {
    let file = try files.open(path, .read)
    defer { files.close(file) }
    return try files.byteCount(file)
  }

  /// Files taken by an attempt that is given up are counted by the next one.
  func countAnew() {
    linkedByteCount = 0
    copiedByteCount = 0
  }

  func count(linked byteCount: Int) { linkedByteCount += byteCount }

  // MARK: - Ending

  /// Makes everything durable and gives the folder its name.
  func finish() throws(SnapshotError) {
    do throws(FileError) {
      for name in try files.list(layout.archive) where UnnamedTables<Files>.isBucket(name) {
        try files.syncDirectory(layout.archive + "/" + name)
      }
      for folder in [layout.live, layout.archive, layout.quarantine, layout.root] {
        try files.syncDirectory(folder)
      }
      try files.rename(layout.root, to: path)
      layout = StoreLayout(root: path)
      try files.unlink(path + "/" + SnapshotFolder.lockName)
      try files.syncDirectory(path)
      try files.syncDirectory(SnapshotFolder.parent(of: path))
    } catch {
      // A rename may fail and have been done.
      if layout.root != path, (try? files.list(layout.root)) == nil {
        layout = StoreLayout(root: path)
      }
      discard()
      throw .file(error)
    }
    isOpen = false
    files.close(lock)
  }

  /// Removes what was built, as far as that can be done.
  private func discard() {
    guard isOpen else { return }
    isOpen = false
    if layout.root == path, (try? files.rename(path, to: path + ".partial")) != nil {
      layout = StoreLayout(root: path + ".partial")
    }
    // Why the snapshot failed is told; what stays is a folder no store is taken for.
    _ = try? removeContents(of: layout.root)
    _ = try? files.unlinkIfThere(layout.root + "/" + SnapshotFolder.lockName)
    _ = try? files.removeDirectory(layout.root)
    files.close(lock)
  }

  /// Removes a folder's contents but the lock file.
  private func removeContents(of folder: String) throws(FileError) {
    for name in try files.list(folder)
    where folder != layout.root || name != SnapshotFolder.lockName {
      let path = folder + "/" + name
      do throws(FileError) {
        try files.unlink(path)
      } catch {
        guard System.meansFolder(error.code) else { throw error }
        try removeContents(of: path)
        try files.removeDirectory(path)
      }
    }
  }

  private static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
