// What one segment holds: read once from front to back, with fixed memory, trusting nothing.
//
//     offset = align
//     filler?                 a block of nothing but LF and NUL         → skip
//     batch line, right salt,
//     checksum holds?         a batch                                   → skip its length
//     anything else           damaged                                   → skip one block
//
// A length counts only together with its checksum, so behind a damaged batch the scan goes on block
// by block and finds the next valid one. A payload that imitates a batch line at a block boundary
// is looked at only inside a damaged batch, and lacks the salt. The salt is the header's; when the
// header is damaged it is that of the first batch, the one place no payload can ever be: nothing
// but LF lies between header line and first batch.
//
// The result is a list of batches and damaged stretches in file order. For recovery the middle of
// a run of chained batches that the segment itself proves durable is left out: whatever comes
// later cannot change that they are served, and the list stays short.

/// A batch or a damaged stretch of a segment.
package enum SegmentItem: Equatable, Sendable {
  /// A valid batch, and whether it follows the item before it, or a run that was left out.
  case batch(BatchExtent, isChained: Bool)
  /// Neither filler nor a valid batch.
  case damaged(ByteRange)

  /// First byte of the item.
  package var offset: Int {
    switch self {
    case .batch(let extent, _): extent.offset
    case .damaged(let range): range.lowerBound
    }
  }
  /// First byte behind the item.
  package var end: Int {
    switch self {
    case .batch(let extent, _): extent.end
    case .damaged(let range): range.upperBound
    }
  }
}

/// An `#end` line and where its batch stands: it counts as long as the batch does.
package struct FoundEnd: Equatable, Sendable {
  package var line: EndLine
  package var batchOffset: Int

  package init(line: EndLine, batchOffset: Int) {
    self.line = line
    self.batchOffset = batchOffset
  }
}

/// The contents of one segment.
package struct SegmentScan: Equatable, Sendable {
  package var name: SegmentName
  /// What the header makes of the file.
  package var verdict: HeaderVerdict
  /// The header, when it is intact.
  package var header: SegmentHeader?
  /// The version of a newer header.
  package var newerVersion = 0
  /// Size of the file, in bytes.
  package var byteCount = 0
  /// Bytes between possible starts of batches.
  package var alignment = SegmentHeader.alignmentMin
  /// Batches and damaged stretches, in file order.
  package var items: [SegmentItem] = []
  /// The `#end` lines found.
  package var ends: [FoundEnd] = []
  /// Highest `durable` any valid batch states.
  package var durable = BatchNumber.none
  /// Highest numbers of valid batches, and of their events.
  package var number = BatchNumber.none
  package var sequence = SequenceNumber.none

  /// Where the segment ends by what newer ones say: runs of batches are not joined across it.
  private var end = Int.max

  package init(name: SegmentName, verdict: HeaderVerdict = .empty, end: Int = .max) {
    self.end = end
    self.name = name
    self.verdict = verdict
  }

  /// Whether a valid batch was found.
  package var hasBatch: Bool { number > .none }
  /// From the first to the last byte that is neither filler nor header; nil when there is none.
  package var contentRange: ByteRange? {
    guard let first = items.first, let last = items.last else { return nil }
    return first.offset..<last.end
  }
}

// MARK: - Building the list

extension SegmentScan {
  /// How far back `settle` looks for batches just proved: more than are ever in flight.
  private static let settleDistance = 64

  mutating func appendBatch(_ extent: BatchExtent, keepsEvery: Bool) {
    var isChained = false
    if case .batch(let previous, _)? = items.last {
      isChained = BatchLink(from: previous, to: extent) == .follows
    }
    items.append(.batch(extent, isChained: isChained))
    durable = max(durable, extent.line.durable)
    number = max(number, extent.line.number)
    sequence = max(sequence, extent.line.lastSequence)
    if !keepsEvery { settle() }
  }

  mutating func appendDamaged(_ range: ByteRange) {
    if case .damaged(let before)? = items.last, before.upperBound == range.lowerBound {
      items[items.count - 1] = .damaged(before.lowerBound..<range.upperBound)
    } else {
      items.append(.damaged(range))
    }
  }

  /// Leaves out batches between the first and the last of a chained run known durable.
  private mutating func settle() {
    var index = items.count - 1
    let lowest = max(2, items.count - SegmentScan.settleDistance)
    while index >= lowest {
      if case .batch(let last, isChained: true) = items[index], last.line.number <= durable,
        case .batch(_, isChained: true) = items[index - 1], case .batch = items[index - 2],
        items[index].offset < end || items[index - 2].offset >= end
      {
        items.remove(at: index - 1)
      }
      index -= 1
    }
  }
}

// MARK: - Scanning

/// Scans segments one after the other through one window.
package struct SegmentScanner<Files: FileSystem>: ~Copyable {
  private let layout: StoreLayout
  private let store: StoreIdentifier?
  private let keepsEvery: Bool
  private let fillerMax: Int
  private var window: FileWindow<Files>

  /// - Parameters:
  ///   - store: segments of another store do not count; nil when the store's name is unknown.
  ///   - readsPastCache: tell what is on disk, not what the page cache holds.
  ///   - keepsEvery: list every batch, not only the ends of settled runs.
  ///   - fillerMax: a segment is read no further behind so much filler.
  package init(
    _ files: Files, _ layout: StoreLayout, store: StoreIdentifier?, readsPastCache: Bool,
    keepsEvery: Bool, fillerMax: Int = .max
  ) {
    self.layout = layout
    self.store = store
    self.keepsEvery = keepsEvery
    self.fillerMax = fillerMax
    // Readers that use the page cache have the kernel's reading ahead.
    window = FileWindow(files, readsPastCache: readsPastCache, readsAhead: readsPastCache)
  }

  /// Scans the segment `name`.
  /// - Parameters:
  ///   - known: batches the segment is known to begin with; they are not read again.
  ///   - end: where the segment ends by what newer ones say.
  package mutating func scan(
    _ name: SegmentName, behind known: [BatchExtent] = [], endedAt end: Int = .max
  ) throws(FileError) -> SegmentScan {
    try window.open(layout.segment(name))
    defer { window.close() }
    var scan = SegmentScan(name: name, end: end)
    scan.byteCount = window.fileByteCount
    var facts = HeaderFacts(reading: .damaged)
    var salt: UInt64?
    switch try readHeader() {
    case .header(let header):
      facts.reading = .intact
      facts.isAtHome = header.name == name && (store == nil || header.store == store)
      scan.header = header
      scan.alignment = header.alignment
      salt = header.salt
    case .newerVersion(let version):
      scan.newerVersion = version
      facts.reading = .newer
    case .damaged:
      salt = try saltOfFirstBatch()
      facts.hasFirstBatch = salt != nil
    }
    if facts.reading != .newer {
      for extent in known where extent.line.salt == salt {
        scan.appendBatch(extent, keepsEvery: keepsEvery)
      }
      try readBatches(&scan, salt)
      try window.checkReadable()
    }
    facts.hasContent = !scan.items.isEmpty
    scan.verdict = HeaderRule.verdict(facts)
    return scan
  }

  private mutating func readHeader() throws(FileError) -> SegmentHeader.Reading {
    guard window.fileByteCount > 0 else { return .damaged }
    let end = try window.hold(0, count: SegmentHeader.alignmentMin)
    return SegmentHeader.read(window.bytes(0..<min(end, SegmentHeader.alignmentMin)))
  }

  /// The salt of the first batch of a segment whose header is damaged.
  ///
  /// The header block is `align` bytes, LF behind its line, so a batch with nothing but LF between
  /// it and the first 4096 bytes, at a possible `align`, is the first one. NUL is not taken for
  /// filler here: a block the device lost may read as NUL, and behind it a payload may stand.
  private mutating func saltOfFirstBatch() throws(FileError) -> UInt64? {
    var offset = SegmentHeader.alignmentMin
    while offset <= SegmentHeader.alignmentMax, offset < window.fileByteCount {
      if let line = try line(at: offset) {
        return try isIntact(line, at: offset) ? line.salt : nil
      }
      guard try isAll(Byte.lineFeed, offset..<min(2 * offset, window.fileByteCount)) else {
        return nil
      }
      offset *= 2
    }
    return nil
  }

  /// Whether every byte of `range` is `wanted`.
  private mutating func isAll(_ wanted: UInt8, _ range: ByteRange) throws(FileError) -> Bool {
    var position = range.lowerBound
    while position < range.upperBound {
      let end = min(try window.hold(position), range.upperBound)
      guard end > position else { return false }
      guard window.bytes(position..<end).isAll(wanted, in: 0..<(end - position)) else {
        return false
      }
      position = end
    }
    return true
  }

  private mutating func readBatches(_ scan: inout SegmentScan, _ salt: UInt64?) throws(FileError) {
    var offset = scan.alignment
    if case .batch(let known, _)? = scan.items.last { offset = scan.blockEnd(known) }
    var fillerByteCount = 0
    while offset < window.fileByteCount, fillerByteCount < fillerMax {
      let filler = try fillerEnd(offset, scan.alignment)
      if filler > offset {
        fillerByteCount += filler - offset
        offset = filler
        continue
      }
      fillerByteCount = 0
      if let (line, hasEnds) = try opening(at: offset), line.salt == salt,
        try isIntact(line, at: offset)
      {
        var extent = BatchExtent(line: line, offset: offset)
        if hasEnds { try readEnds(of: &extent, into: &scan) }
        scan.appendBatch(extent, keepsEvery: keepsEvery)
        offset += (extent.byteCount + scan.alignment - 1) / scan.alignment * scan.alignment
      } else {
        let end = min(offset + scan.alignment, window.fileByteCount)
        scan.appendDamaged(offset..<end)
        offset = end
      }
    }
    // The file may have become shorter while it was read.
    scan.byteCount = min(scan.byteCount, window.fileByteCount)
  }

  /// The end of the filler blocks at `offset`; `offset` itself when the block there is none.
  private mutating func fillerEnd(_ offset: Int, _ alignment: Int) throws(FileError) -> Int {
    let end = try window.hold(offset, count: alignment)
    guard end > offset else { return window.fileByteCount }
    let span = window.bytes(offset..<end)
    let first = span.byte(at: 0)
    guard first == Byte.lineFeed || first == Byte.null else { return offset }
    // Mostly the whole rest of the window is filler, and is skipped at memory speed.
    let count = end == window.fileByteCount ? end - offset : (end - offset) / alignment * alignment
    if span.isAll(first, in: 0..<count) { return offset + count }
    var position = 0
    while position < count {
      let block = position..<min(position + alignment, count)
      // Both in one block: where filling was cut short.
      guard span.isAll(first, in: block) || span.isFiller(in: block) else { break }
      position = block.upperBound
    }
    return offset + position
  }

  private mutating func line(at offset: Int) throws(FileError) -> BatchLine? {
    let end = try window.hold(offset, count: BatchLine.textByteCount)
    guard end >= offset + BatchLine.textByteCount else { return nil }
    return BatchLine(window.bytes(offset..<(offset + BatchLine.textByteCount)), at: 0)
  }

  /// The batch line at `offset`, and whether an `#end` line may stand behind it. That is asked while
  /// the window is here: going back behind a batch that was checked reads it a second time.
  private mutating func opening(at offset: Int) throws(FileError) -> (BatchLine, hasEnds: Bool)? {
    let count = BatchLine.textByteCount + EndLine.textByteCount
    let end = try window.hold(offset, count: count)
    guard let line = try line(at: offset) else { return nil }
    guard end >= offset + count else { return (line, false) }
    let span = window.bytes(offset..<(offset + count))
    return (line, EndLine(span, at: BatchLine.textByteCount) != nil)
  }

  /// Whether the whole batch is in the file, its checksum holds and a log can hold its numbers.
  private mutating func isIntact(_ line: BatchLine, at offset: Int) throws(FileError) -> Bool {
    let extent = BatchExtent(line: line, offset: offset)
    guard line.isPossible, extent.end <= window.fileByteCount else { return false }
    var sum = Checksum.ofWord(line.salt)
    for part in [offset..<(offset + BatchLine.checksummedByteCount), extent.content] {
      var position = part.lowerBound
      while position < part.upperBound {
        let end = min(try window.hold(position), part.upperBound)
        guard end > position else { return false }
        sum = window.bytes(position..<end).checksum(seed: sum)
        position = end
      }
    }
    return sum == line.checksum
  }

  /// Reads the `#end` lines a batch begins with.
  private mutating func readEnds(of extent: inout BatchExtent, into scan: inout SegmentScan)
    throws(FileError)
  {
    var offset = extent.content.lowerBound
    while offset + EndLine.textByteCount <= extent.end {
      let end = try window.hold(offset, count: EndLine.textByteCount)
      guard end >= offset + EndLine.textByteCount,
        let line = EndLine(window.bytes(offset..<(offset + EndLine.textByteCount)), at: 0)
      else { break }
      // A batch can end only what is older than itself.
      if line.name.log == scan.name.log, line.name.number < scan.name.number {
        scan.ends.append(FoundEnd(line: line, batchOffset: extent.offset))
        extent.isRecovery = true
      }
      offset += EndLine.textByteCount
    }
    extent.endLinesByteCount = offset - extent.content.lowerBound
  }
}
