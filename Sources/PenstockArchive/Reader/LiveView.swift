// One log's live segments beside an archiver: what the manifest says is archived, and what stands
// behind it.

internal import PenstockCore

enum LiveView {
  /// Reads the live segments of a log.
  /// - Returns: the view, and the last event that is archived.
  static func read<Files: FileSystem>(
    _ reader: StoreReader<Files>, _ log: LogNumber, _ frontier: DurableFrontier
  ) throws -> (view: LogView, archivedThrough: SequenceNumber) {
    var previous: SegmentNumber?
    while true {
      let manifest = try reader.manifest()
      let archived = manifest.archivedThrough(log)
      do throws(LogError) {
        let view = try LogView.read(
          reader.files, reader.layout, log: log, after: archived, frontier: frontier.sequence,
          store: reader.store, acceptsHoles: archived == previous)
        return (view, manifest.coveredThrough(log))
      } catch {
        // A segment was archived while it was read: the manifest says more now. When it does not,
        // the segment is lost.
        guard error == .changed else { throw ReadError(error, reader.layout.live) }
        previous = archived
        System.sleep(nanoseconds: 1_000_000)
      }
    }
  }
}
