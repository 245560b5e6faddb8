// Puts together what a shard remembers of its journals, from its live segments.
//
//     newest segment ─▶ older …  until one says there were no journals before it, or enough is read
//     the oldest of these ─▶ newest: events of journals, in order ─▶ JournalMemory
//
// It runs after recovery, which has settled what counts. What cannot be read here raises the floor,
// and so does a journals line that tells of an event that was not met, because its segment is gone:
// then more is answered with "too old", and nothing wrongly. A batch recovery did not accept may be
// read nevertheless; its numbers are never given again, so it only makes commits fail that were begun
// before the crash.

/// What was rebuilt.
package struct RebuiltJournals: ~Copyable {
  package var memory: JournalMemory
  package var state: JournalState
}

/// Rebuilds the journals of one log.
package struct JournalRebuild<Files: FileSystem>: ~Copyable {
  private let files: Files
  private let layout: StoreLayout
  private var memory: JournalMemory
  private var state = JournalState()
  private let key: UInt64
  private var buffer = AlignedBuffer(byteCount: 2 << 20)
  /// Where the batch read last lies in `buffer`.
  private var content: ByteRange = 0..<0
  private var isDamaged = false
  /// The last event of a journal that was met.
  private var seen: UInt64 = 0

  /// Bytes of segments that are read: about a second's work.
  package static var byteCountMax: Int { 256 << 20 }

  private init(_ files: Files, _ layout: StoreLayout, _ entryCountMax: Int, _ key: UInt64) {
    self.files = files
    self.layout = layout
    self.key = key
    memory = JournalMemory(entryCountMax: entryCountMax)
  }

  /// Reads the segments of `log` behind `archived`.
  /// - Parameters:
  ///   - newest: the segment recovery goes on in.
  ///   - nextSequence: the number the next event gets.
  ///   - key: the process's random number (JournalKey).
  package static func run(
    _ files: Files, _ layout: StoreLayout, log: LogNumber, after archived: SegmentNumber,
    newest: SegmentNumber, nextSequence: SequenceNumber,
    entryCountMax: Int = JournalMemory.entryCountDefault, key: UInt64
  ) -> RebuiltJournals {
    var rebuild = JournalRebuild(files, layout, entryCountMax, key)
    rebuild.read(log, archived, newest, before: nextSequence.value - 1)
    return rebuild.finish()
  }

  private consuming func finish() -> RebuiltJournals {
    RebuiltJournals(memory: memory, state: state)
  }

  private mutating func read(
    _ log: LogNumber, _ archived: SegmentNumber, _ newest: SegmentNumber, before: UInt64
  ) {
    guard let catalog = try? SegmentCatalog(files, layout) else {
      return memory.raiseFloor(to: before)
    }
    var chosen: [SegmentName] = []
    var byteCount = 0
    var floor: UInt64?
    var oldest = before
    for name in catalog.segments(of: log, after: archived).reversed()
    where name.number <= newest {
      guard byteCount < JournalRebuild.byteCountMax else { break }
      chosen.append(name)
      let front = front(of: name)
      byteCount += front.byteCount
      if let first = front.first { oldest = min(oldest, first.value - 1) }
      if let said = front.state {
        floor = said.last
        if said.time > state.time { state = said }
        if said.last == 0 { break }
      } else {
        floor = nil
      }
    }
    memory.raiseFloor(to: floor ?? oldest)
    for name in chosen.reversed() { read(name) }
    if isDamaged { memory.raiseFloor(to: before) }
  }

  // MARK: - Segments

  /// What the first batch of a segment says, and the size of its file.
  private mutating func front(of name: SegmentName)
    -> (first: SequenceNumber?, state: JournalState?, byteCount: Int)
  {
    guard let file = try? files.open(layout.segment(name), .read) else { return (nil, nil, 0) }
    defer { files.close(file) }
    let byteCount = (try? files.byteCount(file)) ?? 0
    guard let header = header(file), let line = load(file, at: header.alignment, header) else {
      return (nil, nil, byteCount)
    }
    var found: JournalState?
    eachLine { span, range in
      // A batch of recovery may hold several: the first tells of all that came before.
      if found == nil { found = JournalState(span, at: range.lowerBound) }
    }
    return (line.firstSequence, found, byteCount)
  }

  private mutating func header(_ file: File) -> SegmentHeader? {
    guard
      let count = try? files.read(
        file, into: &buffer, 0..<SegmentHeader.alignmentMin, at: 0),
      case .header(let header) = SegmentHeader.read(buffer.bytes(0..<count))
    else { return nil }
    return header
  }

  /// Reads the batch at `offset` into the buffer; nil when there is none that is whole.
  private mutating func load(_ file: File, at offset: Int, _ header: SegmentHeader) -> BatchLine? {
    guard
      let count = try? files.read(file, into: &buffer, 0..<BatchLine.textByteCount, at: offset),
      let line = BatchLine(buffer.bytes(0..<count), at: 0), line.salt == header.salt
    else { return nil }
    let byteCount = BatchLine.textByteCount + Int(line.byteCount)
    guard byteCount <= header.byteCount - offset else { return nil }
    if buffer.byteCount < byteCount { buffer = AlignedBuffer(byteCount: byteCount) }
    guard (try? files.read(file, into: &buffer, 0..<byteCount, at: offset)) == byteCount,
      line.isIntact(in: buffer.bytes(0..<byteCount), at: 0)
    else { return nil }
    content = BatchLine.textByteCount..<byteCount
    return line
  }

  /// Lends each line of the batch read last, without its LF.
  private func eachLine(_ body: (RawSpan, ByteRange) -> Void) {
    let span = buffer.bytes(0..<content.upperBound)
    var offset = content.lowerBound
    while offset < content.upperBound {
      let end = span.firstIndex(of: Byte.lineFeed, from: offset, to: content.upperBound)
      body(span, offset..<end)
      offset = end + 1
    }
  }

  /// Takes the events of journals in a segment.
  private mutating func read(_ name: SegmentName) {
    guard let file = try? files.open(layout.segment(name), .read) else {
      isDamaged = true
      return
    }
    defer { files.close(file) }
    guard let header = header(file) else {
      isDamaged = true
      return
    }
    var offset = header.alignment
    while offset < header.byteCount {
      guard let line = load(file, at: offset, header) else {
        if !isFiller(file, at: offset) { isDamaged = true }
        return
      }
      take(line)
      let end = offset + content.upperBound
      offset = (end + header.alignment - 1) / header.alignment * header.alignment
    }
  }

  /// Whether a segment's batches end at `offset`.
  private mutating func isFiller(_ file: File, at offset: Int) -> Bool {
    let block = 0..<SegmentHeader.alignmentMin
    guard let count = try? files.read(file, into: &buffer, block, at: offset) else { return false }
    let span = buffer.bytes(0..<count)
    return span.isAll(Byte.lineFeed, in: 0..<count) || span.isAll(Byte.null, in: 0..<count)
  }

  private mutating func take(_ line: BatchLine) {
    takeStates()
    var lines = BatchContent(firstSequence: line.firstSequence)
    let span = content
    while let (sequence, range) = nextLine(&lines, span) {
      let start = range.lowerBound + span.lowerBound
      let end = range.upperBound + span.lowerBound
      guard var event = JournalLine(buffer.bytes(0..<span.upperBound), start..<end, key) else {
        continue
      }
      memory.remember(event.journal, sequence.value, commit: line.firstSequence.value)
      while let (_, type) = event.types.next(in: buffer.bytes(0..<span.upperBound), key) {
        memory.remember(type, sequence.value, commit: line.firstSequence.value)
      }
      seen = max(seen, sequence.value)
      state.last = max(state.last, sequence.value)
      state.time = max(state.time, event.time)
    }
  }

  /// Takes the journals lines of the batch: what they tell of came before its events.
  private mutating func takeStates() {
    var said = JournalState()
    eachLine { span, range in
      guard span.byte(at: range.lowerBound) == Byte.hash,
        let state = JournalState(span, at: range.lowerBound)
      else { return }
      said.last = max(said.last, state.last)
      said.time = max(said.time, state.time)
    }
    state.last = max(state.last, said.last)
    state.time = max(state.time, said.time)
    if said.last > seen { memory.raiseFloor(to: said.last) }
  }

  private func nextLine(_ lines: inout BatchContent, _ range: ByteRange)
    -> (SequenceNumber, ByteRange)?
  {
    lines.next(in: buffer.bytes(range))
  }
}

/// The keys of an event of a journal.
struct JournalLine {
  var time: Timestamp
  var journal: UInt64
  var types: TypeNames

  /// Nil for any other line.
  init?(_ span: RawSpan, _ range: ByteRange, _ key: UInt64) {
    let start = range.lowerBound &+ Timestamp.textByteCount &+ 1
    guard start < range.upperBound, span.byte(at: start) == Byte.slash,
      let time = Timestamp(journalText: span, at: range.lowerBound)
    else { return nil }
    let tab = span.firstIndex(of: Byte.tab, from: start, to: range.upperBound)
    let streamEnd = span.nearIndex(of: Byte.space, from: start, to: tab)
    let typeEnd = span.nearIndex(of: Byte.space, from: min(streamEnd &+ 1, tab), to: tab)
    self.time = time
    journal = JournalKey.journal(span.extracting(start..<streamEnd), key: key)
    types = TypeNames(span, min(streamEnd &+ 1, tab)..<typeEnd, in: journal, key: key)
  }
}
