// Opens a store for reading: its files, beside a running daemon or without one.
//
//     StoreReader ─read(query)─▶ StoreCursor ─next─▶ events by time, then position
//                                    │  ▲
//                 a file vanished ───┘  └── new snapshot, on behind the last event given out
//
// A read shows the store as it stood when the read began: what comes later is left for the next.
// Every event up to the durable frontier comes out exactly once; equal ones with an id once
// together (DuplicateFilter). When tables were joined meanwhile, an event with an id that came later
// may come out, too: it may stand for an equal one that was there.

package import PenstockCore

/// A store that is read.
package final class StoreReader<Files: FileSystem> {
  package let files: Files
  package let layout: StoreLayout
  package let store: StoreIdentifier
  let manifests = ManifestCache()
  /// Index entries one read may hold for live segments. An entry is 40 bytes: half a million of
  /// them are 20 MB.
  package var indexEntryCountMax = 1 << 19

  /// Opens the store in `layout`.
  package init(_ files: Files, _ layout: StoreLayout) throws(ReadError) {
    self.files = files
    self.layout = layout
    guard let found = try StoreReader.identify(files, layout) else {
      throw .unusable(
        "\(layout.root) is not a Penstock store: there is no usable \(layout.description) and no "
          + "segment in \(layout.live); name the folder that 'penstock serve --data' was given")
    }
    store = found
  }

  /// The manifest as it is now.
  func manifest() throws(ReadError) -> Manifest {
    do throws(ManifestError) {
      try manifests.manifest.refresh(files, layout)
      return manifests.manifest
    } catch {
      if case .file(let failure) = error { throw .failed(failure) }
      throw .unusable(error.description)
    }
  }

  /// The last event of each log.
  package func lastStored() throws(ReadError) -> [LogNumber: SequenceNumber] {
    try places(Query()).mapValues(\.sequence)
  }

  /// Where each log ends, as far as it is durable.
  package func places() throws(ReadError) -> LogPlaces {
    var query = Query()
    query.leavesProvisionalOut = true
    return try places(query)
  }

  private func places(_ query: Query) throws(ReadError) -> LogPlaces {
    let snapshot = try StoreSnapshot(files, layout, store, query, manifests)
    return snapshot.logs.reduce(into: [:]) { $0[$1.log] = $1.place }
  }

  /// Begins a read.
  package func read(_ query: Query) throws(ReadError) -> StoreCursor<Files> {
    try StoreCursor(self, query)
  }
}

/// A read in progress.
package struct StoreCursor<Files: FileSystem>: ~Copyable {
  private let reader: StoreReader<Files>
  private let query: Query
  private let damage = DamageLog()
  private var merged: MergedCursor
  private var duplicates = DuplicateFilter()
  private var erasures = Erasures([])
  private var last: EventKey?
  private var givenCount = 0
  private var provisionalGivenCount = 0
  private var provisionalLeftCount = 0
  private var reloadsWithoutProgress = 0
  /// Where each log was read to.
  package private(set) var places: LogPlaces = [:]

  /// Snapshots a read takes without getting on before it gives up.
  private static var reloadCountMax: Int { 100 }

  fileprivate init(_ reader: StoreReader<Files>, _ query: Query) throws(ReadError) {
    self.reader = reader
    self.query = query
    last = query.resume
    merged = MergedCursor([], query.direction)
    try load(isFirst: true)
  }

  /// The next event; false at the end.
  package mutating func next(_ event: inout StoredEvent) throws(ReadError) -> Bool {
    try step(&event, until: .max) == .event
  }

  /// The next event, unless there is much to look through for it.
  /// - Parameter deadline: when to pause, in monotonic nanoseconds.
  package mutating func step(_ event: inout StoredEvent, until deadline: Int64) throws(ReadError)
    -> ReadStep
  {
    if let limit = query.limit, givenCount >= limit { return .end }
    while true {
      do throws(ReadError) {
        let step = try merged.step(&event, until: deadline)
        guard step == .event else { return step }
      } catch {
        guard case .changed = error, reloadsWithoutProgress < StoreCursor.reloadCountMax else {
          throw error
        }
        reloadsWithoutProgress += 1
        try load(isFirst: false)
        continue
      }
      reloadsWithoutProgress = 0
      last = event.key
      if !erasures.isEmpty,
        erasures.covers(
          stream: event.bytes.rawSpan.extracting(event.fields.stream), event.time, event.log,
          event.sequence)
      {
        continue
      }
      if query.collapsesDuplicates, duplicates.isDuplicate(event) { continue }
      givenCount += 1
      if event.isProvisional { provisionalGivenCount += 1 }
      return .event
    }
  }

  /// What is to be said about the read so far.
  package var report: ReadReport {
    ReadReport(
      provisionalCount: query.leavesProvisionalOut ? provisionalLeftCount : provisionalGivenCount,
      leavesProvisionalOut: query.leavesProvisionalOut, damage: damage.notes,
      damageCount: damage.count)
  }

  /// Takes a snapshot and goes on behind the last event given out. Later snapshots show what the
  /// first one showed.
  private mutating func load(isFirst: Bool) throws(ReadError) {
    var reloads = 0
    while true {
      let snapshot = try StoreSnapshot(
        reader.files, reader.layout, reader.store, query, reader.manifests)
      do throws(ReadError) {
        try take(snapshot, isFirst: isFirst)
        return
      } catch {
        // The archiver was at work between the snapshot and the survey of its segments.
        guard case .changed = error, reloads < StoreCursor.reloadCountMax else { throw error }
        reloads += 1
      }
    }
  }

  private mutating func take(_ snapshot: StoreSnapshot<Files>, isFirst: Bool) throws(ReadError) {
    for found in snapshot.damage { damage.note(found.description) }
    var stretches: [LogNumber: LogStretch] = [:]
    for log in snapshot.logs {
      var stretch = log.stretch
      if !isFirst {
        // A log that was not there when the read began is not part of it.
        stretch.through = min(stretch.through, places[log.log]?.sequence ?? .none)
      }
      stretches[log.log] = stretch
    }
    let reading = SegmentReading(
      reader.files, query.selection, query.direction, limit: query.limit, resume: last,
      indexEntryCountMax: reader.indexEntryCountMax, damage)
    var sources = try snapshot.archive.sources(
      reading, stretches, takesLaterCopies: !isFirst && query.collapsesDuplicates)
    for log in snapshot.logs {
      guard let view = log.view, let stretch = stretches[log.log] else { continue }
      let segments = query.direction == .forward ? view.segments : view.segments.reversed()
      for segment in segments where !segment.batches.isEmpty {
        let source = try SegmentCursor(reading, segment, stretch)
        if !source.isEmpty { sources.append(source) }
      }
    }
    merged = MergedCursor(sources, query.direction)
    erasures = snapshot.archive.erasures
    guard isFirst else { return }
    for log in snapshot.logs { places[log.log] = log.place }
    provisionalLeftCount = snapshot.logs.reduce(0) { $0 + $1.provisionalCount }
  }
}

extension StoreReader {
  /// The store's name: as its description says, or else its segments.
  private static func identify(_ files: Files, _ layout: StoreLayout) throws(ReadError)
    -> StoreIdentifier?
  {
    do throws(StoreError) {
      if let description = try StoreDescription.read(files, layout) { return description.store }
    } catch {
      throw .unusable(error.description)
    }
    do throws(FileError) {
      return try StoreDescription.storeOfSegments(files, layout)
    } catch {
      if error.code == System.notFound { return nil }
      throw .failed(error)
    }
  }
}
