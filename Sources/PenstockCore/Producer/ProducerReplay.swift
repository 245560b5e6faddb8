// Finds out from a log which producers its shard knew: by the batches that count, and no others.
//
//     newest segment whose first batch ends with a table ─▶ its batches, and all behind it, in order
//     none, but the log is all there                     ─▶ all batches from the first on
//
// What a batch tells that recovery dropped must not be believed: its events are gone. What a lost
// batch told must not be forgotten silently: when one is missing behind the table, or no table is
// there, all producers are forgotten and the floor is raised above every epoch there can have been,
// so that each is told so. That is once so for a log that was begun before there were tables.
//
// Recovery runs it before it writes its batch, which carries the table: so from then on nothing older
// is needed, whenever it is archived.

/// The batches of a segment that count.
package struct ProducerPart: Sendable {
  package var path: String
  package var alignment: Int
  /// In order. Of a run of batches that follow on from each other the middle may be left out.
  package var batches: [BatchExtent]

  package init(path: String, alignment: Int, batches: [BatchExtent]) {
    self.path = path
    self.alignment = alignment
    self.batches = batches
  }

  /// The batch the segment begins with; nil when it does not count, or is lost.
  fileprivate var first: BatchExtent? {
    batches.first.flatMap { $0.offset == alignment ? $0 : nil }
  }
}

/// One replay of a log.
package struct ProducerReplay<Files: FileSystem>: ~Copyable {
  private var window: FileWindow<Files>
  private var producers: Producers
  private var buffer = AlignedBuffer(byteCount: AlignedBuffer.pageByteCount)
  /// A table was found, or the beginning of the log, and nothing was missing since.
  private var isWhole = false
  private var hasTable = false
  /// Producers of the table that have yet to come.
  private var dueCount = 0
  private var last: BatchExtent?
  /// Bytes of a `#` line that are in the buffer: longer ones than it holds tell nothing.
  private var collected: Int?
  /// A line begins here.
  private var isAtStart = true

  /// The table, as text, that is true behind the last of `parts`.
  /// - Parameters:
  ///   - parts: the log's segments, in order.
  ///   - isAll: there never was anything before them.
  ///   - isLost: something is missing of them.
  ///   - clock: the time now; every batch was written before it, as far as clocks go.
  package static func table(
    _ files: Files, _ parts: [ProducerPart], isAll: Bool, isLost: Bool, clock: Timestamp,
    countMax: Int = Limits().producerCountMax
  ) -> [UInt8] {
    var replay = ProducerReplay(files, countMax)
    replay.read(parts, isAll: isAll)
    if isLost || !replay.isWhole || replay.dueCount != 0 {
      let latest = parts.flatMap(\.batches).map(\.line.at).max() ?? clock
      replay.producers.forget(upTo: Producers.epochMax(at: max(latest, clock)))
    }
    return replay.text()
  }

  private init(_ files: Files, _ countMax: Int) {
    window = FileWindow(files, readsPastCache: true, readsAhead: true)
    producers = Producers(countMax: countMax)
  }

  private borrowing func text() -> [UInt8] {
    let byteCount = ProducerLines.tableByteCountMax(producers.count)
    var memory = AlignedBuffer(byteCount: byteCount)
    var writer = EventWriter(offset: 0, limit: byteCount)
    ProducerLines.put(producers, &writer, &memory)
    precondition(!writer.isFull)
    return memory.bytes(0..<writer.offset).array()
  }

  private mutating func read(_ parts: [ProducerPart], isAll: Bool) {
    for index in parts.indices.reversed() {
      guard let first = parts[index].first, open(parts[index]) else { continue }
      begin(isWhole: true)
      take(first)
      guard hasTable else { continue }
      return readOn(parts, from: index)
    }
    let before = parts.lazy.flatMap(\.batches).first?.predecessor ?? BatchNumber.none
    begin(isWhole: isAll && before == BatchNumber.none)
    readOn(parts, from: 0)
  }

  private mutating func begin(isWhole: Bool) {
    producers.begin(floor: 0)
    self.isWhole = isWhole
    hasTable = false
    dueCount = 0
    last = nil
  }

  /// Reads what lies behind the batch that was taken last, or everything.
  private mutating func readOn(_ parts: [ProducerPart], from start: Int) {
    for index in start..<parts.count where !parts[index].batches.isEmpty {
      guard open(parts[index]) else {
        isWhole = false
        continue
      }
      let alignment = parts[index].alignment
      // What was taken already is the first batch of the first segment.
      var next = last.flatMap { index == start ? $0.blockEnd(alignment) : nil }
      for extent in parts[index].batches where extent.offset >= next ?? 0 {
        while let offset = next, offset < extent.offset, let middle = middle(at: offset) {
          take(middle)
          next = middle.blockEnd(alignment)
        }
        take(extent)
        next = extent.blockEnd(alignment)
      }
    }
  }

  private mutating func open(_ part: ProducerPart) -> Bool {
    do throws(FileError) {
      try window.open(part.path)
      return true
    } catch {
      return false
    }
  }

  /// A batch in the middle of a run: it follows on from the one before it, or it is none.
  private mutating func middle(at offset: Int) -> BatchExtent? {
    let range = offset..<(offset + BatchLine.textByteCount)
    guard hold(offset, count: range.count) >= range.upperBound,
      let line = BatchLine(window.bytes(range), at: 0), let last, line.salt == last.line.salt
    else { return nil }
    let extent = BatchExtent(line: line, offset: offset)
    return BatchLink(from: last, to: extent) == .follows ? extent : nil
  }

  /// The end of what the window holds; `offset` itself when that cannot be read.
  private mutating func hold(_ offset: Int, count: Int = 1) -> Int {
    do throws(FileError) {
      return try window.hold(offset, count: count)
    } catch {
      return offset
    }
  }

  // MARK: - Batches

  private mutating func take(_ extent: BatchExtent) {
    if let last, BatchLink(from: last, to: extent) != .follows { isWhole = false }
    last = extent
    let line = extent.offset..<(extent.offset + BatchLine.checksummedByteCount)
    guard hold(line.lowerBound, count: line.count) >= line.upperBound else {
      isWhole = false
      return
    }
    var sum = window.bytes(line).checksum(seed: Checksum.ofWord(extent.line.salt))
    var position = extent.content.lowerBound
    collected = nil
    isAtStart = true
    while position < extent.end {
      let end = min(hold(position), extent.end)
      guard end > position else { break }
      sum = window.bytes(position..<end).checksum(seed: sum)
      takeLines(position..<end)
      position = end
    }
    if position < extent.end || sum != extent.line.checksum { isWhole = false }
  }

  /// Takes the `#` lines in `range`, which the window holds; the last may go on behind it.
  private mutating func takeLines(_ range: ByteRange) {
    var offset = range.lowerBound
    while offset < range.upperBound {
      let rest = offset..<range.upperBound
      if isAtStart, window.bytes(rest).byte(at: 0) == Byte.hash { collected = 0 }
      let count = window.bytes(rest).firstIndex(of: Byte.lineFeed, from: 0, to: rest.count)
      isAtStart = count < rest.count
      if let before = collected {
        let kept = min(count, buffer.byteCount - before)
        buffer.copy(window.bytes(offset..<(offset + kept)), to: before)
        collected = before + kept
        if isAtStart {
          takeLine(0..<(before + kept))
          collected = nil
        }
      }
      offset += count + 1
    }
  }

  private mutating func takeLine(_ range: ByteRange) {
    switch ProducerReplay.take(buffer, range, &producers) {
    case .other, .produced: break
    case .table(let count):
      // What it says is all there is to know, whatever came before it.
      hasTable = true
      isWhole = true
      dueCount = count
    case .producer: dueCount -= 1
    case .bad: isWhole = false
    }
  }

  private static func take(
    _ buffer: borrowing AlignedBuffer, _ range: ByteRange, _ producers: inout Producers
  ) -> ProducerLines.Line {
    ProducerLines.take(buffer.bytes, range, &producers)
  }
}

extension BatchExtent {
  /// First possible start of a batch behind it.
  fileprivate func blockEnd(_ alignment: Int) -> Int {
    (end + alignment - 1) / alignment * alignment
  }
}

extension Producers {
  /// The highest epoch there can be at `time`.
  package static func epochMax(at time: Timestamp) -> UInt64 {
    let milliseconds = UInt64(max(0, time.seconds)) * 1000 + UInt64(time.nanoseconds) / 1_000_000
    return milliseconds + epochAheadMax
  }

  /// Takes a table that was read as text.
  package mutating func take(table: [UInt8]) {
    var offset = 0
    while offset < table.count {
      let end = table.rawSpan.firstIndex(of: Byte.lineFeed, from: offset, to: table.count)
      _ = ProducerLines.take(table.rawSpan, offset..<end, &self)
      offset = end + 1
    }
  }
}
