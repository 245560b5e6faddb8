// An order to erase, on its way to whoever holds the archive's lock.
//
//     archive/erase-<16hex>.order
//     file     = "#penstock-erase version=2 before=" time *( " through=" 2hex ":" 16hex )
//                " pattern=" word " crc=" 8hex LF
//                                        ; through: a log and its last event when the order was
//                                        ; given; pattern escaped as in an event line; crc: CRC-32C
//                                        ; of the line up to " crc="
//
// The order itself says which events were there when it was given: a crash may bring back one that
// was taken, and taken again it concerns the same events.
//
// Written under a temporary name, synced, renamed, folder synced. The archiver makes a line of the
// manifest of it and removes it; a file that is no order is left alone and told.

package import PenstockCore

/// An order that waits.
package struct EraseOrder: Equatable, Sendable {
  package var pattern: String
  package var before: Timestamp
  /// Per log, the last event it concerns.
  package var through: [LogNumber: SequenceNumber]

  package init(pattern: String, before: Timestamp, through: [LogNumber: SequenceNumber]) {
    self.pattern = pattern
    self.before = before
    self.through = through
  }

  /// Longest pattern, in bytes.
  package static let patternByteCountMax = 1024
  /// Largest file that is read, in bytes: the longest pattern, escaped, and every log there can be.
  private static let fileByteCountMax = 16 << 10
  private static let head = "#penstock-erase version=2 before="
  private static let reachByteCount = 28

  /// The file's text.
  package var text: String {
    let word = Escape.encode(Array(pattern.utf8).rawSpan, .word)
    let reaches = through.sorted { $0.key < $1.key }.map { log, sequence in
      " through=\(Hexadecimal.text(UInt64(log.value), digits: 2)):"
        + Hexadecimal.text(sequence.value, digits: 16)
    }
    let line =
      EraseOrder.head + before.text + reaches.joined() + " pattern="
      + String(decoding: word, as: UTF8.self)
    let sum = Array(line.utf8).rawSpan.checksum()
    return line + " crc=" + Hexadecimal.text(UInt64(sum), digits: 8) + "\n"
  }

  /// The order a file's text gives; nil when it gives none.
  package init?(_ bytes: [UInt8]) {
    let span = bytes.rawSpan
    let start = EraseOrder.head.utf8.count
    let end = bytes.count - 14
    var offset = start + Timestamp.textByteCount
    var through: [LogNumber: SequenceNumber] = [:]
    while span.hasBytes(" through=", at: offset), span.hasBytes(":", at: offset + 11),
      let log = span.hexadecimal(at: offset + 9, digitCount: 2),
      let sequence = span.hexadecimal(at: offset + 12, digitCount: 16)
    {
      through[LogNumber(UInt8(log))] = SequenceNumber(sequence)
      offset += EraseOrder.reachByteCount
    }
    let wordStart = offset + 9
    guard end > wordStart, bytes.last == Byte.lineFeed,
      bytes.starts(with: Array(EraseOrder.head.utf8)),
      span.hasBytes(" pattern=", at: offset),
      span.hasBytes(" crc=", at: end),
      let sum = span.hexadecimal(at: end + 5, digitCount: 8),
      UInt64(span.extracting(0..<end).checksum()) == sum,
      let before = Timestamp(journalText: span, at: start),
      let plain = Escape.decode(span.extracting(wordStart..<end)),
      let pattern = String(validating: plain, as: UTF8.self)
    else { return nil }
    self.before = before
    self.pattern = pattern
    self.through = through
  }

  // MARK: - Files

  private static let prefix = "erase-"
  private static let suffix = ".order"

  /// Puts the order where the archiver finds it.
  /// - Returns: its path; when the file is gone the order has been taken.
  package func submit<Files: FileSystem>(_ files: Files, _ layout: StoreLayout) throws(FileError)
    -> String
  {
    let name = EraseOrder.prefix + Hexadecimal.text(System.random(), digits: 16)
    let path = layout.archive + "/" + name + EraseOrder.suffix
    let temporary = layout.archive + "/" + name + ".new"
    let bytes = Array(text.utf8)
    var memory = AlignedBuffer(byteCount: bytes.count)
    memory.copy(bytes.rawSpan, to: 0)
    let file = try files.open(temporary, .create)
    do throws(FileError) {
      try files.write(file, from: memory, 0..<bytes.count, at: 0)
      try files.syncFile(file)
    } catch {
      files.close(file)
      try? files.unlinkIfThere(temporary)
      throw error
    }
    files.close(file)
    try files.rename(temporary, to: path)
    try files.syncDirectory(layout.archive)
    return path
  }

  /// The orders that wait, by path; nil for a file that is none.
  static func waiting<Files: FileSystem>(_ files: Files, _ layout: StoreLayout) throws(FileError)
    -> [(path: String, order: EraseOrder?)]
  {
    var orders: [(path: String, order: EraseOrder?)] = []
    for name in try files.list(layout.archive).sorted()
    where name.hasPrefix(prefix) && name.hasSuffix(suffix) {
      let path = layout.archive + "/" + name
      let file = try files.open(path, .read)
      defer { files.close(file) }
      let count = min(try files.byteCount(file), fileByteCountMax)
      var memory = AlignedBuffer(byteCount: max(1, count))
      let read = try files.read(file, into: &memory, 0..<count, at: 0)
      orders.append((path, EraseOrder(memory.bytes(0..<read).array())))
    }
    return orders
  }
}
