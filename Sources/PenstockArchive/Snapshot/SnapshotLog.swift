// One log of a snapshot: its live segments up to what is durable, so that nothing but the segments
// is needed to know it.
//
//     running writer     batches up to the frontier are kept; what is beyond is in flight
//     none               batches recovery would keep: the copy's own sync makes them durable
//
//     segment            in the snapshot
//     settled            a second name, or a copy
//     any other          a copy up to the end of its last batch that is kept, the header saying so
//     behind the last    a fresh one with a single empty batch whose `durable` names the last batch
//                        that is kept, and which tells the producers
//
// The frontier page does not come along, and a log's last batch is proved by nothing else. The
// batch without events takes its place: with it every event of the snapshot is proved by the text
// alone, no tail is torn, and all segments with events can be archived. A restored shard goes on
// behind it as behind any other log.

internal import PenstockCore

/// Copies the live segments of one log.
struct SnapshotLog<Files: LinkingFileSystem> {
  private let files: Files
  private let layout: StoreLayout
  private let folder: SnapshotFolder<Files>
  private let store: StoreIdentifier
  private let log: LogNumber
  private let archived: SegmentNumber
  private let acceptsHoles: Bool

  /// What was taken of the log.
  struct Taken {
    var through = SequenceNumber.none
    var eventCount = 0
    var segmentCount = 0
    var damage: [Damage] = []
  }

  init(
    _ files: Files, _ layout: StoreLayout, _ folder: SnapshotFolder<Files>,
    _ store: StoreIdentifier, _ log: LogNumber, after archived: SegmentNumber, acceptsHoles: Bool
  ) {
    self.files = files
    self.layout = layout
    self.folder = folder
    self.store = store
    self.log = log
    self.archived = archived
    self.acceptsHoles = acceptsHoles
  }

  /// Takes the log's segments behind `archived`.
  /// - Throws: `.changed` when the archiver took some meanwhile.
  func take() throws(LogError) -> Taken {
    // First of all: what it covers is in the segments that are listed next.
    let frontier = DurableFrontier.read(layout, store, log)
    let view: LogView
    let isHeld: Bool
    do throws(FileError) {
      isHeld = try holdSegments()
    } catch {
      throw LogError(vanishing: error)
    }
    view = try LogView.read(
      files, isHeld ? folder.layout : layout, log: log, after: archived,
      frontier: frontier.sequence, store: store, acceptsHoles: acceptsHoles)
    var taken = Taken()
    taken.damage = view.damage.filter {
      $0.segment?.log == log && ($0.isLoss || $0.kind == .newerVersion)
        && !(frontier.isRunning && $0.isTail)
    }
    let kept = view.segments.map { segment in
      segment.batches.prefix { $0.isProved || !frontier.isRunning }
    }
    do throws(FileError) {
      try take(view.segments, kept, isHeld: isHeld, &taken)
    } catch {
      throw LogError(vanishing: error)
    }
    try compare(kept.flatMap { $0 })
    return taken
  }

  /// Gives all segments a second name, so that they stay while they are read; false where that
  /// cannot be done.
  private func holdSegments() throws(FileError) -> Bool {
    let names = try SegmentCatalog(files, layout).segments(of: log, after: archived)
    for (index, name) in names.enumerated() {
      guard folder.links, try folder.link(layout.segment(name), as: folder.layout.segment(name))
      else {
        for held in names[..<index] { try files.unlink(folder.layout.segment(held)) }
        return false
      }
    }
    return true
  }

  private func take(
    _ segments: [LogSegment], _ kept: [ArraySlice<BatchExtent>], isHeld: Bool, _ taken: inout Taken
  ) throws(FileError) {
    let end = (kept.lastIndex { !$0.isEmpty } ?? -1) + 1
    for (index, segment) in segments.enumerated() {
      let target = folder.layout.segment(segment.name)
      let isWhole = index < end && (segment.isSettled || !segment.isOurs)
      if isHeld, !isWhole { try files.unlink(target) }
      guard index < end else { continue }
      taken.segmentCount += 1
      if isWhole {
        if isHeld {
          folder.count(linked: segment.byteCount)
        } else {
          try folder.take(layout.segment(segment.name), as: target)
        }
        continue
      }
      let last = kept[index].last
      let cut = last.map {
        ($0.end + segment.alignment - 1) / segment.alignment * segment.alignment
      }
      try folder.copySegment(layout.segment(segment.name), as: target, end: cut ?? 0)
    }
    for batch in kept.joined() where batch.line.eventCount > 0 {
      taken.eventCount += Int(batch.line.eventCount)
      taken.through = batch.line.lastSequence
    }
    guard end > 0, let last = kept[end - 1].last else { return }
    let parts = zip(segments, kept).map { segment, batches in
      ProducerPart(
        path: folder.layout.segment(segment.name), alignment: segment.alignment,
        batches: Array(batches))
    }
    try prove(
      last.line, behind: segments[end - 1].name.number, kept.joined().map(\.line), parts)
  }

  /// Writes the batch that proves `last`, if nothing else does.
  private func prove(
    _ last: BatchLine, behind number: SegmentNumber, _ lines: [BatchLine], _ parts: [ProducerPart]
  ) throws(FileError) {
    let durable = lines.map(\.durable).max() ?? .none
    guard lines.contains(where: { $0.eventCount > 0 && $0.number > durable }) else { return }
    let producers = ProducerReplay.table(
      files, parts, isAll: archived == .none, isLost: false, clock: System.now())
    let byteCount = BatchLine.textByteCount + producers.count
    let header = try SegmentPreparation.prepare(
      files, folder.layout, name: SegmentName(log: log, number: number.next), store: store,
      byteCount: 2 * SegmentHeader.alignmentMin, isFilled: true, room: byteCount)
    let line = BatchLine(
      number: last.number.advanced(by: 1), firstSequence: last.lastSequence.advanced(by: 1),
      eventCount: 0, byteCount: UInt32(producers.count), at: last.at, durable: last.number,
      previousChecksum: last.checksum, salt: header.salt)
    let padded = (byteCount + header.alignment - 1) / header.alignment * header.alignment
    var memory = AlignedBuffer(byteCount: padded)
    memory.fill(0..<padded, with: Byte.lineFeed)
    memory.copy(producers.rawSpan, to: BatchLine.textByteCount)
    line.seal(in: &memory, at: 0)
    let file = try files.open(folder.layout.segment(header.name), .write)
    defer { files.close(file) }
    try files.write(file, from: memory, 0..<padded, at: header.alignment)
    try files.syncFile(file)
  }

  /// Reads the copy as one without a writer is read: it holds what was kept, all of it proved.
  private func compare(_ kept: [BatchExtent]) throws(LogError) {
    let copy = try LogView.read(
      files, folder.layout, log: log, after: archived, frontier: nil, store: store,
      acceptsHoles: true)
    let found = copy.segments.flatMap(\.batches)
    guard found.count >= kept.count,
      zip(kept, found).allSatisfy({ $0.line == $1.line }),
      found.dropFirst(kept.count).allSatisfy({ $0.line.eventCount == 0 }),
      found.allSatisfy({ $0.isProved || $0.line.eventCount == 0 })
    else { throw .changed }
  }
}

extension LogError {
  /// A file that is gone was archived.
  fileprivate init(vanishing error: FileError) {
    self = error.code == System.notFound ? .changed : .file(error)
  }
}
