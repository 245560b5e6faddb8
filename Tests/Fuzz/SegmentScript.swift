// Builds segment files as a byte script says: mostly what a shard would write, now and then not.
//
//     0 batch     the next one in every respect, with `n` events
//     1 batch     fields moved: number, first, durable, prev, salt, checksum
//     2 recovery  a batch that begins with `#end` lines, anywhere
//     3 segment   the next one, or one further on
//     4 filler    blocks of LF, NUL or something else
//     5 block     bytes as they come
//     6 flip      a byte anywhere in the segment
//     7 content   a batch with bytes as they come for its content, which ends in LF

import PenstockCore

struct SegmentScript {
  /// Blocks of all files together: bounds the time an input takes.
  private static let blockCountMax = 24
  private static let alignment = SegmentHeader.alignmentMin

  private var number: UInt64
  private var bytes: [UInt8] = []
  private var files: [(number: UInt64, bytes: [UInt8])] = []
  private var blockCount = 0
  private var batch: UInt64 = 0
  private var sequence: UInt64 = 1
  private var checksum: UInt32 = 0
  /// Whether every batch says rightly how many events it holds.
  private(set) var countsEvents = true

  init(firstSegment: UInt64) { number = firstSegment }

  /// Runs the script to its end.
  /// - Returns: the files by segment number.
  mutating func run(_ reader: inout InputReader) -> [(number: UInt64, bytes: [UInt8])] {
    beginSegment()
    while !reader.isAtEnd, blockCount < SegmentScript.blockCountMax {
      let operation = reader.byte()
      switch operation & 7 {
      case 0: putBatch(eventCount: UInt64(operation >> 3) % 8)
      case 1: putOddBatch(&reader)
      case 2: putRecovery(&reader)
      case 3:
        endSegment()
        number += operation & 8 != 0 ? UInt64(reader.byte() % 4) : 1
        beginSegment()
      case 4:
        let filler: UInt8 = operation & 8 == 0 ? Byte.lineFeed : operation & 16 == 0 ? 0 : 0x23
        put(Array(repeating: filler, count: SegmentScript.alignment))
      case 5: put(reader.take(Int(reader.byte()) << 4))
      case 6: flip(&reader)
      default:
        let content = reader.take(Int(reader.byte())) + [Byte.lineFeed]
        put(line(eventCount: SegmentScript.eventCount(content), content), content)
      }
    }
    endSegment()
    return files
  }

  private mutating func beginSegment() {
    let header = SegmentHeader(
      name: SegmentName(log: LogNumber(0), number: SegmentNumber(number)),
      store: TestSegmentWriter.store, salt: TestSegmentWriter.salt(number),
      alignment: SegmentScript.alignment, byteCount: 16 * SegmentScript.alignment)
    bytes = []
    put(Array(header.text.utf8))
  }

  private mutating func endSegment() { files.append((number, bytes)) }

  /// Appends a block, or several, filled up with LF.
  private mutating func put(_ content: [UInt8]) {
    let count = max(1, (content.count + SegmentScript.alignment - 1) / SegmentScript.alignment)
    bytes += content
    bytes += Array(
      repeating: Byte.lineFeed, count: count * SegmentScript.alignment - content.count)
    blockCount += count
  }

  private mutating func flip(_ reader: inout InputReader) {
    let offset = (Int(reader.byte()) << 8 | Int(reader.byte())) % bytes.count
    bytes[offset] ^= reader.byte()
  }

  // MARK: - Batches

  private mutating func line(eventCount: UInt64, _ content: [UInt8]) -> BatchLine {
    batch &+= 1
    return BatchLine(
      number: BatchNumber(batch), firstSequence: SequenceNumber(sequence),
      eventCount: UInt32(truncatingIfNeeded: eventCount), byteCount: UInt32(content.count),
      at: TestSegmentWriter.at, durable: BatchNumber(batch &- min(batch, 2)),
      previousChecksum: checksum, salt: TestSegmentWriter.salt(number))
  }

  private mutating func put(_ line: BatchLine, _ content: [UInt8], damage: UInt8 = 0) {
    var memory = AlignedBuffer(byteCount: BatchLine.textByteCount + content.count)
    memory.copy(content.rawSpan, to: BatchLine.textByteCount)
    checksum = line.seal(in: &memory, at: 0)
    batch = line.number.value
    sequence = line.lastSequence.value &+ 1
    var sealed = memory.bytes(0..<(BatchLine.textByteCount + content.count)).array()
    sealed[sealed.count - 1] ^= damage
    put(sealed)
  }

  /// The event lines in `content`, as readers count them.
  private static func eventCount(_ content: [UInt8]) -> UInt64 {
    var cursor = BatchContent(firstSequence: .none)
    var count: UInt64 = 0
    while cursor.next(in: content.rawSpan) != nil { count += 1 }
    return count
  }

  private func events(_ count: UInt64) -> [UInt8] {
    (0..<count).flatMap { Array(TestSegmentWriter.line("\(batch).\($0)").utf8) }
  }

  private mutating func putBatch(eventCount: UInt64) {
    let content = events(eventCount)
    put(line(eventCount: eventCount, content), content)
  }

  /// A batch of which some fields are not what the one before it asks for.
  private mutating func putOddBatch(_ reader: inout InputReader) {
    let fields = reader.byte()
    let count = UInt64(reader.byte() % 8)
    let content = events(count)
    var line = line(eventCount: count, content)
    if fields & 1 != 0 { line.number = BatchNumber(line.number.value &- 4 &+ reader.number()) }
    if fields & 2 != 0 {
      line.firstSequence = SequenceNumber(line.firstSequence.value &- 4 &+ reader.number())
    }
    if fields & 4 != 0 { line.durable = BatchNumber(reader.number()) }
    if fields & 8 != 0 { line.previousChecksum ^= UInt32(reader.byte()) }
    if fields & 16 != 0 { line.salt ^= UInt64(reader.byte()) }
    if fields & 32 != 0 {
      line.eventCount = UInt32(truncatingIfNeeded: reader.number())
      countsEvents = false
    }
    put(line, content, damage: fields & 64 != 0 ? 1 : 0)
  }

  private mutating func putRecovery(_ reader: inout InputReader) {
    let fields = reader.byte()
    var content: [UInt8] = []
    for _ in 0...(fields & 3) {
      // One of the two before, its own or the next one.
      let segment = SegmentNumber(
        [number - 1, number &- 2, number, number + 1][Int(reader.byte() % 4)])
      let end = EndLine(
        name: SegmentName(log: LogNumber(fields >> 7), number: segment),
        offset: Int(reader.byte() % 8) * SegmentScript.alignment)
      content += Array(end.text.utf8)
    }
    let count = UInt64(fields >> 2 & 3)
    let last = batch
    content += events(count)
    var line = line(eventCount: count, content)
    line.number = BatchNumber(batch &+ (fields & 16 != 0 ? 1 << 20 : 1))
    line.durable = BatchNumber(last &- UInt64(fields >> 5 & 1))
    put(line, content)
  }
}
