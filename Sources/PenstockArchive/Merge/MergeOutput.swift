// The tables a join writes, one after the other.
//
// Equal events that carry an id become one here. They have one stream and time, so they follow each
// other, but for those in different groups, which a read joins. What is remembered of one instant
// is bounded, and beyond it equal events stay, which is harmless.

internal import PenstockCore

/// Writes rows, in their order, as tables of a limited size.
final class MergeOutput<Files: FileSystem> {
  private let files: Files
  private let store: StoreIdentifier
  private let byteCountMax: Int
  private let indexes: [[UInt8]]
  private let path: (Int) -> String
  private let covered: [TableCoverage]
  private let replaced: [String]
  private var writer: TableWriter<Files>?
  /// Key and time of the row met last, and whether the open table has events of that key.
  private var key: [UInt8] = []
  private var isKeyBegun = false
  private var time = Timestamp.earliest
  private var instant = InstantFilter()
  private var erasures: Erasures
  /// The sum over what went into the open table.
  private var hash: UInt64 = 0
  /// What was left out of all.
  private(set) var droppedHash: UInt64 = 0
  private(set) var droppedCount: UInt64 = 0
  private(set) var erasedCount: UInt64 = 0
  /// The tables that are finished.
  private(set) var tables: [TableSummary] = []

  init(
    _ files: Files, _ store: StoreIdentifier, covered: [TableCoverage], replaced: [String],
    byteCountMax: Int, indexes: [[UInt8]], erasures: [Erasure], path: @escaping (Int) -> String
  ) {
    self.indexes = indexes
    self.erasures = Erasures(erasures)
    self.files = files
    self.store = store
    self.covered = covered
    self.replaced = replaced
    self.byteCountMax = byteCountMax
    self.path = path
  }

  /// Takes the row `input` met; its line stands in `memory`.
  func take(
    _ input: MergeInput<Files>, _ memory: borrowing AlignedBuffer, _ fields: EventLine
  ) throws(FileError) {
    let position = input.eventKey
    let bytes = memory.bytes(fields.line)
    let sum = EventHash.of(bytes, position.log, position.sequence)
    if !input.isOf(key) {
      key = input.key
      isKeyBegun = false
      instant.begin()
    } else if time != position.time {
      instant.begin()
    }
    time = position.time
    let isErased =
      !erasures.isEmpty
      && erasures.covers(
        stream: bytes.extracting(fields.stream), position.time, position.log, position.sequence)
    if isErased {
      droppedHash &+= sum
      erasedCount += 1
      return
    }
    if instant.isDuplicate(bytes, fields, isJournal: key.first == Byte.slash) {
      droppedHash &+= sum
      droppedCount += 1
      return
    }
    try open()
    hash &+= sum
    try writer?.add(
      TableRow(
        time: position.time, log: position.log, sequence: position.sequence, type: fields.type,
        attributes: fields.attributes, payload: fields.payload), bytes)
    if (writer?.byteCount ?? 0) >= byteCountMax { try end() }
  }

  private func open() throws(FileError) {
    if writer == nil {
      writer = try TableWriter(
        files, path: path(tables.count), store: store, indexes: indexes, effort: .thorough)
      isKeyBegun = false
      hash = 0
    }
    guard !isKeyBegun else { return }
    let begun = key
    try writer?.begin(begun.rawSpan)
    isKeyBegun = true
  }

  /// Finishes the open table, if there is one.
  func end() throws(FileError) {
    guard let open = writer.take() else { return }
    tables.append(try open.finish(hash: hash, covered: covered, replaced: replaced))
  }
}

/// Lets one of several equal events of one stream and time through.
private struct InstantFilter {
  private var seen: Set<[UInt8]> = []
  private var byteCount = 0
  /// Bytes remembered of one instant.
  private static let byteCountMax = 8 << 20

  /// Another stream or time begins.
  @inline(__always)
  mutating func begin() {
    guard byteCount > 0 else { return }
    seen.removeAll(keepingCapacity: true)
    byteCount = 0
  }

  /// Whether an equal event was seen; remembers this one otherwise.
  mutating func isDuplicate(_ span: RawSpan, _ line: EventLine, isJournal: Bool) -> Bool {
    guard
      let identity = EventIdentity.of(
        span, attributes: line.attributes, payload: line.payload, isJournal: isJournal)
    else { return false }
    if seen.contains(identity) { return true }
    guard byteCount + identity.count <= InstantFilter.byteCountMax else { return false }
    byteCount += identity.count
    seen.insert(identity)
    return false
  }
}
