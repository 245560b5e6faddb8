// Files that are imported: nothing in one traps its reader, every record becomes an event or is
// told, and what was imported and exported as NDJSON imports to the same again.
//
//     input = flags file
//     flags   bits 0–1: 0 NDJSON as an export writes it   1 other NDJSON   2 CSV   3 text
//             bit 2: of text, every line begins with its time
//             bit 3: the run holds few events
//             bit 4: the fields of CSV and other NDJSON make streams, types, ids and attributes
//             bit 5: the file is read and no more: a hundred times as quick

import Foundation
import PenstockArchive
import PenstockCore

enum ImportFuzz {
  private static let layout = StoreLayout(root: "/store")
  private static let store = StoreIdentifier(high: 1, low: 2)
  private static let now = Timestamp(seconds: 1_795_232_872, nanoseconds: 5)

  static func run(_ input: [UInt8]) {
    var reader = InputReader(input)
    let flags = reader.byte()
    let bytes = reader.rest()
    times(bytes)
    if flags & 32 != 0 { return read(bytes, options(flags)) }
    let files = imported(bytes, options(flags), isTight: flags & 8 != 0)
    guard let files else { return }
    let once = exported(files)
    guard let again = imported(once, ImportOptions(format: .ndjson), isTight: false, badCountMax: 0)
    else { preconditionFailure("finding: an export is not imported") }
    require(withoutPositions(exported(again)) == withoutPositions(once), "other events come back")
    // Imported in order of time they have the positions of an export of them.
    let twice = exported(again)
    guard
      let third = imported(twice, ImportOptions(format: .ndjson), isTight: true, badCountMax: 0)
    else { preconditionFailure("finding: an export of an import is not imported") }
    require(exported(third) == twice, "an export changes when it is imported")
  }

  private static func options(_ flags: UInt8) -> ImportOptions {
    let isRich = flags & 16 != 0
    switch flags & 3 {
    case 0: return ImportOptions(format: .ndjson)
    case 3:
      var options = ImportOptions(format: .text)
      options.stream = "text"
      options.time = flags & 4 != 0 ? "rfc3339" : "2026-01-01T00:00:00Z+1ms"
      return options
    case let format:
      var options = ImportOptions(format: format == 1 ? .ndjson : .csv)
      options.stream = isRich ? "s-{s}" : "plain"
      options.time = "t"
      guard isRich else { return options }
      options.type = "y"
      options.id = "i"
      options.group = "g"
      options.attributes = format == 1 ? ["a", "b.c"] : ["a"]
      return options
    }
  }

  /// A line that is taken for a time has one that can be written down and read again.
  private static func times(_ bytes: [UInt8]) {
    for line in bytes.split(separator: Byte.lineFeed).prefix(20) {
      let line = Array(line)
      for time in [ImportTime.parse(line.rawSpan), ImportTime.leading(line.rawSpan)] {
        guard let time else { continue }
        require(
          Timestamp(journalText: Array(time.text.utf8).rawSpan, at: 0) == time, "a time changes")
      }
    }
  }

  /// Reads a file whose import is refused at its end.
  private static func read(_ bytes: [UInt8], _ options: ImportOptions) {
    let plan = requireSuccess("a plan") { try ImportPlan(options, now: now) }
    let input = ScratchFile()
    input.write(bytes)
    let tables = requireSuccess("beginning an import") {
      try TableImport(emptyStore(), layout, store: store, runByteCountMax: 16 << 10)
    }
    let sources = [ImportSource(path: input.path), ImportSource(path: "/nowhere/at/all")]
    do throws(ImportError) {
      _ = try Importer.run(sources, plan, into: tables, badCountMax: .max)
      preconditionFailure("finding: a file that is not there was imported")
    } catch {
      switch error {
      case .file, .noColumn, .badRecords: break
      case .archive(let error): preconditionFailure("finding: \(error)")
      }
    }
  }

  // MARK: - Stores

  private static func emptyStore() -> MemoryFileSystem {
    let files = MemoryFileSystem()
    for path in [layout.live, layout.archive, layout.quarantine] {
      requireSuccess("a folder") { try files.makeDirectory(path) }
    }
    let description = StoreDescription(store: store, journalHashWidth: 1)
    files.put(layout.description, Array(description.text.utf8))
    return files
  }

  /// A store with the events of a file; nil when the file was refused as a whole.
  private static func imported(
    _ bytes: [UInt8], _ options: ImportOptions, isTight: Bool, badCountMax: Int = .max
  ) -> MemoryFileSystem? {
    let files = emptyStore()
    let plan = requireSuccess("a plan") { try ImportPlan(options, now: now) }
    var settings = ArchiveSettings()
    settings.group = plan.group
    let input = ScratchFile()
    input.write(bytes)
    do throws(ImportError) {
      let tables = requireSuccess("beginning an import") {
        try TableImport(
          files, layout, store: store, settings: settings,
          runByteCountMax: isTight ? 16 << 10 : 256 << 10)
      }
      let report = try Importer.run(
        [ImportSource(path: input.path)], plan, into: tables, badCountMax: badCountMax)
      require(report.badCount >= report.bad.count, "more bad records are told than there are")
      let kept = report.tables.eventCount - report.tables.duplicateCount
      // A read joins equal events of different groups, too.
      let found = count(files)
      require(
        found <= kept && (found > 0 || kept == 0), "\(kept) events were kept, \(found) are there")
    } catch {
      switch error {
      case .noColumn: break
      case .badRecords where badCountMax > 0:
        require(plan.format == .csv, "a file was refused")
      default: preconditionFailure("finding: \(error)")
      }
      return nil
    }
    require(files.openCount == 0, "a file stays open")
    return files
  }

  /// The lines without shard and sequence, which stand last.
  private static func withoutPositions(_ lines: [UInt8]) -> [ArraySlice<UInt8>] {
    let mark = Array(",\"shard\":".utf8)
    return lines.split(separator: Byte.lineFeed).map { line in
      let end = line.indices.last { line[$0...].starts(with: mark) }
      return line[..<(end ?? line.endIndex)]
    }
  }

  private static func forEach(_ files: MemoryFileSystem, _ body: (borrowing StoredEvent) -> Void) {
    requireSuccess("reading") {
      var cursor = try StoreReader(files, layout).read(Query())
      var event = StoredEvent()
      while try cursor.next(&event) { body(event) }
      require(cursor.report.damage.isEmpty, "damage: \(cursor.report.damage)")
    }
  }

  private static func count(_ files: MemoryFileSystem) -> UInt64 {
    var count: UInt64 = 0
    forEach(files) { _ in count += 1 }
    return count
  }

  private static func exported(_ files: MemoryFileSystem) -> [UInt8] {
    let file = ScratchFile()
    var output = OutputBuffer(File(descriptor: file.descriptor), capacity: 64 << 10)
    var text = EventText(.ndjson)
    forEach(files) { text.write($0, to: &output) }
    requireSuccess("writing") { try output.flush() }
    return file.bytes
  }
}

/// A file without a name.
private final class ScratchFile {
  let descriptor: Int32

  init() {
    let folder = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : "/tmp"
    var name = Array("\(folder)/penstock-fuzz-XXXXXX".utf8CString)
    descriptor = unsafe mkstemp(&name)
    require(descriptor >= 0, "no file can be made")
    unsafe unlink(name)
  }

  deinit { close(descriptor) }

  /// Opens it anew, from its start.
  var path: String { "/proc/self/fd/\(descriptor)" }

  func write(_ bytes: [UInt8]) {
    let count = unsafe bytes.withUnsafeBytes {
      unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0)
    }
    require(count == bytes.count, "a file takes less than it was given")
  }

  var bytes: [UInt8] {
    let size = Int(lseek(descriptor, 0, SEEK_END))
    return unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      count = unsafe pread(descriptor, buffer.baseAddress, size, 0)
    }
  }
}
