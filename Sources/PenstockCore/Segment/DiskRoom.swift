// How full the file system of a store is, in four words, and what is held back of it. Pure.
//
//     plenty
//     low         less than 4 GiB or a fifth           said, shown
//     nearlyFull  less than 1 GiB or an eighth         said, shown
//     full        less than 256 MiB or a sixteenth     no segments are prepared: shards that have
//                                                      used up theirs stop reading
//
// Of each pair the smaller counts: the first is for disks, the second for small file systems.

/// How much room a file system has left.
package enum DiskRoom: Int, Comparable, Sendable, CaseIterable {
  case full, nearlyFull, low, plenty

  package static func < (left: DiskRoom, right: DiskRoom) -> Bool {
    left.rawValue < right.rawValue
  }

  /// Free bytes below which room is called so; `plenty` has none.
  package func threshold(total: Int) -> Int {
    switch self {
    case .full: min(256 << 20, total / 16)
    case .nearlyFull: min(1 << 30, total / 8)
    case .low: min(4 << 30, total / 5)
    case .plenty: Int.max
    }
  }

  package init(free: Int, total: Int) {
    self =
      DiskRoom.allCases.first { $0 == .plenty || free < $0.threshold(total: total) } ?? .plenty
  }

  /// What room is called once more was free than that `self` was said of: it has to grow past a
  /// threshold by an eighth before a better word is used, so that words do not flutter.
  package func next(free: Int, total: Int) -> DiskRoom {
    let now = DiskRoom(free: free, total: total)
    guard now > self else { return now }
    return max(self, DiskRoom(free: free - free / 8, total: total))
  }
}
