// The events of one live segment, in order of time and position.
//
//     survey ─▶ window ─▶ lines, read again and checked ─▶ window … ─▶ end
//
// Only batches the log's recovery would accept are looked at (LogView), and of those only what
// lies in the stretch of sequence numbers the read is about. Bytes are read into own memory first
// and checked there: a batch by its checksum when it is scanned, a line by its own when it is
// read for good. What fails the check is noted as damage and left out.

package import PenstockCore

/// The events of one log a read is about: behind `above`, up to `through`, both by sequence; those
/// from `provisionalFrom` on are not proved durable.
package struct LogStretch: Equatable, Sendable {
  package var above: SequenceNumber
  package var through: SequenceNumber
  package var provisionalFrom: SequenceNumber

  package init(
    above: SequenceNumber = .none, through: SequenceNumber = SequenceNumber(.max),
    provisionalFrom: SequenceNumber = SequenceNumber(.max)
  ) {
    self.above = above
    self.through = through
    self.provisionalFrom = provisionalFrom
  }

  /// Whether the event of this number is in the stretch.
  @inline(__always)
  package func contains(_ sequence: SequenceNumber) -> Bool {
    above < sequence && sequence <= through
  }
}

/// What all segment cursors of one read have in common.
package final class SegmentReading<Files: FileSystem> {
  let files: Files
  let selection: Selection
  let direction: ReadDirection
  /// Entries a window needs at most: the read's limit.
  let entryCountWanted: Int
  /// Events up to this one were given out before.
  let resume: EventKey?
  let damage: DamageLog
  let budget: IndexBudget
  private var reader: BatchReader<Files>

  package init(
    _ files: Files, _ selection: Selection, _ direction: ReadDirection, limit: Int? = nil,
    resume: EventKey? = nil, indexEntryCountMax: Int = 1 << 19, _ damage: DamageLog
  ) {
    self.files = files
    self.selection = selection
    self.direction = direction
    entryCountWanted = limit ?? .max
    self.resume = resume
    self.damage = damage
    budget = IndexBudget(entryCount: indexEntryCountMax)
    reader = BatchReader(files)
  }

  /// Calls `body` with each event line of a batch in the stretch. A batch that no longer reads as
  /// it did is noted and skipped.
  func forEachLine(
    _ batch: BatchExtent, of segment: LogSegment, _ stretch: LogStretch,
    _ body: (RawSpan, ByteRange, SequenceNumber) -> Void
  ) throws(ReadError) {
    do throws(LogError) {
      try reader.forEachEvent(batch, of: segment) { content, range, sequence in
        if stretch.contains(sequence) { body(content, range, sequence) }
      }
    } catch {
      switch error {
      case .changed: throw .changed(segment.path)
      case .file(let error): throw ReadError(error)
      case .damaged:
        damage.note(error.description)
      }
    }
  }
}

extension BatchReader {
  /// Calls `body` with each event line of a batch: the content, where the line lies in it, and its
  /// number.
  mutating func forEachEvent(
    _ batch: BatchExtent, of segment: LogSegment,
    _ body: (RawSpan, ByteRange, SequenceNumber) -> Void
  ) throws(LogError) {
    try load(batch, of: segment)
    var lines = BatchContent(firstSequence: batch.line.firstSequence)
    while let (sequence, range) = lines.next(in: content) { body(content, range, sequence) }
  }
}

/// The events of one segment as a source of the merge.
package final class SegmentCursor<Files: FileSystem>: EventSource {
  private let reading: SegmentReading<Files>
  private let segment: LogSegment
  private let stretch: LogStretch
  private let batches: [BatchExtent]
  /// Events the batches hold, before anything is selected.
  private let eventCount: Int
  /// What the survey found, one for each batch.
  private var summaries: [BatchSummary]
  private var window: SegmentWindow
  private var position = 0
  private var granted = 0
  private var lines: LineReader<Files>
  package private(set) var bound: Timestamp

  /// Surveys the segment: reads all of it once.
  package init(
    _ reading: SegmentReading<Files>, _ segment: LogSegment, _ stretch: LogStretch
  ) throws(ReadError) {
    self.reading = reading
    self.segment = segment
    self.stretch = stretch
    batches = segment.batches.filter {
      $0.line.eventCount > 0 && $0.line.lastSequence > stretch.above
        && $0.line.firstSequence <= stretch.through
    }
    summaries = Array(repeating: BatchSummary(), count: batches.count)
    lines = LineReader(reading.files, path: segment.path, reading.direction)
    bound = reading.direction == .forward ? .latest : .earliest
    eventCount = batches.reduce(0) { $0 + Int($1.line.eventCount) }
    granted = reading.budget.takeSpare(min(reading.entryCountWanted, eventCount))
    window = SegmentWindow(capacity: granted, behind: nil, reading.direction)
    try survey()
  }

  /// Whether any event of the segment is asked for.
  package var isEmpty: Bool { !summaries.contains { $0.matchCount > 0 } }

  package func next(_ event: inout StoredEvent) throws(ReadError) -> Bool {
    while true {
      if position == window.entries.count {
        guard window.isCut else {
          release()
          return false
        }
        try refill()
        continue
      }
      let entry = window.entries[position]
      position += 1
      if try read(entry, &event) { return true }
    }
  }

  private func read(_ entry: SegmentEntry, _ event: inout StoredEvent) throws(ReadError) -> Bool {
    do throws(FileError) {
      guard try lines.read(entry, into: &event.bytes) else {
        noteLine(entry)
        return false
      }
    } catch {
      throw ReadError(error)
    }
    guard let fields = try? EventLine(event.bytes.rawSpan, 0..<event.bytes.count) else {
      noteLine(entry)
      return false
    }
    event.fields = fields
    event.time = entry.time
    event.log = segment.name.log
    event.sequence = entry.sequence
    event.isProvisional = entry.sequence >= stretch.provisionalFrom
    return true
  }

  private func noteLine(_ entry: SegmentEntry) {
    reading.damage.note(
      "live/\(segment.name.fileName), bytes \(entry.offset)–"
        + "\(entry.offset + Int(entry.byteCount) - 1): the event does not read as it did before")
  }

  private func release() {
    reading.budget.giveBack(granted)
    granted = 0
    window = SegmentWindow(capacity: 0, behind: nil, reading.direction)
    position = 0
    lines.close()
  }
}

// MARK: - Scanning

extension SegmentCursor {
  /// Batches in reading direction: the window fills with what is wanted first.
  private var order: [Int] {
    reading.direction == .forward ? Array(batches.indices) : batches.indices.reversed()
  }

  private func survey() throws(ReadError) {
    for index in order {
      var summary = BatchSummary()
      try scan(batches[index]) { entry in
        summary.take(entry.time)
        window.take(entry)
      }
      summaries[index] = summary
      guard summary.matchCount > 0 else { continue }
      bound =
        reading.direction == .forward
        ? min(bound, summary.earliest) : max(bound, summary.latest)
    }
    window.finish()
    giveBackUnused()
  }

  private func refill() throws(ReadError) {
    let last = window.entries.last
    release()
    granted = reading.budget.take(min(reading.entryCountWanted, eventCount))
    window = SegmentWindow(capacity: granted, behind: last, reading.direction)
    for index in order where window.mayTake(summaries[index]) {
      try scan(batches[index]) { window.take($0) }
    }
    window.finish()
    giveBackUnused()
  }

  private func giveBackUnused() {
    reading.budget.giveBack(granted - window.entries.count)
    granted = window.entries.count
  }

  /// Calls `body` with each matching event of a batch.
  private func scan(_ batch: BatchExtent, _ body: (SegmentEntry) -> Void) throws(ReadError) {
    let selection = reading.selection
    let direction = reading.direction
    let resume = reading.resume
    let log = segment.name.log
    let base = batch.content.lowerBound
    try reading.forEachLine(batch, of: segment, stretch) { content, range, sequence in
      guard let time = Timestamp(journalText: content, at: range.lowerBound),
        selection.matches(time)
      else { return }
      if let resume {
        let key = EventKey(time: time, log: log, sequence: sequence)
        guard resume.precedes(key, direction) else { return }
      }
      if !selection.dependsOnTimeOnly {
        guard let fields = try? EventLine(content, range),
          selection.matches(stream: content.extracting(fields.stream)),
          selection.matchesBody(content, fields)
        else { return }
      }
      body(
        SegmentEntry(
          time: time, checksum: content.extracting(range).checksum(), sequence: sequence,
          offset: base + range.lowerBound, byteCount: UInt32(range.count)))
    }
  }
}
