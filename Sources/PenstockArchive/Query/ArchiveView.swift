// The archive as readers see it: which tables there are, and a source of the merge for each.

internal import PenstockCore

/// What the archive holds, by its manifest.
struct ArchiveView<Files: FileSystem> {
  private let files: Files
  private let layout: StoreLayout

  init(_ files: Files, _ layout: StoreLayout) throws(ReadError) {
    self.files = files
    self.layout = layout
  }

  /// Logs the archive holds events of.
  var logs: [LogNumber] { [] }

  /// Segments of the log up to this one are in tables.
  func archivedThrough(_ log: LogNumber) -> SegmentNumber { .none }

  /// Events of the log up to this one are in tables.
  func coveredThrough(_ log: LogNumber) -> SequenceNumber { .none }

  /// A source for each table that may hold events of the read.
  func sources(
    reading: SegmentReading<Files>, stretches: [LogNumber: LogStretch], log: LogNumber?
  ) -> [any EventSource] {
    []
  }

  var tableCount: Int { 0 }
  var eventCount: Int { 0 }
  func countStreams(_ selection: Selection, _ counter: inout StreamCounter, _ damage: DamageLog)
    throws(ReadError)
  {}
  func verify(_ result: inout Verification, _ progress: (String) -> Void) throws(ReadError) {}
}
