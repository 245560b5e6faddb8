// Room that is held back in a file, `reserve` in the store's folder, so that a full disk, whoever
// filled it, can be started from, recovered, archived and expired without help.
//
//     preparer   holds it: makes the file as large as it should be while there is room
//     recovery   takes a step of it when it meets a full disk, and tries again
//     archiver   takes all of it when a hand-over meets a full disk: what it archives gives back more
//     host       takes a step when there is no room for its own small files
//
// The file's bytes mean nothing and are never read. Taking is cutting the file; two that take the same
// bytes find too little room once more, and take more.

/// The reserve of a store.
package enum Reserve {
  /// What is taken at once, in bytes: more than the recovery of one log needs, which copies at most
  /// two batches into a small segment.
  package static let stepByteCount = 4 << 20

  /// Size of the reserve on a file system of `total` bytes: at least one step, at most a hand-over
  /// of the largest pass and the recovery of a dozen logs.
  package static func byteCount(total: Int) -> Int {
    max(stepByteCount, min(128 << 20, total / 32))
  }

  /// Left free beside it, in bytes: for the small files that are written while the disk is full.
  package static let slackByteCount = 1 << 20

  /// Makes the reserve as large as it should be, or as there is room for.
  package static func hold<Files: FileSystem>(_ files: Files, _ layout: StoreLayout)
    throws(FileError)
  {
    let space = try files.space(layout.root)
    let file = try files.open(layout.reserve, .createIfMissing)
    defer { files.close(file) }
    let held = try files.byteCount(file)
    let room = max(0, space.free - slackByteCount)
    let size = min(byteCount(total: space.total), held + room)
    guard size > held else { return }
    try files.allocate(file, byteCount: size)
  }

  /// Gives up to `byteCount` bytes back to the file system; how many it were.
  package static func take<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, byteCount: Int = stepByteCount
  ) -> Int {
    guard let file = try? files.open(layout.reserve, .write) else { return 0 }
    defer { files.close(file) }
    guard let held = try? files.byteCount(file), held > 0 else { return 0 }
    let taken = min(held, byteCount)
    do throws(FileError) {
      try files.truncate(file, byteCount: held - taken)
      return taken
    } catch {
      return 0
    }
  }
}
