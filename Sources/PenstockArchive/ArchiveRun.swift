// The events of one archiver run, in memory, brought into the order of tables.
//
//     append lines ─▶ sort: by bucket, stream, time, position ─▶ write: one table a bucket
//
//     memory   tails of lines ▶ | order, twice ┆ free | ◀ rows          (one piece, fixed)
//
// A line's time and stream go into its row, the rest, its tail, is kept as it stands. So the shorter
// the lines, the less a tail takes, and a segment's worth of events takes hardly more than the
// segment did, however short they are. Rows stand in order of position; sorting by counting keeps
// it, and only where the times of a stream do not ascend by themselves is there anything to compare.

internal import PenstockCore

/// Events collected for tables.
struct ArchiveRun: ~Copyable {
  /// Rows that go to one table.
  struct Bucket: Equatable {
    var folder: String
    /// Places in the sorted order.
    var places: Range<Int>
    /// Rows that came late.
    var lateCount = 0
  }

  /// What became of a batch given to the run.
  enum Taken { case all, isFull }

  /// The folder of tables that hold more than one bucket.
  static let mixedFolder = "mixed"

  private var memory: AlignedBuffer
  private let byteCountMax: Int
  private var tailByteCount = 0
  private(set) var count = 0
  /// Where the sorted order begins in `memory`.
  private var orderOffset = 0
  private var streams = RunStreams()
  private var order = RunOrder()
  /// The numbers of the names by rank, once sorted.
  private var rankedNames: [UInt32] = []
  /// Runs of rows whose sequence numbers follow on.
  private var stretches: [Stretch] = []
  private var times = JournalTimeReader()
  /// Lines that could not be taken.
  private(set) var unreadableCount = 0
  /// Rows that came late.
  private var lateCount = 0

  private struct Stretch {
    var log: LogNumber
    /// Sequence number of row 0, if it belonged to the stretch.
    var base: UInt64
  }

  /// The attribute that groups events, escaped.
  private let group: [UInt8]?
  private let indexes: [[UInt8]]

  /// - Parameters:
  ///   - byteCountMax: memory it may take.
  ///   - group: the attribute by which events of a stream are grouped, escaped.
  ///   - indexes: attributes whose values are indexed, escaped.
  init(byteCountMax: Int, group: [UInt8]? = nil, indexes: [[UInt8]] = []) {
    self.indexes = indexes
    self.byteCountMax = byteCountMax
    self.group = group
    memory = AlignedBuffer(byteCount: byteCountMax)
  }

  var isEmpty: Bool { count == 0 }

  mutating func removeAll() {
    tailByteCount = 0
    count = 0
    unreadableCount = 0
    lateCount = 0
    stretches.removeAll(keepingCapacity: true)
    rankedNames = []
    streams.removeAll()
  }

  // MARK: - Collecting

  /// The same, with nothing to erase.
  mutating func append(
    _ content: RawSpan, _ walk: inout BatchContent, log: LogNumber, lateBefore: Timestamp
  ) -> Taken {
    var none = Erasures([])
    return append(content, &walk, log: log, lateBefore: lateBefore, erasing: &none)
  }

  /// Takes event lines of a batch from where `walk` stands, until all are taken or the run is full.
  /// - Parameters:
  ///   - lateBefore: events before this instant came when their bucket was closed.
  ///   - erasures: events it covers are left out.
  mutating func append(
    _ content: RawSpan, _ walk: inout BatchContent, log: LogNumber, lateBefore: Timestamp,
    erasing erasures: inout Erasures
  ) -> Taken {
    var isFollowing = false
    var next = walk
    while let (sequence, range) = next.next(in: content) {
      guard let fields = LineFields(content, range, &times) else {
        unreadableCount += 1
        isFollowing = false
        walk = next
        continue
      }
      if !erasures.isEmpty,
        erasures.covers(stream: content.extracting(fields.stream), fields.time, log, sequence)
      {
        isFollowing = false
        walk = next
        continue
      }
      guard hasRoom(for: range.upperBound - fields.typeStart, fields.tab - fields.stream.lowerBound)
      else {
        return .isFull
      }
      if !isFollowing {
        stretches.append(Stretch(log: log, base: sequence.value &- UInt64(count)))
        isFollowing = true
      }
      take(content, range, fields, lateBefore: lateBefore)
      walk = next
    }
    return .all
  }

  @inline(__always)
  private func hasRoom(for tailByteCount: Int, _ nameByteCount: Int) -> Bool {
    // A new stream may double the slots of its table.
    self.tailByteCount &+ tailByteCount &+ (count &+ 1) &* RunRow.accountedByteCount
      &+ 2 &* streams.byteCount &+ nameByteCount &+ 64 <= byteCountMax
  }

  @inline(__always)
  private mutating func take(
    _ content: RawSpan, _ range: ByteRange, _ fields: LineFields, lateBefore: Timestamp
  ) {
    let tail = fields.typeStart..<range.upperBound
    let isLate = fields.time < lateBefore
    if isLate { lateCount &+= 1 }
    let row = RunRow(
      time: fields.time, isLate: isLate,
      stream: UInt32(streamNumber(content, fields)),
      offset: UInt32(tailByteCount), stretch: UInt32(stretches.count - 1),
      checksum: content.extracting(range).checksum())
    memory.copy(content.extracting(tail), to: tailByteCount)
    tailByteCount &+= tail.count
    row.store(into: &memory, at: rowOffset(count))
    count &+= 1
  }

  /// The number of an event's stream and group.
  @inline(__always)
  private mutating func streamNumber(_ content: RawSpan, _ fields: LineFields) -> Int {
    let stream = content.extracting(fields.stream)
    guard let group, StreamKey.isGrouped(stream),
      let value = StreamKey.group(by: group, content, fields.attributes(content))
    else { return streams.number(of: stream) }
    return streams.number(of: stream, group: content.extracting(value))
  }

  @inline(__always)
  private func rowOffset(_ index: Int) -> Int {
    memory.byteCount &- (index &+ 1) &* RunRow.byteCount
  }

  @inline(__always)
  private func row(_ index: Int) -> RunRow { RunRow(memory.bytes, at: rowOffset(index)) }

  private func tail(_ index: Int) -> ByteRange {
    let end = index &+ 1 < count ? Int(row(index &+ 1).offset) : tailByteCount
    return Int(row(index).offset)..<end
  }

  // MARK: - Order

  /// The row at a place of the sorted order.
  @inline(__always)
  private func row(atPlace place: Int) -> Int {
    Int(UInt32(truncatingIfNeeded: memory.bytes.word(at: orderOffset &+ 4 &* place)))
  }

  @inline(__always)
  private mutating func setRow(_ index: Int, atPlace place: Int, from start: Int) {
    memory.store(UInt32(truncatingIfNeeded: index), at: start &+ 4 &* place)
  }

  /// Sorts the rows for tables.
  /// - Parameters:
  ///   - length: length of a bucket.
  ///   - tableCountMax: tables there may be; the buckets that get none of their own share one.
  mutating func sort(_ length: BucketLength, tableCountMax: Int) -> [Bucket] {
    guard count > 0 else { return [] }
    let buckets = BucketChoice(
      tableCountMax: tableCountMax, length, counts: bucketCounts(length))
    sortByStream()
    guard buckets.count > 1 else {
      sortStreamsByTime()
      return [Bucket(folder: buckets.folder(0), places: 0..<count, lateCount: lateCount)]
    }
    sortByBucket(buckets)
    sortStreamsByTime()
    return split(buckets)
  }

  /// The buckets of the sorted rows.
  private func split(_ buckets: BucketChoice) -> [Bucket] {
    var result: [Bucket] = []
    var start = 0
    var number = row(row(atPlace: 0)).bucket
    var late = 0
    for place in 0...count {
      let row = place < count ? row(row(atPlace: place)) : nil
      if row?.bucket != number {
        result.append(
          Bucket(folder: buckets.folder(Int(number)), places: start..<place, lateCount: late))
        start = place
        late = 0
      }
      if let row {
        number = row.bucket
        late += row.isLate ? 1 : 0
      }
    }
    return result
  }

  /// How many rows each bucket has, of the first buckets that are met: a device that sends random
  /// times must not make a list of buckets without end.
  private func bucketCounts(_ length: BucketLength) -> [Int64: Int] {
    var counts: [Int64: Int] = [:]
    var run = (bucket: Int64.min, count: 0)
    for index in 0...count {
      // Neighbours are mostly of one bucket: they are counted together.
      let bucket = index < count ? length.number(of: row(index).time) : Int64.max
      if bucket != run.bucket {
        if run.count > 0, counts[run.bucket] != nil || counts.count < BucketChoice.countedMax {
          counts[run.bucket, default: 0] += run.count
        }
        run = (bucket, 0)
      }
      run.count += 1
    }
    return counts
  }

  /// Orders rows by stream, and those of one stream by position; a row's `stream` becomes the rank
  /// of its name.
  private mutating func sortByStream() {
    let names = streams.sorted()
    var ranks = [UInt32](repeating: 0, count: names.count)
    for (rank, number) in names.enumerated() { ranks[Int(number)] = UInt32(rank) }
    var starts = [UInt32](repeating: 0, count: names.count + 1)
    for index in 0..<count {
      let offset = rowOffset(index) + RunRow.streamOffset
      let word = memory.bytes.word(at: offset)
      let rank = ranks[Int(word >> 32)]
      memory.store(word & 0xFFFF_FFFF | UInt64(rank) << 32, at: offset)
      starts[Int(rank) + 1] += 1
    }
    for rank in 0..<names.count { starts[rank + 1] += starts[rank] }
    orderOffset = (tailByteCount + 7) / 8 * 8
    for index in 0..<count {
      let rank = Int(row(index).stream)
      setRow(index, atPlace: Int(starts[rank]), from: orderOffset)
      starts[rank] += 1
    }
    rankedNames = names
  }

  private mutating func sortByBucket(_ buckets: BucketChoice) {
    var starts = [Int](repeating: 0, count: buckets.count + 1)
    for index in 0..<count {
      let number = buckets.number(row(index).time)
      memory.store(UInt32(number), at: rowOffset(index) + RunRow.bucketOffset)
      starts[number + 1] += 1
    }
    for number in 0..<buckets.count { starts[number + 1] += starts[number] }
    let target = orderOffset + (4 * count + 7) / 8 * 8
    for place in 0..<count {
      let index = row(atPlace: place)
      let number = Int(row(index).bucket)
      setRow(index, atPlace: starts[number], from: target)
      starts[number] += 1
    }
    orderOffset = target
  }

  /// Orders the rows of each stream, inside a bucket, by time; equal times stay in order of position.
  private mutating func sortStreamsByTime() {
    var start = 0
    var isSorted = true
    var previous = row(row(atPlace: 0))
    var times = previous.time...previous.time
    for place in 1..<max(count, 1) {
      let next = row(row(atPlace: place))
      if next.stream != previous.stream || next.bucket != previous.bucket {
        if !isSorted { sortByTime(start..<place, times) }
        start = place
        isSorted = true
        times = next.time...next.time
      } else if next.time < previous.time {
        isSorted = false
      }
      times = min(times.lowerBound, next.time)...max(times.upperBound, next.time)
      previous = next
    }
    if !isSorted { sortByTime(start..<count, times) }
  }

  private mutating func sortByTime(_ places: Range<Int>, _ times: ClosedRange<Timestamp>) {
    order.begin(places.count, numberMax: count, times)
    for place in places {
      let number = row(atPlace: place)
      order.append(number, row(number).time)
    }
    order.sort()
    for (index, place) in places.enumerated() {
      setRow(order.row(index), atPlace: place, from: orderOffset)
    }
  }

  // MARK: - Writing

  /// Writes the rows of a bucket as a table.
  borrowing func write<Files: FileSystem>(
    _ bucket: Bucket, _ files: Files, path: String, store: StoreIdentifier,
    covered: [TableCoverage], effort: TableEffort = .fast
  ) throws(FileError) -> TableSummary {
    var writer = try TableWriter(
      files, path: path, store: store, indexes: indexes, effort: effort)
    var stream = UInt32.max
    var hash: UInt64 = 0
    for place in bucket.places {
      prefetch(place, bucket.places.upperBound)
      let index = row(atPlace: place)
      let row = row(index)
      if row.stream != stream {
        stream = row.stream
        try writer.begin(streams.name(Int(rankedNames[Int(stream)])))
      }
      let stretch = stretches[Int(row.stretch)]
      let sequence = SequenceNumber(stretch.base &+ UInt64(index))
      hash &+= EventHash.of(checksum: row.checksum, stretch.log, sequence)
      let tail = tail(index)
      let bytes = memory.bytes(tail)
      try writer.add(
        TableRow(tail: bytes, time: row.time, log: stretch.log, sequence: sequence), bytes)
    }
    return try writer.finish(hash: hash, covered: covered)
  }

  /// Rows and tails are met in an order the processor cannot guess: it is told ahead, first of the
  /// row, later of the tail the row names.
  @inline(__always)
  private func prefetch(_ place: Int, _ end: Int) {
    let far = place &+ 24
    if far < end {
      let offset = rowOffset(row(atPlace: far))
      memory.prefetch(offset..<(offset &+ RunRow.byteCount))
    }
    let near = place &+ 12
    if near < end { memory.prefetch(tail(row(atPlace: near))) }
  }
}
