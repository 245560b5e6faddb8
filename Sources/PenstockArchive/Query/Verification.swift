// Checks every checksum of a store: the manifest's lines, every block of every table, every batch
// of every live segment, all read past the page cache as far as the kernel lets that be done.
//
// What recovery would report as the normal end of a crash, and files that are not ours, are notes
// and not problems.

internal import PenstockCore

/// What a check of a whole store found.
package struct Verification: Sendable {
  package var segmentCount = 0
  package var batchCount = 0
  package var liveEventCount = 0
  package var liveByteCount = 0
  package var tableCount = 0
  package var archivedEventCount = 0
  package var archivedByteCount = 0
  /// What is damaged: where, what it means, what is lost.
  package var problems: [String] = []
  /// What is worth saying and no damage.
  package var notes: [String] = []

  package init() {}
}

extension StoreReader {
  /// Checks the store. `progress` is told what is being checked.
  package func verify(_ progress: (String) -> Void) throws(ReadError) -> Verification {
    var result = try verifyLive(progress)
    result.notes += quarantined()
    var checked: Set<String> = []
    while try !ArchiveView(files, layout).verify(&result, &checked, progress) {}
    return result
  }

  /// A note for each copy of damaged bytes.
  private func quarantined() -> [String] {
    ((try? files.list(layout.quarantine)) ?? []).sorted().compactMap { name in
      let path = layout.quarantine + "/" + name
      guard let file = try? files.open(path, .read) else { return nil }
      defer { files.close(file) }
      let byteCount = (try? files.byteCount(file)) ?? 0
      return "quarantine/\(name): \(byteCount) damaged bytes were copied aside; look at them, then "
        + "remove the file"
    }
  }

  /// How often the live segments are looked at anew because the archiver took some.
  private static var attemptCountMax: Int { 100 }

  private func verifyLive(_ progress: (String) -> Void) throws(ReadError) -> Verification {
    for _ in 0..<StoreReader.attemptCountMax {
      do throws(ReadError) {
        return try verifyLiveOnce(progress)
      } catch {
        guard case .changed = error else { throw error }
      }
    }
    throw .changed(layout.live)
  }

  private func verifyLiveOnce(_ progress: (String) -> Void) throws(ReadError) -> Verification {
    var result = Verification()
    do throws(FileError) {
      for name in try SegmentCatalog(files, layout).segments { try dropCache(layout.segment(name)) }
    } catch {
      throw ReadError(error)
    }
    progress(layout.live)
    let snapshot = try StoreSnapshot(files, layout, store, Query())
    for log in snapshot.logs {
      guard let view = log.view else { continue }
      result.take(view, isRunning: log.frontier.isRunning)
      try checkLines(view, &result)
    }
    return result
  }

  private func dropCache(_ path: String) throws(FileError) {
    let file = try files.open(path, .read)
    files.dropCache(file)
    files.close(file)
  }

  /// Checks that batches hold as many events as they say, each of which reads.
  private func checkLines(_ view: LogView, _ result: inout Verification) throws(ReadError) {
    let damage = DamageLog()
    let reading = SegmentReading(files, Selection(), .forward, damage)
    for segment in view.segments {
      for batch in segment.batches {
        var count = 0
        var unreadable = 0
        try reading.forEachLine(batch, of: segment, LogStretch()) { content, range, _ in
          count += 1
          if (try? EventLine(content, range)) == nil { unreadable += 1 }
        }
        guard damage.count == 0 else { continue }
        let place = "live/\(segment.name.fileName), byte \(batch.offset)"
        if count != batch.line.eventCount {
          result.problems.append(
            "\(place): the batch says it has \(batch.line.eventCount) events and has \(count)")
        }
        if unreadable > 0 {
          result.problems.append("\(place): \(unreadable) lines of the batch are not event lines")
        }
      }
    }
    result.problems += damage.notes
  }
}

extension Verification {
  fileprivate mutating func take(_ view: LogView, isRunning: Bool) {
    segmentCount += view.segments.count
    for segment in view.segments {
      batchCount += segment.batches.count
      for batch in segment.batches {
        liveEventCount += Int(batch.line.eventCount)
        liveByteCount += batch.byteCount
      }
    }
    for found in view.damage {
      switch found.kind {
      case .rot, .strayBytes, .header, .misplaced, .missingSegment, .newerVersion:
        problems.append(found.description)
      case .tailPossiblyAcknowledged:
        if isRunning { continue }
        problems.append(found.description)
      case .tail:
        if !isRunning { notes.append(found.description) }
      case .foreign: notes.append(found.description)
      }
    }
  }
}
