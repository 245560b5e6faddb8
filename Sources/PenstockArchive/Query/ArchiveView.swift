// The archive as readers see it: which tables there are, and a source of the merge for each.
//
// A table that vanished was merged into another: the manifest, read again, does not name it any
// more, and the read starts over. When the manifest still names it, it is lost: that is damage,
// noted and read past.

internal import PenstockCore

/// The manifest as it was read last: the next time only what was appended is read.
final class ManifestCache {
  var manifest = Manifest()
}

/// What the archive holds, by its manifest.
struct ArchiveView<Files: FileSystem> {
  private let files: Files
  private let layout: StoreLayout
  private let manifest: Manifest

  /// - Parameter cache: what was read of the manifest before.
  init(_ files: Files, _ layout: StoreLayout, _ cache: ManifestCache = ManifestCache())
    throws(ReadError)
  {
    self.files = files
    self.layout = layout
    do throws(ManifestError) {
      try cache.manifest.refresh(files, layout)
      manifest = cache.manifest
    } catch {
      if case .file(let failure) = error { throw .failed(failure) }
      throw .unusable(error.description)
    }
  }

  /// Logs the archive holds events of.
  var logs: [LogNumber] { manifest.coverage.keys.sorted() }

  /// Orders to erase that are not carried out everywhere.
  var erasureCount: Int { manifest.erasures.count }

  /// What reads leave out.
  var erasures: Erasures { Erasures(Array(manifest.erasures.values)) }

  var tableCount: Int { manifest.tables.count }
  var eventCount: Int { manifest.tables.reduce(0) { $0 + Int(clamping: $1.eventCount) } }

  /// Events that came when their bucket was closed.
  var lateCount: Int { manifest.tables.reduce(0) { $0 + Int(clamping: $1.lateCount) } }

  /// Segments of the log up to this one are in tables.
  func archivedThrough(_ log: LogNumber) -> SegmentNumber { manifest.archivedThrough(log) }

  /// Events of the log up to this one are in tables.
  func coveredThrough(_ log: LogNumber) -> SequenceNumber { manifest.coveredThrough(log) }

  /// A source for each table that may hold events of the read.
  /// - Parameter takesLaterCopies: a join kept one of several equal events, maybe one that came
  ///   when the read had begun: events with an id from joined tables belong to the read, too.
  func sources(
    _ reading: SegmentReading<Files>, _ stretches: [LogNumber: LogStretch], takesLaterCopies: Bool
  ) throws(ReadError) -> [any EventSource] {
    // A follower that goes on behind what the archive holds does not look at it.
    guard stretches.contains(where: { $0.value.above < coveredThrough($0.key) }) else { return [] }
    let isPartial = stretches.contains { $0.value.above > .none }
    let selection = selection(of: reading)
    let budget = WindowBudget()
    var sources: [any EventSource] = []
    for entry in manifest.tables where selection.mayMatch(entry.earliest...entry.latest) {
      if isPartial, try !overlaps(entry, stretches) { continue }
      let table = TableSource(
        files, layout, entry, selection, reading.direction, limit: reading.entryCountWanted,
        reading.damage, budget)
      sources.append(
        ArchivedEvents(
          table, stretches, reading, takesLaterCopies: takesLaterCopies && entry.mergeCount > 0
        ) { () throws(ReadError) in
          guard try isLost(entry) else { return false }
          reading.damage.note(missing(entry))
          return true
        })
    }
    return sources
  }

  /// The read's selection without the times it has passed.
  private func selection(of reading: SegmentReading<Files>) -> Selection {
    var selection = reading.selection
    guard let resume = reading.resume else { return selection }
    if reading.direction == .forward {
      selection.since = max(selection.since ?? .earliest, resume.time)
    } else {
      let behind = Timestamp(nanosecondsSince1970: resume.time.nanosecondsSince1970 + 1)
      // The last instant there is has none behind it.
      if behind > resume.time { selection.until = min(selection.until ?? .latest, behind) }
    }
    return selection
  }

  /// Whether the table holds events of one of the stretches. A table that cannot be read may.
  private func overlaps(_ entry: TableEntry, _ stretches: [LogNumber: LogStretch])
    throws(ReadError) -> Bool
  {
    guard let table = try? TableReader(files, path: path(entry)) else { return true }
    return table.covered.isEmpty
      || table.covered.contains { covered in
        guard let stretch = stretches[covered.log] else { return false }
        return covered.sequences.upperBound > stretch.above.value
          && covered.sequences.lowerBound <= stretch.through.value
      }
  }

  private func path(_ entry: TableEntry) -> String { layout.archive + "/" + entry.name }

  /// Whether the manifest still names a table whose file is not there.
  private func isLost(_ entry: TableEntry) throws(ReadError) -> Bool {
    try ArchiveView(files, layout).manifest.tables.contains { $0.name == entry.name }
  }

  private func missing(_ entry: TableEntry) -> String {
    "archive/\(entry.name) is missing: \(entry.eventCount) events between \(entry.earliest.text) "
      + "and \(entry.latest.text); restore it from a copy"
  }
}

/// The events of one table that belong to a read.
private final class ArchivedEvents<Files: FileSystem>: EventSource {
  private let table: TableSource<Files>
  private let stretches: [LogNumber: LogStretch]
  private let resume: EventKey?
  private let direction: ReadDirection
  private let takesLaterCopies: Bool
  /// Says, and notes, whether a table that is not there is lost; otherwise it was replaced.
  private let isLost: () throws(ReadError) -> Bool

  init(
    _ table: TableSource<Files>, _ stretches: [LogNumber: LogStretch],
    _ reading: SegmentReading<Files>, takesLaterCopies: Bool,
    isLost: @escaping () throws(ReadError) -> Bool
  ) {
    self.table = table
    self.takesLaterCopies = takesLaterCopies
    self.stretches = stretches
    self.isLost = isLost
    resume = reading.resume
    direction = reading.direction
  }

  var bound: Timestamp { table.bound }

  func next(_ event: inout StoredEvent) throws(ReadError) -> Bool {
    while true {
      do throws(ReadError) {
        guard try table.next(&event) else { return false }
      } catch {
        guard case .changed = error, try isLost() else { throw error }
        return false
      }
      guard let stretch = stretches[event.log],
        stretch.contains(event.sequence)
          || takesLaterCopies && stretch.through < event.sequence && hasIdentity(event)
      else { continue }
      if let resume, !resume.precedes(event.key, direction) { continue }
      event.isProvisional = false
      return true
    }
  }

  private func hasIdentity(_ event: borrowing StoredEvent) -> Bool {
    let line = event.bytes.rawSpan
    return line.byte(at: event.fields.stream.lowerBound) != Byte.slash
      && EventIdentity.id(line, event.fields.attributes) != nil
  }
}

// MARK: - Whole tables

extension ArchiveView {
  /// Adds the streams of all tables that are asked for.
  func countStreams(_ selection: Selection, _ counter: inout StreamCounter, _ damage: DamageLog)
    throws(ReadError)
  {
    for entry in manifest.tables {
      guard let table = try open(entry, { damage.note($0) }) else { continue }
      let isWhole: Bool
      do throws(TableError) {
        isWhole = try table.forEachStream { stream in
          let name = stream.name
          guard selection.matches(stream: name.rawSpan) else { return }
          counter.take(
            name, count: Int(clamping: stream.eventCount), stream.earliest, stream.latest)
        }
      } catch {
        if case .file(let failure) = error.fault { throw ReadError(failure) }
        damage.note(error.description)
        continue
      }
      if !isWhole { damage.note("\(path(entry)): the directory is damaged; streams are missing") }
    }
  }

  /// Checks the manifest's tables that are not yet in `checked`; false when one of them was
  /// replaced meanwhile: the new manifest has to be looked at.
  func verify(
    _ result: inout Verification, _ checked: inout Set<String>, _ progress: (String) -> Void
  ) throws(ReadError) -> Bool {
    if manifest.tornByteCount > 0, checked.isEmpty {
      result.notes.append(
        "archive/manifest: \(manifest.tornByteCount) bytes at the end are an edit that was never "
          + "finished; nothing depends on it")
    }
    for entry in manifest.tables where !checked.contains(entry.name) {
      progress(path(entry))
      var problems: [String] = []
      let table: TableReader<Files>?
      do throws(ReadError) {
        table = try open(entry, pastCache: true) { problems.append($0) }
      } catch {
        guard case .changed = error else { throw error }
        return false
      }
      checked.insert(entry.name)
      result.tableCount += 1
      if let table {
        do throws(TableError) {
          problems += try table.verify().map(\.description)
        } catch {
          if case .file(let failure) = error.fault { throw ReadError(failure) }
          problems.append(error.description)
        }
        result.archivedEventCount += Int(clamping: table.eventCount)
        result.archivedByteCount += entry.byteCount
        // Without its footer a table does not say what went in.
        if table.damage.isEmpty,
          table.eventCount != entry.eventCount || table.hash != entry.hash
        {
          problems.append("\(path(entry)) is not the table the manifest names")
        }
      }
      result.problems += problems
    }
    return true
  }

  /// Opens a table; nil, and a word on it, when it is lost or damaged.
  private func open(
    _ entry: TableEntry, pastCache: Bool = false, _ tell: (String) -> Void
  ) throws(ReadError) -> TableReader<Files>? {
    do throws(TableError) {
      return try TableReader(files, path: path(entry), pastCache: pastCache)
    } catch {
      guard case .file(let failure) = error.fault else {
        tell(error.description)
        return nil
      }
      guard failure.code == System.notFound else { throw .failed(failure) }
      guard try isLost(entry) else { throw .changed(path(entry)) }
      tell(missing(entry))
      return nil
    }
  }
}
