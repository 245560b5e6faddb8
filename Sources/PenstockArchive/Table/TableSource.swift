// The events of one table as a source of the merge.
//
//     open ─▶ candidate blocks ─▶ window ─▶ events ─▶ window … ─▶ end
//
// The table is open only while a window is filled: a read over any number of tables keeps one file
// open, and a table that fits its window is read once. One that was merged away meanwhile is gone
// when the next window is filled; the read then takes a new snapshot.

package import PenstockCore

/// One table's matching events in time order.
package final class TableSource<Files: FileSystem>: EventSource {
  private let files: Files
  private let path: String
  private let entry: TableEntry
  private let selection: Selection
  private let direction: ReadDirection
  private let countWanted: Int
  private let damage: DamageLog
  private let budget: WindowBudget
  private var granted = 0
  private var window = TableWindow(byteCountMax: 1, countMax: 1, behind: nil, .forward)
  private var position = 0
  private var isOpen = false
  /// Blocks decoded so far.
  package private(set) var decodedBlockCount = 0

  /// - Parameter limit: events that are wanted of all sources together, at most.
  package init(
    _ files: Files, _ layout: StoreLayout, _ entry: TableEntry, _ selection: Selection,
    _ direction: ReadDirection, limit: Int = .max, _ damage: DamageLog, _ budget: WindowBudget
  ) {
    self.files = files
    path = layout.archive + "/" + entry.name
    self.entry = entry
    self.selection = selection
    self.direction = direction
    countWanted = limit
    self.damage = damage
    self.budget = budget
  }

  deinit { budget.giveBack(granted) }

  package var bound: Timestamp { direction == .forward ? entry.earliest : entry.latest }

  package func next(_ event: inout StoredEvent) throws(ReadError) -> Bool {
    while position == window.entries.count {
      guard !isOpen || window.isCut else {
        release()
        return false
      }
      try refill()
    }
    window.give(position, &event)
    position += 1
    return true
  }

  private func release() {
    budget.giveBack(granted)
    granted = 0
    window = TableWindow(byteCountMax: 1, countMax: 1, behind: nil, direction)
    position = 0
  }

  private func refill() throws(ReadError) {
    let floor = window.entries.last?.key
    release()
    do throws(TableError) {
      let table = try TableReader(files, path: path)
      // Damage is told once, not with each window.
      if !isOpen { for found in table.damage { damage.note(found.description) } }
      try fill(table, behind: floor)
    } catch {
      if case .file(let failure) = error.fault { throw ReadError(failure) }
      damage.note(error.description)
    }
    isOpen = true
  }

  private func fill(_ table: TableReader<Files>, behind floor: EventKey?) throws(TableError) {
    let isForward = direction == .forward
    let candidates = try table.candidates(selection).sorted { left, right in
      isForward
        ? table.blocks[left].earliest < table.blocks[right].earliest
        : table.blocks[right].latest < table.blocks[left].latest
    }
    granted = budget.take(TableSource.byteCount(candidates.map { table.blocks[$0] }))
    window = TableWindow(
      byteCountMax: granted, countMax: countWanted, behind: floor, direction)
    var block = TableBlock()
    for index in candidates where window.mayTake(table.blocks[index]) {
      do throws(TableError) {
        try table.load(index, into: &block)
      } catch {
        if case .file = error.fault { throw error }
        damage.note(error.description)
        continue
      }
      take(&block)
    }
    decodedBlockCount += table.decodedBlockCount
    window.finish()
    let unused = granted - window.usedByteCount
    if unused > 0 {
      budget.giveBack(unused)
      granted -= unused
    }
  }

  /// What the lines of these blocks take in a window, about.
  private static func byteCount(_ blocks: [TableBlockEntry]) -> Int {
    blocks.reduce(0) { $0 + $1.rawByteCount + $1.rowCount * (128 + TableWindow.Entry.byteCount) }
  }

  private func take(_ block: inout TableBlock) {
    let isWanted = (0..<block.nameCount).map { selection.matches(stream: block.name($0)) }
    let dependsOnBody = selection.dependsOnBody
    for row in 0..<block.rowCount where isWanted[block.name(ofRow: row)] {
      let key = block.key(row)
      guard selection.matches(key.time), window.mayTake(key) else { continue }
      if dependsOnBody, !selection.matchesBody(block.bytes, block.fields(row)) { continue }
      window.take(row, key, of: &block)
    }
  }
}
