// The segment: a preallocated file of a log's journal, and what its name and first block say.
//
//     name      live/LL-NNNNNNNNNNNNNNNN.log       log and segment number, lower-case hex
//     content   header block, then batches (BatchLine) at multiples of `align`, filler between
//               and behind them
//     header    #penstock segment=16hex log=2hex version=1 store=32hex salt=16hex align=8hex
//               size=16hex crc=8hex LF, then LF up to `align` bytes      (one line, single spaces)
//     crc       CRC-32C of the line up to " crc="; stands last, and `version=` where it stands
//               here, in every version, so that a newer header is told from a damaged one
//
// A segment is named for good when it is prepared: it is never renamed, truncated or used again.
// Filler is LF; a segment that was only preallocated under pressure has NUL bytes where no batch
// was written, which readers take for filler too. `align` is the greatest of 4096, the device's
// physical block and what direct I/O asks for, so that no two batches share a block.

/// The number of a segment in its log.
package struct SegmentNumber: Hashable, Comparable, Sendable, BitwiseCopyable {
  package var value: UInt64
  package init(_ value: UInt64) { self.value = value }
  package static func < (left: SegmentNumber, right: SegmentNumber) -> Bool {
    left.value < right.value
  }
  /// The segment after this one.
  package var next: SegmentNumber { SegmentNumber(value &+ 1) }
  /// Before a log's first segment.
  package static let none = SegmentNumber(0)
}

/// The number of a log: its shard's, or its writer's.
package struct LogNumber: Hashable, Comparable, Sendable, BitwiseCopyable {
  package var value: UInt8
  package init(_ value: UInt8) { self.value = value }
  package static func < (left: LogNumber, right: LogNumber) -> Bool { left.value < right.value }
}

/// 128 bits that name a store.
package struct StoreIdentifier: Hashable, Sendable {
  package var high: UInt64
  package var low: UInt64
  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
  /// 32 lower-case hex digits.
  package var text: String {
    Hexadecimal.text(high, digits: 16) + Hexadecimal.text(low, digits: 16)
  }
  /// Reads 32 lower-case hex digits.
  package init?(text: String) {
    let bytes = Array(text.utf8)
    guard bytes.count == 32, let high = bytes.rawSpan.hexadecimal(at: 0, digitCount: 16),
      let low = bytes.rawSpan.hexadecimal(at: 16, digitCount: 16)
    else { return nil }
    self.init(high: high, low: low)
  }
}

/// Fixed-width lower-case hexadecimal, for cold paths.
package enum Hexadecimal {
  /// `value` in exactly `digits` digits.
  package static func text(_ value: UInt64, digits: Int) -> String {
    let plain = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - plain.count)) + plain
  }
}

/// Which segment of which log a file of the live folder is.
package struct SegmentName: Hashable, Comparable, Sendable {
  package var log: LogNumber
  package var number: SegmentNumber

  package init(log: LogNumber, number: SegmentNumber) {
    self.log = log
    self.number = number
  }

  /// The name of the file in the live folder.
  package var fileName: String {
    Hexadecimal.text(UInt64(log.value), digits: 2) + "-"
      + Hexadecimal.text(number.value, digits: 16) + ".log"
  }

  /// Reads a file name; nil when it is not a segment's.
  package init?(fileName: String) {
    let bytes = Array(fileName.utf8)
    let span = bytes.rawSpan
    guard bytes.count == 23, span.byte(at: 2) == Byte.dash, span.hasBytes(".log", at: 19),
      let log = span.hexadecimal(at: 0, digitCount: 2),
      let number = span.hexadecimal(at: 3, digitCount: 16)
    else { return nil }
    self.init(log: LogNumber(UInt8(log)), number: SegmentNumber(number))
  }

  package static func < (left: SegmentName, right: SegmentName) -> Bool {
    (left.log, left.number) < (right.log, right.number)
  }
}

/// The first line of a segment.
package struct SegmentHeader: Equatable, Sendable {
  package var name: SegmentName
  package var store: StoreIdentifier
  package var salt: UInt64
  /// Bytes between possible starts of batches; also the size of the header block.
  package var alignment: Int
  /// Size of the file, in bytes.
  package var byteCount: Int

  package init(
    name: SegmentName, store: StoreIdentifier, salt: UInt64, alignment: Int, byteCount: Int
  ) {
    self.name = name
    self.store = store
    self.salt = salt
    self.alignment = alignment
    self.byteCount = byteCount
  }

  /// The version of the segment format this file describes.
  package static let version = 1
  /// Smallest alignment: the page, and the physical block of common drives.
  package static let alignmentMin = 4096
  /// Largest alignment a header may claim: bounds what a reader of a damaged header allocates.
  package static let alignmentMax = 1 << 20

  /// The header line, LF included.
  package var text: String {
    let line =
      "#penstock segment=" + Hexadecimal.text(name.number.value, digits: 16)
      + " log=" + Hexadecimal.text(UInt64(name.log.value), digits: 2)
      + " version=\(SegmentHeader.version) store=" + store.text
      + " salt=" + Hexadecimal.text(salt, digits: 16)
      + " align=" + Hexadecimal.text(UInt64(alignment), digits: 8)
      + " size=" + Hexadecimal.text(UInt64(byteCount), digits: 16)
    let sum = Array(line.utf8).rawSpan.checksum()
    return line + " crc=" + Hexadecimal.text(UInt64(sum), digits: 8) + "\n"
  }

  /// Bytes a reader has to have of a file to read its header.
  package static let textByteCount = 163

  /// What the first block of a file is.
  package enum Reading: Equatable, Sendable {
    /// A header of this version whose checksum holds.
    case header(SegmentHeader)
    /// A header of a newer format: the file must be left alone.
    case newerVersion(Int)
    /// Neither: never finished, or damaged.
    case damaged
  }

  /// The version a header line of any version states, when its checksum holds: a flipped bit in
  /// the version must not make a segment look like one to be left alone.
  private static func versionOfIntactLine(_ span: RawSpan) -> Int? {
    let lineEnd = span.firstIndex(of: Byte.lineFeed, from: 0, to: min(span.byteCount, alignmentMin))
    let checksummed = lineEnd - 13
    guard checksummed >= 51, span.hasBytes(" version=", at: 41),
      span.hasBytes(" crc=", at: checksummed),
      let sum = span.hexadecimal(at: checksummed + 5, digitCount: 8),
      UInt64(span.extracting(0..<checksummed).checksum()) == sum
    else { return nil }
    let end = span.nearIndex(of: Byte.space, from: 50, to: checksummed)
    return span.decimal(50..<end, digitCountMax: 5)
  }

  /// Reads the first block of a segment.
  package static func read(_ span: RawSpan) -> Reading {
    guard span.hasBytes("#penstock segment=", at: 0) else { return .damaged }
    if let claimed = versionOfIntactLine(span), claimed > version {
      return .newerVersion(claimed)
    }
    guard span.byteCount >= textByteCount,
      span.hasBytes(" log=", at: 34),
      span.hasBytes(" version=1 store=", at: 41),
      span.hasBytes(" salt=", at: 90),
      span.hasBytes(" align=", at: 112),
      span.hasBytes(" size=", at: 127),
      span.hasBytes(" crc=", at: 149),
      span.byte(at: 162) == Byte.lineFeed,
      let number = span.hexadecimal(at: 18, digitCount: 16),
      let log = span.hexadecimal(at: 39, digitCount: 2),
      let high = span.hexadecimal(at: 58, digitCount: 16),
      let low = span.hexadecimal(at: 74, digitCount: 16),
      let salt = span.hexadecimal(at: 96, digitCount: 16),
      let alignment = span.hexadecimal(at: 119, digitCount: 8),
      let size = span.hexadecimal(at: 133, digitCount: 16),
      let sum = span.hexadecimal(at: 154, digitCount: 8),
      UInt64(span.extracting(0..<149).checksum()) == sum,
      alignment >= UInt64(alignmentMin), alignment <= UInt64(alignmentMax),
      alignment & (alignment - 1) == 0, size <= UInt64(Int.max), size % alignment == 0
    else { return .damaged }
    return .header(
      SegmentHeader(
        name: SegmentName(log: LogNumber(UInt8(log)), number: SegmentNumber(number)),
        store: StoreIdentifier(high: high, low: low), salt: salt, alignment: Int(alignment),
        byteCount: Int(size)))
  }
}
