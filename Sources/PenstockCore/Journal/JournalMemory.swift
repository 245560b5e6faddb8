// What a shard remembers of the journals it owns: when each journal, and each type in a journal, was
// written to last. Commits are checked against it.
//
//     ring     entries (key, sequence) in the order they were written, the oldest go first
//     index    key ─▶ its newest entry; an older entry of the same key is stale
//     floor    the newest sequence number that was forgotten
//
// A key that is not found was last written to at the floor or before: what is asked about later
// positions is known, what is asked about earlier ones is not, and is answered with "too old". So the
// memory is bounded and no answer is ever wrong. Two keys with the same 64 bits would make a commit
// fail that need not: 64 bits, mixed with a random number, of a few million.
//
// It begins small and grows with use up to `entryCountMax`, stale entries being dropped first; that is
// the one thing a shard allocates while it serves, a dozen times in its life at most.

/// The journals' last positions.
package struct JournalMemory: ~Copyable {
  struct Entry: BitwiseCopyable {
    var key: UInt64
    var sequence: UInt64
  }

  private var ring: Table<Entry>
  /// Number of the entry + 1, 0 for free; a power of two, at most half of them taken.
  private var index: Table<UInt32>
  /// Where the next entry goes, and how many there are.
  private var head = 0
  private var count = 0
  private let entryCountMax: Int
  /// The newest sequence number that may have been forgotten: 0 when nothing was.
  package private(set) var floor: UInt64

  /// Entries at the start: 96 KiB with the index.
  private static let entryCountMin = 4096
  /// Two for each of a million commits of one type: 48 MiB with the index, when all are in use.
  package static let entryCountDefault = 1 << 21

  /// What is known of a key.
  package enum Last: Equatable, Sendable {
    /// It was last written at this sequence number.
    case at(UInt64)
    /// It was last written at the floor or before, if ever.
    case before
  }

  /// - Parameters:
  ///   - floor: nothing is known of what was written up to this sequence number.
  ///   - entryCountMax: a power of two.
  package init(floor: UInt64 = 0, entryCountMax: Int = JournalMemory.entryCountDefault) {
    precondition(entryCountMax.nonzeroBitCount == 1 && entryCountMax <= 1 << 28)
    self.floor = floor
    self.entryCountMax = entryCountMax
    let count = min(entryCountMax, JournalMemory.entryCountMin)
    ring = Table(count: count, repeating: Entry(key: 0, sequence: 0))
    index = Table(count: 2 * count, repeating: 0)
  }

  /// Bytes it takes now.
  package var byteCount: Int { ring.count * 16 + index.count * 4 }

  /// When `key` was written to last.
  @inline(__always)
  package func last(_ key: UInt64) -> Last {
    let found = index[place(key)]
    return found == 0 ? .before : .at(ring[Int(found) &- 1].sequence)
  }

  /// `key` was written to at `sequence`, by a commit that began at `first`.
  @inline(__always)
  package mutating func remember(_ key: UInt64, _ sequence: UInt64, commit first: UInt64) {
    let place = place(key)
    let found = Int(index[place]) &- 1
    if found >= 0, ring[found].sequence >= first {
      ring[found].sequence = sequence
      return
    }
    append(key, sequence, place)
  }

  /// Everything up to `sequence` may have been written without being remembered.
  package mutating func raiseFloor(to sequence: UInt64) { floor = max(floor, sequence) }

  private mutating func append(_ key: UInt64, _ sequence: UInt64, _ found: Int) {
    var place = found
    if count == ring.count {
      makeRoom()
      place = self.place(key)
    }
    ring[head] = Entry(key: key, sequence: sequence)
    index[place] = UInt32(head &+ 1)
    head = (head &+ 1) & (ring.count &- 1)
    count &+= 1
  }

  /// Where in the index a key is, or would be.
  @inline(__always)
  private func place(_ key: UInt64) -> Int {
    let mask = index.count &- 1
    var place = Int(truncatingIfNeeded: key) & mask
    while index[place] != 0, ring[Int(index[place]) &- 1].key != key {
      place = (place &+ 1) & mask
    }
    return place
  }

  // MARK: - Room

  private mutating func makeRoom() {
    if ring.count < entryCountMax { return rebuild() }
    forgetOldest()
  }

  private mutating func forgetOldest() {
    let oldest = (head &- count) & (ring.count &- 1)
    let place = place(ring[oldest].key)
    count &-= 1
    // A stale entry says nothing that a newer one does not.
    guard Int(index[place]) == oldest &+ 1 else { return }
    floor = max(floor, ring[oldest].sequence)
    free(place)
  }

  /// Takes an entry out of the index: what was put behind it because it was there moves up.
  private mutating func free(_ place: Int) {
    let mask = index.count &- 1
    var hole = place
    var next = (hole &+ 1) & mask
    while index[next] != 0 {
      let home = Int(truncatingIfNeeded: ring[Int(index[next]) &- 1].key) & mask
      if (next &- home) & mask >= (next &- hole) & mask {
        index[hole] = index[next]
        hole = next
      }
      next = (next &+ 1) & mask
    }
    index[hole] = 0
  }

  /// Drops stale entries; when fewer than half are, the memory is doubled as well.
  private mutating func rebuild() {
    var staleCount = 0
    for number in 0..<count where Int(index[place(ring[number].key)]) != number &+ 1 {
      staleCount &+= 1
    }
    let size = 2 &* staleCount >= count ? ring.count : 2 &* ring.count
    var live = Table(count: ring.count, repeating: Entry(key: 0, sequence: 0))
    var liveCount = 0
    for step in 0..<count {
      let number = (head &- count &+ step) & (ring.count &- 1)
      guard Int(index[place(ring[number].key)]) == number &+ 1 else { continue }
      live[liveCount] = ring[number]
      liveCount &+= 1
    }
    ring = Table(count: size, repeating: Entry(key: 0, sequence: 0))
    index = Table(count: 2 &* size, repeating: 0)
    head = 0
    count = 0
    for number in 0..<liveCount {
      append(live[number].key, live[number].sequence, place(live[number].key))
    }
  }
}
