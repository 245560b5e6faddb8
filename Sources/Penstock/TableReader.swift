// Reads a table that TableWriter wrote, or one of a store's archive.
//
// Keys are found without reading the others; a scan reads the blocks it needs, one at a time, forward
// or backward, and stops when it is told to. Every block is checked when it is read.

internal import PenstockArchive
internal import PenstockCore

/// An open table.
public final class TableReader {
  private let table: PenstockArchive.TableReader<LinuxFileSystem>

  /// The direction of a scan in time.
  public enum Order: Sendable { case forward, backward }

  /// What the table has of a key, or of one group of it.
  public struct Key: Sendable {
    public let name: String
    /// The group; nil for events without one.
    public let group: String?
    public let eventCount: Int
    /// Nanoseconds since 1970 of the first and the last event.
    public let times: ClosedRange<Int64>
    fileprivate let stream: TableStream
  }

  /// Opens the table at `path`.
  public init(path: String) throws(TableFailure) {
    table = try TableReader.failing { () throws(TableError) in
      try PenstockArchive.TableReader(LinuxFileSystem(), path: path)
    }
    if let damage = table.damage.first { throw TableFailure(damage) }
  }

  /// Events in the table.
  public var eventCount: Int { Int(clamping: table.eventCount) }

  /// Calls `body` with every key, group by group, in their order, until it says false.
  public func forEachKey(_ body: (Key) -> Bool) throws(TableFailure) {
    var goesOn = true
    let isWhole = try TableReader.failing { () throws(TableError) in
      try table.forEachStream { stream in
        if goesOn { goesOn = body(TableReader.key(stream)) }
      }
    }
    guard isWhole else { throw TableFailure("\(table.path): the directory is damaged") }
  }

  /// The groups of a key, those without one first; nothing when the table has not got it.
  public func groups(of key: String) throws(TableFailure) -> [Key] {
    try TableReader.failing { () throws(TableError) in
      try table.groups(ofStream: Escape.encode(Array(key.utf8).rawSpan, .word))
    }.map { TableReader.key($0) }
  }

  private static func key(_ stream: TableStream) -> Key {
    Key(
      name: text(stream.name), group: stream.group.map(text),
      eventCount: Int(clamping: stream.eventCount),
      times: TableEvent.nanoseconds(stream.earliest)...TableEvent.nanoseconds(stream.latest),
      stream: stream)
  }

  private static func text(_ escaped: [UInt8]) -> String {
    String(decoding: Escape.decode(escaped.rawSpan) ?? escaped, as: UTF8.self)
  }

  // MARK: - Scans

  /// Calls `body` with the events of a key, in order of time, until it says false.
  /// - Parameters:
  ///   - group: only those of this group; "" for those without one.
  ///   - times: only those of these nanoseconds since 1970, the upper one left out.
  public func scan(
    _ key: String, group: String? = nil, times: Range<Int64>? = nil, order: Order = .forward,
    _ body: (TableEvent) -> Bool
  ) throws(TableFailure) {
    let groups = try groups(of: key).filter { group == nil || ($0.group ?? "") == group }
    try scan(groups, times, order, indexed: nil, body)
  }

  /// Calls `body` with the events that have a value of an indexed attribute, key by key and in order
  /// of time, until it says false. Blocks without one are not read.
  /// - Parameters:
  ///   - index: the attribute, or "type".
  ///   - key: only those of this key.
  public func scan(
    index: String, value: String, key: String? = nil, times: Range<Int64>? = nil,
    order: Order = .forward, _ body: (TableEvent) -> Bool
  ) throws(TableFailure) {
    guard let postings = try postings(index, value) else {
      throw TableFailure("\(table.path) has no index of '\(index)'")
    }
    var groups: [Key] = []
    if let key {
      groups = try self.groups(of: key)
    } else {
      try forEachKey { found in
        groups.append(found)
        return true
      }
    }
    let wanted = postings.map(\.block).sorted()
    try scan(groups, times, order, indexed: (index, value, wanted), body)
  }

  /// How many events have a value of an indexed attribute: from the index alone.
  public func count(index: String, value: String) throws(TableFailure) -> Int {
    guard let postings = try postings(index, value) else {
      throw TableFailure("\(table.path) has no index of '\(index)'")
    }
    return postings.reduce(0) { $0 + $1.eventCount }
  }

  private func postings(_ index: String, _ value: String) throws(TableFailure) -> [IndexPosting]? {
    try TableReader.failing { () throws(TableError) in
      try table.postings(
        key: Escape.encode(Array(index.utf8).rawSpan, .key),
        value: TableReader.escaped(value, of: index))
    }
  }

  private static func escaped(_ value: String, of index: String) -> [UInt8] {
    value.isEmpty && index == "type"
      ? [Byte.dash] : Escape.encode(Array(value.utf8).rawSpan, .word)
  }

  /// A value of an index as it is stored, and the blocks that hold it.
  func found(_ entry: TableEvent.Attribute) throws(TableFailure) -> (
    value: RowValue, blocks: [Int]
  ) {
    guard let postings = try postings(entry.key, entry.value) else {
      throw TableFailure("\(table.path) has no index of '\(entry.key)'")
    }
    let value = RowValue(
      key: entry.key == "type" ? nil : Escape.encode(Array(entry.key.utf8).rawSpan, .key),
      value: TableReader.escaped(entry.value, of: entry.key))
    return (value, postings.map(\.block).sorted())
  }

  /// A scan of one group.
  func scan(of group: Key, _ order: Order, _ times: Range<Int64>?, blocks: [Int]?)
    -> TableScan<LinuxFileSystem>
  {
    func instant(_ nanoseconds: Int64) -> Timestamp {
      Timestamp(nanosecondsSince1970: Int128(nanoseconds))
    }
    return TableScan(
      table, group.stream, order == .forward ? .forward : .reverse,
      since: times.map { instant($0.lowerBound) }, until: times.map { instant($0.upperBound) },
      blocks: blocks)
  }

  private func scan(
    _ groups: [Key], _ times: Range<Int64>?, _ order: Order,
    indexed: (index: String, value: String, blocks: [Int])?, _ body: (TableEvent) -> Bool
  ) throws(TableFailure) {
    // Groups of one key are merged by time; keys follow each other.
    var rest = groups[...]
    while let first = rest.first {
      let same = rest.prefix { $0.name == first.name }
      rest = rest.dropFirst(same.count)
      let scans = same.map { group in
        KeyScan(scan(of: group, order, times, blocks: indexed?.blocks), indexed)
      }
      guard try TableReader.merge(scans, order, body) else { return }
    }
  }

  /// False when `body` said so.
  private static func merge(_ scans: [KeyScan], _ order: Order, _ body: (TableEvent) -> Bool)
    throws(TableFailure) -> Bool
  {
    var open = scans
    for scan in open { try failing { () throws(TableError) in try scan.advance() } }
    open.removeAll { $0.event == nil }
    while !open.isEmpty {
      var best = 0
      for index in open.indices.dropFirst() where open[index].precedes(open[best], order) {
        best = index
      }
      let scan = open[best]
      guard let event = scan.event, body(event) else { return false }
      try failing { () throws(TableError) in try scan.advance() }
      if scan.event == nil { open.remove(at: best) }
    }
    return true
  }

  private static func failing<R>(_ body: () throws(TableError) -> R) throws(TableFailure) -> R {
    do throws(TableError) {
      return try body()
    } catch {
      throw TableFailure(error)
    }
  }
}

/// The events of one key and group, one at a time.
private final class KeyScan {
  private var scan: TableScan<LinuxFileSystem>
  private let indexed: (index: String, value: String, blocks: [Int])?
  private(set) var event: TableEvent?
  private var position: UInt64 = 0

  init(
    _ scan: consuming TableScan<LinuxFileSystem>,
    _ indexed: (index: String, value: String, blocks: [Int])?
  ) {
    self.scan = scan
    self.indexed = indexed
  }

  /// Goes to the next event.
  func advance() throws(TableError) {
    while let row = try scan.next() {
      let next = TableEvent(scan.block, row: row)
      if let indexed, !KeyScan.has(next, indexed.index, indexed.value) { continue }
      event = next
      position = scan.block.key(row).sequence.value
      return
    }
    event = nil
  }

  private static func has(_ event: TableEvent, _ index: String, _ value: String) -> Bool {
    index == "type"
      ? event.type == value
      : event.attributes.contains { $0.key == index && $0.value == value }
  }

  func precedes(_ other: KeyScan, _ order: TableReader.Order) -> Bool {
    guard let left = event, let right = other.event else { return false }
    if left.time != right.time {
      return order == .forward ? left.time < right.time : right.time < left.time
    }
    return order == .forward ? position < other.position : other.position < position
  }
}
