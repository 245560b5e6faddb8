// How far each log of a store is durable: what an archive that is to hold everything has to reach.

package import PenstockCore

package enum DurablePositions {
  /// The last durable event of each log that has one in its live segments. The frontier alone does
  /// not tell it: after a recovery it lies behind the numbers that were left out.
  package static func read<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier
  ) throws -> [LogNumber: SequenceNumber] {
    var positions: [LogNumber: SequenceNumber] = [:]
    for log in try LogView.logs(in: files, layout) {
      let frontier = DurableFrontier.read(layout, store, log)
      let view = try view(files, layout, store, log, frontier.sequence)
      // Beside a writer, what is beyond the frontier is not there yet. A log that is being
      // recovered keeps all that counts.
      let limit = frontier.isRunning ? frontier.sequence : nil
      let last = view.segments.reversed().lazy.flatMap { $0.batches.reversed() }.first { batch in
        batch.line.eventCount > 0 && (limit.map { batch.line.lastSequence <= $0 } ?? true)
      }
      if let last { positions[log] = last.line.lastSequence }
    }
    return positions
  }

  private static func view<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier, _ log: LogNumber,
    _ frontier: SequenceNumber?
  ) throws -> LogView {
    while true {
      do {
        return try LogView.read(
          files, layout, log: log, after: try Manifest.read(files, layout).archivedThrough(log),
          frontier: frontier, store: store, acceptsHoles: true)
      } catch LogError.changed {
        // A segment was archived while it was read: the manifest says more now.
        continue
      }
    }
  }
}
