// Copies damaged bytes aside before anything makes them unreachable.
//
//     quarantine/LL-NNNNNNNNNNNNNNNN-OFFSET.bytes     OFFSET: 16 hex digits, where they stood
//
// Written under a temporary name, synced, renamed, folder synced: a copy that has its name is
// whole, and is not written again. Blocks the device cannot read are 0xFF in the copy. What the
// folder may hold is bounded: when it is full, damage is reported without a copy, until somebody
// takes the copies away.

/// The quarantine folder.
package enum Quarantine {
  /// Longest stretch that is copied, in bytes: several of the largest segments, so that one
  /// planted or wild file cannot fill the disk.
  package static let byteCountMax = 256 << 20

  /// Bytes the folder may hold: a disk that rots must not be filled with copies of what rotted.
  package static let folderByteCountMax = 1 << 30

  /// The path damaged bytes of `segment` at `offset` are copied to.
  package static func path(_ layout: StoreLayout, _ segment: SegmentName, offset: Int) -> String {
    let name = segment.fileName.dropLast(".log".utf8.count)
    return layout.quarantine + "/" + name + "-" + Hexadecimal.text(UInt64(offset), digits: 16)
      + ".bytes"
  }

  /// Copies the bytes `damage` is about, if it is about any and the folder has room for them.
  /// - Parameter limit: bytes the folder may hold.
  /// - Returns: the finding with the place of the copy.
  package static func copy<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, _ damage: Damage, limit: Int = folderByteCountMax
  ) throws(FileError) -> Damage {
    guard damage.hasBytes, let segment = damage.segment else { return damage }
    var copied = damage
    let path = path(layout, segment, offset: damage.range.lowerBound)
    copied.copy = path
    if try exists(files, path) { return copied }
    let wanted = min(damage.range.count, byteCountMax)
    guard try byteCount(files, layout) + wanted <= limit else {
      copied.copy = nil
      copied.isQuarantineFull = true
      return copied
    }
    let part = path + ".part"
    let target = try files.open(part, .createIfMissing)
    defer { files.close(target) }
    try files.truncate(target, byteCount: 0)
    var window = FileWindow(files, readsPastCache: true)
    try window.open(layout.segment(segment))
    let start = damage.range.lowerBound
    let stop = min(damage.range.upperBound, start + byteCountMax)
    var position = start
    while position < stop {
      let end = min(try window.hold(position), stop)
      guard end > position else { break }
      try window.copy(position..<end, to: target, at: position - start)
      position = end
    }
    try files.syncFile(target)
    try files.rename(part, to: path)
    try files.syncDirectory(layout.quarantine)
    return copied
  }

  /// Bytes of all copies.
  private static func byteCount<Files: FileSystem>(_ files: Files, _ layout: StoreLayout)
    throws(FileError) -> Int
  {
    var total = 0
    for name in try files.list(layout.quarantine) {
      let file = try files.open(layout.quarantine + "/" + name, .read)
      defer { files.close(file) }
      total += try files.byteCount(file)
    }
    return total
  }

  private static func exists<Files: FileSystem>(_ files: Files, _ path: String)
    throws(FileError) -> Bool
  {
    do throws(FileError) {
      files.close(try files.open(path, .read))
      return true
    } catch {
      guard error.code == System.notFound else { throw error }
      return false
    }
  }
}
