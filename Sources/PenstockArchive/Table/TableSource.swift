// A table, and each of its blocks, as sources of a time-ordered merge.
//
// Blocks of different streams overlap in time; so a table is itself a merge of its blocks, each
// opened when the read reaches its first time and let go at its end. Only the blocks that can hold
// what is asked for become sources.

internal import PenstockCore

/// One block's matching events in time order.
final class BlockSource<Files: FileSystem>: EventSource {
  private let table: TableReader<Files>
  private let index: Int
  private let selection: Selection
  private let wanted: Set<Int>?
  private let direction: ReadDirection
  private let damage: DamageLog
  private var block: TableBlock?
  private var order: [Int32] = []
  private var position = 0
  private var isOpen = false

  /// - Parameter wanted: indexes of the streams asked for; nil for all.
  init(
    _ table: TableReader<Files>, _ index: Int, _ selection: Selection, wanted: Set<Int>?,
    _ direction: ReadDirection, _ damage: DamageLog
  ) {
    self.table = table
    self.index = index
    self.selection = selection
    self.wanted = wanted
    self.direction = direction
    self.damage = damage
  }

  var bound: Timestamp {
    direction == .forward ? table.blocks[index].earliest : table.blocks[index].latest
  }

  func next(_ event: inout StoredEvent) throws(ReadError) -> Bool {
    if !isOpen { try open() }
    guard let block else { return false }
    while position < order.count {
      let row = Int(order[position])
      position += 1
      block.fill(&event, row, table.streams)
      if selection.matchesBody(event.bytes.rawSpan, event.fields) { return true }
    }
    self.block = nil
    order = []
    return false
  }

  private func open() throws(ReadError) {
    isOpen = true
    let opened: TableBlock
    do throws(TableError) {
      opened = try table.block(index)
    } catch {
      if case .file(let failure) = error.fault { throw ReadError(failure) }
      damage.note(error.description)
      return
    }
    order.reserveCapacity(opened.rowCount)
    for row in 0..<opened.rowCount
    where (wanted?.contains(opened.stream(row)) ?? true) && selection.matches(opened.time(row)) {
      order.append(Int32(row))
    }
    let isForward = direction == .forward
    order.sort { left, right in
      isForward
        ? opened.precedes(Int(left), Int(right)) : opened.precedes(Int(right), Int(left))
    }
    block = opened
  }
}

/// One table's matching events in time order.
final class TableSource<Files: FileSystem>: EventSource {
  private let files: Files
  private let path: String
  private let entry: TableEntry
  private let selection: Selection
  private let direction: ReadDirection
  private let damage: DamageLog
  private var merged: MergedCursor?
  private var isOpen = false

  init(
    _ files: Files, _ layout: StoreLayout, _ entry: TableEntry, _ selection: Selection,
    _ direction: ReadDirection, _ damage: DamageLog
  ) {
    self.files = files
    path = layout.archive + "/" + entry.name
    self.entry = entry
    self.selection = selection
    self.direction = direction
    self.damage = damage
  }

  var bound: Timestamp { direction == .forward ? entry.earliest : entry.latest }

  func next(_ event: inout StoredEvent) throws(ReadError) -> Bool {
    if !isOpen { try open() }
    return try merged?.next(&event) ?? false
  }

  private func open() throws(ReadError) {
    isOpen = true
    let table: TableReader<Files>
    do throws(TableError) {
      table = try TableReader(files, path: path)
    } catch {
      if case .file(let failure) = error.fault { throw ReadError(failure) }
      damage.note(error.description)
      return
    }
    var wanted: Set<Int>?
    if !selection.streams.isEmpty {
      var found = Set<Int>()
      for (index, stream) in table.streams.enumerated()
      where selection.matches(stream: stream.name.rawSpan) {
        found.insert(index)
      }
      wanted = found
    }
    var sources: [any EventSource] = []
    for (index, block) in table.blocks.enumerated()
    where selection.mayMatch(block.earliest...block.latest)
      && (wanted?.contains(where: block.streams.contains) ?? true)
    {
      sources.append(
        BlockSource(table, index, selection, wanted: wanted, direction, damage))
    }
    merged = MergedCursor(sources, direction)
  }
}
