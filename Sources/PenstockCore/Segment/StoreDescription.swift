// The store's own description: penstock.json.
//
//     {"format":1,"uuid":"00112233445566778899aabbccddeeff","journalHashWidth":2}
//
// Written once: temporary file, sync, rename, sync of the folder, under the temporary file's lock,
// so that of several processes making one store exactly one names it. A lost or damaged
// description is made again with the uuid the segments' headers carry; the hash width, which no
// header carries, is then the one the caller gives. The reader takes any JSON object of strings
// and whole numbers and skips names it does not know; it is not a general JSON reader.

/// Why a store could not be opened.
package enum StoreError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A file verb failed.
  case file(FileError)
  /// The store was made by a newer Penstock.
  case newerFormat(path: String, format: Int)
  /// Another process keeps the description's lock.
  case busy(path: String)

  package var description: String {
    switch self {
    case .file(let error): error.description
    case .newerFormat(let path, let format):
      "\(path) has format \(format) and this program reads format \(StoreDescription.format): "
        + "open the store with a newer penstock"
    case .busy(let path):
      "\(path) is being written by another process that does not finish: end it and try again"
    }
  }
}

/// What a store says about itself.
package struct StoreDescription: Equatable, Sendable {
  /// The store's name for life.
  package var store: StoreIdentifier
  /// How many owners the hash of a journal's name spreads journals over; fixed for life.
  package var journalHashWidth: Int

  package init(store: StoreIdentifier, journalHashWidth: Int) {
    self.store = store
    self.journalHashWidth = journalHashWidth
  }

  /// The format of stores this program writes.
  package static let format = 1
  /// Most owners a description may claim: logs have numbers of two hex digits.
  package static let journalHashWidthMax = 256
  /// Largest description that is read, in bytes.
  package static let byteCountMax = 64 << 10
  /// How long another process may take to write the description, in milliseconds.
  private static let lockMilliseconds = 10_000

  /// The description as it stands in the file.
  package var text: String {
    "{\"format\":\(StoreDescription.format),\"uuid\":\"\(store.text)\","
      + "\"journalHashWidth\":\(journalHashWidth)}\n"
  }

  /// What penstock.json of `layout` says; nil when it is missing or damaged.
  package static func read<Files: FileSystem>(_ files: Files, _ layout: StoreLayout)
    throws(StoreError) -> StoreDescription?
  {
    let path = layout.description
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try contents(files, path)
    } catch {
      if error.code == System.notFound { return nil }
      throw .file(error)
    }
    guard let fields = FlatObject(bytes.rawSpan) else { return nil }
    if let claimed = fields.number("format"), claimed > format {
      throw .newerFormat(path: path, format: claimed)
    }
    guard fields.number("format") == format, let uuid = fields.text("uuid"),
      let store = StoreIdentifier(text: uuid), let width = fields.number("journalHashWidth"),
      (1...journalHashWidthMax).contains(width)
    else { return nil }
    return StoreDescription(store: store, journalHashWidth: width)
  }

  /// Opens the store: makes its folders and its description where they are missing.
  /// - Parameter journalHashWidth: used when the description has to be made.
  package static func open<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, journalHashWidth: Int
  ) throws(StoreError) -> StoreDescription {
    precondition((1...journalHashWidthMax).contains(journalHashWidth))
    do throws(FileError) {
      try makeFolders(files, layout)
    } catch {
      throw .file(error)
    }
    if let found = try read(files, layout) { return found }
    return try make(files, layout, journalHashWidth)
  }

  private static func makeFolders<Files: FileSystem>(_ files: Files, _ layout: StoreLayout)
    throws(FileError)
  {
    var isNew = try makeFolder(files, layout.root)
    if isNew { try files.syncDirectory(parent(of: layout.root)) }
    for folder in [layout.live, layout.quarantine, layout.archive, layout.run] {
      if try makeFolder(files, folder) { isNew = true }
    }
    if isNew { try files.syncDirectory(layout.root) }
  }

  /// - Returns: whether it was not there.
  private static func makeFolder<Files: FileSystem>(_ files: Files, _ path: String)
    throws(FileError) -> Bool
  {
    do throws(FileError) {
      try files.makeDirectory(path)
      return true
    } catch {
      guard error.code == System.exists else { throw error }
      return false
    }
  }

  private static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  private static func make<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, _ journalHashWidth: Int
  ) throws(StoreError) -> StoreDescription {
    let temporary = layout.description + ".new"
    let file = try StoreError.wrap { () throws(FileError) in
      try files.open(temporary, .createIfMissing)
    }
    defer { files.close(file) }
    let isMine = try StoreError.wrap { () throws(FileError) in
      try files.lock(file, waiting: lockMilliseconds)
    }
    guard isMine else { throw .busy(path: temporary) }
    // Whoever held the lock before may have finished; then the temporary file is only a leftover.
    if let found = try read(files, layout) {
      _ = try? files.unlink(temporary)
      return found
    }
    return try StoreError.wrap { () throws(FileError) in
      let store = try storeOfSegments(files, layout)
      let made = StoreDescription(
        store: store ?? StoreIdentifier(high: System.random(), low: System.random()),
        journalHashWidth: journalHashWidth)
      let bytes = Array(made.text.utf8)
      var memory = AlignedBuffer(byteCount: bytes.count)
      memory.copy(bytes.rawSpan, to: 0)
      try files.truncate(file, byteCount: 0)
      try files.write(file, from: memory, 0..<bytes.count, at: 0)
      try files.syncFile(file)
      try files.rename(temporary, to: layout.description)
      try files.syncDirectory(layout.root)
      return made
    }
  }

  /// The store the first intact segment header names.
  package static func storeOfSegments<Files: FileSystem>(_ files: Files, _ layout: StoreLayout)
    throws(FileError) -> StoreIdentifier?
  {
    var memory = AlignedBuffer(byteCount: SegmentHeader.alignmentMin)
    for name in try SegmentCatalog(files, layout).segments {
      let file = try files.open(layout.segment(name), .read)
      defer { files.close(file) }
      let count = try files.read(file, into: &memory, 0..<memory.byteCount, at: 0)
      if case .header(let header) = SegmentHeader.read(memory.bytes(0..<count)) {
        return header.store
      }
    }
    return nil
  }

  private static func contents<Files: FileSystem>(_ files: Files, _ path: String)
    throws(FileError) -> [UInt8]
  {
    let file = try files.open(path, .read)
    defer { files.close(file) }
    var memory = AlignedBuffer(byteCount: byteCountMax)
    let count = try files.read(file, into: &memory, 0..<byteCountMax, at: 0)
    return memory.bytes(0..<count).array()
  }
}

extension StoreError {
  fileprivate static func wrap<R>(_ body: () throws(FileError) -> R) throws(StoreError) -> R {
    do throws(FileError) {
      return try body()
    } catch {
      throw .file(error)
    }
  }
}

/// A JSON object whose values are strings without escapes or whole numbers.
private struct FlatObject {
  private enum Value {
    case text(String)
    case number(Int)
  }
  private var values: [String: Value] = [:]

  func text(_ name: String) -> String? {
    if case .text(let text)? = values[name] { text } else { nil }
  }
  func number(_ name: String) -> Int? {
    if case .number(let number)? = values[name] { number } else { nil }
  }

  init?(_ span: RawSpan) {
    var offset = 0
    guard FlatObject.take(UInt8(ascii: "{"), span, &offset) else { return nil }
    var isFirst = true
    while !FlatObject.take(UInt8(ascii: "}"), span, &offset) {
      guard isFirst || FlatObject.take(UInt8(ascii: ","), span, &offset),
        let name = FlatObject.string(span, &offset),
        FlatObject.take(UInt8(ascii: ":"), span, &offset)
      else { return nil }
      isFirst = false
      if let text = FlatObject.string(span, &offset) {
        values[name] = .text(text)
      } else if let number = FlatObject.integer(span, &offset) {
        values[name] = .number(number)
      } else {
        return nil
      }
    }
    FlatObject.skipBlanks(span, &offset)
    guard offset == span.byteCount else { return nil }
  }

  private static func skipBlanks(_ span: RawSpan, _ offset: inout Int) {
    while offset < span.byteCount {
      switch span.byte(at: offset) {
      case Byte.space, Byte.tab, Byte.lineFeed, Byte.carriageReturn: offset += 1
      default: return
      }
    }
  }

  private static func take(_ wanted: UInt8, _ span: RawSpan, _ offset: inout Int) -> Bool {
    skipBlanks(span, &offset)
    guard offset < span.byteCount, span.byte(at: offset) == wanted else { return false }
    offset += 1
    return true
  }

  private static func string(_ span: RawSpan, _ offset: inout Int) -> String? {
    guard take(Byte.quote, span, &offset) else { return nil }
    let end = span.firstIndex(of: Byte.quote, from: offset, to: span.byteCount)
    guard end < span.byteCount else { return nil }
    let text = String(span: span.extracting(offset..<end))
    offset = end + 1
    return text.contains("\\") ? nil : text
  }

  private static func integer(_ span: RawSpan, _ offset: inout Int) -> Int? {
    skipBlanks(span, &offset)
    var end = offset
    while end < span.byteCount, (Byte.zero...Byte.nine).contains(span.byte(at: end)) { end += 1 }
    defer { offset = end }
    return span.decimal(offset..<end)
  }
}
