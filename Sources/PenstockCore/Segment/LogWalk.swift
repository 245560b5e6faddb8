// Walks a log's scanned segments in order and says, by the log table, what counts.
//
//     scans (ascending) → look back: ends, D → reach of proof → walk: serve | carry | damage
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

/// Where something stands in the log: its scan, and its offset there.
private struct Place: Comparable {
  var scan: Int
  var offset: Int

  static func < (left: Place, right: Place) -> Bool {
    (left.scan, left.offset) < (right.scan, right.offset)
  }
}

/// One walk.
package struct LogWalk {
  private let scans: [SegmentScan]
  private let proof: BatchNumber
  private let frontier: SequenceNumber?
  private let start: LogStart
  private let look: LookBack
  /// The last thing that shows everything before it to be durable.
  private let reach: Place?
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

  /// Reads the log whose segments are `scans`, in ascending order.
  /// - Parameters:
  ///   - proof: batches up to this one are proved; what a `LookBack` found, or what it was earlier.
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
    look = LookBack(scans)
    reach = LogWalk.reach(scans, look, proof, frontier)
    reading = LogReading(
      accepted: Array(repeating: [], count: scans.count), servedEnd: scans.map(\.alignment))
    if case .behind(let last) = start {
      reading.lastAccepted = last
      reading.lastServed = last
    }
  }

  /// Barriers complete in order, so what stands before a batch known durable is durable too. So is
  /// what stands before a recovery batch: recovery leaves nothing else in place.
  private static func reach(
    _ scans: [SegmentScan], _ look: LookBack, _ proof: BatchNumber, _ frontier: SequenceNumber?
  ) -> Place? {
    for (index, scan) in scans.enumerated().reversed() where scan.verdict.counts {
      let end = look.end(of: scan.name)
      let recovery = scan.ends.last { $0.batchOffset < end }?.batchOffset
      let proved = scan.items.last { item in
        guard case .batch(let extent, _) = item, extent.offset < end else { return false }
        return extent.isCovered(by: proof, frontier)
      }?.offset
      if let offset = [recovery, proved].compactMap(\.self).max() {
        return Place(scan: index, offset: offset)
      }
    }
    return nil
  }

  private mutating func meet(_ index: Int) {
    let scan = scans[index]
    reportFile(scan)
    guard scan.verdict.counts else { return }
    let end = look.end(of: scan.name)
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
    let facts = LogFacts(
      found: .batch, isEnded: isEnded, isInTail: isInTail,
      proved: isProved(extent, index) ? .all : .nothing)
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
    let isOutOfSequence = isOutOfSequence(next, index)
    guard !isChained || !open.isEmpty || isOutOfSequence else { return }
    let (found, missing) = breakFound(before: next, isChained, isOutOfSequence, scans[index])
    guard let found else { return }
    let proved: LogFacts.Proved
    if isReached(next, index) {
      proved = .all
    } else if let missing {
      proved = provedPart(of: missing, before: next)
    } else {
      proved = .nothing
    }
    apply(LogFacts(found: found, isInTail: isInTail, proved: proved), missing, before: next, index)
  }

  private func breakFound(
    before next: BatchExtent, _ isChained: Bool, _ isOutOfSequence: Bool, _ scan: SegmentScan
  ) -> (LogFacts.Found?, ClosedRange<BatchNumber>?) {
    guard let last = reading.lastAccepted else { return breakFoundAtStart(before: next, scan) }
    switch isChained ? .follows : BatchLink(from: last, to: next) {
    case .missing(let numbers): return (.gap, numbers)
    case .contradicts: return (.contradiction, nil)
    case .follows where isOutOfSequence: return (.contradiction, nil)
    case .follows:
      return (open.isEmpty ? nil : .strayBytes, nil)
    }
  }

  /// Whether `next` would be copied behind a batch it does not follow on from in sequence numbers:
  /// the copies share one run of them. No writer does that; it keeps numbers from being altered.
  private func isOutOfSequence(_ next: BatchExtent, _ index: Int) -> Bool {
    guard !isProved(next, index), let last = reading.carried.last?.extent else { return false }
    return next.line.firstSequence != last.line.lastSequence.advanced(by: 1)
  }

  private func isProved(_ extent: BatchExtent, _ index: Int) -> Bool {
    extent.isCovered(by: proof, frontier) || isReached(extent, index, isBefore: true)
  }

  /// Whether everything before `extent` is known durable; with `isBefore` itself as well.
  private func isReached(_ extent: BatchExtent, _ index: Int, isBefore: Bool = false) -> Bool {
    guard let reach else { return false }
    let place = Place(scan: index, offset: extent.offset)
    return isBefore ? place < reach : place <= reach
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
    // Behind a batch that is not proved nothing is, whatever sequence numbers say.
    guard reading.carried.isEmpty else { return .nothing }
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

extension BatchExtent {
  /// Whether the batch itself is known durable.
  fileprivate func isCovered(by proof: BatchNumber, _ frontier: SequenceNumber?) -> Bool {
    line.number <= proof || frontier.map { line.lastSequence <= $0 } ?? false
  }
}

extension SegmentScan {
  /// First possible start of a batch behind `extent`.
  package func blockEnd(_ extent: BatchExtent) -> Int {
    (extent.end + alignment - 1) / alignment * alignment
  }
}
