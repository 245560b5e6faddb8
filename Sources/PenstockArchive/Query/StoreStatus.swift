// What `status` shows: read from the shared pages and the folders, never from event data, so that
// looking costs next to nothing and works on a store whose daemon is down.
//
//     shard   lease, frontier page, counter page            (one for each log)
//     store   sizes in live/, first batch lines, manifest, free space

package import PenstockCore

/// The state of a store and of the shards that serve it.
package struct StoreStatus: Sendable {
  /// A listener's row of the ledger.
  package struct Listener: Sendable {
    package var name: String
    package var url: String
    package var counts: [UInt64]

    package subscript(counter: ListenerCounter) -> UInt64 { counts[counter.rawValue] }
  }

  /// One log and its writer.
  package struct Shard: Sendable {
    package var log: LogNumber
    package var frontier: DurableFrontier
    /// The counters; nil when no page of this boot has them.
    package var counters: [UInt64]?
    package var listeners: [Listener]
    /// The newest segment with a batch; nil when there is none.
    package var activeSegment: SegmentNumber?
    package var preparedSegmentCount: Int
    package var sealedSegmentCount: Int

    package subscript(counter: Counter) -> UInt64? { counters.map { $0[counter.rawValue] } }

    /// Which I/O backend the shard chose.
    package var backend: String? {
      switch self[.backend] {
      case 1: "io_uring"
      case 2: "poll"
      default: nil
      }
    }
  }

  package var store: StoreIdentifier
  /// Where the daemon listens, or last did.
  package var endpoints: [ListedEndpoint] = []
  package var shards: [Shard] = []
  /// Bytes of segments that hold batches.
  package var liveByteCount = 0
  /// Segments that wait for the archiver.
  package var sealedSegmentCount = 0
  package var tableCount = 0
  package var archivedEventCount = 0
  /// Archived events that came when their bucket was closed.
  package var lateEventCount = 0
  /// Orders to erase that are not carried out everywhere.
  package var erasureCount = 0
  package var freeByteCount = 0
  package var totalByteCount = 0
  /// Copies of damaged bytes, and their bytes.
  package var quarantinedCount = 0
  package var quarantinedByteCount = 0
  /// Bytes held back for a full disk.
  package var reserveByteCount = 0

  /// How full the disk is.
  package var room: DiskRoom { DiskRoom(free: freeByteCount, total: totalByteCount) }
}

extension StoreStatus {
  /// Looks at the store in `layout`.
  package init<Files: FileSystem>(_ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier)
    throws(ReadError)
  {
    self.store = store
    let archive = try ArchiveView(files, layout)
    tableCount = archive.tableCount
    archivedEventCount = archive.eventCount
    lateEventCount = archive.lateCount
    erasureCount = archive.erasureCount
    endpoints = ListedEndpoint.read(layout)
    let segments: [SegmentName]
    do throws(FileError) {
      segments = try SegmentCatalog(files, layout).segments
      (freeByteCount, totalByteCount) = try files.space(layout.root)
    } catch {
      throw ReadError(error)
    }
    reserveByteCount = StoreStatus.byteCount(files, layout.reserve)
    for name in (try? files.list(layout.quarantine)) ?? [] {
      quarantinedCount += 1
      quarantinedByteCount += StoreStatus.byteCount(files, layout.quarantine + "/" + name)
    }
    // No shard writes the log of imported events.
    let logs = Set(segments.map(\.log)).union(archive.logs).subtracting([.imported]).sorted()
    for log in logs {
      shards.append(shard(files, layout, log, segments.filter { $0.log == log }, archive))
    }
    sealedSegmentCount = shards.reduce(0) { $0 + $1.sealedSegmentCount }
  }

  private mutating func shard<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, _ log: LogNumber, _ names: [SegmentName],
    _ archive: ArchiveView<Files>
  ) -> Shard {
    let waiting = names.filter { $0.number > archive.archivedThrough(log) }
    var used: [SegmentName] = []
    for name in waiting {
      guard let byteCount = StoreStatus.byteCountWhenUsed(files, layout.segment(name)) else {
        continue
      }
      used.append(name)
      liveByteCount += byteCount
    }
    var shard = Shard(
      log: log, frontier: DurableFrontier.read(layout, store, log), counters: nil, listeners: [],
      activeSegment: used.last?.number,
      preparedSegmentCount: waiting.filter { $0 > used.last ?? $0 || used.isEmpty }.count,
      sealedSegmentCount: max(0, used.count - 1))
    readCounters(layout, &shard)
    return shard
  }

  private func readCounters(_ layout: StoreLayout, _ shard: inout Shard) {
    guard
      let page = SharedPage(
        reading: layout.statisticsPage(store, shard.log), magic: Statistics.magic,
        boot: System.bootIdentifier(), valueCount: Statistics.valueCount)
    else { return }
    let statistics = Statistics(page)
    shard.counters = Counter.allCases.map { statistics[$0] }
    let named = endpoints.filter { $0.shard == Int(shard.log.value) }
    for row in 0..<Limits.listenerCountMax {
      let counts = ListenerCounter.allCases.map { statistics[row, $0] }
      guard row < named.count || counts.contains(where: { $0 > 0 }) else { continue }
      let name = row < named.count ? named[row].name : "listener \(row)"
      shard.listeners.append(
        Listener(name: name, url: row < named.count ? named[row].url : "", counts: counts))
    }
  }

  /// The size of a file; 0 when there is none.
  private static func byteCount<Files: FileSystem>(_ files: Files, _ path: String) -> Int {
    guard let file = try? files.open(path, .read) else { return 0 }
    defer { files.close(file) }
    return (try? files.byteCount(file)) ?? 0
  }

  /// The size of a segment that holds a batch; nil for one that was only prepared.
  private static func byteCountWhenUsed<Files: FileSystem>(_ files: Files, _ path: String) -> Int? {
    guard let file = try? files.open(path, .read) else { return nil }
    defer { files.close(file) }
    var block = AlignedBuffer(byteCount: SegmentHeader.alignmentMin)
    guard let count = try? files.read(file, into: &block, 0..<block.byteCount, at: 0) else {
      return nil
    }
    var alignment = SegmentHeader.alignmentMin
    if case .header(let header) = SegmentHeader.read(block.bytes(0..<count)) {
      alignment = header.alignment
    }
    guard
      let first = try? files.read(file, into: &block, 0..<BatchLine.textByteCount, at: alignment),
      BatchLine.mayBegin(block.bytes(0..<first), at: 0)
    else { return nil }
    return try? files.byteCount(file)
  }
}
