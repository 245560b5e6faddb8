// The segments that wait for the archiver: which are settled, and which go first.
//
//     list live/ → unlink what the manifest covers → log may have settled segments? → view → choose
//
// Looking is cheap while nothing is sealed: of each log only the first blocks of its later segments
// are read. A log whose segment numbers have a hole is left out once, in case its folder was being
// changed while it was listed; when the hole is still there it is damage, reported, and read past,
// because nobody but the holder of the archive's lock takes segments away.

internal import PenstockCore

/// A segment to be archived.
struct SegmentChoice {
  var segment: LogSegment
  var damage: [Damage]

  var log: LogNumber { segment.name.log }

  /// Bytes of its batches.
  var byteCount: Int { segment.batches.reduce(0) { $0 + $1.byteCount } }

  private var lastSequence: SequenceNumber? {
    segment.batches.last { $0.line.eventCount > 0 }?.line.lastSequence
  }

  /// How far its log is in the archive once this segment is.
  func reach(after edit: ManifestEdit, _ manifest: Manifest) -> Coverage {
    let before = edit.covered[log]?.sequence ?? manifest.coveredThrough(log)
    return Coverage(segment: segment.name.number, sequence: max(before, lastSequence ?? .none))
  }

  /// Adds the segment's events to what the tables of the pass cover.
  func extend(_ covered: inout [TableCoverage]) {
    guard let last = lastSequence,
      let first = segment.batches.first(where: { $0.line.eventCount > 0 })?.line.firstSequence
    else { return }
    let number = segment.name.number.value
    guard let index = covered.firstIndex(where: { $0.log == log }) else {
      covered.append(
        TableCoverage(
          log: log, sequences: first.value...last.value, segments: number...number))
      covered.sort { $0.log < $1.log }
      return
    }
    covered[index].sequences =
      min(
        covered[index].sequences.lowerBound, first.value)...max(
        covered[index].sequences.upperBound, last.value)
    covered[index].segments = covered[index].segments.lowerBound...number
  }
}

/// The settled segments of all logs.
struct SegmentQueue<Files: FileSystem>: ~Copyable {
  private let files: Files
  private let layout: StoreLayout
  private let store: StoreIdentifier
  private var views: [LogNumber: LogView] = [:]
  /// Logs in whose numbers there was a hole when last looked at.
  private var holed: Set<LogNumber> = []
  /// Segments that waited when last looked at, of all logs, and the size of their files in bytes.
  private(set) var waitingCount = 0
  private(set) var waitingByteCount = 0
  private var block = AlignedBuffer(byteCount: AlignedBuffer.pageByteCount)

  /// Bytes of batches taken in one pass.
  private let passByteCountMax: Int
  /// Segments taken in one pass: their names and damage are held in memory.
  static var passSegmentCountMax: Int { 256 }
  /// Segments of a log looked at first: what waits behind a pass's worth is left on the disk, which
  /// has other things to do.
  private static var lookCountMin: Int { 3 }

  init(
    _ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier, passByteCountMax: Int
  ) {
    self.passByteCountMax = passByteCountMax
    self.files = files
    self.layout = layout
    self.store = store
  }

  /// Looks at the log's segments anew the next time.
  mutating func forget(_ log: LogNumber) { views[log] = nil }

  /// Unlinks segments the manifest covers.
  func removeCovered(_ manifest: Manifest) throws(ArchiveError) {
    do throws(FileError) {
      for name in try SegmentCatalog(files, layout).segments
      where name.number <= manifest.archivedThrough(name.log) {
        try files.unlinkIfThere(layout.segment(name))
      }
    } catch {
      throw .file(error)
    }
  }

  /// Settled segments, each log's in order, as many as a pass takes. The log that has most goes
  /// first, so that none is left behind.
  mutating func choose(_ manifest: Manifest) throws(ArchiveError) -> [SegmentChoice] {
    try removeCovered(manifest)
    var waiting: [(nameCount: Int, settled: [SegmentChoice])] = []
    waitingCount = 0
    waitingByteCount = 0
    do throws(FileError) {
      let catalog = try SegmentCatalog(files, layout)
      for log in catalog.logs {
        let names = catalog.segments(of: log, after: manifest.archivedThrough(log))
        let count = try olderThanNewest(names)
        guard count > 0 else {
          views[log] = nil
          continue
        }
        let settled = try settled(log, count, manifest)
        waitingCount += count
        waitingByteCount += count * (settled.first?.segment.byteCount ?? 0)
        if !settled.isEmpty { waiting.append((count, settled)) }
      }
    } catch {
      throw .file(error)
    }
    waiting.sort { $0.nameCount > $1.nameCount }
    var chosen: [SegmentChoice] = []
    var room = passByteCountMax
    for choices in waiting {
      for choice in choices.settled {
        guard chosen.isEmpty || choice.byteCount <= room,
          chosen.count < SegmentQueue.passSegmentCountMax
        else { break }
        room -= choice.byteCount
        chosen.append(choice)
      }
    }
    // Events are collected in order of position.
    return chosen.sorted { $0.segment.name < $1.segment.name }
  }

  /// How many of `names` are older than the newest that holds a batch: only those may be settled.
  private mutating func olderThanNewest(_ names: [SegmentName]) throws(FileError) -> Int {
    for index in names.indices.dropFirst().reversed() where try mayHoldBatch(names[index]) {
      return index
    }
    return 0
  }

  private mutating func mayHoldBatch(_ name: SegmentName) throws(FileError) -> Bool {
    let file: File
    do throws(FileError) {
      file = try files.open(layout.segment(name), .read)
    } catch {
      if error.code == System.notFound { return false }
      throw error
    }
    defer { files.close(file) }
    do throws(FileError) {
      let count = try files.read(file, into: &block, 0..<SegmentHeader.textByteCount, at: 0)
      // Of a segment without a header the view has to judge.
      guard case .header(let header) = SegmentHeader.read(block.bytes(0..<count)) else {
        return count > 0 && !block.bytes(0..<count).isAll(Byte.null, in: 0..<count)
      }
      let first = try files.read(
        file, into: &block, 0..<BatchLine.textByteCount, at: header.alignment)
      return BatchLine.mayBegin(block.bytes(0..<first), at: 0)
    } catch {
      if System.isUnreadableBlock(error.code) { return true }
      throw error
    }
  }

  /// The log's settled segments, in order: at least a pass's worth, when there are so many.
  private mutating func settled(_ log: LogNumber, _ count: Int, _ manifest: Manifest)
    throws(FileError) -> [SegmentChoice]
  {
    var lookCount = SegmentQueue.lookCountMin
    while true {
      let settled = try settled(log, manifest, lookCountMax: lookCount)
      let byteCount = settled.reduce(0) { $0 + $1.byteCount }
      if lookCount > count || byteCount >= passByteCountMax { return settled }
      lookCount *= 2
    }
  }

  /// The settled ones of the log's first segments. A part of a log reads like a log that ends there:
  /// what its end leaves open is not settled.
  private mutating func settled(_ log: LogNumber, _ manifest: Manifest, lookCountMax: Int)
    throws(FileError) -> [SegmentChoice]
  {
    let view: LogView
    do throws(LogError) {
      view = try LogView.read(
        files, layout, log: log, after: manifest.archivedThrough(log),
        frontier: DurableFrontier.read(layout, store, log).sequence, store: store,
        acceptsHoles: holed.contains(log), segmentCountMax: lookCountMax, refreshing: views[log],
        readsPastCache: true)
    } catch {
      views[log] = nil
      switch error {
      case .changed: holed.insert(log)
      case .damaged: break
      case .file(let error): throw error
      }
      return []
    }
    holed.remove(log)
    views[log] = view
    var choices = view.segments.prefix { $0.isSettled }.map { segment in
      SegmentChoice(
        segment: segment, damage: view.damage.filter { $0.segment == segment.name })
    }
    let missing = view.damage.filter { $0.kind == .missingSegment }
    if !choices.isEmpty { choices[0].damage += missing }
    return choices
  }
}
