// The preparer: keeps segments ready ahead of need, so that no shard ever waits for a directory.
// Tiny, of normal priority, and it never waits for archiving. A process of `penstock serve`, or a
// thread beside an embedded shard. Any byte on its pipe but the stop makes it look at once.
//
// For each log it keeps `aheadCount` prepared segments above the active one. The first are small;
// later ones hold about two seconds of what the shard writes. Filling them makes the small barriers
// of a shard with little to do quick; it also makes the drive write everything twice. A shard that
// writes a lot has large barriers, which cost little more in blocks that were merely reserved: from
// `fillableByteRate` on, and when it waits for a segment, segments are reserved only.
//
// A number that is taken is either a segment an earlier preparer made ready, which counts, or a
// file whose preparation was cut short, which does not: the shard passes over it as well.

internal import CShims

/// Prepares segments for some logs of a store.
package struct Preparer {
  private let layout: StoreLayout
  private let store: StoreIdentifier
  /// Size of every segment, or nil to size them by rate.
  private let fixedByteCount: Int?
  private let byteCountMin: Int
  private let tell: Notices
  private let boot = System.bootIdentifier()
  private let files = LinuxFileSystem()
  private var logs: [Log]
  private var saidSpace = false
  private var room = DiskRoom.plenty
  private var roomLookAt: Int64 = 0

  private struct Log {
    let number: LogNumber
    var active = SegmentNumber.none
    /// Prepared numbers above the active one, lowest first.
    var ahead: [SegmentNumber] = []
    /// The highest number that is taken, ready or not.
    var highest = SegmentNumber.none
    var bytesWritten: UInt64 = 0
    var measuredAt: Int64 = 0
    var byteRate: Double = 0
    /// After a failure nothing is tried before this time, in monotonic nanoseconds.
    var retryAt: Int64 = 0
    var said = ""
  }

  /// Segments kept ready ahead of each shard.
  static let aheadCount = 2
  /// Smallest and largest segment sized by rate, in bytes.
  package static let byteCountMin = 4 << 20
  static let byteCountMax = 64 << 20
  /// Seconds of writing a segment is sized for.
  static let secondsPerSegment = 2.0
  /// Bytes a second of one shard from which filling costs more than it saves: its batches are then
  /// of some hundred kilobytes.
  static let fillableByteRate = 128e6
  /// Bytes a second from which a shard is looked at often.
  static let busyByteRate = 1e6
  /// How often the file system's room is looked at, in nanoseconds.
  static let roomLookNanoseconds: Int64 = 1_000_000_000
  /// Pauses between looks, in milliseconds: a shard at full rate fills 64 MiB in 30.
  static let busyMilliseconds: Int32 = 5
  static let idleMilliseconds: Int32 = 100
  /// Pause after a failure, in nanoseconds: each attempt uses a number up.
  static let retryNanoseconds: Int64 = 1_000_000_000
  /// Time over which a rate is measured, in nanoseconds.
  static let measureNanoseconds: Int64 = 100_000_000

  /// - Parameters:
  ///   - logs: those it looks after.
  ///   - fixedByteCount: the size of every segment, in bytes; nil to size them by rate.
  ///   - byteCountMin: the smallest that is sized by rate.
  ///   - tell: takes what is to be said to people, after who says it.
  package init(
    _ layout: StoreLayout, _ store: StoreIdentifier, logs: [LogNumber], fixedByteCount: Int?,
    byteCountMin: Int = Preparer.byteCountMin,
    tell: @escaping Notices = ShardProcess.say
  ) {
    self.layout = layout
    self.store = store
    self.fixedByteCount = fixedByteCount
    self.byteCountMin = byteCountMin
    self.logs = logs.map { Log(number: $0) }
    self.tell = tell
  }

  /// Runs until the control pipe says stop or ends.
  package mutating func run(control: Int32) -> Int32 {
    _ = penstock_set_nonblocking(control, true)
    while true {
      var isBusy = false
      lookAtRoom()
      for index in logs.indices {
        if look(index) { isBusy = true }
      }
      let timeout = isBusy ? Preparer.busyMilliseconds : Preparer.idleMilliseconds
      var descriptor = control
      if unsafe penstock_wait_readable(&descriptor, 1, timeout) > 0 {
        let byte = penstock_read_byte(control)
        let isNothing = byte == -System.again
        if byte == Int32(ControlByte.stop) || (byte < 0 && !isNothing) { return 0 }
      }
    }
  }

  /// Looks after one log; true while its shard writes.
  private mutating func look(_ index: Int) -> Bool {
    guard
      let page = SharedPage(
        reading: layout.statisticsPage(store, logs[index].number), magic: Statistics.magic,
        boot: boot, valueCount: Statistics.valueCount)
    else { return false }
    let statistics = Statistics(page)
    // While a log is recovered its numbers are recovery's.
    guard statistics[.isServing] != 0 else { return false }
    let now = System.monotonicNanoseconds()
    let active = SegmentNumber(statistics[.activeSegment])
    if active != logs[index].active {
      logs[index].active = active
      logs[index].highest = max(logs[index].highest, active)
      logs[index].ahead.removeAll { $0 <= active }
    }
    measure(index, statistics[.bytesWritten], now)
    let isPressed = statistics[.isStalled] != 0
    while logs[index].ahead.count < Preparer.aheadCount, now >= logs[index].retryAt {
      let isFilled = !isPressed && logs[index].byteRate <= Preparer.fillableByteRate
      guard prepare(index, isFilled: isFilled) else {
        logs[index].retryAt = now + Preparer.retryNanoseconds
        break
      }
    }
    return logs[index].byteRate > Preparer.busyByteRate || isPressed
  }

  private mutating func measure(_ index: Int, _ bytesWritten: UInt64, _ now: Int64) {
    let elapsed = now - logs[index].measuredAt
    guard elapsed >= Preparer.measureNanoseconds else { return }
    let bytes = bytesWritten - min(logs[index].bytesWritten, bytesWritten)
    logs[index].byteRate = logs[index].measuredAt == 0 ? 0 : Double(bytes) / Double(elapsed) * 1e9
    logs[index].bytesWritten = bytesWritten
    logs[index].measuredAt = now
  }

  private func byteCount(_ log: Log) -> Int {
    if let fixedByteCount { return fixedByteCount }
    var size = byteCountMin
    while size < Preparer.byteCountMax, Double(size) < log.byteRate * Preparer.secondsPerSegment {
      size *= 2
    }
    return size
  }

  /// Makes one more segment ready; false when it could not.
  private mutating func prepare(_ index: Int, isFilled: Bool) -> Bool {
    let size = byteCount(logs[index])
    guard hasRoom(for: size) else { return false }
    while true {
      logs[index].highest = logs[index].highest.next
      let name = SegmentName(log: logs[index].number, number: logs[index].highest)
      do throws(FileError) {
        _ = try SegmentPreparation.prepare(
          files, layout, name: name, store: store, byteCount: size, isFilled: isFilled)
      } catch {
        let isTaken = error.code == System.exists && error.operation == .open
        guard isTaken else {
          sayOnce(index, "cannot prepare \(name.fileName): \(error); trying again")
          return false
        }
        guard isReady(name) else { continue }
      }
      logs[index].ahead.append(name.number)
      logs[index].said = ""
      return true
    }
  }

  /// Whether a file that is there is a segment of this store.
  private func isReady(_ name: SegmentName) -> Bool {
    guard let file = try? files.open(layout.segment(name), .read) else { return false }
    defer { files.close(file) }
    var memory = AlignedBuffer(byteCount: SegmentHeader.alignmentMin)
    guard let count = try? files.read(file, into: &memory, 0..<memory.byteCount, at: 0),
      case .header(let header) = SegmentHeader.read(memory.bytes(0..<count))
    else { return false }
    return header.name == name && header.store == store
  }

  /// Holds the reserve, and says when the disk fills up, before it is full.
  private mutating func lookAtRoom() {
    let now = System.monotonicNanoseconds()
    guard now >= roomLookAt else { return }
    roomLookAt = now + Preparer.roomLookNanoseconds
    // A disk that has no room for it yet is looked at again.
    _ = try? Reserve.hold(files, layout)
    guard let space = try? files.space(layout.live) else { return }
    let before = room
    room = room.next(free: space.free, total: space.total)
    let free = "\(Readable.bytes(space.free)) of \(Readable.bytes(space.total)) are free"
    let floor = Readable.bytes(DiskRoom.full.threshold(total: space.total))
    switch room {
    case .low where before > room:
      say("the disk that holds \(layout.live) fills up: \(free); below \(floor) shards stop")
    case .nearlyFull where before > room:
      say("the disk that holds \(layout.live) is NEARLY FULL: \(free); below \(floor) shards stop")
    case .plenty where before < room:
      say("the disk that holds \(layout.live) has room again: \(free)")
    // That it is full is said where a segment cannot be prepared for it.
    case .full, .low, .nearlyFull, .plenty: break
    }
  }

  private mutating func hasRoom(for size: Int) -> Bool {
    guard let space = try? files.space(layout.live) else { return false }
    // The archiver needs room to hand over.
    if space.free >= size + DiskRoom.full.threshold(total: space.total) {
      if saidSpace { say("there is room again; preparing segments") }
      saidSpace = false
      return true
    }
    if !saidSpace {
      saidSpace = true
      say(
        "only \(Readable.bytes(space.free)) are free in \(layout.live): no segments are prepared, "
          + "and shards stop acknowledging when theirs are full. Free some space there; they go on "
          + "by themselves")
    }
    return false
  }

  private mutating func sayOnce(_ index: Int, _ text: String) {
    guard logs[index].said != text else { return }
    logs[index].said = text
    say(text)
  }

  private func say(_ text: String) { tell("preparer", text) }
}
