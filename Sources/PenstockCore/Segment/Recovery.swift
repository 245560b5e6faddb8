// Recovery: what a shard does before it takes the first event.
//
//     unlink what the archive holds → scan from the newest segment back → walk (LogRules) →
//     copy damaged bytes aside → fresh segment → recovery batch → sync → done
//
// Promises
//  - Nothing is appended to a segment an earlier process wrote, and nothing in it is changed. The
//    provisional batches live on as copies in the recovery batch, which also says where the older
//    segments end. Until it is durable the old segments rule, so a crash in here repeats all of it.
//  - Damage is never a reason not to start: it is copied aside, reported and read around. Errors
//    are a full disk, or a device or folder that cannot be used at all.
//  - Nothing acknowledged is dropped while it can be read: a batch that a valid later batch, or the
//    frontier, proves durable is served wherever it lies.
//  - A full disk is recovered from the reserve, as long as there is any.
//  - Memory is fixed: a window of 2 MiB that reads ahead, then a window and a chunk of 1 MiB each, and
//    a list as long as what is damaged or in flight.
//
// How far back it reads. D, the highest `durable`, stands in the newest valid batches, since it only
// grows. Once a batch numbered ≤ D has been found, everything in older segments is ≤ D too: proved,
// served in place, and nobody's business here; damage there is found by those who read it. A writer
// begins a segment only when the one before the last is durable throughout, so this ends in the
// second segment that holds anything; when it does not, reading goes on to the oldest.
//
// How far numbers jump. Behind a recovery into segment N, batches are numbered from N × 2^20 and new
// events from N × 2^24. A segment cannot hold that many of either, so whatever was ever submitted
// into a segment before N has lower numbers, also when no trace of it is left. Should numbers have
// been seen that are not lower, the same distances beyond those are left out instead. A log nobody
// has written to begins with 1.

/// What recovery found and made; the shard goes on from here.
package struct Recovered: Sendable {
  /// The fresh segment.
  package var header: SegmentHeader
  /// Where the next batch goes in it.
  package var nextOffset: Int
  /// Number and checksum of the last batch of the log, which is durable.
  package var lastBatch: BatchNumber
  package var lastChecksum: UInt32
  /// The sequence number the next event gets.
  package var nextSequence: SequenceNumber
  /// Events up to this one are durable.
  package var lastDurableSequence: SequenceNumber
  /// Events copied, because they were not proved durable.
  package var eventsRecovered: Int
  /// The table of producers its batch tells (ProducerLines); empty in a log that begins here.
  package var producers: [UInt8] = []
  package var damage: [Damage]
  package var durationNanoseconds: Int64
  /// Of which until all that is there had been read, and damage copied aside; the rest is the fresh
  /// segment and the recovery batch.
  package var readingNanoseconds: Int64 = 0
}

/// Recovery of one log.
package enum Recovery {
  /// Recovers `log`, whose lease the caller holds.
  /// - Parameters:
  ///   - archivedThrough: segments up to this one are in the archive, by the manifest.
  ///   - coveredThrough: so are events up to this one.
  ///   - frontier: what the page of the log's previous writer says, when it is of this boot.
  ///   - segmentByteCount: size of the fresh segment; it becomes larger when it has to.
  ///   - producerCountMax: named producers that are remembered.
  ///   - clock: the time; nil asks for it.
  package static func run<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, store: StoreIdentifier, log: LogNumber,
    archivedThrough: SegmentNumber, coveredThrough: SequenceNumber = .none,
    frontier: SequenceNumber? = nil, segmentByteCount: Int,
    producerCountMax: Int = Limits().producerCountMax, clock: Timestamp? = nil
  ) throws(LogError) -> Recovered {
    let start = System.monotonicNanoseconds()
    let run = RecoveryRun(
      files: files, layout: layout, store: store, log: log, archivedThrough: archivedThrough,
      coveredThrough: coveredThrough, frontier: frontier, producerCountMax: producerCountMax,
      clock: clock)
    var recovered: Recovered
    do throws(LogError) {
      recovered = try run.run(segmentByteCount)
    } catch {
      recovered = try runOnReserve(run, error)
    }
    recovered.durationNanoseconds = System.monotonicNanoseconds() - start
    return recovered
  }

  /// Size of the fresh segment on a full disk, in bytes: it becomes larger when it has to.
  private static let scarceByteCount = 256 << 10

  /// Repeats a recovery that met a full disk, with a small segment, taking from the reserve as long as
  /// there is any.
  private static func runOnReserve<Files: FileSystem>(
    _ run: borrowing RecoveryRun<Files>, _ first: LogError
  ) throws(LogError) -> Recovered {
    var error = first
    while case .file(let cause) = error, cause.code == System.noSpace,
      Reserve.take(run.files, run.layout) > 0
    {
      do throws(LogError) {
        return try run.run(scarceByteCount)
      } catch let again {
        error = again
      }
    }
    throw error
  }
}

/// One recovery under way.
private struct RecoveryRun<Files: FileSystem>: ~Copyable {
  let files: Files
  let layout: StoreLayout
  let store: StoreIdentifier
  let log: LogNumber
  let archivedThrough: SegmentNumber
  let coveredThrough: SequenceNumber
  let frontier: SequenceNumber?
  let producerCountMax: Int
  let clock: Timestamp?

  /// Names that may turn out to be taken by a preparer at work.
  private static var nameAttemptsMax: Int { 64 }

  borrowing func run(_ segmentByteCount: Int) throws(LogError) -> Recovered {
    let start = System.monotonicNanoseconds()
    let catalog: SegmentCatalog
    let scans: [SegmentScan]
    let reading: LogReading
    var damage: [Damage] = []
    do throws(FileError) {
      catalog = try SegmentCatalog(files, layout)
      try unlinkArchived(catalog)
      scans = try scanBack(catalog)
      let proof = LookBack(scans).proof
      reading = LogWalk.read(
        scans, proof: proof, frontier: frontier, from: logStart(catalog, scans))
      for finding in reading.damage {
        damage.append(try Quarantine.copy(files, layout, finding))
      }
    } catch {
      throw .file(error)
    }
    let readAt = System.monotonicNanoseconds()
    damage += missingSegments(scans)
    damage += catalog.foreignFiles.map { Damage(foreign: $0) }
    let isUntouched =
      catalog.segments(of: log).isEmpty && archivedThrough == .none && coveredThrough == .none
    if isUntouched {
      let header = try prepare(catalog, segmentByteCount, room: 0)
      return Recovered(
        header: header, nextOffset: header.alignment, lastBatch: .none, lastChecksum: 0,
        nextSequence: SequenceNumber(1), lastDurableSequence: .none, eventsRecovered: 0,
        damage: damage, durationNanoseconds: 0)
    }
    var recovered = try writeBatch(catalog, scans, reading, segmentByteCount, damage)
    recovered.readingNanoseconds = readAt - start
    return recovered
  }

  // MARK: - Reading

  /// What came before the scanned segments.
  private borrowing func logStart(_ catalog: SegmentCatalog, _ scans: [SegmentScan]) -> LogStart {
    let isAll = scans.first?.name == catalog.segments(of: log, after: archivedThrough).first
    if archivedThrough == .none { return isAll ? .beginning : .settled(through: nil) }
    return .settled(through: isAll && coveredThrough > .none ? coveredThrough : nil)
  }

  private borrowing func unlinkArchived(_ catalog: SegmentCatalog) throws(FileError) {
    for name in catalog.segments(of: log) where name.number <= archivedThrough {
      do throws(FileError) {
        try files.unlink(layout.segment(name))
      } catch {
        // The archiver may be at it as well.
        guard error.code == System.notFound else { throw error }
      }
    }
  }

  /// Scans from the newest segment back to the first that holds a proved batch.
  /// - Returns: the scans in ascending order.
  private borrowing func scanBack(_ catalog: SegmentCatalog) throws(FileError) -> [SegmentScan] {
    var scanner = SegmentScanner(
      files, layout, store: store, readsPastCache: true, keepsEvery: false)
    var look = LookBack()
    var scans: [SegmentScan] = []
    for name in catalog.segments(of: log, after: archivedThrough).reversed() {
      do throws(FileError) {
        let scan = try scanner.scan(name, endedAt: look.end(of: name))
        look.add(scan)
        scans.insert(scan, at: 0)
      } catch {
        // Archived and unlinked since the folder was listed.
        guard error.code == System.notFound else { throw error }
        continue
      }
      if look.isSettled { break }
    }
    return scans
  }

  /// Holes between the scanned segments. Older ones may have been archived since.
  private borrowing func missingSegments(_ scans: [SegmentScan]) -> [Damage] {
    guard let first = scans.first else { return [] }
    return LogView.holes(in: scans.map(\.name), after: first.name.number)
      .map { Damage(.missingSegment, $0) }
  }

  // MARK: - Numbers

  /// The numbers that go on where nothing can have been submitted, in the segment `segment`.
  private borrowing func nextNumbers(_ scans: [SegmentScan], in segment: SegmentNumber)
    -> (batch: BatchNumber, sequence: SequenceNumber)
  {
    let lastBatch = scans.map { max($0.number.value, $0.durable.value) }.max() ?? 0
    // What the page or the manifest says may be anything, and must leave numbers that are possible;
    // what was scanned is possible.
    let told = min(max(coveredThrough.value, frontier?.value ?? 0), BatchLine.numberMax / 2)
    let lastSequence = max(scans.map(\.sequence.value).max() ?? 0, told)
    let batch = segment.value * Limits.batchNumberJump
    let sequence = segment.value * Limits.sequenceJump
    return (
      BatchNumber(batch > lastBatch ? batch : lastBatch + Limits.batchNumberJump),
      SequenceNumber(sequence > lastSequence ? sequence : lastSequence + Limits.sequenceJump)
    )
  }

  // MARK: - Writing

  /// Prepares the fresh segment under the first free number.
  private borrowing func prepare(_ catalog: SegmentCatalog, _ byteCount: Int, room: Int)
    throws(LogError) -> SegmentHeader
  {
    var number = catalog.nextNumber(of: log, after: archivedThrough)
    var attempt = 1
    while true {
      do throws(FileError) {
        return try SegmentPreparation.prepare(
          files, layout, name: SegmentName(log: log, number: number), store: store,
          byteCount: byteCount, isFilled: true, room: room)
      } catch {
        guard error.code == System.exists, attempt < RecoveryRun.nameAttemptsMax else {
          throw .file(error)
        }
        number = number.next
        attempt += 1
      }
    }
  }

  private borrowing func writeBatch(
    _ catalog: SegmentCatalog, _ scans: [SegmentScan], _ reading: LogReading,
    _ segmentByteCount: Int,
    _ damage: [Damage]
  ) throws(LogError) -> Recovered {
    let ends = RecoveryRun.ends(scans, reading, catalog.segments(of: log, after: archivedThrough))
    let sources = reading.carried.map { carried in
      RecoverySource(
        path: layout.segment(scans[carried.scan].name), extent: carried.extent)
    }
    let producers = producers(scans, reading, isAll: logStart(catalog, scans) == .beginning)
    let byteCount = RecoveryBatch<Files>.byteCount(ends, sources) + producers.count
    guard byteCount <= Int(UInt32.max) else {
      throw .file(FileError(.write, layout.live, code: System.fileTooLarge))
    }
    let header = try prepare(
      catalog, segmentByteCount, room: BatchLine.textByteCount + byteCount)
    let next = nextNumbers(scans, in: header.name.number)
    let eventCount = sources.reduce(0) { $0 + Int($1.extent.line.eventCount) }
    let durable = max(LookBack(scans).proof, reading.lastServed?.line.number ?? .none)
    let line = BatchLine(
      number: next.batch,
      firstSequence: sources.first?.extent.line.firstSequence ?? next.sequence,
      eventCount: UInt32(eventCount), byteCount: 0,
      at: sources.map(\.extent.line.at).max() ?? clock ?? System.now(), durable: durable,
      previousChecksum: reading.lastServed?.line.checksum ?? 0, salt: header.salt)
    let extent = try RecoveryBatch.write(files, layout, header, line, ends, sources, producers)
    let blocks = (extent.byteCount + header.alignment - 1) / header.alignment
    return Recovered(
      header: header, nextOffset: (1 + blocks) * header.alignment, lastBatch: extent.line.number,
      lastChecksum: extent.line.checksum, nextSequence: next.sequence,
      lastDurableSequence: extent.line.lastSequence, eventsRecovered: eventCount,
      producers: producers, damage: damage, durationNanoseconds: 0)
  }

  /// The producers its shard knew, by what counts of the log.
  private borrowing func producers(_ scans: [SegmentScan], _ reading: LogReading, isAll: Bool)
    -> [UInt8]
  {
    let parts = scans.indices.map { index in
      ProducerPart(
        path: layout.segment(scans[index].name), alignment: scans[index].alignment,
        batches: reading.accepted[index])
    }
    // What is proved and was not found; and what is behind the last batch and cannot be read.
    let last = reading.lastAccepted
    var isLost = last.map { $0.line.number } ?? .none < LookBack(scans).proof
    if let frontier, last.map({ $0.line.lastSequence }) ?? coveredThrough < frontier {
      isLost = true
    }
    let behind = scans[((reading.accepted.lastIndex { !$0.isEmpty } ?? -1) + 1)...]
    if behind.contains(where: { ![.use, .useBySalt, .empty].contains($0.verdict) }) {
      isLost = true
    }
    return ProducerReplay.table(
      files, parts, isAll: isAll, isLost: isLost, clock: clock ?? System.now(),
      countMax: producerCountMax)
  }

  /// Where the segments `names` end: the one with the last batch left in place, every later one in
  /// which anything stands, and those that a recovery batch ended which is itself copied.
  private static func ends(
    _ scans: [SegmentScan], _ reading: LogReading, _ names: [SegmentName]
  ) -> [EndLine] {
    let look = LookBack(scans)
    let lastServed = reading.accepted.lastIndex { $0.contains(where: \.isProved) }
    var lines: [EndLine] = []
    for (index, scan) in scans.enumerated() where scan.verdict.counts {
      guard index >= lastServed ?? 0 else { continue }
      let isOpen = scan.items.contains { $0.offset < look.end(of: scan.name) }
      if isOpen || index == lastServed {
        lines.append(EndLine(name: scan.name, offset: reading.servedEnd[index]))
      }
    }
    var copied: Set<SegmentNumber> = []
    for (index, extent) in reading.carried {
      for found in scans[index].ends where found.batchOffset == extent.offset {
        copied.insert(found.line.name.number)
      }
    }
    for name in names
    where copied.contains(name.number) && !lines.contains(where: { $0.name == name }) {
      lines.append(EndLine(name: name, offset: look.end(of: name)))
    }
    // Its `#end` lines tell a recovery batch, so there is always one. Of a segment that is left alone
    // it ends nothing.
    if lines.isEmpty, let last = scans.last {
      let end = last.verdict == .leave ? last.byteCount : last.alignment
      lines.append(EndLine(name: last.name, offset: end))
    }
    return lines
  }
}
