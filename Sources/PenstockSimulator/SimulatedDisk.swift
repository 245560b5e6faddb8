// A disk that does what disks are allowed to do, and what broken ones do.
//
//     visible   what reads give: every write that has landed
//     durable   what outlives a power cut for certain: what a sync has covered
//     dirty     stretches that are visible and not durable
//     lost      stretches whose sync failed: visible, neither durable nor dirty
//
// A power cut keeps each dirty sector of 512 bytes or drops it, as the seed decides; a block of 4 KiB
// of which only a part was kept may be garbled as a whole. Names live like bytes: durable after a
// sync of their folder. A sync that fails leaves its stretches visible and clean, as Linux does: no
// later sync makes them durable, and once the cache is dropped, or read past, they are gone.
//
// Processes are numbers. A killed process's calls fail and change nothing more; its lock on a file
// falls when the last write it had on the way has retired.

internal import PenstockCore
internal import Synchronization

/// How often something breaks, in per cent of the operations it can happen to.
package struct DiskFaults: Sendable {
  package var writeFails = 0
  package var writeIsShort = 0
  package var syncFails = 0
  package init() {}
}

/// The state of a simulated disk.
struct DiskState {
  struct Inode {
    var visible: [UInt8] = []
    var durable: [UInt8] = []
    var dirty: [Range<Int>] = []
    var lost: [Range<Int>] = []
    var lockedBy: Int?
    /// The process whose commits went here first.
    var committer: Int?
  }

  struct OpenFile {
    var inode: Int
    var path: String
    var process: Int
    var isDirect: Bool
  }

  var inodes: [Inode] = []
  var names: [String: Int] = [:]
  var durableNames: [String: Int] = [:]
  var folders: Set<String> = []
  var openFiles: [Int32: OpenFile] = [:]
  var nextDescriptor: Int32 = 3
  var deadProcesses: Set<Int> = []
  /// Operations after which a process is killed.
  var operationsLeft: [Int: Int] = [:]
  /// Operations after which one of a process fails.
  var operationsToFailure: [Int: Int] = [:]
  /// Writes a process has on the way.
  var flightCount: [Int: Int] = [:]
  var freeByteCount = 1 << 30
  var faults = DiskFaults()
  var random: SeededRandom
  var canary: Canary?
  /// Whether a shard is recovering, for the canary that breaks a rule of recovery.
  var isRecovering = false
  /// What was broken so far, by kind.
  var injected: [String: Int] = [:]

  mutating func note(_ fault: String) { injected[fault, default: 0] += 1 }

  mutating func write(_ bytes: [UInt8], to inode: Int, at offset: Int) {
    let end = offset + bytes.count
    let missing = end - inodes[inode].visible.count
    if missing > 0 {
      inodes[inode].visible.append(contentsOf: [UInt8](repeating: 0, count: missing))
    }
    inodes[inode].visible.replaceSubrange(offset..<end, with: bytes)
    inodes[inode].dirty.append(offset..<end)
    inodes[inode].lost = inodes[inode].lost.flatMap { range in
      [
        range.lowerBound..<max(range.lowerBound, min(range.upperBound, offset)),
        min(range.upperBound, max(range.lowerBound, end))..<range.upperBound,
      ].filter { !$0.isEmpty }
    }
  }

  /// A sync of a file fails, before or after having written.
  mutating func failSync(_ inode: Int) {
    let hasWritten = random.chance(50)
    note(hasWritten ? "failed sync, written" : "failed sync, not written")
    if hasWritten { return sync(inode) }
    inodes[inode].lost += inodes[inode].dirty
    inodes[inode].dirty = []
  }

  /// What was lost is seen to be: the cache no longer hides it.
  mutating func dropCache(_ inode: Int) {
    let file = inodes[inode]
    for range in file.lost {
      for place in range.clamped(to: 0..<file.visible.count) {
        inodes[inode].visible[place] = place < file.durable.count ? file.durable[place] : 0
      }
    }
    inodes[inode].lost = []
  }

  /// Makes everything visible of a file durable.
  mutating func sync(_ inode: Int) {
    let count = inodes[inode].visible.count
    resize(&inodes[inode].durable, to: count)
    for range in inodes[inode].dirty {
      let kept = range.clamped(to: 0..<count)
      inodes[inode].durable.replaceSubrange(kept, with: inodes[inode].visible[kept])
    }
    inodes[inode].dirty = []
  }

  private func resize(_ bytes: inout [UInt8], to count: Int) {
    if bytes.count > count {
      bytes.removeLast(bytes.count - count)
    } else {
      bytes.append(contentsOf: [UInt8](repeating: 0, count: count - bytes.count))
    }
  }

  // MARK: - Power

  /// Every process is gone, and what was not durable survives or not.
  mutating func cutPower() {
    cutNames()
    for index in inodes.indices {
      tear(index)
      inodes[index].lockedBy = nil
    }
    openFiles = [:]
    flightCount = [:]
  }

  private mutating func cutNames() {
    var kept = durableNames
    let dropsAll = random.chance(30)
    for path in names.keys.sorted() where durableNames[path] != names[path] {
      if !dropsAll, random.chance(50) { kept[path] = names[path] }
    }
    for path in durableNames.keys.sorted() where names[path] == nil {
      if !dropsAll, random.chance(50) { kept[path] = nil }
    }
    names = kept
    durableNames = kept
  }

  private static let sectorByteCount = 512
  private static let blockByteCount = 4096

  private mutating func tear(_ index: Int) {
    let inode = inodes[index]
    let mode = random.below(4)
    var bytes = inode.durable
    if bytes.count != inode.visible.count, mode != 0, random.chance(50) {
      resize(&bytes, to: inode.visible.count)
    }
    if mode != 0 {
      let blocks = Set(inode.dirty.filter { !$0.isEmpty }.flatMap { DiskState.blocks(of: $0) })
      for block in blocks.sorted() {
        tearBlock(block, of: inode, into: &bytes, keepsAll: mode == 1)
      }
    }
    if canary == .tornBatchAccepted { BatchForgery.mend(&bytes) }
    inodes[index].visible = bytes
    inodes[index].durable = bytes
    inodes[index].dirty = []
    inodes[index].lost = []
  }

  private static func blocks(of range: Range<Int>) -> ClosedRange<Int> {
    (range.lowerBound / blockByteCount)...((range.upperBound - 1) / blockByteCount)
  }

  private mutating func tearBlock(
    _ block: Int, of inode: Inode, into bytes: inout [UInt8], keepsAll: Bool
  ) {
    let start = block * DiskState.blockByteCount
    let end = min(start + DiskState.blockByteCount, min(bytes.count, inode.visible.count))
    let dirty = inode.dirty.filter { $0.overlaps(start..<max(start + 1, end)) }
    var keptCount = 0
    var droppedCount = 0
    let isWhole = keepsAll || random.chance(70)
    let keepsBlock = keepsAll || random.chance(50)
    var sector = start
    while sector < end {
      let range = sector..<min(sector + DiskState.sectorByteCount, end)
      sector = range.upperBound
      guard dirty.contains(where: { $0.overlaps(range) }) else { continue }
      if isWhole ? keepsBlock : random.chance(50) {
        keptCount += 1
        for part in dirty.map({ $0.clamped(to: range) }) where !part.isEmpty {
          bytes.replaceSubrange(part, with: inode.visible[part])
        }
      } else {
        droppedCount += 1
      }
    }
    guard keptCount > 0, droppedCount > 0 else { return }
    note("torn block")
    guard random.chance(30) else { return }
    note("garbled block")
    for part in dirty.map({ $0.clamped(to: start..<end) }) {
      for place in part { bytes[place] = UInt8(truncatingIfNeeded: random.next()) }
    }
  }
}

/// The disk, shared by the files' users and the simulated machine.
package final class SimulatedDisk: Sendable {
  private let state: Mutex<DiskState>

  package init(random: SeededRandom, canary: Canary?) {
    var state = DiskState(random: random)
    state.canary = canary
    self.state = Mutex(state)
  }

  func with<R: ~Copyable>(_ body: (inout sending DiskState) -> sending R) -> R {
    state.withLock { body(&$0) }
  }

  /// What was broken so far, by kind.
  package var injected: [String: Int] { state.withLock { $0.injected } }

  /// A process dies: its calls fail from now on, its writes on the way go on.
  func kill(_ process: Int) {
    state.withLock { state in
      state.deadProcesses.insert(process)
      state.operationsLeft[process] = nil
      state.openFiles = state.openFiles.filter { $0.value.process != process }
      if state.flightCount[process] ?? 0 == 0 || state.canary == .earlyLease {
        DiskState.releaseLocks(of: process, &state)
      }
    }
  }

  /// Kills a process after so many more operations.
  func kill(_ process: Int, afterOperations count: Int) {
    state.withLock { $0.operationsLeft[process] = count }
  }

  /// Lets one operation of a process fail, after so many that do not.
  func fail(_ process: Int, afterOperations count: Int) {
    state.withLock { $0.operationsToFailure[process] = count }
  }

  /// How much room there is.
  func setRoom(_ byteCount: Int) { state.withLock { $0.freeByteCount = byteCount } }

  func setFaults(_ faults: DiskFaults) { state.withLock { $0.faults = faults } }

  /// One bit of a file at rest turns.
  func flipBit(of path: String, at offset: Int) {
    state.withLock { state in
      guard let inode = state.names[path], offset < state.inodes[inode].visible.count else {
        return
      }
      let bit = UInt8(1 << state.random.below(8))
      state.inodes[inode].visible[offset] ^= bit
      if offset < state.inodes[inode].durable.count { state.inodes[inode].durable[offset] ^= bit }
      state.note("flipped bit")
    }
  }

  /// What reads of a file give; nil when there is none.
  package func bytes(_ path: String) -> [UInt8]? {
    state.withLock { state in state.names[path].map { state.inodes[$0].visible } }
  }

  /// All paths, sorted.
  package var paths: [String] { state.withLock { $0.names.keys.sorted() } }
}

extension DiskState {
  static func releaseLocks(of process: Int, _ state: inout DiskState) {
    for index in state.inodes.indices where state.inodes[index].lockedBy == process {
      state.inodes[index].lockedBy = nil
    }
  }
}
