// Imports of texts into stores of their own, read back.

import Foundation
import PenstockArchive
import PenstockCore

/// A store and the files that are imported into it.
final class ImportedStore {
  let folder: TestFolder
  let layout: StoreLayout
  let store: StoreIdentifier
  private var fileCount = 0

  init() throws {
    folder = try TestFolder()
    layout = StoreLayout(root: folder.path + "/store")
    store = try StoreDescription.open(LinuxFileSystem(), layout, journalHashWidth: 1).store
  }

  /// Writes a file to be imported.
  func file(_ bytes: [UInt8]) throws -> ImportSource {
    fileCount += 1
    let path = folder.path + "/input-\(fileCount)"
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return ImportSource(path: path)
  }

  func file(_ text: String) throws -> ImportSource { try file(Array(text.utf8)) }

  func file(lines: [String]) throws -> ImportSource {
    try file(lines.map { $0 + "\n" }.joined())
  }

  /// Imports with the real file system unless another is given.
  @discardableResult
  func run(
    _ sources: [ImportSource], _ options: ImportOptions,
    settings: ArchiveSettings = ArchiveSettings(), badCountMax: Int = 0,
    runByteCountMax: Int = 4 << 20
  ) throws -> ImportReport {
    try run(
      LinuxFileSystem(), sources, options, settings: settings, badCountMax: badCountMax,
      runByteCountMax: runByteCountMax)
  }

  @discardableResult
  func run<Files: FileSystem>(
    _ files: Files, _ sources: [ImportSource], _ options: ImportOptions,
    settings: ArchiveSettings = ArchiveSettings(), badCountMax: Int = 0,
    runByteCountMax: Int = 4 << 20
  ) throws -> ImportReport {
    let plan = try ImportPlan(options, now: Timestamp(seconds: 1_800_000_000, nanoseconds: 0))
    var settings = settings
    settings.group = plan.group
    let tables = try TableImport(
      files, layout, store: store, settings: settings,
      runByteCountMax: runByteCountMax)
    return try Importer.run(sources, plan, into: tables, badCountMax: badCountMax)
  }

  /// All events, as their lines.
  func lines(_ query: Query = Query()) throws -> [String] {
    try events(query).map { String(decoding: $0.bytes, as: UTF8.self) }
  }

  func events(_ query: Query = Query()) throws -> [StoredEvent] {
    let reader = try StoreReader(LinuxFileSystem(), layout)
    var cursor = try reader.read(query)
    var events: [StoredEvent] = []
    var event = StoredEvent()
    while try cursor.next(&event) { events.append(event) }
    return events
  }

  /// Everything in one of the formats.
  func export(_ format: EventFormat) throws -> String {
    let path = folder.path + "/export"
    let files = LinuxFileSystem()
    let file = try files.open(path, .createIfMissing)
    defer { files.close(file) }
    try files.truncate(file, byteCount: 0)
    var output = OutputBuffer(file)
    var text = EventText(format)
    for event in try events() { text.write(event, to: &output) }
    try output.flush()
    return String(decoding: try folder.bytes(of: "export"), as: UTF8.self)
  }

  /// What is wrong with the store.
  func problems() throws -> [String] {
    let found = try StoreReader(LinuxFileSystem(), layout).verify { _ in }
    return found.problems + found.notes
  }

  /// The tables that are there, named or not.
  func tableFiles() throws -> Set<String> {
    let files = LinuxFileSystem()
    var found: Set<String> = []
    for folder in try files.list(layout.archive) where !["manifest", "lock"].contains(folder) {
      for name in try files.list(layout.archive + "/" + folder) {
        found.insert(folder + "/" + name)
      }
    }
    return found
  }

  /// The tables the manifest names.
  func namedTables() throws -> Set<String> {
    Set(try Manifest.read(LinuxFileSystem(), layout).tables.map(\.name))
  }
}

extension ImportOptions {
  static func ndjson(_ stream: String, time: String = "ts", type: String? = nil) -> ImportOptions {
    var options = ImportOptions(format: .ndjson)
    options.stream = stream
    options.time = time
    options.type = type
    return options
  }

  static func text(_ stream: String, time: String) -> ImportOptions {
    var options = ImportOptions(format: .text)
    options.stream = stream
    options.time = time
    return options
  }

  static func csv(_ stream: String, time: String) -> ImportOptions {
    var options = ImportOptions(format: .csv)
    options.stream = stream
    options.time = time
    return options
  }
}
