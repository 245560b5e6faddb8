// Tables: nothing in a file traps its reader or makes it take memory without bound.
//
//     input = flags bytes
//     flags   bit 0: checksums are made right, so that what lies behind them is met

import PenstockArchive
import PenstockCore

enum TableFuzz {
  private static let layout = StoreLayout(root: "/store")
  private static let headerByteCount = 64
  private static let partHeaderByteCount = 24

  static func run(_ input: [UInt8]) {
    var reader = InputReader(input)
    let flags = reader.byte()
    var bytes = reader.rest()
    if flags & 1 != 0 { seal(&bytes) }
    let files = MemoryFileSystem()
    let name = "t"
    files.put(layout.archive + "/" + name, bytes)
    readAll(files, layout.archive + "/" + name)
    for direction in [ReadDirection.forward, .reverse] { scan(files, name, direction) }
    require(files.openCount == 0, "a file stays open")
  }

  /// Every question a table can be asked.
  private static func readAll(_ files: MemoryFileSystem, _ path: String) {
    do throws(TableError) {
      let table = try TableReader(files, path: path)
      let isWhole = try table.verify().isEmpty
      var names: [[UInt8]] = []
      let isAll = try table.forEachStream { names.append($0.name) }
      require(isAll || !isWhole, "a whole table has damaged pages")
      for name in names.prefix(4) {
        do throws(TableError) {
          let stream = try table.groups(ofStream: name).first
          require(stream != nil || !isWhole, "a stream is not found")
        } catch {
          require(!isWhole, "\(error)")
        }
      }
      for key in table.indexes {
        for value in ["-", "sshd", "v1", ""] {
          do throws(TableError) {
            _ = try table.postings(key: key, value: Array(value.utf8))
          } catch {
            require(!isWhole, "\(error)")
          }
        }
      }
      for name in names.prefix(2) { scan(table, name) }
      var block = TableBlock()
      var count: UInt64 = 0
      for index in table.blocks.indices {
        do throws(TableError) {
          try table.load(index, into: &block)
          count += UInt64(block.rowCount)
        } catch {
          require(!isWhole, "\(error)")
        }
      }
      require(count == table.eventCount || !isWhole, "a whole table has other events than it says")
    } catch {
      if case .file(let failure) = error.fault { preconditionFailure("finding: \(failure)") }
    }
  }

  /// Reads one stream, group by group, forward and backward.
  private static func scan(_ table: TableReader<MemoryFileSystem>, _ name: [UInt8]) {
    guard let groups = try? table.groups(ofStream: name) else { return }
    for direction in [ReadDirection.forward, .reverse] {
      for group in groups.prefix(2) {
        var scan = TableScan(table, group, direction)
        while let row = try? scan.next() { _ = scan.block.eventFields(row) }
      }
    }
  }

  /// Reads the events as a query does, in windows that have room for few.
  private static func scan(_ files: MemoryFileSystem, _ name: String, _ direction: ReadDirection) {
    let entry = TableEntry(
      name: name, eventCount: 0, byteCount: 0, hash: 0, earliest: .earliest, latest: .latest)
    var selection = Selection()
    if direction == .reverse {
      selection.streams = requireSuccess("a pattern") { [try Glob("s*")] }
    }
    let source = TableSource(
      files, layout, entry, selection, direction, DamageLog(), WindowBudget(byteCount: 0))
    var event = StoredEvent()
    var last: EventKey?
    requireSuccess("reading events") {
      while try source.next(&event) {
        if let last { require(!event.key.precedes(last, direction), "events out of order") }
        last = event.key
      }
    }
  }

  // MARK: - Checksums

  private static func seal(_ bytes: inout [UInt8]) {
    if bytes.count >= headerByteCount { seal(&bytes, 0..<(headerByteCount - 4)) }
    var offset = headerByteCount
    while offset + partHeaderByteCount + headerByteCount <= bytes.count {
      let stored = (0..<4).reduce(0) { $0 | Int(bytes[offset + 12 + $1]) << (8 * $1) }
      let end = offset + partHeaderByteCount + stored
      guard end <= bytes.count - headerByteCount else { break }
      let head = Array(bytes[offset..<(offset + 20)]).rawSpan.checksum()
      put(Array(bytes[(offset + 24)..<end]).rawSpan.checksum(seed: head), offset + 20, &bytes)
      offset = end
    }
    guard bytes.count >= 2 * headerByteCount else { return }
    seal(&bytes, (bytes.count - headerByteCount)..<(bytes.count - 4))
  }

  private static func seal(_ bytes: inout [UInt8], _ range: Range<Int>) {
    put(Array(bytes[range]).rawSpan.checksum(), range.upperBound, &bytes)
  }

  private static func put(_ sum: UInt32, _ offset: Int, _ bytes: inout [UInt8]) {
    for index in 0..<4 {
      bytes[offset + index] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * index))
    }
  }
}
