// Events as they become durable, over all logs of a store.
//
//     poll ─▶ each log: frontier page ahead of the place? ─▶ tail reads the batches in between
//                                                       └─▶ or a snapshot does, when the tail
//                                                           cannot tell: new lease, switch that
//                                                           left numbers out, archived segment
//
// A poll with nothing new costs one load per log. Now and then the pages are mapped anew and the
// live folder is listed: daemons stop and start, and logs are added. Events come in the order of
// their log, after a snapshot in order of time within what was missed. An event is given out once
// as long as its number stays the same, which recovery sees to; it is never left out.

package import PenstockCore

/// Follows a store.
package final class Follower<Files: FileSystem> {
  private let reader: StoreReader<Files>
  private let selection: Selection
  private var tails: [FollowedLog<Files>] = []
  private var lookedAt: Int64 = 0
  private var event = StoredEvent()
  private let damage = DamageLog()
  private var toldDamageCount = 0

  /// How often pages are mapped anew and logs looked for, in nanoseconds: what a restart of the
  /// daemon may delay the first event by.
  private static var lookNanoseconds: Int64 { 200_000_000 }

  /// Follows the events behind `places` that fit `selection`; all events of logs that come later.
  package init(_ reader: StoreReader<Files>, _ selection: Selection, from places: LogPlaces) {
    self.reader = reader
    self.selection = selection
    tails = places.sorted { $0.key < $1.key }.map { FollowedLog(reader, $0.key, $0.value) }
  }

  /// Gives out what has become durable since the last time.
  package func poll(_ body: (borrowing StoredEvent) throws -> Void) throws {
    let now = System.monotonicNanoseconds()
    if now - lookedAt >= Follower.lookNanoseconds || lookedAt == 0 {
      lookedAt = now
      try look()
    }
    for tail in tails {
      guard let frontier = tail.frontier, frontier > tail.sequence else { continue }
      try follow(tail, to: frontier, body)
    }
  }

  /// Up to where each log was given out.
  package var positions: PositionVector {
    PositionVector(tails.reduce(into: [:]) { $0[$1.log] = $1.sequence })
  }

  /// Damage met since the last call.
  package func takeDamage() -> [String] {
    let new = damage.notes.dropFirst(toldDamageCount)
    toldDamageCount = damage.notes.count
    return Array(new)
  }

  private func look() throws(ReadError) {
    do throws(LogError) {
      for log in try LogView.logs(in: reader.files, reader.layout)
      where !tails.contains(where: { $0.log == log }) {
        tails.append(FollowedLog(reader, log, LogPlace(.none)))
      }
    } catch {
      throw ReadError(error, reader.layout.live)
    }
    for tail in tails { tail.map() }
  }

  private func follow(
    _ tail: FollowedLog<Files>, to frontier: SequenceNumber,
    _ body: (borrowing StoredEvent) throws -> Void
  ) throws {
    if tail.isUnderItsLease {
      let isComplete = try tail.advance(to: frontier) { span, range, sequence in
        if take(span, range, tail.log, sequence) { try body(event) }
      }
      if isComplete { return }
    }
    try catchUp(tail, body)
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

  /// Reads what is missing from the archive and all live segments.
  private func catchUp(
    _ tail: FollowedLog<Files>, _ body: (borrowing StoredEvent) throws -> Void
  ) throws {
    var query = Query(selection)
    query.log = tail.log
    query.above = [tail.log: tail.sequence]
    query.leavesProvisionalOut = true
    query.collapsesDuplicates = false
    var cursor = try reader.read(query)
    while try cursor.next(&event) { try body(event) }
    for note in cursor.report.damage { damage.note(note) }
    if let place = cursor.places[tail.log] { tail.move(to: place) }
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
    to frontier: SequenceNumber, _ body: (RawSpan, ByteRange, SequenceNumber) throws -> Void
  ) throws -> Bool {
    try tail.advance(to: frontier, body)
  }

  /// The same with each whole batch.
  func advance(
    to frontier: SequenceNumber, batches body: (TailBatch, RawSpan) throws -> Void
  ) throws -> Bool {
    try tail.advance(to: frontier, batches: body)
  }

  /// Where the last batch given out stands.
  var place: LogPlace { tail.place }

  func move(to place: LogPlace) { tail.move(to: place) }
}
