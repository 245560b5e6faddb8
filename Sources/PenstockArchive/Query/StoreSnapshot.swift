// A store as it stands at one moment: what the archive holds, what the live segments hold behind
// it, and how far each log is durable.
//
//     manifest ─▶ frontier and live segments of each log ─▶ snapshot
//        ▲                                  │
//        └── segments do not follow on ─────┘      the archiver was faster: start over
//
// The manifest line that covers a segment is durable before the segment is unlinked. So when
// numbers are missing and the manifest, read again, says what it said before, no archiver took
// them: they are lost, reported, and read past.

package import PenstockCore

/// One log in a snapshot.
package struct LogSnapshot: Sendable {
  package var log: LogNumber
  package var frontier: DurableFrontier
  /// Nil when the log has no live segments.
  package var view: LogView?
  /// The events that are read.
  package var stretch: LogStretch
  /// The last event that is there to be read.
  package var last: SequenceNumber
  /// Events that are not proved durable.
  package var provisionalCount = 0

  /// Where following goes on.
  package var place: LogPlace {
    var place = LogPlace(last)
    place.epoch = frontier.epoch
    for segment in (view?.segments ?? []).reversed() {
      let last = segment.batches.last { $0.line.lastSequence <= self.last }
      guard let last else { continue }
      place.move(behind: last, of: segment)
      return place
    }
    return place
  }
}

/// A store at one moment.
struct StoreSnapshot<Files: FileSystem> {
  var archive: ArchiveView<Files>
  var logs: [LogSnapshot] = []
  /// What is wrong with the live segments and keeps events out.
  var damage: [Damage] = []

  /// How often a reader starts over before it gives up: each time an archiver committed a table
  /// in between.
  private static var attemptCountMax: Int { 100 }

  /// Takes a snapshot.
  /// - Parameter cache: what was read of the manifest before.
  init(
    _ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier, _ query: Query,
    _ cache: ManifestCache = ManifestCache()
  ) throws(ReadError) {
    var lost: Set<LogNumber> = []
    var before: ArchiveView<Files>?
    for _ in 0..<StoreSnapshot.attemptCountMax {
      archive = try ArchiveView(files, layout, cache)
      logs = []
      damage = []
      guard let failed = try readLogs(files, layout, store, query, lost) else { return }
      if let before, before.archivedThrough(failed) == archive.archivedThrough(failed) {
        lost.insert(failed)
      }
      before = archive
      System.sleep(nanoseconds: 1_000_000)
    }
    throw .changed(layout.live)
  }

  /// Reads each log's live segments; the log whose segments do not follow on, if there is one.
  private mutating func readLogs(
    _ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier, _ query: Query,
    _ lost: Set<LogNumber>
  ) throws(ReadError) -> LogNumber? {
    let live: [LogNumber]
    do throws(LogError) {
      live = try LogView.logs(in: files, layout)
    } catch {
      throw ReadError(error, layout.live)
    }
    let all = Set(live).union(archive.logs).sorted()
    for log in all where query.includes(log) {
      let frontier = DurableFrontier.read(layout, store, log)
      let archived = archive.archivedThrough(log)
      var view: LogView?
      do throws(LogError) {
        // Nothing of the live segments is asked for when all that is lies in tables.
        if live.contains(log), query.last(of: log) > archive.coveredThrough(log) {
          view = try LogView.read(
            files, layout, log: log, after: archived, frontier: frontier.sequence, store: store,
            acceptsHoles: lost.contains(log))
        }
      } catch {
        if error == .changed { return log }
        throw ReadError(error, layout.live)
      }
      take(log, frontier, view, query)
    }
    return nil
  }

  private mutating func take(
    _ log: LogNumber, _ frontier: DurableFrontier, _ view: LogView?, _ query: Query
  ) {
    let proved = max(
      archive.coveredThrough(log), max(view?.lastProved ?? .none, frontier.sequence ?? .none))
    var stretch = LogStretch(
      above: max(query.above[log] ?? .none, query.aboveAll), through: proved)
    let unproved = (view?.segments ?? []).flatMap(\.batches).filter {
      !$0.isProved && $0.line.eventCount > 0
    }
    var provisionalCount = 0
    if !frontier.isRunning, let first = unproved.first, let last = unproved.last {
      provisionalCount = unproved.reduce(0) { $0 + Int($1.line.eventCount) }
      stretch.provisionalFrom = first.line.firstSequence
      if !query.leavesProvisionalOut { stretch.through = max(proved, last.line.lastSequence) }
    }
    let last = stretch.through
    stretch.through = min(last, query.last(of: log))
    logs.append(
      LogSnapshot(
        log: log, frontier: frontier, view: view, stretch: stretch, last: last,
        provisionalCount: provisionalCount))
    damage += (view?.damage ?? []).filter {
      ($0.isLoss || $0.kind == .newerVersion) && !(frontier.isRunning && $0.isTail)
    }
  }
}

extension ReadError {
  /// An error of reading a log, met in `folder`.
  init(_ error: LogError, _ folder: String) {
    switch error {
    case .changed: self = .changed(folder)
    case .file(let error): self = ReadError(error)
    case .damaged: self = .unusable(error.description)
    }
  }
}
