// How small tables are, and how quickly they are written and read, beside the usual compressors.
//
// Size is that of a whole table, with header, directory and footer, which holds a corpus once.
// Speed is that of a table that holds it over and over: encoding is adding the events, the writing
// of full blocks included, syncing not; decoding is reading, checking and decoding the blocks. Time
// is that of the processor, so that what a shared machine does meanwhile counts less.

internal import LoadGenerator
internal import PenstockArchive
internal import PenstockCore

/// Tables of corpora, measured.
package struct CompressSuite {
  /// What is found out about a corpus.
  package struct Row {
    package let name: String
    package let isGenerated: Bool
    package let eventCount: Int
    /// Bytes of the events as lines.
    package let textByteCount: Int
    package let payloadByteCount: Int
    /// Bytes of the table, with each effort.
    package var fastByteCount = 0
    package var thoroughByteCount = 0
    /// Bytes that other programs make of the text; nil where one is not installed.
    package var others: [String: Int] = [:]
    /// Nanoseconds for each event, and payload bytes a nanosecond, over all rounds.
    package var fastNanoseconds: [Double] = []
    package var thoroughNanoseconds: [Double] = []
    package var decodedBytesPerNanosecond: [Double] = []
  }

  package private(set) var rows: [Row] = []
  private let corpora: [CompressCorpus]
  private let files = LinuxFileSystem()
  private let folder: String

  /// The programs that are compared with.
  package static let programs: [(name: String, words: [String])] = [
    ("lz4 -9", ["lz4", "-q", "-f", "-9"]), ("zstd -3", ["zstd", "-q", "-f", "-3"]),
    ("zstd -19", ["zstd", "-q", "-f", "-19"]), ("xz", ["xz", "-k", "-c"]),
  ]
  /// Payload bytes of a table whose speed is measured.
  private let speedByteCount: Int

  /// - Parameter folder: an empty folder.
  package init(folder: String, _ corpora: [CompressCorpus], speedByteCount: Int) throws {
    self.folder = folder
    self.speedByteCount = speedByteCount
    self.corpora = corpora
    for corpus in corpora {
      var row = Row(
        name: corpus.name, isGenerated: corpus.isGenerated, eventCount: corpus.eventCount,
        textByteCount: corpus.text.count, payloadByteCount: corpus.payloadByteCount)
      row.fastByteCount = try write(corpus, .fast, copies: 1).byteCount
      row.thoroughByteCount = try write(corpus, .thorough, copies: 1).byteCount
      for program in CompressSuite.programs {
        row.others[program.name] = try byteCount(of: corpus.text, by: program.words)
      }
      rows.append(row)
    }
  }

  // MARK: - Measuring

  private var path: String { folder + "/table" }

  /// Writes a table; its size, and how long adding took.
  private func write(_ corpus: CompressCorpus, _ effort: TableEffort, copies: Int) throws -> (
    byteCount: Int, nanoseconds: Int64
  ) {
    try? files.unlink(path)
    var writer = try TableWriter(
      files, path: path, store: StoreIdentifier(high: 1, low: 2), effort: effort)
    try writer.begin(Array("log".utf8).rawSpan)
    let start = bench_processor_nanoseconds()
    var number: UInt64 = 0
    for _ in 0..<copies {
      for index in 0..<corpus.eventCount {
        number += 1
        let fields = corpus.fields(index)
        let (second, rest) = number.quotientAndRemainder(dividingBy: 1000)
        try writer.add(
          TableRow(
            time: Timestamp(
              seconds: 1_795_232_872 + Int64(second), nanoseconds: UInt32(rest) * 1_000_000),
            log: LogNumber(0), sequence: SequenceNumber(number), type: fields.type,
            attributes: fields.attributes, payload: fields.payload), corpus.bytes.rawSpan)
      }
    }
    let elapsed = bench_processor_nanoseconds() - start
    let summary = try writer.finish(hash: 0, covered: [])
    return (summary.byteCount, elapsed)
  }

  private func byteCount(of text: [UInt8], by words: [String]) throws -> Int? {
    let source = folder + "/text"
    let target = folder + "/packed"
    let file = try files.open(source, .createIfMissing)
    var memory = AlignedBuffer(byteCount: max(1, text.count))
    memory.copy(text.rawSpan, to: 0)
    try files.truncate(file, byteCount: 0)
    try files.write(file, from: memory, 0..<text.count, at: 0)
    files.close(file)
    try? files.unlink(target)
    let script = "exec \(words.joined(separator: " ")) -c < '\(source)' > '\(target)'"
    var process = try ChildProcess.start(["/bin/sh", "-c", "{ \(script); } 2> /dev/null"])
    guard try process.wait(milliseconds: 120_000) == 0 else { return nil }
    let packed = try files.open(target, .read)
    defer { files.close(packed) }
    return try files.byteCount(packed)
  }

  /// One round: every corpus written with both efforts, and read.
  package mutating func runRound() throws {
    for (index, corpus) in corpora.enumerated() {
      try Interruption.check()
      let copies = max(1, speedByteCount / max(1, corpus.payloadByteCount))
      let events = Double(copies * corpus.eventCount)
      let fast = try write(corpus, .fast, copies: copies)
      rows[index].fastNanoseconds.append(Double(fast.nanoseconds) / events)
      // Thorough tables take long to write and are what is read later.
      let fewer = max(1, copies / 4)
      let thorough = try write(corpus, .thorough, copies: fewer)
      rows[index].thoroughNanoseconds.append(
        Double(thorough.nanoseconds) / Double(fewer * corpus.eventCount))
      let elapsed = try read()
      rows[index].decodedBytesPerNanosecond.append(
        Double(fewer * corpus.payloadByteCount) / elapsed)
    }
  }

  /// Reads every block of the table; how long that took.
  private func read() throws -> Double {
    let table = try TableReader(files, path: path)
    var block = TableBlock()
    // Once to have the memory a longer read has anyway.
    for number in table.blocks.indices { try table.load(number, into: &block) }
    let start = bench_processor_nanoseconds()
    for number in table.blocks.indices { try table.load(number, into: &block) }
    return Double(bench_processor_nanoseconds() - start)
  }

  // MARK: - Report

  private static func median(_ values: [Double]) -> Double {
    values.isEmpty ? 0 : values.sorted()[values.count / 2]
  }

  /// The table of sizes and speeds.
  package var table: String {
    var lines: [[String]] = [
      ["corpus", "lines", "text", "fast", "thorough", "of zstd -3"]
        + CompressSuite.programs.map(\.name)
        + ["fast ns/ev", "MB/s", "thor. ns/ev", "read MB/s"]
    ]
    for row in rows { lines.append(cells(row)) }
    lines.append(cells(total))
    var widths = [Int](repeating: 0, count: lines[0].count)
    for line in lines {
      for (column, cell) in line.enumerated() { widths[column] = max(widths[column], cell.count) }
    }
    return lines.map { line in
      line.enumerated().map { column, cell in
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        return column == 0 ? cell + padding : padding + cell
      }.joined(separator: "  ") + "\n"
    }.joined()
  }

  private func cells(_ row: Row) -> [String] {
    let fast = CompressSuite.median(row.fastNanoseconds)
    let perEvent = Double(row.payloadByteCount) / Double(max(1, row.eventCount))
    func size(_ count: Int?) -> String { count.map(String.init) ?? "-" }
    return [
      row.name, "\(row.eventCount)", "\(row.textByteCount)", "\(row.fastByteCount)",
      "\(row.thoroughByteCount)", ratio(row).map { Decimal.text($0, digits: 3) } ?? "-",
    ] + CompressSuite.programs.map { size(row.others[$0.name]) } + [
      Decimal.text(fast, digits: 0),
      fast > 0 ? Decimal.text(1000 * perEvent / fast, digits: 0) : "-",
      Decimal.text(CompressSuite.median(row.thoroughNanoseconds), digits: 0),
      Decimal.text(1000 * CompressSuite.median(row.decodedBytesPerNanosecond), digits: 0),
    ]
  }

  private func ratio(_ row: Row) -> Double? {
    row.others["zstd -3"].map { Double(row.thoroughByteCount) / Double($0) }
  }

  /// All corpora that were not made here.
  private var total: Row {
    let real = rows.filter { !$0.isGenerated }
    var total = Row(
      name: "all files", isGenerated: false, eventCount: real.reduce(0) { $0 + $1.eventCount },
      textByteCount: real.reduce(0) { $0 + $1.textByteCount },
      payloadByteCount: real.reduce(0) { $0 + $1.payloadByteCount })
    total.fastByteCount = real.reduce(0) { $0 + $1.fastByteCount }
    total.thoroughByteCount = real.reduce(0) { $0 + $1.thoroughByteCount }
    for program in CompressSuite.programs {
      let counts = real.compactMap { $0.others[program.name] }
      if counts.count == real.count, !real.isEmpty {
        total.others[program.name] = counts.reduce(0, +)
      }
    }
    return total
  }

  /// The bars as lines; none of size where there is nothing to compare with.
  package var barText: String {
    var text = ""
    func judge(_ holds: Bool, _ what: String) {
      text += (holds ? "pass  " : "FAIL  ") + what + "\n"
    }
    if let all = ratio(total) {
      judge(all <= 0.9, "all files: \(Decimal.text(all, digits: 3)) of zstd -3, at most 0.900")
      for row in rows where !row.isGenerated {
        guard let ratio = ratio(row), ratio > 1.15 else { continue }
        judge(false, "\(row.name): \(Decimal.text(ratio, digits: 3)) of zstd -3, at most 1.150")
      }
      let largest = rows.filter { !$0.isGenerated }.compactMap { ratio($0) }.max() ?? 0
      judge(
        largest <= 1.15,
        "largest of a file: \(Decimal.text(largest, digits: 3)) of zstd -3, at most 1.150")
    }
    let slowest = rows.map { 1000 * CompressSuite.median($0.decodedBytesPerNanosecond) }.min() ?? 0
    judge(slowest >= 500, "reading: \(Decimal.text(slowest, digits: 0)) MB/s, at least 500")
    for row in rows where row.name == "made: syslog" {
      let cost = CompressSuite.median(row.fastNanoseconds)
      judge(cost <= 500, "writing fast: \(Decimal.text(cost, digits: 0)) ns an event, at most 500")
    }
    return text
  }
}
