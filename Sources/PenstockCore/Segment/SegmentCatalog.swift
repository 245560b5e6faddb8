// Which segments the live folder holds. The folder is flat and names say everything: a listing is
// the whole catalog, and nothing has to be opened to know a log's order.
//
//     LL-NNNNNNNNNNNNNNNN.log    a segment           LL.lock    a lease
//
// Anything else is foreign: reported, never touched. Numbers of 0 and beyond `numberMax` are
// foreign too: no writer makes them, and the number after the highest one must always exist. So are
// segments of the log of imported events, which has none.

/// The live folder's contents, by name.
package struct SegmentCatalog: Sendable, Equatable {
  /// Every log's segments, by log and number.
  package private(set) var segments: [SegmentName]
  /// Names that are neither a segment's nor a lease's, in order.
  package private(set) var foreignFiles: [String]

  /// Highest number a segment may have, so that a planted name cannot exhaust the numbers: those
  /// of batches and events are multiples of it.
  package static let numberMax: UInt64 = 1 << 36

  /// Lists the live folder.
  package init<Files: FileSystem>(_ files: Files, _ layout: StoreLayout) throws(FileError) {
    segments = []
    foreignFiles = []
    for name in try files.list(layout.live) {
      if let segment = SegmentName(fileName: name), segment.number.value > 0,
        segment.number.value <= SegmentCatalog.numberMax, segment.log != .imported
      {
        segments.append(segment)
      } else if !SegmentCatalog.isLock(name) {
        foreignFiles.append(name)
      }
    }
    segments.sort()
    foreignFiles.sort()
  }

  /// The segments of `log` behind `archived`, in order.
  package func segments(of log: LogNumber, after archived: SegmentNumber = .none) -> [SegmentName] {
    segments.filter { $0.log == log && $0.number > archived }
  }

  /// The logs that have segments, in order.
  package var logs: [LogNumber] {
    var found: [LogNumber] = []
    for segment in segments where found.last != segment.log { found.append(segment.log) }
    return found
  }

  /// The number a new segment of `log` gets.
  package func nextNumber(of log: LogNumber, after archived: SegmentNumber) -> SegmentNumber {
    max(segments(of: log).last?.number ?? .none, archived).next
  }

  private static func isLock(_ name: String) -> Bool {
    let bytes = Array(name.utf8)
    return bytes.count == 7 && bytes.rawSpan.hexadecimal(at: 0, digitCount: 2) != nil
      && bytes.rawSpan.hasBytes(".lock", at: 2)
  }
}
