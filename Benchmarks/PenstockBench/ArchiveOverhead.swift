// What an event takes in a table beyond what it says.
//
// Events come at random times with random ids and say nothing else: no payload, the same type and
// attributes. What times and ids say by themselves is known, so what is stored beside it is the
// table's own. Times: `count` points strewn evenly over a stretch, in order, are worth
// log2(stretch / count) + log2(e) bits each. Ids: 32 bits.
//
// An index is measured by writing the same events with and without it; each event has one value
// under its key, so events are what the difference is shared among.

internal import PenstockArchive
internal import PenstockCore

/// Tables of events that say nothing.
struct ArchiveOverhead {
  private let folder: String
  private let eventCount: Int

  /// The stretch of time events are strewn over, in nanoseconds: a day.
  private static let stretch = 86_400e9
  private static let identifierBits = 32.0
  private static let eventByteCountMax = 3.0
  private static let postingByteCountMax = 1.0

  init(_ options: ArchiveOptions) {
    folder = options.folder
    eventCount = options.isQuick ? 2_000 : 1_000_000
  }

  func measure() throws -> ArchiveFindings {
    var findings = ArchiveFindings()
    let gap = ArchiveOverhead.stretch / Double(eventCount)
    let timeBits = ArchiveOverhead.log2(gap) + ArchiveOverhead.log2(2.718_281_828_459_045)
    let said = (timeBits + ArchiveOverhead.identifierBits) / 8
    findings.add(
      "an event's time and id", "\(Decimal.text(said, digits: 2)) bytes",
      "\(Decimal.text(timeBits, digits: 1)) bits and 32")
    for effort in [TableEffort.fast, .thorough] {
      try Interruption.check()
      let byteCount = try write(effort, valueCount: 1, indexed: false).byteCount
      let stored = Double(byteCount) / Double(eventCount)
      findings.add(
        "\(effort): an event", "\(Decimal.text(stored, digits: 2)) bytes",
        "\(Decimal.text(stored - said, digits: 2)) beyond")
      findings.judge(
        "overhead of an event, \(effort)", stored - said,
        atMost: ArchiveOverhead.eventByteCountMax, unit: "bytes")
    }
    for valueCount in [16, 1000, 50_000] {
      for effort in [TableEffort.fast, .thorough] {
        try measureIndex(effort, valueCount, &findings)
      }
    }
    return findings
  }

  private func measureIndex(
    _ effort: TableEffort, _ valueCount: Int, _ findings: inout ArchiveFindings
  ) throws {
    try Interruption.check()
    let without = try write(effort, valueCount: valueCount, indexed: false)
    let with = try write(effort, valueCount: valueCount, indexed: true)
    let entryCount = try countEntries(valueCount)
    // The text of each value stands in the index once: that is given, like times and ids are.
    let growth = Double(with.byteCount - without.byteCount)
    let posting = (growth - Double(with.valueByteCount)) / Double(eventCount)
    let entry = growth / Double(max(1, entryCount))
    findings.add(
      "\(effort): a posting of \(valueCount) values", "\(Decimal.text(posting, digits: 3)) bytes",
      "\(Decimal.text(growth / Double(eventCount), digits: 3)) with the values' text",
      "\(Decimal.text(entry, digits: 2)) for each value of a block, "
        + "\(Decimal.text(Double(eventCount) / Double(max(1, entryCount)), digits: 1)) events each")
    findings.judge(
      "index posting, \(valueCount) values, \(effort)", posting,
      atMost: ArchiveOverhead.postingByteCountMax, unit: "bytes")
  }

  private var path: String { folder + "/table" }

  /// Writes the events; the table's bytes, and those of the distinct values.
  private func write(_ effort: TableEffort, valueCount: Int, indexed: Bool) throws
    -> (byteCount: Int, valueByteCount: Int)
  {
    try? LinuxFileSystem().unlink(path)
    var dice = Dice(state: 7)
    var table = try ArchiveTable(path: path, indexes: indexed ? ["user"] : [], effort: effort)
    // Points strewn evenly are gaps of exponential length.
    let gap = ArchiveOverhead.stretch / Double(eventCount)
    var moment = 0.0
    var isMet = [Bool](repeating: false, count: valueCount)
    for _ in 0..<eventCount {
      let share = (Double(dice.next() >> 11) + 1) / 9_007_199_254_740_992
      moment -= gap * ArchiveOverhead.log2(share) * 0.693_147_180_559_945
      let number = valueCount > 1 ? dice.below(valueCount) : 0
      isMet[number] = true
      let value = valueCount > 1 ? " user=u\(number)" : ""
      try table.add(
        nanoseconds: UInt64(moment), attributes: "_id=\(dice.hexadecimal(8))\(value)")
    }
    let values = isMet.indices.filter { isMet[$0] }.map { "u\($0)".utf8.count }
    return (try table.finish(), values.reduce(0, +))
  }

  /// Pairs of value and block in the index of the table written last.
  private func countEntries(_ valueCount: Int) throws -> Int {
    let table = try TableReader(LinuxFileSystem(), path: path)
    var count = 0
    for value in 0..<valueCount {
      count +=
        try table.postings(key: Array("user".utf8), value: Array("u\(value)".utf8))?.count ?? 0
    }
    return count
  }

  /// The binary logarithm of a positive number, without a library: the whole part by the exponent,
  /// the rest by squaring.
  private static func log2(_ value: Double) -> Double {
    var result = Double(value.exponent)
    var rest = value.significand
    var weight = 0.5
    while weight > 1e-12 {
      rest *= rest
      if rest >= 2 {
        rest /= 2
        result += weight
      }
      weight /= 2
    }
    return result
  }
}
