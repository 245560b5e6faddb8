// Files become events of the archive.
//
//     file ─▶ records (ImportInput) ─▶ fields (FoundFields) ─▶ event lines (ImportedLine)
//                                                                     └─▶ tables (TableImport)
//
// A record that cannot become an event is counted, and the first of them are told with file and
// line. More than are allowed end the import, and nothing of it is stored.

package import PenstockCore

/// A file to be imported; "-" is standard input.
package struct ImportSource: Sendable, Equatable {
  package var path: String
  package init(path: String) { self.path = path }

  package var name: String { path == "-" ? "standard input" : path }
}

/// What an import did, and what it left out.
package struct ImportReport: Sendable {
  package var tables = TableImportResult()
  package var byteCount = 0
  package var badCount = 0
  /// The first bad records: "FILE:LINE: what is wrong".
  package var bad: [String] = []
  package init() {}

  /// Most bad records that are told.
  package static let badToldMax = 10
}

/// Why nothing was imported.
package enum ImportError: Error, Sendable, CustomStringConvertible {
  case file(FileError)
  case archive(ArchiveError)
  /// More bad records than are allowed; the first of them.
  case badRecords([String], allowed: Int)
  /// A CSV file has no column of this name.
  case noColumn(file: String, key: String)

  package var description: String {
    switch self {
    case .file(let error): error.description
    case .archive(let error): error.description
    case .badRecords(let told, let allowed):
      "nothing was imported: "
        + (allowed == 0
          ? told.first ?? "a line cannot be read"
          : "more than \(allowed) lines cannot be read, the first: \(told.first ?? "")")
    case .noColumn(let file, let key):
      "\(file) has no column '\(key)' in its first line; nothing was imported"
    }
  }
}

/// Imports files.
package struct Importer<Files: FileSystem>: ~Copyable {
  private let plan: ImportPlan
  private let badCountMax: Int
  private let tables: TableImport<Files>
  private let progress: (ImportStep) -> Void
  private var lines: ImportedLine
  private var found: FoundFields
  private var exported = ExportedEvent()
  private var record = CSVRecord()
  private var report = ImportReport()
  private var eventCount = 0

  /// How far an import is.
  package enum ImportStep: Sendable {
    case reading(byteCount: Int, eventCount: Int)
    case joining(done: Int, all: Int)
  }

  /// Records between two words on progress.
  private static var stepCount: Int { 1 << 13 }

  /// Imports `sources`, one after the other.
  /// - Parameter badCountMax: records that may be left out.
  package static func run(
    _ sources: [ImportSource], _ plan: ImportPlan, into tables: TableImport<Files>,
    badCountMax: Int = 0, _ progress: @escaping (ImportStep) -> Void = { _ in }
  ) throws(ImportError) -> ImportReport {
    var importer = Importer(plan, tables, badCountMax, progress)
    for source in sources { try importer.take(source) }
    try importer.handOver()
    do throws(ArchiveError) {
      importer.report.tables = try tables.finish { done, all in
        progress(.joining(done: done, all: all))
      }
    } catch {
      throw .archive(error)
    }
    return importer.report
  }

  private init(
    _ plan: ImportPlan, _ tables: TableImport<Files>, _ badCountMax: Int,
    _ progress: @escaping (ImportStep) -> Void
  ) {
    self.plan = plan
    self.tables = tables
    self.badCountMax = badCountMax
    self.progress = progress
    lines = ImportedLine(plan)
    found = FoundFields(plan.keys)
  }

  // MARK: - Files

  private mutating func take(_ source: ImportSource) throws(ImportError) {
    guard source.path != "-" else { return try take(descriptor: 0, source) }
    let files = LinuxFileSystem()
    let file: File
    do throws(FileError) {
      file = try files.open(source.path, .read)
    } catch {
      throw .file(error)
    }
    defer { files.close(file) }
    try take(descriptor: file.descriptor, source)
  }

  private mutating func take(descriptor: Int32, _ source: ImportSource) throws(ImportError) {
    var input = ImportInput(descriptor: descriptor, name: source.name)
    if plan.format == .csv { try readHeader(&input, source) }
    let before = report.byteCount
    var count = 0
    while true {
      switch try next(&input) {
      case .end:
        report.byteCount = before + input.byteCount
        return
      case .bad(let reason): try note(reason, source, input.line)
      case .record(let range):
        do throws(BadRecord) {
          try write(range, of: input)
        } catch {
          try note(error.reason, source, input.line)
        }
      }
      if lines.isFull { try handOver() }
      count += 1
      if count % Importer.stepCount == 0 {
        let byteCount = before + input.byteCount
        progress(.reading(byteCount: byteCount, eventCount: eventCount + lines.count))
      }
    }
  }

  private mutating func next(_ input: inout ImportInput) throws(ImportError) -> ImportRecord {
    do throws(FileError) {
      return plan.format == .csv ? try input.nextRecord(&record) : try input.nextLine()
    } catch {
      throw .file(error)
    }
  }

  private mutating func readHeader(_ input: inout ImportInput, _ source: ImportSource)
    throws(ImportError)
  {
    switch try next(&input) {
    case .end: return
    case .bad(let reason):
      throw .badRecords(["\(source.name):\(input.line): \(reason)"], allowed: 0)
    case .record:
      // Fields are ranges of all that was read.
      if let key = found.take(header: record, input.all) {
        throw .noColumn(file: source.name, key: key)
      }
    }
  }

  // MARK: - Records

  private mutating func write(_ range: ByteRange, of input: borrowing ImportInput)
    throws(BadRecord)
  {
    switch plan.format {
    case .text: try lines.write(input.bytes(range), fieldsOf: input.bytes(range), found)
    case .csv:
      guard !record.isBlank else { return }
      if let reason = found.find(record, input.all) { throw BadRecord(reason) }
      try lines.write(input.bytes(range), fieldsOf: input.all, found)
    case .ndjson: try write(json: input.bytes(range))
    }
  }

  private mutating func write(json line: RawSpan) throws(BadRecord) {
    var end = line.byteCount
    while end > 0, [Byte.carriageReturn, Byte.space, Byte.tab].contains(line.byte(at: end - 1)) {
      end -= 1
    }
    // The end of a line, as it is written elsewhere, is none of the payload.
    let object = line.extracting(0..<end)
    guard end > 0 else { return }
    guard Text.isUTF8(object, 0..<end) else { throw BadRecord("it is not well-formed UTF-8") }
    if plan.isExported { return try lines.write(exported: object, &exported) }
    do throws(JSONFault) {
      try found.find(object: object)
    } catch {
      throw BadRecord(error.description)
    }
    try lines.write(object, fieldsOf: object, found)
  }

  private mutating func note(_ reason: String, _ source: ImportSource, _ line: Int)
    throws(ImportError)
  {
    report.badCount += 1
    if report.bad.count < ImportReport.badToldMax {
      report.bad.append("\(source.name):\(line): \(reason)")
    }
    if report.badCount > badCountMax {
      throw .badRecords(report.bad, allowed: badCountMax)
    }
  }

  /// Gives the lines so far to the tables.
  private mutating func handOver() throws(ImportError) {
    guard lines.count > 0 else { return }
    do throws(ArchiveError) {
      try tables.append(lines.bytes, count: lines.count)
    } catch {
      throw .archive(error)
    }
    eventCount += lines.count
    lines.removeAll()
  }
}
