// What a shard remembers of named producers: which of their counters it has stored, and where.
//
//     name ─▶ entry: epoch, and a window of the highest counters stored, each with its events
//
//     counter in the window                    repeated: told what was told the first time
//     counter above the window, or in a gap    new
//     counter below the window                 refused: it may have been stored, nobody knows
//     higher epoch                             new, and its window begins anew
//     lower epoch                              refused: somebody newer has the name
//
// The table is bounded, and when it is full the producer goes of which nothing was stored for longest.
// What was only repeated does not count: so who goes is decided by what the log holds, and a restart
// decides alike. `floor` is the highest epoch that ever went: a producer that is not found is certainly
// new above it, and told that it may have been forgotten at or below it. So nothing is ever stored
// twice, whatever was forgotten.
//
// Epochs are milliseconds since 1970, and may be ahead of the shard's clock by `epochAheadMax` only:
// so there is a floor above all epochs there can have been, for when a piece of the log is lost.
// ProducerLines.swift has how the table is kept in the log, ProducerReplay.swift how it is found again.

/// What becomes of a request with a counter.
package enum ProducerVerdict: Equatable, Sendable {
  case new
  /// It was stored as these events.
  case repeated(first: UInt64, count: UInt32)
  /// Refused; the number goes with the reason.
  case refused(Refusal, UInt64)
}

/// Who asks, and with which counter.
package struct ProducerStamp: BitwiseCopyable, Equatable, Sendable {
  package var epoch: UInt64
  package var counter: UInt64

  package init(epoch: UInt64 = 0, counter: UInt64 = 0) {
    self.epoch = epoch
    self.counter = counter
  }

  /// Highest epoch and counter: 63 bits.
  package static let numberMax = UInt64(Int64.max)
}

/// The named producers of one shard.
package struct Producers: ~Copyable {
  struct Entry: BitwiseCopyable {
    var hash: UInt64
    var epoch: UInt64
    /// No counter up to this one is new: the highest that left the window.
    var below: UInt64
    /// When something of it was last stored, counted in requests; 0 for a free entry.
    var usedAt: UInt64
    /// The window: where in its circle the lowest counter is, and how many there are.
    var head: Int32
    var count: Int32
    var nameByteCount: Int32
  }

  package struct Record: BitwiseCopyable, Equatable {
    package var counter: UInt64
    package var first: UInt64
    package var count: UInt32
  }

  private var entries: Table<Entry>
  private var records: Table<Record>
  private var names: AlignedBuffer
  private var clock: UInt64 = 1
  /// The highest epoch that was forgotten.
  package private(set) var floor: UInt64 = 0
  /// Entries in use.
  package private(set) var count = 0

  /// Longest name, in bytes: a host and a program, or a UUID and something.
  package static let nameByteCountMax = 64
  /// Counters remembered of a producer: that many requests may be under way at once, and sent again
  /// after a lost answer. 24 bytes each.
  package static let windowCount = 64
  /// How far an epoch may be ahead of the shard's clock, in milliseconds: clocks further apart are
  /// wrong, and tell.
  package static let epochAheadMax: UInt64 = 10 * 60 * 1000

  /// - Parameter countMax: producers remembered at once.
  package init(countMax: Int) {
    entries = Table(zeroedCount: countMax)
    records = Table(zeroedCount: countMax * Producers.windowCount)
    names = AlignedBuffer(byteCount: countMax * Producers.nameByteCountMax)
  }

  package var countMax: Int { entries.count }

  /// The name in an entry.
  @_lifetime(borrow self)
  package func name(_ index: Int) -> RawSpan {
    let start = index * Producers.nameByteCountMax
    return names.bytes(start..<(start + Int(entries[index].nameByteCount)))
  }

  package func epoch(_ index: Int) -> UInt64 { entries[index].epoch }
  package func below(_ index: Int) -> UInt64 { entries[index].below }
  package func windowCount(_ index: Int) -> Int { Int(entries[index].count) }

  /// A record of an entry's window, by its place; counters ascend.
  @inline(__always)
  package func record(_ index: Int, _ place: Int) -> Record {
    records[slot(index, place)]
  }

  @inline(__always)
  private func slot(_ index: Int, _ place: Int) -> Int {
    index &* Producers.windowCount
      &+ (Int(entries[index].head) &+ place) & (Producers.windowCount &- 1)
  }

  // MARK: - Asking

  /// What becomes of a request of the producer `name`.
  /// - Parameter epochMax: the highest epoch there can be by now.
  package func judge(_ name: RawSpan, _ stamp: ProducerStamp, epochMax: UInt64)
    -> ProducerVerdict
  {
    guard stamp.epoch <= epochMax else { return .refused(.epochAhead, epochMax) }
    let index = find(name)
    guard index >= 0 else {
      return stamp.epoch <= floor ? .refused(.unknownProducer, floor) : .new
    }
    let entry = entries[index]
    guard stamp.epoch >= entry.epoch else { return .refused(.fenced, entry.epoch) }
    guard stamp.epoch == entry.epoch else { return .new }
    return judge(index, stamp.counter)
  }

  private func judge(_ index: Int, _ counter: UInt64) -> ProducerVerdict {
    var place = Int(entries[index].count) - 1
    while place >= 0 {
      let record = record(index, place)
      if record.counter == counter {
        return .repeated(first: record.first, count: record.count)
      }
      if record.counter < counter { break }
      place -= 1
    }
    let isBelow = place < 0 && Int(entries[index].count) == Producers.windowCount
    guard counter > entries[index].below, !isBelow else {
      let lowest = entries[index].count > 0 ? record(index, 0).counter : entries[index].below + 1
      return .refused(.counterTooOld, lowest)
    }
    return .new
  }

  private func find(_ name: RawSpan) -> Int {
    let hash = Producers.hash(name)
    for index in 0..<count where entries[index].hash == hash {
      guard Int(entries[index].nameByteCount) == name.byteCount else { continue }
      let start = index &* Producers.nameByteCountMax
      if names.bytes.holds(start, name.byteCount, of: name, at: 0) { return index }
    }
    return -1
  }

  /// Names are compared as well: it only makes looking quick.
  private static func hash(_ name: RawSpan) -> UInt64 {
    JournalKey.journal(name, key: 0x9E37_79B9_7F4A_7C15)
  }

  private mutating func use(_ index: Int) {
    entries[index].usedAt = clock
    clock &+= 1
  }

  // MARK: - Remembering

  /// A request that is new was stored as `count` events from `first` on.
  package mutating func remember(
    _ name: RawSpan, _ stamp: ProducerStamp, first: UInt64, count: UInt32
  ) {
    let index = entry(name, epoch: stamp.epoch)
    use(index)
    insert(index, Record(counter: stamp.counter, first: first, count: count))
  }

  /// The entry of a producer, begun when it has none of this epoch.
  private mutating func entry(_ name: RawSpan, epoch: UInt64) -> Int {
    var index = find(name)
    if index >= 0, entries[index].epoch == epoch { return index }
    if index < 0 { index = free() }
    entries[index] = Entry(
      hash: Producers.hash(name), epoch: epoch, below: 0, usedAt: 0, head: 0, count: 0,
      nameByteCount: Int32(name.byteCount))
    names.copy(name, to: index * Producers.nameByteCountMax)
    return index
  }

  /// A free entry: one never used, or that of the producer of which nothing was stored for longest.
  private mutating func free() -> Int {
    if count < entries.count {
      count += 1
      return count - 1
    }
    var oldest = 0
    for index in 1..<count where entries[index].usedAt < entries[oldest].usedAt { oldest = index }
    floor = max(floor, entries[oldest].epoch)
    return oldest
  }

  private mutating func insert(_ index: Int, _ record: Record) {
    if Int(entries[index].count) == Producers.windowCount {
      entries[index].below = max(entries[index].below, records[slot(index, 0)].counter)
      entries[index].head = (entries[index].head &+ 1) & Int32(Producers.windowCount &- 1)
      entries[index].count &-= 1
    }
    var place = Int(entries[index].count)
    entries[index].count &+= 1
    while place > 0, records[slot(index, place &- 1)].counter > record.counter {
      records[slot(index, place)] = records[slot(index, place &- 1)]
      place &-= 1
    }
    records[slot(index, place)] = record
  }

  // MARK: - Finding again

  /// Forgets all producers: what follows is a table of them.
  package mutating func begin(floor: UInt64) {
    self.floor = floor
    count = 0
    clock = 1
  }

  /// Takes a producer of a table, with an empty window. Those that were stored last come last.
  /// - Returns: its entry.
  package mutating func take(_ name: RawSpan, epoch: UInt64) -> Int {
    let index = entry(name, epoch: epoch)
    use(index)
    return index
  }

  /// Takes a record of it, in any order.
  package mutating func take(_ record: Record, _ index: Int) { insert(index, record) }

  /// Takes what counter of it is known to be used, whether it is in the window or not.
  package mutating func take(below: UInt64, _ index: Int) {
    entries[index].below = max(entries[index].below, below)
  }

  /// Takes a request that was stored, as the log tells it. A table smaller than that of who wrote it may
  /// have forgotten its producer: then it stays forgotten, because what else it stored is not known.
  /// - Returns: false when that cannot be, because its name has a higher epoch.
  package mutating func take(
    _ name: RawSpan, _ stamp: ProducerStamp, first: UInt64, count: UInt32
  ) -> Bool {
    let index = find(name)
    if index < 0, stamp.epoch <= floor { return true }
    if index >= 0, entries[index].epoch > stamp.epoch { return false }
    if index >= 0, entries[index].epoch == stamp.epoch,
      case .repeated = judge(index, stamp.counter)
    {
      return true
    }
    remember(name, stamp, first: first, count: count)
    return true
  }

  /// Forgets all producers, and says so to each that had an epoch up to `epoch`.
  package mutating func forget(upTo epoch: UInt64) {
    var highest = max(floor, epoch)
    for index in 0..<count { highest = max(highest, entries[index].epoch) }
    begin(floor: highest)
  }

  /// The entries in the order in which something of them was last stored, from the one that comes after `last`;
  /// nil behind the newest.
  package func next(after last: Int?) -> Int? {
    let bound = last.map { entries[$0].usedAt } ?? 0
    var found: Int?
    for index in 0..<count where entries[index].usedAt > bound {
      if found.map({ entries[index].usedAt < entries[$0].usedAt }) ?? true { found = index }
    }
    return found
  }
}
