// What the simulation knows of batches on its own: it reads the text, not the production parsers.
//
//     #batch number=%016x first=%016x events=%08x bytes=%08x at=… durable=%016x prev=… salt=… crc=…

internal import PenstockCore

/// A batch line as the simulation reads it.
struct SeenBatch {
  var number: UInt64
  var first: UInt64
  var eventCount: Int
  var byteCount: Int
  /// Bytes of the line with its LF.
  var lineByteCount: Int
  /// Where "crc=" has its digits.
  var checksumOffset: Int
  var salt: UInt64

  /// Reads the line at `offset`; nil when there is none.
  init?(_ bytes: [UInt8], at offset: Int) {
    let head = Array("#batch number=".utf8)
    guard offset + head.count < bytes.count,
      Array(bytes[offset..<(offset + head.count)]) == head,
      let end = bytes[offset..<min(offset + 400, bytes.count)].firstIndex(of: 0x0A)
    else { return nil }
    let text = String(decoding: bytes[offset..<end], as: UTF8.self)
    var fields: [Substring: Substring] = [:]
    for word in text.split(separator: " ") {
      let pair = word.split(separator: "=", maxSplits: 1)
      if pair.count == 2 { fields[pair[0]] = pair[1] }
    }
    guard let number = fields["number"].flatMap({ UInt64($0, radix: 16) }),
      let first = fields["first"].flatMap({ UInt64($0, radix: 16) }),
      let events = fields["events"].flatMap({ Int($0, radix: 16) }),
      let count = fields["bytes"].flatMap({ Int($0, radix: 16) }),
      let salt = fields["salt"].flatMap({ UInt64($0, radix: 16) }), fields["crc"]?.count == 8
    else { return nil }
    self.number = number
    self.first = first
    eventCount = events
    byteCount = count
    self.salt = salt
    lineByteCount = end - offset + 1
    checksumOffset = end - 8
  }
}

/// Gives torn batches a checksum that fits, for the canary.
enum BatchForgery {
  static func mend(_ bytes: inout [UInt8]) {
    for offset in stride(from: 4096, to: bytes.count, by: 4096) {
      guard let batch = SeenBatch(bytes, at: offset) else { continue }
      let content = offset + batch.lineByteCount
      let end = content + batch.byteCount
      guard end <= bytes.count else { continue }
      // CRC-32C over salt, the line up to " crc=", and the content.
      let line = Array(bytes[offset..<(batch.checksumOffset - 5)])
      var checksum = Checksum.ofWord(batch.salt)
      checksum = line.rawSpan.checksum(seed: checksum)
      checksum = Array(bytes[content..<end]).rawSpan.checksum(seed: checksum)
      let digits = Array(Hexadecimal.text(UInt64(checksum), digits: 8).utf8)
      bytes.replaceSubrange(batch.checksumOffset..<(batch.checksumOffset + 8), with: digits)
    }
  }
}
