// The archiver takes orders to erase and carries them out.

internal import PenstockCore

/// What became of orders to erase.
package enum EraseProgress: Equatable, Sendable {
  case nothing
  /// An order was taken: reads leave its events out from now on.
  case taken(String)
  /// A file is no order; it is left where it is.
  case refused(String)
  /// Tables went, or an order is carried out everywhere.
  case working
}

extension Archiver {
  /// Takes an order that waits, or does a step of one that was taken. What is left to be written
  /// anew is done by `merge`.
  package mutating func erase() throws(ArchiveError) -> EraseProgress {
    let orders: [(path: String, order: EraseOrder?)]
    do throws(FileError) {
      orders = try EraseOrder.waiting(files, layout)
    } catch {
      throw .file(error)
    }
    for (path, order) in orders where !refusedOrders.contains(path) {
      // Every read asks every order: the others wait until these are carried out.
      guard manifest.erasures.count < Erasure.countMax else { break }
      guard let order, let taken = Erasure(order) else {
        refusedOrders.insert(path)
        return .refused("\(path) is not an order to erase; it is left where it is")
      }
      try take(taken, path)
      return .taken(
        "erasing events of \(order.pattern) before \(order.before.text): reads leave them out, "
          + "tables are written anew without them")
    }
    for (number, erasure) in manifest.erasures.sorted(by: { $0.key < $1.key }) {
      if try removeWholly(erasure, before: number) { return .working }
      if try isDone(erasure, before: number) {
        var edit = ManifestEdit()
        edit.erased = [number]
        try append(edit)
        cleared = cleared.filter { $0.erasure != number }
        return .working
      }
    }
    return .nothing
  }

  private mutating func append(_ edit: ManifestEdit) throws(ArchiveError) {
    do throws(ManifestError) {
      try manifest.append(edit, files, layout, store: store)
    } catch {
      throw .manifest(error)
    }
  }

  private mutating func take(_ erasure: Erasure, _ path: String) throws(ArchiveError) {
    // What a join writes now was read without this order.
    if let task = mergeTask {
      mergeTask = nil
      task.discard()
    }
    var edit = ManifestEdit()
    edit.erases = [erasure]
    try append(edit)
    do throws(FileError) {
      try files.unlinkIfThere(path)
    } catch {
      throw .file(error)
    }
  }

  /// Whether tables have to be written anew, or are being.
  package var mustRewrite: Bool { mergeTask != nil || tableToErase() != nil }

  // MARK: - Tables

  /// The tables an order may concern: those that were written before it.
  private func concerned(_ erasure: Erasure, before number: UInt64) -> [TableEntry] {
    manifest.tables.filter { table in
      table.earliest < erasure.before && (table.edit ?? 0) < number
        && !cleared.contains(Cleared(table: table.name, erasure: number))
    }
  }

  /// Removes tables that hold nothing else.
  /// - Returns: whether there were some.
  private mutating func removeWholly(_ erasure: Erasure, before number: UInt64)
    throws(ArchiveError) -> Bool
  {
    var whole: [String] = []
    for table in concerned(erasure, before: number) where !unmergeable.contains(table.name) {
      switch try concern(of: table, erasure) {
      case .none: cleared.insert(Cleared(table: table.name, erasure: number))
      case .all: whole.append(table.name)
      case .some: break
      }
    }
    guard !whole.isEmpty else { return false }
    try remove(whole)
    return true
  }

  private enum Concern { case none, some, all }

  /// What a table's directory says.
  private func concern(of entry: TableEntry, _ erasure: Erasure) throws(ArchiveError) -> Concern {
    var hasConcerned = false
    var hasOthers = false
    do throws(TableError) {
      let table = try TableReader(files, path: layout.archive + "/" + entry.name)
      let isWhole = try table.forEachStream { stream in
        guard erasure.concerns(stream: stream.name.rawSpan), stream.earliest < erasure.before
        else {
          hasOthers = true
          return
        }
        hasConcerned = true
        if !(stream.latest < erasure.before) { hasOthers = true }
      }
      let isCovered = table.covered.allSatisfy {
        $0.sequences.upperBound <= (erasure.through[$0.log] ?? .none).value
      }
      guard isWhole, !table.covered.isEmpty else { return .some }
      return !hasConcerned ? .none : hasOthers || !isCovered ? .some : .all
    } catch {
      guard case .file(let failure) = error.fault else { return .some }
      // A table that is lost has nothing left to be erased; reads and verify tell of it.
      guard failure.code == System.notFound else { throw .file(failure) }
      return .none
    }
  }

  /// Whether nothing is left of what an order concerns, in tables and live segments.
  private func isDone(_ erasure: Erasure, before number: UInt64) throws(ArchiveError) -> Bool {
    guard concerned(erasure, before: number).isEmpty else { return false }
    return erasure.through.allSatisfy { manifest.coveredThrough($0.key) >= $0.value }
  }

  /// A table that has to be written anew for an order.
  func tableToErase() -> TableEntry? {
    for (number, erasure) in manifest.erasures.sorted(by: { $0.key < $1.key }) {
      if let table = concerned(erasure, before: number).first(where: {
        !unmergeable.contains($0.name)
      }) {
        return table
      }
    }
    return nil
  }
}

/// A table an order does not concern.
struct Cleared: Hashable {
  var table: String
  var erasure: UInt64
}

extension Erasure {
  /// Nil when the order's pattern is none.
  fileprivate init?(_ order: EraseOrder) {
    guard
      let erasure = try? Erasure(
        pattern: order.pattern, before: order.before, through: order.through)
    else { return nil }
    self = erasure
  }
}
