// The manifest, read: all of it, or what was appended since.

package import PenstockCore

extension Manifest {
  /// Reads the manifest; an archive without one is empty.
  package static func read<Files: FileSystem>(_ files: Files, _ layout: StoreLayout)
    throws(ManifestError) -> Manifest
  {
    var manifest = Manifest()
    try manifest.read(files, layout)
    return manifest
  }

  /// Reads what was appended since; all of it, when it was written anew.
  package mutating func refresh<Files: FileSystem>(_ files: Files, _ layout: StoreLayout)
    throws(ManifestError)
  {
    var newer = self
    newer.tornByteCount = 0
    guard byteCount > 0, try newer.read(files, layout) else {
      self = try Manifest.read(files, layout)
      return
    }
    self = newer
  }

  /// Reads from the last line that is known on; false when that line is not there any more.
  @discardableResult
  private mutating func read<Files: FileSystem>(_ files: Files, _ layout: StoreLayout)
    throws(ManifestError) -> Bool
  {
    let path = layout.manifest
    var memory = AlignedBuffer(byteCount: 1)
    var count = 0
    do throws(FileError) {
      let file = try files.open(path, .read)
      defer { files.close(file) }
      let size = try files.byteCount(file)
      guard size <= Manifest.byteCountMax else {
        throw FileError(.read, path, code: System.fileTooLarge)
      }
      guard size >= byteCount else { return false }
      memory = AlignedBuffer(byteCount: max(1, size - lastLineOffset))
      count = try files.read(
        file, into: &memory, 0..<(size - lastLineOffset), at: lastLineOffset)
    } catch {
      if error.code == System.notFound { return byteCount == 0 }
      throw .file(error)
    }
    let known = byteCount - lastLineOffset
    if known > 0 {
      guard count >= known, memory.bytes.byte(at: known - 1) == Byte.lineFeed,
        Manifest.isIntact(memory.bytes(0..<(known - 1)), after: previousChecksum),
        ManifestText.checksum(memory.bytes(0..<(known - 1))) == lastChecksum
      else { return false }
    }
    try take(memory.bytes(known..<count), path)
    return true
  }

  /// Reads the manifest as the disk holds it: the caller is about to act on it. A line that a
  /// crash or a failed sync left in the page cache alone must not count, or segments would be
  /// unlinked for tables that a power cut makes nameless.
  package static func readDurable<Files: FileSystem>(_ files: Files, _ layout: StoreLayout)
    throws(ManifestError) -> Manifest
  {
    do throws(FileError) {
      let file = try files.open(layout.manifest, .write)
      defer { files.close(file) }
      try files.syncFile(file)
      files.dropCache(file)
      try files.syncDirectory(layout.archive)
    } catch {
      if error.code != System.notFound { throw .file(error) }
    }
    return try read(files, layout)
  }

  /// Takes all lines.
  private mutating func take(_ span: RawSpan, _ path: String) throws(ManifestError) {
    let start = byteCount
    var offset = 0
    // Places of tables met here; those of removed tables are emptied when all lines are read.
    var places: [String: Int] = [:]
    var removed: Set<Int> = []
    var removedBefore: Set<String> = []
    while offset < span.byteCount {
      let end = span.firstIndex(of: Byte.lineFeed, from: offset, to: span.byteCount)
      let text = span.extracting(offset..<end)
      guard end < span.byteCount, Manifest.isIntact(text, after: lastChecksum) else {
        // Only the very last line can be an edit that was never finished; two that a damaged LF
        // joined are not one.
        guard end >= span.byteCount - 1, !ManifestText.holdsSecondEdit(text) else {
          throw .damaged(path: path, line: lineCount + 1)
        }
        tornByteCount = span.byteCount - offset
        break
      }
      if lineCount == 0 {
        let head = try ManifestText.head(text, path)
        store = head.store
        nextNumber = head.edits + 1
      } else {
        let edit = try ManifestText.edit(
          text, number: nextNumber, previous: lastChecksum, path: path, line: lineCount + 1)
        for name in edit.removed {
          if let place = places.removeValue(forKey: name) {
            removed.insert(place)
          } else if start > 0 {
            removedBefore.insert(name)
          }
        }
        for table in edit.added {
          places[table.name] = tables.count
          tables.append(table)
        }
        takeOrders(edit)
        nextNumber += 1
      }
      previousChecksum = lastChecksum
      lastChecksum = ManifestText.checksum(text) ?? 0
      lineCount += 1
      lastLineOffset = start + offset
      offset = end + 1
      byteCount = start + offset
    }
    guard !removed.isEmpty || !removedBefore.isEmpty else { return }
    tables = tables.indices.filter {
      !removed.contains($0) && !removedBefore.contains(tables[$0].name)
    }.map { tables[$0] }
  }

  private static func isIntact(_ text: RawSpan, after previous: UInt32) -> Bool {
    guard let sum = ManifestText.checksum(text) else { return false }
    return text.extracting(0..<(text.byteCount - ManifestText.checksumByteCount))
      .checksum(seed: previous) == sum
  }
}
