// Walks a log's scanned segments in order and says, by the log table, what counts.
//
//     scans (ascending) → where segments end → D → walk: serve | carry | damage
//
// Pure: no I/O, no state beyond one walk. Recovery and readers walk the same way, so a reader
// without a daemon shows exactly what recovery would keep.

/// What came before the segments that are walked.
package enum LogStart: Equatable, Sendable {
  /// Nothing: they are all there ever were.
  case beginning
  /// Segments that are archived, or that need no look: every batch in them is proved. The last
  /// event in them, where it is known.
  case settled(through: SequenceNumber?)
  /// This batch.
  case behind(BatchExtent)
}

/// What a walk found.
package struct LogReading: Sendable {
  /// For each scan: the batches that count, in order.
  package var accepted: [[BatchExtent]]
  /// For each scan: first byte that recovery does not leave in place.
  package var servedEnd: [Int]
  /// Batches that count but are not proved: the scan they lie in, and where.
  package var carried: [(scan: Int, extent: BatchExtent)] = []
  /// The last batch that counts and is proved.
  package var lastServed: BatchExtent?
  /// The last batch that counts.
  package var lastAccepted: BatchExtent?
  package var damage: [Damage] = []
  /// Scans next to which something proved is missing: the first and the last of each such place.
  package var rotten: [ClosedRange<Int>] = []
}

/// One walk.
package struct LogWalk {
  private let scans: [SegmentScan]
  private let proof: BatchNumber
  private let frontier: SequenceNumber?
  private let start: LogStart
  private let ends: [SegmentNumber: Int]
  private var reading: LogReading
  private var isInTail = false
  /// Damaged stretches met since the last batch that counts.
  private var open: [(scan: Int, range: ByteRange)] = []
  /// The scan of the last batch that counts.
  private var lastScan = 0
  /// For each scan: what of it is dropped.
  private var dropped: [Int: ByteRange] = [:]
  private var firstDropped: BatchNumber?
  private var lastDropped: BatchNumber?

  /// The highest `durable` that the batches of `scans` state.
  package static func proof(of scans: [SegmentScan]) -> BatchNumber {
    scans.filter { $0.verdict.counts }.map(\.durable).max() ?? .none
  }

  /// Where each segment ends, by the `#end` lines of batches that count: read from the newest
  /// segment to the oldest, so that a line in a batch that is itself ended does not count.
  package static func ends(of scans: [SegmentScan]) -> [SegmentNumber: Int] {
    var ends: [SegmentNumber: Int] = [:]
    for scan in scans.reversed() where scan.verdict.counts {
      let end = ends[scan.name.number] ?? Int.max
      for found in scan.ends where found.batchOffset < end {
        let number = found.line.name.number
        ends[number] = min(ends[number] ?? Int.max, found.line.offset)
      }
    }
    return ends
  }

  /// Reads the log whose segments are `scans`, in ascending order.
  /// - Parameters:
  ///   - proof: batches up to this one are proved; `proof(of:)`, or what it was earlier.
  ///   - frontier: events up to this one are proved as well.
  ///   - start: what came before the first of `scans`.
  package static func read(
    _ scans: [SegmentScan], proof: BatchNumber, frontier: SequenceNumber?, from start: LogStart
  ) -> LogReading {
    var walk = LogWalk(scans, proof, frontier, start)
    for index in scans.indices { walk.meet(index) }
    walk.finish()
    return walk.reading
  }

  private init(
    _ scans: [SegmentScan], _ proof: BatchNumber, _ frontier: SequenceNumber?, _ start: LogStart
  ) {
    self.start = start
    self.scans = scans
    self.proof = proof
    self.frontier = frontier
    ends = LogWalk.ends(of: scans)
    reading = LogReading(
      accepted: Array(repeating: [], count: scans.count), servedEnd: scans.map(\.alignment))
    if case .behind(let last) = start {
      reading.lastAccepted = last
      reading.lastServed = last
    }
  }

  private mutating func meet(_ index: Int) {
    let scan = scans[index]
    reportFile(scan)
    guard scan.verdict.counts else { return }
    let end = ends[scan.name.number] ?? Int.max
    for item in scan.items {
      let isEnded = item.offset >= end
      switch item {
      case .damaged(let range):
        if isInTail, !isEnded { drop(index, range, nil) }
        if !isInTail, !isEnded { open.append((index, range)) }
      case .batch(let extent, let isChained):
        if !isEnded, !isInTail { settleBreak(before: extent, isChained, index) }
        meet(extent, isEnded: isEnded, index)
      }
    }
  }

  private mutating func meet(_ extent: BatchExtent, isEnded: Bool, _ index: Int) {
    let isProved =
      extent.line.number <= proof || frontier.map { extent.line.lastSequence <= $0 } ?? false
    let facts = LogFacts(
      found: .batch, isEnded: isEnded, isInTail: isInTail, proved: isProved ? .all : .nothing)
    var extent = extent
    switch LogRule.verdict(facts) {
    case .passOver: return
    case .serve:
      extent.isProved = true
      reading.lastServed = extent
      reading.servedEnd[index] = scans[index].blockEnd(extent)
    case .carry: reading.carried.append((index, extent))
    case .drop, .report, .rot, .rotThenTail, .tail:
      return drop(index, extent.offset..<extent.end, extent)
    }
    reading.accepted[index].append(extent)
    reading.lastAccepted = extent
    lastScan = index
  }

  /// Decides about whatever stands between the last batch that counts and `next`.
  private mutating func settleBreak(before next: BatchExtent, _ isChained: Bool, _ index: Int) {
    guard !isChained || !open.isEmpty else { return }
    let (found, missing) = breakFound(before: next, isChained, scans[index])
    guard let found else { return }
    let proved: LogFacts.Proved
    if let missing {
      proved = provedPart(of: missing, before: next)
    } else {
      proved = next.line.number <= proof ? .all : .nothing
    }
    apply(LogFacts(found: found, isInTail: isInTail, proved: proved), missing, before: next, index)
  }

  private func breakFound(before next: BatchExtent, _ isChained: Bool, _ scan: SegmentScan)
    -> (LogFacts.Found?, ClosedRange<BatchNumber>?)
  {
    guard let last = reading.lastAccepted else { return breakFoundAtStart(before: next, scan) }
    switch isChained ? .follows : BatchLink(from: last, to: next) {
    case .missing(let numbers): return (.gap, numbers)
    case .contradicts: return (.contradiction, nil)
    case .follows:
      // Copies of provisional batches share one run of sequence numbers.
      if next.line.number > proof, !reading.carried.isEmpty,
        next.line.firstSequence != last.line.lastSequence.advanced(by: 1)
      {
        return (.contradiction, nil)
      }
      return (open.isEmpty ? nil : .strayBytes, nil)
    }
  }

  /// The same before the oldest batch there is. Behind archived segments only damaged bytes, or a
  /// segment that does not begin with a batch, tell that something is missing: what proved the
  /// archived batches may itself be lost by now.
  private func breakFoundAtStart(before next: BatchExtent, _ scan: SegmentScan)
    -> (LogFacts.Found?, ClosedRange<BatchNumber>?)
  {
    let stray: LogFacts.Found? = open.isEmpty ? nil : .strayBytes
    let missing = next.predecessor
    guard missing > .none else { return (stray, nil) }
    switch start {
    case .beginning: return (.gap, BatchNumber(1)...missing)
    case .settled(let through):
      if let through, next.line.firstSequence <= through.advanced(by: 1) { return (stray, nil) }
      let isFirst = next.offset == scan.alignment
      return open.isEmpty && isFirst ? (nil, nil) : (.gap, missing...missing)
    case .behind: return (nil, nil)
    }
  }

  private func provedPart(of missing: ClosedRange<BatchNumber>, before next: BatchExtent)
    -> LogFacts.Proved
  {
    let before = next.line.firstSequence.value &- 1
    if missing.upperBound <= proof || frontier.map({ before <= $0.value }) ?? false { return .all }
    return isFirstMissingProved(missing.lowerBound) ? .some : .nothing
  }

  private func isFirstMissingProved(_ number: BatchNumber) -> Bool {
    let last: SequenceNumber?
    if let accepted = reading.lastAccepted {
      last = accepted.line.lastSequence
    } else if case .settled(let through) = start {
      last = through
    } else {
      last = SequenceNumber.none
    }
    guard let frontier, let last else { return number <= proof }
    return number <= proof || frontier > last
  }

  /// Decides about what stands behind the last batch of the log.
  private mutating func finish() {
    if !isInTail, !scans.isEmpty {
      let first = (reading.lastAccepted?.line.number ?? .none).advanced(by: 1)
      let isProved = isFirstMissingProved(first)
      if isProved || !open.isEmpty {
        let facts = LogFacts(found: .damagedEnd, proved: isProved ? .some : .nothing)
        apply(facts, isProved ? first...max(first, proof) : nil, before: nil, scans.count - 1)
      }
    }
    reportTail()
  }

  private mutating func apply(
    _ facts: LogFacts, _ missing: ClosedRange<BatchNumber>?, before next: BatchExtent?, _ index: Int
  ) {
    switch LogRule.verdict(facts) {
    case .report: reportOpen(.strayBytes, nil, before: next, index)
    case .rot: reportOpen(.rot, missing, before: next, index)
    case .rotThenTail:
      let proved = missing.map { $0.lowerBound...max($0.lowerBound, min($0.upperBound, proof)) }
      reportOpen(.rot, proved, before: next, index)
      isInTail = true
    case .tail:
      for stretch in open { drop(stretch.scan, stretch.range, nil) }
      open = []
      firstDropped = missing?.lowerBound ?? next?.line.number
      isInTail = true
    case .passOver, .drop, .serve, .carry:
      preconditionFailure("the log table answers a break with a batch's verdict")
    }
  }

  /// Reports the damaged stretches since the last batch that counts, one finding a segment; when
  /// there is none, the place where batches should be.
  private mutating func reportOpen(
    _ kind: Damage.Kind, _ batches: ClosedRange<BatchNumber>?, before next: BatchExtent?,
    _ index: Int
  ) {
    if kind == .rot { reading.rotten.append(min(lastScan, index)...max(lastScan, index)) }
    var ranges: [Int: ByteRange] = [:]
    for stretch in open { ranges[stretch.scan] = union(ranges[stretch.scan], stretch.range) }
    open = []
    if ranges.isEmpty {
      let scan = scans[index]
      let offset = next?.offset ?? scan.alignment
      reading.damage.append(
        Damage(kind, scan.name, range: offset..<offset, batches: batches))
    }
    for (index, range) in ranges.sorted(by: { $0.key < $1.key }) {
      reading.damage.append(
        Damage(kind, scans[index].name, range: range, batches: batches, hasBytes: true))
    }
  }

  private mutating func drop(_ index: Int, _ range: ByteRange, _ extent: BatchExtent?) {
    dropped[index] = union(dropped[index], range)
    if let extent {
      firstDropped = min(firstDropped ?? extent.line.number, extent.line.number)
      lastDropped = max(lastDropped ?? extent.line.number, extent.line.number)
    }
  }

  private mutating func reportTail() {
    for (index, range) in dropped.sorted(by: { $0.key < $1.key }) {
      var batches: ClosedRange<BatchNumber>?
      if let first = firstDropped, let last = lastDropped { batches = min(first, last)...last }
      reading.damage.append(
        Damage(
          lastDropped == nil ? .tail : .tailPossiblyAcknowledged, scans[index].name, range: range,
          batches: batches, hasBytes: true))
    }
  }

  /// Reports what is wrong with a file as a whole.
  private mutating func reportFile(_ scan: SegmentScan) {
    switch scan.verdict {
    case .use, .empty, .unreadable: return
    case .useBySalt:
      reading.damage.append(
        Damage(.header, scan.name, range: 0..<scan.alignment, hasBytes: true))
    case .leave: reading.damage.append(Damage(.newerVersion, scan.name))
    case .misplaced:
      let range = scan.contentRange
      reading.damage.append(
        Damage(.misplaced, scan.name, range: range ?? 0..<0, hasBytes: range != nil))
    }
  }

  private func union(_ range: ByteRange?, _ other: ByteRange) -> ByteRange {
    guard let range else { return other }
    return min(range.lowerBound, other.lowerBound)..<max(range.upperBound, other.upperBound)
  }
}

extension SegmentScan {
  /// First possible start of a batch behind `extent`.
  package func blockEnd(_ extent: BatchExtent) -> Int {
    (extent.end + alignment - 1) / alignment * alignment
  }
}
