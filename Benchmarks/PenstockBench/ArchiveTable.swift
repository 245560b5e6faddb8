// A table a benchmark writes: one stream, events a step apart, numbered as they come.

internal import PenstockArchive
internal import PenstockCore

/// Writes the events of one stream to a table.
struct ArchiveTable: ~Copyable {
  private var writer: TableWriter<LinuxFileSystem>
  private var number: UInt64 = 0

  /// The name of the stream.
  static let stream = Array("app/web".utf8)
  /// When events begin.
  static let start: Int64 = 1_795_232_872

  /// - Parameter path: where nothing is yet.
  init(path: String, indexes: [String] = [], effort: TableEffort) throws {
    var writer = try TableWriter(
      LinuxFileSystem(), path: path, store: StoreIdentifier(high: 1, low: 2),
      indexes: indexes.map { Array($0.utf8) }, effort: effort)
    let stream = ArchiveTable.stream
    try writer.begin(stream.rawSpan)
    self.writer = writer
  }

  /// Adds an event; times ascend.
  mutating func add(
    nanoseconds: UInt64, type: String = "-", attributes: String = "", payload: [UInt8] = []
  ) throws {
    number += 1
    let bytes = Array(type.utf8) + Array(attributes.utf8) + payload
    let typeEnd = type.utf8.count
    let attributesEnd = typeEnd + attributes.utf8.count
    let (second, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    try writer.add(
      TableRow(
        time: Timestamp(
          seconds: ArchiveTable.start + Int64(second), nanoseconds: UInt32(rest)),
        log: LogNumber(0), sequence: SequenceNumber(number), type: 0..<typeEnd,
        attributes: typeEnd..<attributesEnd, payload: attributesEnd..<bytes.count),
      bytes.rawSpan)
  }

  /// Ends the table: its bytes.
  consuming func finish() throws -> Int {
    try writer.finish(hash: 0, covered: []).byteCount
  }
}
