// The next events of a table in time order: as many as fit the memory granted.
//
// A table is sorted by stream first, so its blocks overlap in time, and the events of the next
// moment may come from all of them. Blocks are decoded one after the other and their events put
// into the window; when it is full, the latest go again and the window ends before them. What it
// left out is read again for the next window, from the blocks that can hold any of it.

internal import PenstockCore

/// Matching events, in time order, their lines put together.
struct TableWindow: ~Copyable {
  struct Entry {
    var key: EventKey
    var offset: Int
    var sizes: LineSizes

    /// What an entry takes of the memory granted, beside its line.
    static let byteCount = 64
  }

  private(set) var entries: [Entry] = []
  private var memory: AlignedBuffer
  private var lineByteCount = 0
  private let direction: ReadDirection
  private let byteCountMax: Int
  private let countMax: Int
  /// Events held beyond which the latest go again.
  private let heldCountMax: Int
  /// Only events behind this one are wanted.
  private let floor: EventKey?
  /// When the window is full: events behind this one do not fit any more.
  private var ceiling: EventKey?
  /// Whether events were left out that come behind the ones held.
  private(set) var isCut = false

  /// - Parameters:
  ///   - byteCountMax: memory it may take.
  ///   - countMax: events that are wanted at most.
  init(byteCountMax: Int, countMax: Int, behind floor: EventKey?, _ direction: ReadDirection) {
    self.byteCountMax = byteCountMax
    // No window holds more events than it has bytes: an unlimited read does not overflow here.
    self.countMax = min(max(countMax, 1), byteCountMax)
    heldCountMax = self.countMax + self.countMax / 2 + 64
    self.floor = floor
    self.direction = direction
    memory = AlignedBuffer(byteCount: byteCountMax)
  }

  /// Bytes of memory in use.
  var usedByteCount: Int { lineByteCount + entries.count * Entry.byteCount }

  /// Whether a block may hold events of this window.
  func mayTake(_ block: TableBlockEntry) -> Bool {
    let isForward = direction == .forward
    if let floor, isForward ? block.latest < floor.time : floor.time < block.earliest {
      return false
    }
    if let ceiling, isForward ? ceiling.time < block.earliest : block.latest < ceiling.time {
      return false
    }
    return true
  }

  /// Whether an event with this key belongs to the window as it stands.
  @inline(__always)
  mutating func mayTake(_ key: EventKey) -> Bool {
    if let floor, !floor.precedes(key, direction) { return false }
    guard let ceiling, !key.precedes(ceiling, direction) else { return true }
    isCut = true
    return false
  }

  /// Takes a row that `mayTake` let in.
  @inline(__always)
  mutating func take(_ row: Int, _ key: EventKey, of block: inout TableBlock) {
    let sizes = block.sizes(row)
    if usedByteCount &+ sizes.byteCount &+ Entry.byteCount > byteCountMax
      || entries.count >= heldCountMax
    {
      makeRoom(for: sizes.byteCount)
      guard mayTake(key) else { return }
    }
    block.putLine(row, sizes, into: &memory, at: lineByteCount)
    entries.append(Entry(key: key, offset: lineByteCount, sizes: sizes))
    lineByteCount &+= sizes.byteCount
  }

  /// Brings the events into order; the window is ready.
  mutating func finish() {
    sort()
    if entries.count > countMax { cut(to: countMax) }
  }

  private mutating func makeRoom(for byteCount: Int) {
    sort()
    var kept = 0
    var bytes = 0
    while kept < min(entries.count, countMax) {
      bytes += entries[kept].sizes.byteCount + Entry.byteCount
      guard bytes <= byteCountMax / 4 * 3 else { break }
      kept += 1
    }
    if kept < entries.count { cut(to: max(1, kept)) }
    compact()
    // A single event may be larger than what was granted.
    let missing = lineByteCount + byteCount - memory.byteCount
    guard missing > 0 else { return }
    memory.grow(to: memory.byteCount + missing, keeping: lineByteCount)
  }

  private mutating func cut(to count: Int) {
    ceiling = entries[count - 1].key
    entries.removeLast(entries.count - count)
    isCut = true
  }

  /// Moves the lines of the entries together.
  private mutating func compact() {
    let order = entries.indices.sorted { entries[$0].offset < entries[$1].offset }
    var end = 0
    for index in order {
      let range = entries[index].offset..<(entries[index].offset + entries[index].sizes.byteCount)
      memory.move(range, to: end)
      entries[index].offset = end
      end += range.count
    }
    lineByteCount = end
  }

  private mutating func sort() {
    if direction == .forward {
      entries.sort { $0.key < $1.key }
    } else {
      entries.sort { $1.key < $0.key }
    }
  }

  /// Gives out the event at `index`.
  func give(_ index: Int, _ event: inout StoredEvent) {
    let entry = entries[index]
    event.log = entry.key.log
    event.sequence = entry.key.sequence
    event.time = entry.key.time
    event.isProvisional = false
    event.bytes.removeAll(keepingCapacity: true)
    memory.append(
      entry.offset..<(entry.offset &+ entry.sizes.byteCount), to: &event.bytes)
    entry.sizes.fields(entry.key.time, &event.fields)
  }
}

/// Memory the tables of one read may take together. A table takes from it when it builds a window
/// and gives back what it does not need.
package final class WindowBudget {
  private var free: Int
  /// All of it: a table of one run of the archiver fits, so it is decoded once.
  package static let byteCountMax = 96 << 20
  /// A window smaller than this is built too often: so much a table gets even when nothing is left.
  static let windowByteCountMin = 256 << 10

  package init(byteCount: Int = WindowBudget.byteCountMax) { free = byteCount }

  func take(_ wanted: Int) -> Int {
    let granted = max(min(wanted, free / 4 * 3), WindowBudget.windowByteCountMin)
    free -= granted
    return granted
  }

  func giveBack(_ byteCount: Int) { free += byteCount }
}
