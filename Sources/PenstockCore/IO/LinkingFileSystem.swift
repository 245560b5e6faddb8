// Verbs that only whoever copies a store needs: second names for files, and the end of folders.

internal import CShims

/// A file system in which a file can have several names.
package protocol LinkingFileSystem: FileSystem {
  /// Gives the file at `path` another name in the same file system, which must not be taken.
  func link(_ path: String, to other: String) throws(FileError)
  /// Removes an empty folder.
  func removeDirectory(_ path: String) throws(FileError)
}

extension LinuxFileSystem: LinkingFileSystem {
  package func link(_ path: String, to other: String) throws(FileError) {
    let result = unsafe penstock_link(path, other)
    if result < 0 { throw FileError(.link, other, code: -result) }
  }

  package func removeDirectory(_ path: String) throws(FileError) {
    let result = unsafe penstock_remove_folder(path)
    if result < 0 { throw FileError(.unlink, path, code: -result) }
  }
}
