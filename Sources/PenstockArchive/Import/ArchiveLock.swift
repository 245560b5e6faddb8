// The lock of whoever changes the archive: an archiver for as long as it runs, an import for as long
// as it lasts. Who has it is asked of the kernel, which knows better than any text in a file.

internal import CShims
package import PenstockCore

/// The archive's lock.
package enum ArchiveLock {
  /// Takes the lock of a store's archive; nil when another process has it.
  package static func take<Files: FileSystem>(_ files: Files, _ layout: StoreLayout)
    throws(FileError) -> File?
  {
    let file = try files.open(layout.archiveLock, .createIfMissing)
    do throws(FileError) {
      if try files.lock(file, waiting: 0) { return file }
    } catch {
      files.close(file)
      throw error
    }
    files.close(file)
    return nil
  }

  /// The process that has the lock, where the kernel tells (/proc/locks).
  package static func holder(_ layout: StoreLayout) -> Int32? {
    var device: UInt64 = 0
    var inode: UInt64 = 0
    guard unsafe penstock_file_identity(layout.archiveLock, &device, &inode) == 0,
      let text = System.contents(ofFile: "/proc/locks")
    else { return nil }
    return holder(inode: inode, in: String(decoding: text, as: UTF8.self))
  }

  /// Reads "1: FLOCK  ADVISORY  WRITE 4711 fe:01:123456 0 EOF". Device numbers are told in another
  /// form on some file systems, so the inode decides.
  package static func holder(inode: UInt64, in text: String) -> Int32? {
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count >= 6, words[1] == "FLOCK",
        words[5].split(separator: ":").last == Substring("\(inode)"), let process = Int32(words[4]),
        process > 0
      else { continue }
      return process
    }
    return nil
  }
}
