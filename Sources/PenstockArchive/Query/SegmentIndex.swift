// The matching events of one live segment in time order, a bounded window of them at a time.
//
// Events of plain streams carry their own times, so a segment is in order of receipt and not of
// time. The first scan (the survey) leaves for every batch how many events match and between
// which times; a window then holds the next `capacity` entries behind the last event given out.
// When it is used up, the segment is scanned again for the next ones, over those batches only
// that can hold any. A segment whose times follow its order is scanned about twice.
//
//     entry   time, sequence, where the line lies in the file, its length, its CRC-32C
//
// The checksum lets the line be read again later, alone, and still be checked.

internal import PenstockCore

/// Where one matching event is.
struct SegmentEntry {
  var time: Timestamp
  var checksum: UInt32
  var sequence: SequenceNumber
  /// Offset of the line in the file.
  var offset: Int
  var byteCount: UInt32

  @inline(__always)
  func precedes(_ other: SegmentEntry, _ direction: ReadDirection) -> Bool {
    let isLess =
      time != other.time ? time < other.time : sequence.value < other.sequence.value
    let isMore =
      time != other.time ? other.time < time : other.sequence.value < sequence.value
    return direction == .forward ? isLess : isMore
  }
}

/// What the survey found in one batch.
struct BatchSummary {
  var matchCount = 0
  var earliest = Timestamp.latest
  var latest = Timestamp.earliest

  mutating func take(_ time: Timestamp) {
    matchCount += 1
    earliest = min(earliest, time)
    latest = max(latest, time)
  }

  /// Whether one of its events may stand behind `entry` in `direction`.
  func mayFollow(_ entry: SegmentEntry, _ direction: ReadDirection) -> Bool {
    direction == .forward ? latest >= entry.time : earliest <= entry.time
  }

  /// Whether one of its events may stand before `entry` in `direction`.
  func mayPrecede(_ entry: SegmentEntry, _ direction: ReadDirection) -> Bool {
    direction == .forward ? earliest <= entry.time : latest >= entry.time
  }
}

/// The next entries of a segment, at most `capacity` of them.
struct SegmentWindow {
  private(set) var entries: [SegmentEntry] = []
  private let direction: ReadDirection
  private let capacity: Int
  /// Only entries behind this one are wanted.
  private let floor: SegmentEntry?
  /// When the window is full: entries behind this one do not fit any more.
  private var ceiling: SegmentEntry?
  /// Whether entries were left out that come behind the ones held.
  private(set) var isCut = false

  init(capacity: Int, behind floor: SegmentEntry?, _ direction: ReadDirection) {
    self.capacity = capacity
    self.floor = floor
    self.direction = direction
  }

  /// Whether the batch may hold entries of this window.
  func mayTake(_ summary: BatchSummary) -> Bool {
    guard summary.matchCount > 0 else { return false }
    if let floor, !summary.mayFollow(floor, direction) { return false }
    if let ceiling, !summary.mayPrecede(ceiling, direction) { return false }
    return true
  }

  @inline(__always)
  mutating func take(_ entry: SegmentEntry) {
    if let floor, !floor.precedes(entry, direction) { return }
    if let ceiling, !entry.precedes(ceiling, direction) {
      isCut = true
      return
    }
    entries.append(entry)
    // Room for a half more before sorting: each cut then pays for capacity / 2 entries.
    if entries.count > capacity + capacity / 2 { cut() }
  }

  /// Brings the entries into order; the window is ready.
  mutating func finish() {
    if entries.count > capacity { cut() } else { sort() }
  }

  private mutating func cut() {
    sort()
    entries.removeLast(entries.count - capacity)
    ceiling = entries.last
    isCut = true
  }

  private mutating func sort() {
    let direction = direction
    entries.sort { $0.precedes($1, direction) }
  }
}

/// Index entries all segments of one read may hold together. Segments take from it when they
/// build a window and give back when they are done with it.
final class IndexBudget {
  private var free: Int
  /// A window smaller than this is scanned for too often.
  static let windowCountMin = 1024
  /// A larger window gained a tenth on the reference machine and cost four times the memory:
  /// events mostly come in order, and then each window's scan reads other batches.
  static let windowCountMax = 1 << 16

  init(entryCount: Int) { free = entryCount }

  /// The capacity of a window that has to be built now.
  func take(_ wanted: Int) -> Int {
    let granted = max(min(wanted, free / 2, IndexBudget.windowCountMax), IndexBudget.windowCountMin)
    free -= granted
    return granted
  }

  /// The capacity of a window built in passing, 0 when there is no room for one.
  func takeSpare(_ wanted: Int) -> Int {
    let granted = min(wanted, free / 2, IndexBudget.windowCountMax)
    guard granted >= min(wanted, IndexBudget.windowCountMin) else { return 0 }
    free -= granted
    return granted
  }

  func giveBack(_ count: Int) { free += count }
}
