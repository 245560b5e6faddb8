// A table of one's own, written once: events in any order go in, an immutable, sorted, indexed,
// compressed file comes out. No store, no daemon.
//
//     var writer = TableWriter(path: "visits.table", group: "host", indexes: ["visitor", "city"])
//     try writer.add(TableEvent(key: "shop", time: now, attributes: […], payload: bytes))
//     try writer.finish()

internal import PenstockArchive
internal import PenstockCore

/// Writes one table. Memory is fixed, however many events are added.
public struct TableWriter: ~Copyable {
  private let builder: Builder

  /// Holds what does the work: the value is copied nowhere, and cleans up when it goes.
  private final class Builder {
    var builder: TableBuilder<LinuxFileSystem>
    var isFinished = false

    init(_ builder: consuming TableBuilder<LinuxFileSystem>) { self.builder = builder }

    deinit { if !isFinished { builder.discard() } }
  }

  /// A writer.
  /// - Parameters:
  ///   - path: where the table is to be. A file that is there is replaced when it is finished.
  ///   - group: the attribute by which the events of a key are grouped: a group is scanned without
  ///     looking at the others.
  ///   - indexes: attributes whose values are indexed, at most 16; "type" is the type.
  ///   - memoryByteCount: bytes of memory for sorting, at least 1 MiB.
  public init(
    path: String, group: String? = nil, indexes: [String] = [], memoryByteCount: Int = 64 << 20
  ) {
    let escaped = { (key: String) in Escape.encode(Array(key.utf8).rawSpan, .key) }
    builder = Builder(
      TableBuilder(
        LinuxFileSystem(), path: path, store: StoreIdentifier(high: 0, low: 0),
        group: group.map(escaped), indexes: indexes.map(escaped),
        memoryByteCount: max(memoryByteCount, 1 << 20)))
  }

  /// Adds an event. Events of equal keys and times come out in the order they were added.
  public func add(_ event: TableEvent) throws(TableFailure) {
    let line = try event.line()
    let isTaken: Bool
    do throws(TableError) {
      isTaken = try builder.builder.add(line.rawSpan)
    } catch {
      throw TableFailure(error)
    }
    guard isTaken else {
      throw TableFailure("an event of '\(event.key)' is too large for the memory of the writer")
    }
  }

  /// Writes the table, durably, and gives it its name.
  /// - Returns: the number of events in it.
  @discardableResult
  public consuming func finish() throws(TableFailure) -> Int {
    do throws(TableError) {
      let count = try builder.builder.finish()
      builder.isFinished = true
      return count
    } catch {
      throw TableFailure(error)
    }
  }
}
