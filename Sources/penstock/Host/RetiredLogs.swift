// Logs that no shard serves: the store was served by more shards once.
//
// What is settled in them is archived like everything else. What is not, because their last segment
// was never followed by another, would stay live for ever: readers find it, but no archive holds
// it. So the host lets a shard without listeners recover and seal each such log once, and that is
// the last segment with events in it. A log that a program with the store inside is writing is none
// of these: it is left to that program.

internal import PenstockArchive
internal import PenstockCore

enum RetiredLogs {
  /// The logs from `shardCount` on that hold events no archiver will ever take.
  static func waiting<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier, shardCount: Int
  ) -> [LogNumber] {
    guard let logs = try? LogView.logs(in: files, layout) else { return [] }
    return logs.filter { log in
      log.value >= shardCount && log.value < HostOptions.shardCountMax
        && !isWritten(files, layout, log) && holdsUnsettledEvents(files, layout, store, log)
    }
  }

  /// Whether a process that is alive has the log's lease. Who is being killed may have it a little
  /// longer: for that the shard waits.
  private static func isWritten<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, _ log: LogNumber
  ) -> Bool {
    guard let holder = try? Lease.holder(files, layout, log, waiting: 0) else { return false }
    return ProcessTable.isAlive(Int32(truncatingIfNeeded: holder))
  }

  private static func holdsUnsettledEvents<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier, _ log: LogNumber
  ) -> Bool {
    // What cannot be read now is for recovery to look at.
    guard let manifest = try? Manifest.read(files, layout),
      let view = try? LogView.read(
        files, layout, log: log, after: manifest.archivedThrough(log),
        frontier: DurableFrontier.read(layout, store, log).sequence, store: store)
    else { return true }
    return view.segments.contains { segment in
      !segment.isSettled && segment.batches.contains { $0.line.eventCount > 0 }
    }
  }
}
