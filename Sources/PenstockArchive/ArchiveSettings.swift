// What an operator decides about the archive, and the file that says it to every process.
//
//     archive/settings
//     file     = "#penstock-archive version=1 crc=" 8hex LF *( key "=" value LF )
//                                                              ; CRC-32C of the lines behind it
//     key      = "bucket" | "grace" | "settle" | "retain"      ; nanoseconds
//              | "table" | "retain-bytes"                      ; bytes
//              | "group" | "index"                             ; an attribute's key, escaped as in
//                                                              ; an event line; index may be repeated
//
// The host writes it when it starts and it says something else: temporary file, sync, rename. Lines a
// reader does not know are passed over. Without the file, and when its checksum does not hold, the
// defaults count, by which nothing expires.

package import PenstockCore

/// How the archive is laid out, and how long it keeps what it holds.
package struct ArchiveSettings: Equatable, Sendable {
  /// The stretch of event time a table belongs to.
  package var bucket = BucketLength.day
  /// How long after its end a bucket takes events that are not late, in nanoseconds.
  package var graceNanoseconds: Int64 = 60_000_000_000
  /// The attribute by which the events of a stream are grouped, if any.
  package var group: String?
  /// Attributes whose values are indexed; "type" is the type.
  package var indexes = ["type", "host", "severity"]
  /// Bytes a table may have: merges join tables up to this size.
  package var tableByteCountMax = 1 << 30
  /// The least it may be, in bytes: a few blocks.
  static let tableByteCountMin = 4 << 20
  /// How long a closed bucket gets no tables before it is brought to its fewest, in nanoseconds:
  /// stragglers are joined together, not each with what is there.
  package var settleNanoseconds: Int64 = 600_000_000_000
  /// How long events are kept behind their time, in nanoseconds; nil for ever.
  package var retainNanoseconds: Int64?
  /// Bytes all tables may have together; nil for as many as there is room for.
  package var retainByteCount: Int?

  /// Most indexes.
  package static var indexCountMax: Int { TableIndex.keyCountMax }
  /// Longest key of an attribute, in bytes: escaped it takes at most twice as much.
  package static let keyByteCountMax = 256

  package init() {}

  /// The keys of the indexes as in an event line.
  var indexKeys: [[UInt8]] { indexes.map { ArchiveSettings.escaped($0) } }

  /// The grouping attribute as in an event line.
  var groupKey: [UInt8]? { group.map { ArchiveSettings.escaped($0) } }

  private static func escaped(_ key: String) -> [UInt8] {
    Escape.encode(Array(key.utf8).rawSpan, .key)
  }
}

// MARK: - File

extension ArchiveSettings {
  private static let head = "#penstock-archive version=1 crc="
  /// Largest file that is read, in bytes.
  private static let byteCountMax = 64 << 10

  /// The settings of the store in `layout`.
  package static func read<Files: FileSystem>(_ files: Files, _ layout: StoreLayout)
    throws(FileError) -> ArchiveSettings
  {
    let file: File
    do throws(FileError) {
      file = try files.open(layout.archiveSettings, .read)
    } catch {
      guard error.code == System.notFound else { throw error }
      return ArchiveSettings()
    }
    defer { files.close(file) }
    let count = min(try files.byteCount(file), byteCountMax)
    var memory = AlignedBuffer(byteCount: max(1, count))
    let read = try files.read(file, into: &memory, 0..<count, at: 0)
    return ArchiveSettings(text: String(decoding: memory.bytes(0..<read).array(), as: UTF8.self))
  }

  /// Makes these the settings of the store in `layout`.
  package func write<Files: FileSystem>(_ files: Files, _ layout: StoreLayout) throws(FileError) {
    let temporary = layout.archiveSettings + ".new"
    let bytes = Array(text.utf8)
    var memory = AlignedBuffer(byteCount: bytes.count)
    memory.copy(bytes.rawSpan, to: 0)
    try files.unlinkIfThere(temporary)
    let file = try files.open(temporary, .create)
    do throws(FileError) {
      try files.write(file, from: memory, 0..<bytes.count, at: 0)
      try files.syncFile(file)
    } catch {
      files.close(file)
      throw error
    }
    files.close(file)
    try files.rename(temporary, to: layout.archiveSettings)
    try files.syncDirectory(layout.archive)
  }

  /// The file's text.
  package var text: String {
    var lines = [
      "bucket=\(bucket.nanoseconds)", "grace=\(graceNanoseconds)",
      "settle=\(settleNanoseconds)", "table=\(tableByteCountMax)",
    ]
    if let retainNanoseconds { lines.append("retain=\(retainNanoseconds)") }
    if let retainByteCount { lines.append("retain-bytes=\(retainByteCount)") }
    if let groupKey { lines.append("group=\(String(decoding: groupKey, as: UTF8.self))") }
    for key in indexKeys { lines.append("index=\(String(decoding: key, as: UTF8.self))") }
    let body = lines.joined(separator: "\n") + "\n"
    return ArchiveSettings.head + ArchiveSettings.checksum(body) + "\n" + body
  }

  private static func checksum(_ body: some StringProtocol) -> String {
    Hexadecimal.text(UInt64(Array(body.utf8).rawSpan.checksum()), digits: 8)
  }

  /// The settings a file's text gives; what it does not say, or says wrongly, is the default.
  package init(text: String) {
    let parts = text.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0] == ArchiveSettings.head + ArchiveSettings.checksum(parts[1])
    else { return }
    indexes = []
    for line in parts[1].split(separator: "\n") {
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { continue }
      take(key: parts[0], value: parts[1])
    }
  }

  private mutating func take(key: Substring, value: Substring) {
    let number = Int64(value).flatMap { $0 >= 0 ? $0 : nil }
    let name = Escape.decode(Array(value.utf8).rawSpan).map { String(decoding: $0, as: UTF8.self) }
    switch key {
    case "bucket": bucket = number.flatMap { BucketLength(nanoseconds: $0) } ?? bucket
    case "grace": graceNanoseconds = number ?? graceNanoseconds
    case "settle": settleNanoseconds = number ?? settleNanoseconds
    case "table":
      if let number, number >= ArchiveSettings.tableByteCountMin { tableByteCountMax = Int(number) }
    case "retain": retainNanoseconds = number
    case "retain-bytes": retainByteCount = number.map { Int($0) }
    case "group": group = name
    case "index":
      if let name, indexes.count < ArchiveSettings.indexCountMax { indexes.append(name) }
    default: break
    }
  }
}
