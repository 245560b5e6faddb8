// The manifest, written: a line appended, or all of it anew.

package import PenstockCore

extension Manifest {
  /// Appends one edit and makes it durable. The caller holds the archive's lock, and everything
  /// the edit names is already durable and proved. When this fails, the manifest has to be read
  /// again: whether the edit counts is for the disk to say.
  package mutating func append<Files: FileSystem>(
    _ edit: ManifestEdit, _ files: Files, _ layout: StoreLayout, store: StoreIdentifier
  ) throws(ManifestError) {
    if let known = self.store, known != store { throw .foreignStore(path: layout.manifest) }
    do throws(FileError) {
      let file = try files.open(layout.manifest, .createIfMissing)
      defer { files.close(file) }
      // What a crash left behind the last edit goes first, so that it cannot join this one.
      if try files.byteCount(file) > byteCount {
        try files.truncate(file, byteCount: byteCount)
        try files.syncFile(file)
      }
      if byteCount == 0 {
        // By itself, so that no part of a torn first edit can stand behind a torn head.
        try write(ManifestText.headText(store, edits: nextNumber - 1), files, file)
        try files.syncDirectory(layout.archive)
      }
      try write(
        ManifestText.editText(edit, number: nextNumber, previous: lastChecksum), files, file)
    } catch {
      throw .file(error)
    }
    self.store = store
    tornByteCount = 0
    takeOrders(edit)
    nextNumber += 1
    let removed = Set(edit.removed)
    if !removed.isEmpty { tables.removeAll { removed.contains($0.name) } }
    tables += edit.added
  }

  /// Takes what an edit says beside its tables; `nextNumber` is its number.
  mutating func takeOrders(_ edit: ManifestEdit) {
    coverage.merge(edit.covered) { $1 }
    for erasure in edit.erases {
      let number = erasure.edit ?? nextNumber
      erasures[number] = erasure
      lastErasure = max(lastErasure, number)
    }
    for number in edit.erased { erasures[number] = nil }
  }

  /// Writes and syncs one line.
  private mutating func write<Files: FileSystem>(_ text: String, _ files: Files, _ file: File)
    throws(FileError)
  {
    var sum = lastChecksum
    let bytes = Array(ManifestText.sealed(text, &sum).utf8)
    var memory = AlignedBuffer(byteCount: bytes.count)
    memory.copy(bytes.rawSpan, to: 0)
    try files.write(file, from: memory, 0..<bytes.count, at: byteCount)
    try files.syncFile(file)
    lastLineOffset = byteCount
    byteCount += bytes.count
    lineCount += 1
    previousChecksum = lastChecksum
    lastChecksum = sum
  }

  // MARK: - Anew

  /// Below this size the file is not worth writing anew, in bytes.
  private static let rewriteByteCountMin = 1 << 20
  /// It is written anew when that makes it this many times smaller.
  private static let rewriteFactor = 4
  /// About what a table takes in it, in bytes.
  private static let tableByteCount = 256

  /// Whether most of the file is about what is no more.
  package var isWorthRewriting: Bool {
    byteCount >= Manifest.rewriteByteCountMin
      && byteCount >= Manifest.rewriteFactor * Manifest.tableByteCount * tables.count
  }

  /// Writes the file anew, without what is no more. The caller holds the archive's lock.
  package mutating func rewrite<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, store: StoreIdentifier
  ) throws(ManifestError) {
    let temporary = layout.manifest + ".new"
    var newer = Manifest()
    newer.nextNumber = nextNumber
    var edit = ManifestEdit()
    edit.added = tables
    edit.covered = coverage
    do throws(FileError) {
      try files.unlinkIfThere(temporary)
      let file = try files.open(temporary, .create)
      defer { files.close(file) }
      try newer.write(ManifestText.headText(store, edits: nextNumber - 1), files, file)
      try newer.write(
        ManifestText.editText(
          edit, number: nextNumber, previous: newer.lastChecksum, erasures: erasures),
        files, file)
      newer.nextNumber += 1
      // The last line counts for nothing when it is damaged: it must not be the one that says all.
      try newer.write(
        ManifestText.editText(
          ManifestEdit(), number: newer.nextNumber, previous: newer.lastChecksum), files, file)
      newer.nextNumber += 1
      try files.rename(temporary, to: layout.manifest)
      try files.syncDirectory(layout.archive)
    } catch {
      throw .file(error)
    }
    newer.store = store
    newer.tables = tables
    newer.coverage = coverage
    newer.erasures = erasures
    self = newer
  }
}
