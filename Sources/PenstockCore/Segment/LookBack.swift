// What newer segments of a log say about older ones: gathered from the newest segment back.
//
//     scan (newest) → look.add → where older segments end, D → scan the next older one → …
//
// D, the highest `durable`, stands in the newest valid batches, since it only grows. Once an older
// batch is found that D proves, nothing older can change what counts: all of it is proved. Recovery
// stops there; readers go on, but take D from the same segments, so that both judge alike whatever
// older segments state.

/// One look back over a log's segments.
package struct LookBack: Sendable {
  /// Where each segment ends, by the `#end` lines of batches that count.
  package private(set) var ends: [SegmentNumber: Int] = [:]
  /// D: the highest `durable` stated up to where a batch was found that it proves.
  package private(set) var proof = BatchNumber.none
  /// Whether a batch that is not ended was found that D proves.
  package private(set) var isSettled = false

  package init() {}

  /// Looks at all of `scans`, in ascending order.
  package init(_ scans: [SegmentScan]) {
    for scan in scans.reversed() { add(scan) }
  }

  /// Where the segment `name` ends; beyond every offset when nothing newer says so.
  package func end(of name: SegmentName) -> Int { ends[name.number] ?? Int.max }

  /// Looks at the next older segment. A line in a batch that is itself ended does not count.
  package mutating func add(_ scan: SegmentScan) {
    guard scan.verdict.counts else { return }
    let end = end(of: scan.name)
    for found in scan.ends where found.batchOffset < end {
      let number = found.line.name.number
      ends[number] = min(ends[number] ?? Int.max, found.line.offset)
    }
    guard !isSettled else { return }
    proof = max(proof, scan.durable)
    isSettled = scan.items.contains { item in
      guard case .batch(let extent, _) = item else { return false }
      return extent.line.number <= proof && extent.offset < end
    }
  }
}
