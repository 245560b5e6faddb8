// Who may get at run/: its owner. The sockets in it command the host and pass for a shard.

internal import Glibc
internal import PenstockCore

/// Modes of run/ and what is in it.
enum RunFolder {
  private static let folderMode: mode_t = 0o700
  private static let socketMode: mode_t = 0o600

  /// Shuts others out of the folder; what is made in it later is behind that.
  static func protect(_ layout: StoreLayout) throws(FileError) {
    try setMode(layout.run, folderMode)
  }

  /// The same for a socket in it, should the folder be opened to others some day.
  static func protect(socket path: String) throws(FileError) { try setMode(path, socketMode) }

  private static func setMode(_ path: String, _ mode: mode_t) throws(FileError) {
    guard unsafe chmod(path, mode) == 0 else { throw FileError(.open, path, code: errno) }
  }
}
