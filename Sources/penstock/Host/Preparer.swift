// The preparer: keeps segments ready ahead of need, so that no shard ever waits for a directory.
// Tiny, of normal priority, and it never waits for archiving.
//
// For each log it keeps `aheadCount` prepared segments above the active one. The first are small;
// later ones hold about two seconds of what the shard writes. When a shard has no prepared segment
// left and is writing, the next is merely reserved, which is quick and costs its barriers more.

internal import CShims
internal import PenstockCore

/// Prepares segments for all logs of a store.
struct Preparer {
  private let layout: StoreLayout
  private let store: StoreIdentifier
  private let shardCount: Int
  /// Size of every segment, or nil to size them by rate.
  private let fixedByteCount: Int?
  private let files = LinuxFileSystem()
  private var logs: [Log]
  private var saidSpace = false

  private struct Log {
    var active = SegmentNumber.none
    /// Prepared numbers above the active one, lowest first.
    var ahead: [UInt64] = []
    var bytesWritten: UInt64 = 0
    var measuredAt: Int64 = 0
    var byteRate: Double = 0
  }

  /// Segments kept ready ahead of each shard.
  static let aheadCount = 2
  /// Smallest and largest segment sized by rate, in bytes.
  static let byteCountMin = 4 << 20
  static let byteCountMax = 64 << 20
  /// Seconds of writing a segment is sized for.
  static let secondsPerSegment = 2.0
  /// Free space below which nothing is prepared, in bytes: the archiver needs room to hand over,
  /// and a full disk has to be started from.
  static let reserveByteCount = 256 << 20
  /// Pauses between looks, in milliseconds: a shard at full rate fills 64 MiB in 30.
  static let busyMilliseconds: Int32 = 5
  static let idleMilliseconds: Int32 = 100

  init(_ layout: StoreLayout, _ store: StoreIdentifier, shardCount: Int, fixedByteCount: Int?) {
    self.layout = layout
    self.store = store
    self.shardCount = shardCount
    self.fixedByteCount = fixedByteCount
    logs = Array(repeating: Log(), count: shardCount)
  }

  /// Runs until the control pipe says stop or ends.
  mutating func run(control: Int32) -> Int32 {
    _ = penstock_set_nonblocking(control, true)
    while true {
      var isBusy = false
      for index in 0..<shardCount {
        if look(index) { isBusy = true }
      }
      let timeout = isBusy ? Preparer.busyMilliseconds : Preparer.idleMilliseconds
      var descriptor = control
      if unsafe penstock_wait_readable(&descriptor, 1, timeout) > 0 {
        let byte = penstock_read_byte(control)
        if byte == Int32(UInt8(ascii: "T")) || byte < 0 { return 0 }
      }
    }
  }

  /// Looks after one log; true while its shard writes.
  private mutating func look(_ index: Int) -> Bool {
    let log = LogNumber(UInt8(index))
    guard
      let page = SharedPage(
        reading: layout.statisticsPage(store, log), magic: Statistics.magic,
        boot: System.bootIdentifier(), valueCount: Statistics.valueCount)
    else { return false }
    let statistics = Statistics(page)
    guard statistics[.isServing] != 0 else { return false }
    let active = SegmentNumber(statistics[.activeSegment])
    if active != logs[index].active {
      logs[index].active = active
      logs[index].ahead.removeAll { $0 <= active.value }
    }
    measure(index, statistics[.bytesWritten])
    let isPressed = statistics[.isStalled] != 0
    while logs[index].ahead.count < Preparer.aheadCount {
      let isFilled = !(isPressed || (logs[index].ahead.isEmpty && logs[index].byteRate > 256e6))
      guard prepare(index, isFilled: isFilled) else { break }
    }
    return logs[index].byteRate > 1e6 || isPressed
  }

  private mutating func measure(_ index: Int, _ bytesWritten: UInt64) {
    let now = System.monotonicNanoseconds()
    let elapsed = now - logs[index].measuredAt
    guard elapsed >= 100_000_000 else { return }
    let bytes = bytesWritten >= logs[index].bytesWritten ? bytesWritten - logs[index].bytesWritten : 0
    logs[index].byteRate = logs[index].measuredAt == 0 ? 0 : Double(bytes) / Double(elapsed) * 1e9
    logs[index].bytesWritten = bytesWritten
    logs[index].measuredAt = now
  }

  private func byteCount(_ log: Log) -> Int {
    if let fixedByteCount { return fixedByteCount }
    var size = Preparer.byteCountMin
    while size < Preparer.byteCountMax, Double(size) < log.byteRate * Preparer.secondsPerSegment {
      size *= 2
    }
    return size
  }

  /// Prepares the next segment of a log; false when it could not.
  private mutating func prepare(_ index: Int, isFilled: Bool) -> Bool {
    let size = byteCount(logs[index])
    guard hasRoom(for: size) else { return false }
    var number = max(logs[index].active.value, logs[index].ahead.last ?? 0) + 1
    while true {
      let name = SegmentName(log: LogNumber(UInt8(index)), number: SegmentNumber(number))
      do throws(FileError) {
        _ = try SegmentPreparation.prepare(
          files, layout, name: name, store: store, byteCount: size, isFilled: isFilled)
        logs[index].ahead.append(number)
        return true
      } catch {
        // One that is there was prepared by an earlier process; the shard checks it.
        if error.code == System.exists, error.operation == .open {
          logs[index].ahead.append(number)
          number += 1
          if logs[index].ahead.count >= Preparer.aheadCount { return true }
          continue
        }
        say("cannot prepare \(name.fileName): \(error)")
        return false
      }
    }
  }

  private mutating func hasRoom(for size: Int) -> Bool {
    let free = (try? files.space(layout.live))?.free ?? 0
    if free >= size + Preparer.reserveByteCount {
      if saidSpace { say("there is room again; preparing segments") }
      saidSpace = false
      return true
    }
    if !saidSpace {
      saidSpace = true
      say(
        "only \(free >> 20) MiB are free in \(layout.live); no segments are prepared, and shards "
          + "stop acknowledging when theirs are full. Free space or move the store")
    }
    return false
  }

  private func say(_ text: String) { ShardProcess.say("preparer", text) }
}
