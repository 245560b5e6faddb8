// Which blocks of tables a read touches, seen from the file system.

import Synchronization

/// Collects the blocks whose first byte is read.
final class LoadedBlocks: Sendable {
  private let places: [String: [Range<Int>]]
  private let loaded = Mutex<Set<String>>([])

  /// - Parameter places: where the blocks of each table lie in its file.
  init(_ places: [String: [Range<Int>]]) { self.places = places }

  /// Notes a read that begins at `offset`, which may be rounded down to a page's start.
  func note(_ path: String, _ offset: Int) {
    for (index, place) in (places[path] ?? []).enumerated()
    where place.lowerBound / 4096 == offset / 4096 {
      loaded.withLock { _ = $0.insert("\(path) \(index)") }
    }
  }

  var count: Int { loaded.withLock { $0.count } }
}
