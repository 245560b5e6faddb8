// Reads a table: trailer, footer, then blocks on demand.

package import PenstockCore

/// What a table says about one of its blocks.
package struct TableBlockEntry: Equatable, Sendable {
  package var offset: Int
  package var byteCount: Int
  package var rowCount: Int
  /// Indexes into the stream directory.
  package var streams: ClosedRange<Int>
  package var earliest: Timestamp
  package var latest: Timestamp
}

/// What a table says about one of its streams.
package struct TableStream: Equatable, Sendable {
  /// The name as in an event line, escaped.
  package var name: [UInt8]
  package var eventCount: UInt64
  package var blocks: ClosedRange<Int>
  package var earliest: Timestamp
  package var latest: Timestamp
}

/// An open table.
package final class TableReader<Files: FileSystem> {
  package let path: String
  package let streams: [TableStream]
  package let blocks: [TableBlockEntry]
  /// Lowest and highest sequence of each log that has events here.
  package let covered: [(log: LogNumber, sequences: ClosedRange<UInt64>)]
  package let eventCount: UInt64
  package let hash: UInt64
  package let store: StoreIdentifier
  /// Blocks read and decoded so far.
  package private(set) var decodedBlockCount = 0

  private let files: Files
  private let file: File

  /// Opens the table at `path`.
  /// - Parameter pastCache: reads see the disk, not the page cache.
  package init(_ files: Files, path: String, pastCache: Bool = false) throws(TableError) {
    self.files = files
    self.path = path
    let opened: File
    let footer: Footer
    do throws(FileError) {
      opened = try files.open(path, .read)
    } catch {
      throw TableError(path: path, fault: .file(error))
    }
    if pastCache { files.dropCache(opened) }
    do throws(TableError) {
      footer = try Footer(files, opened, path)
    } catch {
      files.close(opened)
      throw error
    }
    file = opened
    streams = footer.streams
    blocks = footer.blocks
    covered = footer.covered
    eventCount = footer.eventCount
    hash = footer.hash
    store = footer.store
  }

  deinit { files.close(file) }

  /// Reads and checks one block.
  package func block(_ index: Int) throws(TableError) -> TableBlock {
    let entry = blocks[index]
    decodedBlockCount += 1
    var memory = AlignedBuffer(byteCount: entry.byteCount)
    do throws(FileError) {
      let count = try files.read(file, into: &memory, 0..<entry.byteCount, at: entry.offset)
      guard count == entry.byteCount,
        let block = TableBlock(memory.bytes(0..<count), entry, streamCount: streams.count)
      else { throw FileError(.read, path, code: 0) }
      return block
    } catch {
      if error.code != 0 { throw TableError(path: path, fault: .file(error)) }
      throw TableError(path: path, fault: damage(index))
    }
  }

  private func damage(_ index: Int) -> TableError.Fault {
    let entry = blocks[index]
    let first = String(decoding: streams[entry.streams.lowerBound].name, as: UTF8.self)
    let last = String(decoding: streams[entry.streams.upperBound].name, as: UTF8.self)
    return .damagedBlock(
      index: index, streams: first == last ? first : "\(first) … \(last)",
      times: "\(entry.earliest.text) to \(entry.latest.text)")
  }

  /// Reads every block and compares count and hash with what went in.
  /// - Returns: what is wrong; empty when the table is whole.
  package func verify() -> [TableError] {
    var errors: [TableError] = []
    var count: UInt64 = 0
    var sum: UInt64 = 0
    var event = StoredEvent()
    for index in blocks.indices {
      do throws(TableError) {
        let block = try block(index)
        for row in 0..<block.rowCount {
          block.fill(&event, row, streams)
          sum &+= EventHash.of(event.bytes.rawSpan, event.log, event.sequence)
          count += 1
        }
      } catch {
        errors.append(error)
      }
    }
    if errors.isEmpty, count != eventCount || sum != hash {
      errors.append(TableError(path: path, fault: .notProved))
    }
    return errors
  }
}

/// Trailer and footer, read and checked.
private struct Footer {
  var streams: [TableStream] = []
  var blocks: [TableBlockEntry] = []
  var covered: [(log: LogNumber, sequences: ClosedRange<UInt64>)] = []
  var eventCount: UInt64 = 0
  var hash: UInt64 = 0
  var store = StoreIdentifier(high: 0, low: 0)

  init<Files: FileSystem>(_ files: Files, _ file: File, _ path: String) throws(TableError) {
    do throws(FileError) {
      if try read(files, file) { return }
    } catch {
      throw TableError(path: path, fault: .file(error))
    }
    throw TableError(path: path, fault: Footer.classify(files, file))
  }

  private static func classify<Files: FileSystem>(_ files: Files, _ file: File)
    -> TableError.Fault
  {
    var memory = AlignedBuffer(byteCount: TableFormat.headerByteCount)
    let count =
      (try? files.read(file, into: &memory, 0..<TableFormat.headerByteCount, at: 0)) ?? 0
    let span = memory.bytes(0..<count)
    guard count == TableFormat.headerByteCount, span.hasBytes(TableFormat.headerMagic, at: 0)
    else { return .notATable }
    let version = UInt32(truncatingIfNeeded: span.word(at: 16))
    return version > TableFormat.version ? .newerVersion(version) : .damagedFooter
  }

  /// False unless everything holds.
  private mutating func read<Files: FileSystem>(_ files: Files, _ file: File)
    throws(FileError) -> Bool
  {
    let size = try files.byteCount(file)
    guard size >= TableFormat.headerByteCount + TableFormat.trailerByteCount else { return false }
    var memory = AlignedBuffer(byteCount: 4096)
    var count = try files.read(file, into: &memory, 0..<TableFormat.headerByteCount, at: 0)
    guard count == TableFormat.headerByteCount, readHeader(memory.bytes(0..<count)) else {
      return false
    }
    let start = size - TableFormat.trailerByteCount
    count = try files.read(file, into: &memory, 0..<TableFormat.trailerByteCount, at: start)
    guard count == TableFormat.trailerByteCount,
      let place = readTrailer(memory.bytes(0..<count), start)
    else { return false }
    var footer = AlignedBuffer(byteCount: max(1, place.range.count))
    count = try files.read(file, into: &footer, 0..<place.range.count, at: place.range.lowerBound)
    guard count == place.range.count, footer.bytes(0..<count).checksum() == place.checksum else {
      return false
    }
    return readSections(footer.bytes(0..<count), place.range.lowerBound)
  }

  private mutating func readHeader(_ span: RawSpan) -> Bool {
    guard span.hasBytes(TableFormat.headerMagic, at: 0),
      UInt32(truncatingIfNeeded: span.word(at: 16)) == TableFormat.version,
      UInt32(truncatingIfNeeded: span.word(at: 60)) == span.extracting(0..<60).checksum()
    else { return false }
    store = StoreIdentifier(high: span.word(at: 24), low: span.word(at: 32))
    return true
  }

  private mutating func readTrailer(_ span: RawSpan, _ trailerStart: Int)
    -> (range: ByteRange, checksum: UInt32)?
  {
    guard span.hasBytes(TableFormat.trailerMagic, at: 52),
      UInt32(truncatingIfNeeded: span.word(at: 48)) == TableFormat.version,
      UInt32(truncatingIfNeeded: span.word(at: 60)) == span.extracting(0..<60).checksum()
    else { return nil }
    let offset = span.word(at: 0)
    let count = span.word(at: 8)
    eventCount = span.word(at: 16)
    hash = span.word(at: 24)
    guard offset <= UInt64(trailerStart), count <= UInt64(trailerStart) - offset,
      Int(offset) + Int(count) == trailerStart
    else { return nil }
    return (Int(offset)..<trailerStart, UInt32(truncatingIfNeeded: span.word(at: 44)))
  }

  private mutating func readSections(_ span: RawSpan, _ blocksEnd: Int) -> Bool {
    var reader = NumberReader(0..<span.byteCount)
    for section in 0..<3 {
      guard let raw = reader.word32(span), let stored = reader.word32(span),
        let encoding = reader.word32(span), raw <= UInt32(TableFormat.sectionByteCountMax),
        let range = reader.bytes(Int(stored))
      else { return false }
      var memory = AlignedBuffer(byteCount: max(1, Int(raw)))
      guard
        ColumnEncoding.decode(
          span.extracting(range), encoding: UInt16(truncatingIfNeeded: encoding),
          rawByteCount: Int(raw), into: &memory, at: 0)
      else { return false }
      let bytes = memory.bytes(0..<Int(raw))
      let isWhole =
        section == 0
        ? readStreams(bytes) : section == 1 ? readBlocks(bytes, blocksEnd) : readCovered(bytes)
      guard isWhole else { return false }
    }
    return reader.isAtEnd && checkReferences()
  }

  private mutating func readStreams(_ span: RawSpan) -> Bool {
    var reader = NumberReader(0..<span.byteCount)
    guard let count = reader.count(span, max: span.byteCount) else { return false }
    var previous: [UInt8] = []
    for _ in 0..<count {
      guard let shared = reader.count(span, max: previous.count),
        let rest = reader.count(span, max: EventLine.streamByteCountMax),
        let range = reader.bytes(rest), let events = reader.varint(span),
        let first = reader.count(span, max: Int(Int32.max)),
        let last = reader.count(span, max: Int(Int32.max)), first <= last,
        let earliest = reader.time(span), let latest = reader.time(span, after: earliest),
        earliest <= latest
      else { return false }
      let name = previous[..<shared] + span.extracting(range).array()
      streams.append(
        TableStream(
          name: Array(name), eventCount: events, blocks: first...last,
          earliest: Timestamp(nanosecondsSince1970: earliest),
          latest: Timestamp(nanosecondsSince1970: latest)))
      previous = Array(name)
    }
    return reader.isAtEnd
  }

  private mutating func readBlocks(_ span: RawSpan, _ end: Int) -> Bool {
    var reader = NumberReader(0..<span.byteCount)
    guard let count = reader.count(span, max: span.byteCount) else { return false }
    var expected = TableFormat.headerByteCount
    for _ in 0..<count {
      guard let offset = reader.count(span, max: end), offset == expected,
        let byteCount = reader.count(span, max: end - offset),
        byteCount >= TableFormat.blockHeaderByteCount,
        let rows = reader.count(span, max: TableFormat.rowCountMax), rows > 0,
        let first = reader.count(span, max: streams.count - 1),
        let last = reader.count(span, max: streams.count - 1), first <= last,
        let earliest = reader.time(span), let latest = reader.time(span, after: earliest),
        earliest <= latest
      else { return false }
      expected = offset + byteCount
      blocks.append(
        TableBlockEntry(
          offset: offset, byteCount: byteCount, rowCount: rows, streams: first...last,
          earliest: Timestamp(nanosecondsSince1970: earliest),
          latest: Timestamp(nanosecondsSince1970: latest)))
    }
    return reader.isAtEnd && expected == end
  }

  private mutating func readCovered(_ span: RawSpan) -> Bool {
    var reader = NumberReader(0..<span.byteCount)
    guard let count = reader.count(span, max: 256) else { return false }
    for _ in 0..<count {
      guard let log = reader.count(span, max: 255), let first = reader.varint(span),
        let last = reader.varint(span), first <= last
      else { return false }
      covered.append((LogNumber(UInt8(log)), first...last))
    }
    return reader.isAtEnd
  }

  private func checkReferences() -> Bool {
    streams.allSatisfy { $0.blocks.upperBound < blocks.count }
  }
}
