// Takes an input apart from its beginning: a byte decides, bytes follow. An input that is too
// short goes on as zeros, so every input means something and small changes mean small changes.

/// A position in an input.
struct InputReader {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { offset >= bytes.count }

  mutating func byte() -> UInt8 {
    guard !isAtEnd else { return 0 }
    offset += 1
    return bytes[offset - 1]
  }

  /// A number: mostly small, sometimes any.
  mutating func number() -> UInt64 {
    let first = byte()
    guard first >= 0xF0 else { return UInt64(first) }
    var value: UInt64 = 0
    for _ in 0...(first & 7) { value = value << 8 | UInt64(byte()) }
    return value
  }

  /// The next `count` bytes, or those that are left.
  mutating func take(_ count: Int) -> [UInt8] {
    let end = min(bytes.count, offset + count)
    defer { offset = end }
    return Array(bytes[offset..<end])
  }

  /// All bytes that are left.
  mutating func rest() -> [UInt8] { take(bytes.count) }
}
