// Events as they become durable, over all logs of a store.
//
//     behind a vector ─▶ one read of all that is there ─▶ live
//
//     live: poll ─▶ each log: frontier page ahead of the place? ─▶ tail reads the batches in between
//                                                             └─▶ or a read does, when the tail
//                                                                 cannot tell: new lease, switch
//                                                                 that left numbers out, archived
//                                                                 segment
//
// Who follows from behind a vector is first told everything behind it, by one bounded read of all
// logs: also of those that nobody writes any more, or that were only ever imported. What that read
// does not show is behind the places it ends at, and there following goes on. Its position
// (FollowPosition) is exact at every event, also in the middle of such a read: another follower goes on
// there, with the rest of that read first.
//
// A poll with nothing new costs one load per log. Now and then the pages are mapped anew and the
// live folder is listed: daemons stop and start, and logs are added. Events come in the order of
// their log; those of a read, in order of time within what was missed. An event is given out once
// as long as its number stays the same, which recovery sees to; it is never left out.
//
// A poll that reads ends after a while even when there is more: its caller has other things to do. Who
// gets the events may end it as well: what it does not want yet stays where it is stored, and not in
// memory. The next poll goes on behind the last batch, or in the read, and the logs take turns.

package import PenstockCore

/// Follows a store.
package final class Follower<Files: FileSystem> {
  private let reader: StoreReader<Files>
  private let selection: Selection
  private var tails: [FollowedLog<Files>] = []
  /// The read that is under way.
  private var catchUp: CatchUp<Files>?
  /// A read of another follower that is to be ended first.
  private var unfinished: FollowPosition.Reading?
  /// The live event that is being given out: its tail cannot be asked meanwhile.
  private var given: (log: LogNumber, sequence: SequenceNumber)?
  /// Whether what is behind the start has been shown, or is being shown.
  private var hasBegun: Bool
  /// The log a poll begins with.
  private var nextTail = 0
  private var lookedAt: Int64 = 0
  private var event = StoredEvent()
  private let damage = DamageLog()
  private var toldDamageCount = 0

  /// How often pages are mapped anew and logs looked for, in nanoseconds: what a restart of the
  /// daemon may delay the first event by.
  private static var lookNanoseconds: Int64 { 200_000_000 }
  /// How long one poll goes on with a read, in nanoseconds: well within what a client waits for a
  /// sign of life.
  package static var turnNanoseconds: Int64 { 1_000_000_000 }
  /// Events given out between two looks at the clock.
  private static var eventsPerLook: Int { 256 }

  /// Follows on behind a read that fits `selection`.
  /// - Parameter places: where that read ended in each log; of logs that come later, all.
  package init(_ reader: StoreReader<Files>, _ selection: Selection, from places: LogPlaces) {
    self.reader = reader
    self.selection = selection
    hasBegun = true
    tails = places.sorted { $0.key < $1.key }.map { FollowedLog(reader, $0.key, $0.value) }
  }

  /// Follows all events behind `position` that fit `selection`; every event of logs it does not name.
  package init(
    _ reader: StoreReader<Files>, _ selection: Selection, behind position: FollowPosition
  ) {
    self.reader = reader
    self.selection = selection
    hasBegun = false
    unfinished = position.reading
    for (log, sequence) in position.vector.positions.sorted(by: { $0.key < $1.key }) {
      tails.append(FollowedLog(reader, log, LogPlace(sequence)))
    }
  }

  /// Gives out what has become durable since the last time, or a part of it.
  /// - Parameters:
  ///   - turn: how long to go on with a read, in nanoseconds.
  ///   - goesOn: asked between batches, and between the events of a read.
  package func poll(
    for turn: Int64 = Follower.turnNanoseconds, while goesOn: () -> Bool = { true },
    _ body: (borrowing StoredEvent) throws -> Void
  ) throws {
    let now = System.monotonicNanoseconds()
    let deadline = now + turn
    guard try goOn(until: deadline, goesOn, body) else { return }
    while !hasBegun {
      try begin()
      guard try goOn(until: deadline, goesOn, body) else { return }
    }
    if now - lookedAt >= Follower.lookNanoseconds || lookedAt == 0 {
      lookedAt = now
      try look()
    }
    let first = nextTail
    for offset in tails.indices {
      let index = (first + offset) % tails.count
      let tail = tails[index]
      guard let frontier = tail.frontier, frontier > tail.sequence else { continue }
      nextTail = (index + 1) % tails.count
      if tail.isUnderItsLease {
        do {
          if try advance(tail, to: frontier, goesOn, body) { continue }
        } catch is Enough {
          return
        }
      }
      try beginCatchUp(tail.log)
      guard try goOn(until: deadline, goesOn, body) else { return }
    }
    nextTail = 0
  }

  /// Whether what was missed is being read.
  package var isReading: Bool { catchUp != nil }

  /// Up to where events were given out, the one that `poll` is just giving out included.
  package var position: FollowPosition {
    let vector = positions
    return FollowPosition(
      PositionVector(vector), catchUp?.reading(behind: vector) ?? unfinished)
  }

  private var positions: [LogNumber: SequenceNumber] {
    tails.reduce(into: [:]) { positions, tail in
      if let given, given.log == tail.log {
        positions[tail.log] = given.sequence
      } else {
        positions[tail.log] = tail.sequence
      }
    }
  }

  /// Damage met since the last call.
  package func takeDamage() -> [String] {
    let new = damage.notes.dropFirst(toldDamageCount)
    toldDamageCount = damage.notes.count
    return Array(new)
  }

  private func look() throws(ReadError) {
    do throws(LogError) {
      for log in try LogView.logs(in: reader.files, reader.layout) { _ = tail(of: log) }
    } catch {
      throw ReadError(error, reader.layout.live)
    }
    for tail in tails { tail.map() }
  }

  /// The tail of a log, from its first event on when it is a new one.
  private func tail(of log: LogNumber) -> FollowedLog<Files> {
    if let found = tails.first(where: { $0.log == log }) { return found }
    let made = FollowedLog(reader, log, LogPlace(.none))
    tails.append(made)
    return made
  }

  /// Ends a poll before a batch.
  private struct Enough: Error {}

  /// Whether the batches up to `frontier` were all found.
  /// - Throws: `Enough` when `goesOn` says no.
  private func advance(
    _ tail: FollowedLog<Files>, to frontier: SequenceNumber, _ goesOn: () -> Bool,
    _ body: (borrowing StoredEvent) throws -> Void
  ) throws -> Bool {
    defer { given = nil }
    let last = tail.sequence
    return try tail.advance(
      to: frontier,
      batches: { batch, content in
        guard goesOn() else { throw Enough() }
        var lines = BatchContent(firstSequence: batch.line.firstSequence)
        while let (sequence, range) = lines.next(in: content) {
          guard sequence > last, take(content, range, tail.log, sequence) else { continue }
          given = (tail.log, sequence)
          try body(event)
        }
      })
  }

  // MARK: - Reading what was missed

  /// Begins to show what is behind the start: first the rest of a read that another has begun.
  private func begin() throws(ReadError) {
    guard let reading = unfinished else {
      hasBegun = true
      return try beginCatchUp()
    }
    var query = missed()
    query.through = reading.through.positions
    query.resume = reading.last
    catchUp = CatchUp(
      try reader.read(query), reading.through.positions.mapValues { LogPlace($0) },
      last: reading.last)
    unfinished = nil
  }

  /// Begins to read what is missing of a log, or of all, from the archive and all live segments.
  private func beginCatchUp(_ log: LogNumber? = nil) throws(ReadError) {
    var query = missed()
    query.log = log
    let cursor = try reader.read(query)
    let places = cursor.places
    catchUp = CatchUp(cursor, places)
  }

  private func missed() -> Query {
    var query = Query(selection)
    query.above = positions
    query.leavesProvisionalOut = true
    query.collapsesDuplicates = false
    return query
  }

  /// Goes on with the read that is under way; whether it is over.
  private func goOn(
    until deadline: Int64, _ goesOn: () -> Bool, _ body: (borrowing StoredEvent) throws -> Void
  ) throws -> Bool {
    guard let catchUp else { return true }
    var count = 0
    while goesOn() {
      switch try catchUp.cursor.step(&event, until: deadline) {
      case .event:
        catchUp.last = event.key
        try body(event)
      case .pause: return false
      case .end:
        finish(catchUp)
        return true
      }
      count += 1
      if count % Follower.eventsPerLook == 0, System.monotonicNanoseconds() >= deadline {
        return false
      }
    }
    return false
  }

  private func finish(_ read: CatchUp<Files>) {
    for note in read.cursor.report.damage { damage.note(note) }
    for (log, place) in read.places.sorted(by: { $0.key < $1.key }) {
      let tail = tail(of: log)
      // Who is ahead of a log is told nothing until it gets there.
      if place.sequence >= tail.sequence { tail.move(to: place) }
    }
    catchUp = nil
  }

  /// Fills `event` with a line; whether it is asked for.
  private func take(
    _ span: RawSpan, _ range: ByteRange, _ log: LogNumber, _ sequence: SequenceNumber
  ) -> Bool {
    event.bytes.replaceAll(with: span.extracting(range))
    guard let fields = try? EventLine(event.bytes.rawSpan, 0..<event.bytes.count),
      let time = fields.time
    else { return false }
    event.fields = fields
    event.time = time
    event.log = log
    event.sequence = sequence
    event.isProvisional = false
    return selection.matches(event)
  }
}

/// A read of what a follower missed.
private final class CatchUp<Files: FileSystem> {
  var cursor: StoreCursor<Files>
  /// Where it ends in each log it is about.
  let places: LogPlaces
  /// The last event it gave.
  var last: EventKey?

  init(_ cursor: consuming StoreCursor<Files>, _ places: LogPlaces, last: EventKey? = nil) {
    self.cursor = cursor
    self.places = places
    self.last = last
  }

  /// What tells another follower to go on in its middle, in the logs it has anything of.
  func reading(behind vector: [LogNumber: SequenceNumber]) -> FollowPosition.Reading? {
    last.map { last in
      let through = places.filter { $0.value.sequence > vector[$0.key] ?? .none }
      return FollowPosition.Reading(
        through: PositionVector(through.mapValues(\.sequence)), last: last)
    }
  }
}

/// One log of a follower.
final class FollowedLog<Files: FileSystem> {
  let log: LogNumber
  private let layout: StoreLayout
  private let store: StoreIdentifier
  private var tail: LogTail<Files>
  private var page: Frontier?
  private var epoch: UInt64?

  init(_ reader: StoreReader<Files>, _ log: LogNumber, _ place: LogPlace) {
    self.log = log
    layout = reader.layout
    store = reader.store
    tail = LogTail(reader.files, reader.layout, place)
  }

  /// The last event given out.
  var sequence: SequenceNumber { tail.place.sequence }

  /// How far the log is durable, when a page under the current lease says so.
  var frontier: SequenceNumber? {
    guard let epoch, let sequence = page?.sequence, page?.epoch == epoch else { return nil }
    return sequence
  }

  /// The lease the log's lock file names, as far as was looked.
  var lease: UInt64? { epoch }

  /// Whether the place was found under the lease that the frontier is of.
  var isUnderItsLease: Bool { tail.place.epoch == epoch }

  /// Whether the page is that of the lease the place was found under, as far as was looked.
  var isCurrent: Bool { frontier != nil && isUnderItsLease }

  /// Looks for the page of the current lease.
  func map() {
    epoch = LeaseHolder(ofLog: log, layout)?.epoch
    page = DurableFrontier.page(layout, store, log)
  }

  func advance(
    to frontier: SequenceNumber, batches body: (TailBatch, RawSpan) throws -> Void
  ) throws -> Bool {
    try tail.advance(to: frontier, batches: body)
  }

  /// Where the last batch given out stands.
  var place: LogPlace { tail.place }

  func move(to place: LogPlace) { tail.move(to: place) }
}
