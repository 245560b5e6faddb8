// The index of one log's journals: fed by its tail, asked for sizes and runs.

internal import PenstockCore

/// The journals of one log.
final class JournalLog<Files: FileSystem> {
  let reader: StoreReader<Files>
  let log: LogNumber
  private let key: UInt64
  private let tail: FollowedLog<Files>
  private(set) var runs = JournalRuns(floor: 0)
  private var hasBegun = false
  private var lines: RunReader<Files>
  private var lookedAgainAt: Int64 = 0
  private var lastErasure: UInt64 = 0
  /// Whether there are batches of which nobody has said yet that they are durable.
  private var hasDoubtful = false
  private var brokenAt: Int64?
  private let damage: DamageLog

  /// Pause between two readings of all live segments, in nanoseconds: while a log changes hands
  /// its tail cannot be followed.
  private static var lookAgainNanoseconds: Int64 { 20_000_000 }

  init(
    _ reader: StoreReader<Files>, _ log: LogNumber, width: Int, key: UInt64, _ damage: DamageLog
  ) {
    self.damage = damage
    self.reader = reader
    self.log = log
    self.key = key
    tail = FollowedLog(reader, log, LogPlace(.none))
    lines = RunReader(reader.files, reader.layout, log, width: width)
  }

  /// Lends the lines of a run; false when they are not there any more, because they were archived.
  func read(_ run: JournalRun, _ body: (RawSpan) -> Void) throws(ReadError) -> Bool {
    try lines.read(run, body)
  }

  /// Part of the file system that has to be free for archived segments to be kept open: 1 of so many.
  private static var freePart: Int { 8 }

  // MARK: - What comes

  /// - Parameter now: the monotonic clock, in nanoseconds.
  func refresh(looks: Bool, _ now: Int64) throws {
    if looks || !hasBegun {
      tail.map()
      try forgetArchived(now)
    }
    try takeIn(now)
    if isWhole {
      brokenAt = nil
    } else if brokenAt == nil {
      brokenAt = now
    }
  }

  /// Whether all that was acknowledged before the last refresh is in the index. Recovery takes a
  /// log's page over with a frontier of 0 before it knows better; a log without an event says so too.
  private var isWhole: Bool {
    guard tail.isCurrent, let frontier = tail.frontier else { return false }
    return frontier > .none
      ? frontier.value <= runs.through : runs.through == 0 && !hasDoubtful
  }

  /// How long acknowledged events may have been missing, in nanoseconds; 0 while none are.
  func brokenNanoseconds(_ now: Int64) -> Int64 { brokenAt.map { now - $0 } ?? 0 }

  private func takeIn(_ now: Int64) throws {
    guard hasBegun else { return try lookAgain(now) }
    // Under another lease than the one the place was found under, the log goes on elsewhere. While
    // nobody holds it, or recovers it, nothing is acknowledged.
    if !tail.isCurrent { tail.map() }
    guard let frontier = tail.frontier else { return }
    if tail.isUnderItsLease {
      guard frontier > tail.sequence else { return }
      if try follow(to: frontier) { return }
    }
    guard now - lookedAgainAt >= JournalLog.lookAgainNanoseconds else { return }
    try lookAgain(now)
  }

  private func follow(to frontier: SequenceNumber) throws -> Bool {
    var runs = JournalRuns(floor: 0)
    swap(&runs, &self.runs)
    defer { swap(&runs, &self.runs) }
    return try tail.advance(to: frontier) { batch, content in
      take(
        content, from: batch.line.firstSequence, batch.segment, at: batch.contentOffset, &runs)
      runs.through = max(runs.through, batch.line.lastSequence.value)
    }
  }

  /// What is archived is read from tables, once its segments are let go.
  private func forgetArchived(_ now: Int64) throws {
    let manifest = try reader.manifest()
    let space = try? reader.files.space(reader.layout.root)
    let hasRoom = space.map { $0.free >= $0.total / JournalLog.freePart } ?? false
    let released = lines.release(
      through: manifest.archivedThrough(log), all: !hasRoom || manifest.lastErasure > lastErasure,
      now)
    lastErasure = manifest.lastErasure
    let covered = manifest.coveredThrough(log).value
    // What was archived before it was met is in no run: the index begins behind it.
    if covered > runs.through { hasBegun = false }
    if let released { runs.forget(throughSegment: released, covered: covered) }
  }

  /// Takes in what the live segments hold behind what is known.
  private func lookAgain(_ now: Int64) throws {
    lookedAgainAt = now
    let frontier = DurableFrontier.read(reader.layout, reader.store, log)
    let (view, archived) = try LiveView.read(reader, log, frontier)
    if !hasBegun || archived.value > runs.through { runs = JournalRuns(floor: archived.value) }
    var content = BatchReader(reader.files)
    var place = LogPlace(SequenceNumber(runs.through))
    hasDoubtful = false
    walk: for segment in view.segments {
      for batch in segment.batches {
        guard batch.isProved else {
          hasDoubtful = true
          break walk
        }
        place.move(behind: batch, of: segment)
        guard batch.line.eventCount > 0, batch.line.lastSequence.value > runs.through else {
          continue
        }
        do throws(LogError) {
          try content.load(batch, of: segment)
          take(
            content.content, from: batch.line.firstSequence, segment.name,
            at: batch.content.lowerBound, &runs)
        } catch {
          // Its events are missing from their journals, and from no other.
          damage.note("\(ReadError(error, segment.path))")
        }
        runs.through = batch.line.lastSequence.value
      }
    }
    // Numbers that were left out, as recovery does, are behind the index too.
    runs.through = max(runs.through, (frontier.sequence ?? .none).value)
    place.sequence = SequenceNumber(runs.through)
    place.epoch = frontier.epoch
    tail.move(to: place)
    hasBegun = true
  }

  /// Takes the lines of journals in a batch.
  private func take(
    _ content: RawSpan, from first: SequenceNumber, _ segment: SegmentName, at offset: Int,
    _ runs: inout JournalRuns
  ) {
    var events = BatchContent(firstSequence: first)
    var open: OpenRun?
    lines.hold(segment.number.value)
    while let (sequence, range) = events.next(in: content) {
      let start = range.lowerBound + Timestamp.textByteCount + 1
      guard start < range.upperBound, content.byte(at: start) == Byte.slash,
        sequence.value > runs.through
      else { continue }
      let nameEnd = content.nearIndex(of: Byte.space, from: start, to: range.upperBound)
      let byteCount = JournalText.byteCount(content, range)
      if var run = open, run.goesOn(content, range, nameEnd, sequence.value) {
        run.add(range, byteCount)
        open = run
        continue
      }
      open?.close(content, segment, offset, &runs)
      open = OpenRun(
        key: JournalKey.journal(content.extracting(start..<nameEnd), key: key),
        first: sequence.value, range: range, nameEnd: nameEnd, textByteCount: byteCount)
    }
    open?.close(content, segment, offset, &runs)
  }

  /// A run whose end was not met yet.
  private struct OpenRun {
    var key: UInt64
    var first: UInt64
    var count: UInt32 = 1
    /// The lines so far, without the last LF.
    var range: ByteRange
    let nameByteCount: Int
    var textByteCount: Int

    init(key: UInt64, first: UInt64, range: ByteRange, nameEnd: Int, textByteCount: Int) {
      self.key = key
      self.first = first
      self.range = range
      nameByteCount = nameEnd - range.lowerBound
      self.textByteCount = textByteCount
    }

    /// Whether a line follows on: behind the last one, of the same time and journal.
    func goesOn(_ span: RawSpan, _ line: ByteRange, _ nameEnd: Int, _ sequence: UInt64) -> Bool {
      line.lowerBound == range.upperBound + 1 && sequence == first + UInt64(count)
        && nameEnd - line.lowerBound == nameByteCount
        && span.holds(line.lowerBound, nameByteCount, of: span, at: range.lowerBound)
    }

    mutating func add(_ line: ByteRange, _ byteCount: Int) {
      range = range.lowerBound..<line.upperBound
      count += 1
      textByteCount += byteCount
    }

    func close(
      _ span: RawSpan, _ segment: SegmentName, _ offset: Int, _ runs: inout JournalRuns
    ) {
      var run = JournalRun(
        segment: segment.number.value, offset: UInt32(offset + range.lowerBound))
      run.first = first
      run.count = count
      run.byteCount = UInt32(range.count)
      run.checksum = span.extracting(range).checksum()
      runs.append(key, run, textByteCount: UInt64(textByteCount))
    }
  }

  // MARK: - What is asked

  /// The journal's newest run that is kept, or -1, and its text up to now.
  func byteCount(of name: [UInt8]) throws -> UInt64 {
    let number = JournalKey.journal(name.rawSpan, key: key)
    guard let entry = runs.entries[number] else {
      if runs.knowsAll { return 0 }
      let base = try measure(name, through: runs.floor)
      runs.entries[number] = JournalEntry(run: -1, base: base)
      return base
    }
    return try base(of: name, number, entry) + entry.textByteCount
  }

  /// The text before the index began.
  private func base(of name: [UInt8], _ number: UInt64, _ entry: JournalEntry) throws -> UInt64 {
    if let base = entry.base { return base }
    // What is at or before the floor is measured; of it the index has met what its runs do not hold.
    var met = entry.textByteCount
    var run = entry.run
    while runs.isKept(run) {
      met = runs[run].textStart
      run = runs[run].previous
    }
    let measured = try measure(name, through: runs.floor)
    let base = measured >= met ? measured - met : 0
    runs.entries[number]?.base = base
    return base
  }

  func byteCount(of name: [UInt8], through sequence: UInt64) throws -> UInt64 {
    let number = JournalKey.journal(name.rawSpan, key: key)
    let whole = try byteCount(of: name)
    guard let entry = runs.entries[number], let base = entry.base else { return whole }
    var run = entry.run
    while runs.isKept(run) {
      if runs[run].last <= sequence { return base + runs[run].textEnd }
      guard runs[run].first > sequence else { break }
      run = runs[run].previous
    }
    // Within a run, or before all of them.
    return try measure(name, through: sequence)
  }

  /// The text of the events up to `sequence`, counted in the files.
  private func measure(_ name: [UInt8], through sequence: UInt64) throws -> UInt64 {
    guard sequence > 0 else { return 0 }
    var cursor = try older(name, through: sequence)
    var event = StoredEvent()
    var byteCount: UInt64 = 0
    while try cursor.next(&event) {
      byteCount += UInt64(JournalText.overheadByteCount + event.fields.payload.count)
    }
    return byteCount
  }

  /// The events of a journal up to `sequence`, from the files.
  func older(_ name: [UInt8], through sequence: UInt64) throws(ReadError) -> StoreCursor<Files> {
    var query = Query()
    query.selection.streams = [Glob(literal: Escape.decode(name.rawSpan) ?? name)]
    query.log = log
    query.throughAll = SequenceNumber(sequence)
    query.leavesProvisionalOut = true
    return try reader.read(query)
  }

  /// The journal's runs that hold text of `range`, newest first, and its text before them.
  func runs(of name: [UInt8], _ range: Range<UInt64>) throws -> (runs: [JournalRun], base: UInt64) {
    let number = JournalKey.journal(name.rawSpan, key: key)
    _ = try byteCount(of: name)
    guard let entry = runs.entries[number], let base = entry.base else { return ([], 0) }
    var found: [JournalRun] = []
    var run = entry.run
    while runs.isKept(run), base + runs[run].textEnd > range.lowerBound {
      if base + runs[run].textStart < range.upperBound { found.append(runs[run]) }
      run = runs[run].previous
    }
    return (found, base)
  }
}
