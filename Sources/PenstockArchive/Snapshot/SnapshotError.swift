// Why there is no snapshot: what happened, to what, and what to do.

package import PenstockCore

/// Why a snapshot could not be taken.
package enum SnapshotError: Error, Sendable, CustomStringConvertible {
  case file(FileError)
  case manifest(ManifestError)
  /// The target holds something.
  case occupied(String)
  /// The folder the snapshot would be built in is there and none of ours.
  case foreign(String)
  /// Another snapshot to the same path is being taken.
  case busy(String)
  /// The target lies in the store.
  case inside(String)
  /// What is copied changed again and again.
  case changed(String)
  /// The store's description cannot be used.
  case unusable(String)

  package var description: String {
    switch self {
    case .file(let error): error.description
    case .manifest(let error): error.description
    case .occupied(let path):
      "\(path) is not empty: name a folder that is not there yet, or an empty one"
    case .foreign(let path):
      "\(path), where the snapshot would be built, was not left by a snapshot: move it away"
    case .busy(let path): "another snapshot is being built in \(path): let it end first"
    case .inside(let path):
      "\(path) lies in the store itself: name a folder outside of it"
    case .changed(let path):
      "\(path) changed again and again while it was copied: try again when less is archived"
    case .unusable(let text): text
    }
  }
}

extension System {
  /// Whether a file got no second name because that cannot be done here: across file systems, on
  /// one that has no links, for somebody else's file, or for one with too many names.
  static func meansNoLinks(_ code: Int32) -> Bool { noLinks.contains(code) }

  /// Whether a name could not be unlinked because it is a folder's.
  static func meansFolder(_ code: Int32) -> Bool { folders.contains(code) }

  // EPERM, EACCES, EXDEV, EMLINK, ENOSYS, EOPNOTSUPP.
  private static let noLinks: Set<Int32> = [1, 13, 18, 31, 38, 95]
  // EPERM (POSIX) and EISDIR (Linux).
  private static let folders: Set<Int32> = [1, 21]
}
