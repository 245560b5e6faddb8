// The suite's figures as a table for people, as bars to hold, and as JSON for programs.

/// A bar: what has to be reached at least, or at most.
package struct Bar: Equatable, Sendable {
  package var name: String
  package var wanted: String
  package var measured: String
  package var isHeld: Bool

  /// The cells of its line.
  package var row: [String] { [isHeld ? "pass" : "FAIL", name, wanted, measured] }
}

/// What a suite has measured, in words.
package struct IngestReport {
  private let suite: IngestSuite
  private let machine: Machine
  private let options: IngestOptions

  package init(_ suite: IngestSuite, _ machine: Machine, _ options: IngestOptions) {
    self.suite = suite
    self.machine = machine
    self.options = options
  }

  // MARK: - Conditions

  /// What has to be known before a figure is read.
  package static func conditions(_ machine: Machine, _ options: IngestOptions) -> String {
    let memory = Decimal.text(Double(machine.memoryByteCount) / 1e9, digits: 1)
    let free = Decimal.text(Double(machine.freeByteCount) / 1e9, digits: 0)
    let small = Decimal.text(machine.barrier4KiB, digits: 0)
    let large = Decimal.text(machine.barrier512KiB, digits: 0)
    let seconds = Decimal.text(Double(options.measuredMilliseconds) / 1000, digits: 1)
    return """
      machine      \(machine.processor), \(machine.processorCount) processors, \(memory) GB
      kernel       Linux \(machine.kernel)
      file system  \(machine.fileSystem), \(free) GB free
      barrier      write + fdatasync past the cache: 4 KiB \(small) µs, 512 KiB \(large) µs (median)
      durability   an event counts once the fdatasync of its batch has completed; no weaker mode
      load         200-byte events from another process over loopback; shard on processor 0, \
      generator on 1
      runs         \(options.rounds) rounds of \(seconds) s a case, behind 0.3 s of warm-up; \
      median (least … most)

      """
  }

  // MARK: - Table

  private static let columns: [(title: String, key: Figures.Key, scale: Double, digits: Int)] = [
    ("MB/s", .megabytesPerSecond, 1, 0),
    ("CPU ns/ev", .processorNanosecondsPerEvent, 1, 0),
    ("syncs/1000", .syncsPerEvent, 1000, 2),
    ("p50 µs", .ackMicroseconds50, 1, 0),
    ("p99 µs", .ackMicroseconds99, 1, 0),
    ("p99.9 µs", .ackMicroseconds999, 1, 0),
    ("shard MB", .shardPeakMegabytes, 1, 1),
    ("lost", .lost, 1, 0),
    ("drops", .droppedBuffers, 1, 0),
    ("shard %", .shardProcessorPercent, 1, 0),
    ("gen %", .generatorProcessorPercent, 1, 0),
  ]

  /// The table, one row for ours and one for the prototype's figures of each case.
  package var table: String {
    var rows = [["case", "", "M events/s"] + IngestReport.columns.map(\.title)]
    for (index, one) in suite.cases.enumerated() {
      rows.append([one.name, "penstock"] + cells(suite.measured[index]))
      guard !suite.ceiling[index].isEmpty else { continue }
      rows.append(["", "C"] + cells(suite.ceiling[index]))
    }
    var text = IngestReport.aligned(rows)
    if let skipped = suite.skipped {
      text += "\n\(skipped)\n"
    } else {
      text += """

        C is a prototype without parser tables, ledger, text or archive: it commits into one file
        of 4 GiB written before and wraps inside it; penstock takes fresh segments and archives
        them meanwhile. Its saturated receipts are cumulative and binary.

        """
    }
    return text
  }

  private func cells(_ runs: [Figures]) -> [String] {
    var cells: [String] = []
    if let rate = Spread(.eventsPerSecond, of: runs) {
      let digits = rate.median < 100_000 ? 4 : 2
      func millions(_ value: Double) -> String { Decimal.text(value / 1e6, digits: digits) }
      cells.append(
        millions(rate.median)
          + (runs.count > 1 ? " (\(millions(rate.least)) … \(millions(rate.most)))" : ""))
    } else {
      cells.append("-")
    }
    for column in IngestReport.columns {
      let spread = Spread(column.key, of: runs)
      cells.append(
        spread.map { Decimal.text($0.median * column.scale, digits: column.digits) } ?? "-")
    }
    return cells
  }

  static func aligned(_ rows: [[String]]) -> String {
    var widths: [Int] = []
    for row in rows {
      for (column, cell) in row.enumerated() {
        if column == widths.count { widths.append(0) }
        widths[column] = max(widths[column], cell.count)
      }
    }
    return rows.map { row in
      let cells = row.enumerated().map { column, cell in
        let fill = String(repeating: " ", count: widths[column] - cell.count)
        return column < 2 ? cell + fill : fill + cell
      }
      var line = cells.joined(separator: "  ")
      while line.hasSuffix(" ") { line.removeLast() }
      return line + "\n"
    }.joined()
  }

  // MARK: - Bars

  /// The share of the prototype's rate that has to be reached, beside the bar in events: drives of
  /// one machine differ by the hour, ratios do not. 3 million beside 12 on the reference machine.
  private static let rateShareMin = 0.25
  /// What a median receipt may take as a multiple of the prototype's: 80 µs beside 45 there.
  private static let latencyRatioMax = 1.8

  /// The bars of the cases that were run.
  package var bars: [Bar] {
    var bars: [Bar] = []
    var memory: Double?
    for (index, one) in suite.cases.enumerated() {
      let runs = suite.measured[index]
      let rate = Spread(.eventsPerSecond, of: runs)?.median ?? 0
      if let most = Spread(.shardPeakMegabytes, of: runs)?.most { memory = max(memory ?? 0, most) }
      if one.plan.kind == .octet || one.plan.kind == .newline {
        bars.append(
          Bar(
            name: one.name, wanted: "≥ 3 M events/s",
            measured: Decimal.text(rate / 1e6, digits: 2) + " M", isHeld: rate >= 3e6))
        if let beside = Spread(.eventsPerSecond, of: suite.ceiling[index])?.median {
          let share = rate / beside
          bars.append(
            Bar(
              name: one.name, wanted: "≥ \(IngestReport.rateShareMin) × C's in this run",
              measured: Decimal.text(share, digits: 2) + " ×",
              isHeld: share >= IngestReport.rateShareMin))
        }
      }
      if one.plan.kind == .datagrams {
        let lost = Spread(.lost, of: runs)?.most ?? .infinity
        bars.append(
          Bar(
            name: one.name, wanted: "≥ 0.4 M events/s, none lost",
            measured: Decimal.text(rate / 1e6, digits: 3) + " M, "
              + Decimal.text(lost, digits: 0) + " lost",
            isHeld: rate >= 0.99 * Double(one.plan.rate) && lost == 0))
      }
      if one.plan.kind == .line, one.plan.rate > 0 {
        let latency = Spread(.ackMicroseconds50, of: runs)?.median ?? .infinity
        bars.append(
          Bar(
            name: one.name, wanted: "ack p50 ≤ 150 µs",
            measured: Decimal.text(latency, digits: 0) + " µs", isHeld: latency <= 150))
        if let beside = Spread(.ackMicroseconds50, of: suite.ceiling[index])?.median {
          let ratio = latency / beside
          bars.append(
            Bar(
              name: one.name, wanted: "≤ \(IngestReport.latencyRatioMax) × C's in this run",
              measured: Decimal.text(ratio, digits: 2) + " ×",
              isHeld: ratio <= IngestReport.latencyRatioMax))
        }
      }
    }
    if let memory {
      bars.append(
        Bar(
          name: "shard memory", wanted: "≤ 24 MB at its peak",
          measured: Decimal.text(memory, digits: 1) + " MB", isHeld: memory <= 24))
    }
    return bars
  }

  /// The bars as lines.
  package var barText: String {
    IngestReport.aligned(bars.map(\.row))
  }

  // MARK: - JSON

  /// Everything that was measured.
  package var json: String {
    let cases = suite.cases.enumerated().map { index, one in
      JSONValue.object([
        ("name", .text(one.name)),
        ("penstock", .array(suite.measured[index].map(IngestReport.value))),
        ("prototype", .array(suite.ceiling[index].map(IngestReport.value))),
      ])
    }
    let judged = bars.map { bar in
      JSONValue.object([
        ("name", .text(bar.name)), ("wanted", .text(bar.wanted)),
        ("measured", .text(bar.measured)), ("held", .truth(bar.isHeld)),
      ])
    }
    return JSONValue.object([
      ("suite", .text("ingest")),
      (
        "machine",
        .object([
          ("processor", .text(machine.processor)),
          ("processors", .number(Double(machine.processorCount))),
          ("memoryBytes", .number(Double(machine.memoryByteCount))),
          ("kernel", .text(machine.kernel)), ("fileSystem", .text(machine.fileSystem)),
          ("barrierMicroseconds4KiB", .number(machine.barrier4KiB)),
          ("barrierMicroseconds512KiB", .number(machine.barrier512KiB)),
        ])
      ),
      ("backend", .text(suite.backend)),
      ("durability", .text("fdatasync before every receipt")),
      ("rounds", .number(Double(options.rounds))),
      ("measuredSeconds", .number(Double(options.measuredMilliseconds) / 1000)),
      ("cases", .array(cases)), ("bars", .array(judged)),
    ]).text + "\n"
  }

  private static func value(_ figures: Figures) -> JSONValue {
    .object(
      Figures.Key.allCases.compactMap { key in
        figures[key].map { (key.rawValue, .number($0)) }
      })
  }
}

/// A value on its way into JSON.
enum JSONValue {
  case text(String)
  case number(Double)
  case truth(Bool)
  case array([JSONValue])
  case object([(String, JSONValue)])

  var text: String {
    switch self {
    case .text(let text): return JSONValue.quoted(text)
    case .number(let number):
      guard number.isFinite else { return "null" }
      return number == number.rounded() && number.magnitude < 1e15 ? "\(Int(number))" : "\(number)"
    case .truth(let isTrue): return isTrue ? "true" : "false"
    case .array(let values): return "[" + values.map(\.text).joined(separator: ",") + "]"
    case .object(let pairs):
      return "{"
        + pairs.map { JSONValue.quoted($0.0) + ":" + $0.1.text }.joined(separator: ",") + "}"
    }
  }

  private static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
