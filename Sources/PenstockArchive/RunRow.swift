// A row of an archiver run: what is known of an event beside its tail.
//
//      0   8  seconds            8   4  nanoseconds; the top bit: the event is late
//     12   4  number of its stream and group, when sorted their rank
//     16   4  offset of its tail 20   4  its stretch of sequence numbers
//     24   4  CRC-32C of its line 28  4  its table, once sorted

internal import PenstockCore

struct RunRow {
  var time: Timestamp
  var isLate: Bool
  var stream: UInt32
  var offset: UInt32
  var stretch: UInt32
  var checksum: UInt32
  var bucket: UInt32 = 0

  static let byteCount = 32
  /// Row, its two places in the order, and what sorting the rows of one stream may take.
  static let accountedByteCount = 64
  /// Where the word with the bucket's number begins.
  static let bucketOffset = 28
  /// Where the word with nanoseconds and stream begins.
  static let streamOffset = 8
  private static let lateBit: UInt32 = 1 << 31

  /// Writes the row at `place` of `memory`.
  @inline(__always)
  func store(into memory: inout AlignedBuffer, at place: Int) {
    let nanoseconds = time.nanoseconds | (isLate ? RunRow.lateBit : 0)
    memory.store(UInt64(bitPattern: time.seconds), at: place)
    memory.store(UInt64(nanoseconds) | UInt64(stream) << 32, at: place &+ 8)
    memory.store(UInt64(offset) | UInt64(stretch) << 32, at: place &+ 16)
    memory.store(UInt64(checksum) | UInt64(bucket) << 32, at: place &+ 24)
  }
}

extension RunRow {
  /// Reads the row at `place`.
  @inline(__always)
  init(_ span: RawSpan, at place: Int) {
    let second = span.word(at: place &+ 8)
    let third = span.word(at: place &+ 16)
    let fourth = span.word(at: place &+ 24)
    let nanoseconds = UInt32(truncatingIfNeeded: second)
    time = Timestamp(
      seconds: Int64(bitPattern: span.word(at: place)), nanoseconds: nanoseconds & ~RunRow.lateBit)
    isLate = nanoseconds & RunRow.lateBit != 0
    stream = UInt32(truncatingIfNeeded: second >> 32)
    offset = UInt32(truncatingIfNeeded: third)
    stretch = UInt32(truncatingIfNeeded: third >> 32)
    checksum = UInt32(truncatingIfNeeded: fourth)
    bucket = UInt32(truncatingIfNeeded: fourth >> 32)
  }
}
