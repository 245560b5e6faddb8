// `penstock bench archive`: how quickly tables are read, how soon a large store opens, what an
// event costs beside its own bytes, how often it is written, and what archiving costs those who
// send.
//
//     scan            tables in the page cache, one core        ArchiveScan
//     opening         a store of very many tables               ArchiveOpening
//     overhead        bytes beyond what events and ids are      ArchiveOverhead
//     amplification   bytes written for each that stays         ArchiveAmplification
//     beside          receipts with and without the archiver    ArchiveBeside
//     sustained       a rate held for minutes                   ArchiveSustained
//
// The parts are measured one after the other, each in a folder of its own that is removed before
// the next begins.

internal import PenstockCore

/// What one part of the suite found out: lines for people, and bars.
package struct ArchiveFindings: Sendable {
  package var rows: [[String]] = []
  package var bars: [Bar] = []

  package init() {}

  mutating func add(_ name: String, _ figures: String...) { rows.append([name] + figures) }

  /// Notes a bar that a figure has to reach.
  mutating func judge(_ name: String, _ value: Double, atLeast least: Double, unit: String) {
    bars.append(
      Bar(
        name: name, wanted: "≥ \(ArchiveFindings.text(least)) \(unit)",
        measured: "\(ArchiveFindings.text(value)) \(unit)", isHeld: value >= least))
  }

  /// Notes a bar that a figure must not pass.
  mutating func judge(_ name: String, _ value: Double, atMost most: Double, unit: String) {
    bars.append(
      Bar(
        name: name, wanted: "≤ \(ArchiveFindings.text(most)) \(unit)",
        measured: "\(ArchiveFindings.text(value)) \(unit)", isHeld: value <= most))
  }

  private static func text(_ value: Double) -> String {
    let isWhole = value == value.rounded()
    return Decimal.text(value, digits: isWhole || value >= 100 ? 0 : 2)
  }

  /// The lines, in columns.
  package var text: String { IngestReport.aligned(rows) }
  /// The bars, a line each.
  package var barText: String { IngestReport.aligned(bars.map(\.row)) }
}

/// What a run of the suite is given.
package struct ArchiveOptions: Sendable {
  /// This program, to be started.
  package var program: String
  /// An empty folder on the file system to measure.
  package var folder: String
  /// Little of everything: to see that it works, not what it costs.
  package var isQuick = false
  package var rounds = 3
  package init(program: String, folder: String) {
    self.program = program
    self.folder = folder
  }
}

/// The parts of the suite.
package enum ArchivePart: String, CaseIterable, Sendable {
  case scan, opening, overhead, amplification, beside

  /// Measures it.
  package func measure(_ options: ArchiveOptions) throws -> ArchiveFindings {
    try LinuxFileSystem().makeDirectory(options.folder)
    defer { ScratchFolder.remove(options.folder) }
    switch self {
    case .scan: return try ArchiveScan(options).measure()
    case .opening: return try ArchiveOpening(options).measure()
    case .overhead: return try ArchiveOverhead(options).measure()
    case .amplification: return try ArchiveAmplification(options).measure()
    case .beside: return try ArchiveBeside(options).measure()
    }
  }
}
