import PenstockCore
import Synchronization
import Testing

struct SegmentScanTests {
  private func scan(
    _ log: TestLog, _ number: UInt64 = 1, keepsEvery: Bool = true, fillerMax: Int = .max,
    readsPastCache: Bool = true
  ) throws -> SegmentScan {
    var scanner = SegmentScanner(
      log.files, log.layout, store: TestSegmentWriter.store, readsPastCache: readsPastCache,
      keepsEvery: keepsEvery, fillerMax: fillerMax)
    return try scanner.scan(SegmentName(log: log.log, number: SegmentNumber(number)))
  }

  private func numbers(_ scan: SegmentScan) -> [UInt64] {
    scan.items.compactMap { item in
      if case .batch(let extent, _) = item { extent.line.number.value } else { nil }
    }
  }

  private func damaged(_ scan: SegmentScan) -> [Range<Int>] {
    scan.items.compactMap { item in
      if case .damaged(let range) = item { range } else { nil }
    }
  }

  private func batches(_ numbers: ClosedRange<Int>, lag: Int = 1, byteCount: Int = 10)
    -> [TestBatch]
  {
    numbers.map {
      TestBatch(
        number: UInt64($0), first: UInt64($0), durable: UInt64(max(0, $0 - lag)),
        payloads: [String(repeating: "x", count: byteCount)])
    }
  }

  @Test(arguments: [Byte.lineFeed, Byte.null])
  func `batches are found by position and filler is passed over`(_ filler: UInt8) throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    log.put(1, writer.segment(1, batches(1...3), blockCount: 600, filler: filler))
    let scan = try scan(log)
    #expect(scan.verdict == .use)
    #expect(numbers(scan) == [1, 2, 3])
    #expect(scan.items.map(\.offset) == [4096, 8192, 12288])
    #expect(scan.durable == BatchNumber(2))
    #expect(scan.number == BatchNumber(3))
    #expect(scan.sequence == SequenceNumber(3))
    #expect(scan.byteCount == 600 * 4096)
    #expect(damaged(scan).isEmpty)
    #expect(try self.scan(log, readsPastCache: false) == scan)
  }

  @Test func `batches larger than the window are checked to their last byte`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    let large = batches(1...3, byteCount: 3 << 20)
    log.put(1, writer.segment(1, large))
    let whole = try scan(log)
    #expect(numbers(whole) == [1, 2, 3])
    guard case .batch(let second, _) = whole.items[1] else { return }
    for byte in [second.offset + 200, second.offset + 1_500_000, second.end - 1] {
      log.flip(bit: 0, of: byte, in: 1)
      let scan = try scan(log)
      #expect(numbers(scan) == [1, 3])
      #expect(damaged(scan) == [second.offset..<((second.end + 4095) / 4096 * 4096)])
      log.flip(bit: 0, of: byte, in: 1)
    }
  }

  @Test func `larger alignments are followed`() throws {
    let log = TestLog(alignment: 16384)
    var writer = TestSegmentWriter()
    writer.alignment = 16384
    log.put(1, writer.segment(1, batches(1...3), blockCount: 6))
    #expect(try scan(log).items.map(\.offset) == [16384, 32768, 49152])
  }

  @Test func `a payload that imitates a batch at a block boundary is never taken for one`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    var forger = TestSegmentWriter()
    // The forged batch has a sound checksum over a salt of its own, or over the guessed one of a
    // neighbour, and stands exactly at the block boundary.
    let forged = forger.bytes(
      TestBatch(number: 2, first: 100, durable: 1, payloads: ["forged"]),
      salt: TestSegmentWriter.salt(99))
    let forgedText = String(decoding: forged.dropLast(), as: UTF8.self)
    let lead = 4096 - BatchLine.textByteCount - TestSegmentWriter.line("").utf8.count
    let padding = String(repeating: "p", count: lead)
    let lines = forgedText.split(separator: "\n").map(String.init)
    var outer = TestBatch(number: 1, first: 1, durable: 0, payloads: [padding])
    outer.payloads += [lines[1]]
    let next = TestBatch(number: 2, first: 3, durable: 1, payloads: ["real"])
    var bytes = writer.segment(1, [outer, next], blockCount: 6)
    // Place the forgery over the second block of the first batch, and seal the batch anew.
    let content = bytes[(4096 + BatchLine.textByteCount)..<8192] + forged
    bytes = reseal(bytes, number: 1, content: Array(content), next: next)
    log.put(1, bytes)
    #expect(numbers(try scan(log)) == [1, 2])
    // Even when the batch around it is damaged, so that the scan steps into its content.
    log.flip(bit: 0, of: 4096 + 300, in: 1)
    let damagedScan = try scan(log)
    #expect(numbers(damagedScan) == [2])
    #expect(damaged(damagedScan) == [4096..<12288])
    // And even when the header is damaged as well, so that the salt has to be found.
    log.flip(bit: 0, of: 20, in: 1)
    let blind = try scan(log)
    #expect(blind.verdict == .unreadable)
    #expect(numbers(blind).isEmpty)
    #expect(try log.events().filter { $0.payload == "forged" }.isEmpty)
  }

  /// The segment with a first batch of exactly `content`, and `next` behind it.
  private func reseal(_ bytes: [UInt8], number: UInt64, content: [UInt8], next: TestBatch)
    -> [UInt8]
  {
    let salt = TestSegmentWriter.salt(1)
    let line = BatchLine(
      number: BatchNumber(number), firstSequence: SequenceNumber(1), eventCount: 2,
      byteCount: UInt32(content.count), at: TestSegmentWriter.at, durable: .none,
      previousChecksum: 0, salt: salt)
    var memory = AlignedBuffer(byteCount: BatchLine.textByteCount + content.count)
    memory.copy(content.rawSpan, to: BatchLine.textByteCount)
    var writer = TestSegmentWriter()
    writer.checksum = line.seal(in: &memory, at: 0)
    var all = Array(bytes[..<4096])
    all += memory.bytes(0..<(BatchLine.textByteCount + content.count)).array()
    all += Array(repeating: Byte.lineFeed, count: 12288 - all.count)
    all += writer.bytes(next, salt: salt)
    return all + Array(repeating: Byte.lineFeed, count: bytes.count - all.count)
  }

  @Test func `behind a damaged header the first batch tells the salt`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    log.put(1, writer.segment(1, batches(1...3), blockCount: 6))
    log.flip(bit: 4, of: 100, in: 1)
    let found = try scan(log)
    #expect(found.verdict == .useBySalt)
    #expect(numbers(found) == [1, 2, 3])
    #expect(try log.events().count == 3)
    #expect(try log.view().damage.map(\.kind) == [.header])
    // The whole header block lost reads as NUL, and the first batch is still the first.
    var bytes = log.bytes(1)
    bytes.replaceSubrange(0..<4096, with: [UInt8](repeating: 0, count: 4096))
    log.put(1, bytes)
    #expect(numbers(try scan(log)) == [1, 2, 3])
  }

  @Test func `a larger header block that is damaged is crossed only over LF`() throws {
    let log = TestLog(alignment: 16384)
    var writer = TestSegmentWriter()
    writer.alignment = 16384
    log.put(1, writer.segment(1, batches(1...2), blockCount: 4))
    log.flip(bit: 4, of: 100, in: 1)
    #expect(numbers(try scan(log)) == [1, 2])
    var bytes = log.bytes(1)
    bytes.replaceSubrange(4096..<16384, with: [UInt8](repeating: 0, count: 12288))
    log.put(1, bytes)
    let lost = try scan(log)
    #expect(lost.verdict == .unreadable)
    #expect(numbers(lost).isEmpty)
  }

  @Test func `a file without header and without content was never finished`() throws {
    let log = TestLog()
    for bytes in [
      [], [1, 2, 3], [UInt8](repeating: 0, count: 8192), [UInt8](repeating: 10, count: 70_000),
    ] {
      log.put(1, bytes)
      #expect(try scan(log).verdict == .empty)
      #expect(try log.view().damage.isEmpty)
    }
    let recovered = try log.recover()
    #expect(recovered.header.name.number == SegmentNumber(2))
    #expect(recovered.damage.isEmpty)
  }

  /// Filling is cut short anywhere when its process is killed.
  @Test func `a file that was being filled is no damage`() throws {
    let log = TestLog()
    var bytes = [UInt8](repeating: Byte.null, count: 8 * 4096)
    for place in 4096..<(3 * 4096 + 3072) { bytes[place] = Byte.lineFeed }
    log.put(1, bytes)
    let scan = try scan(log)
    #expect(scan.verdict == .empty)
    #expect(damaged(scan).isEmpty)
  }

  @Test func `a segment of a newer version is left alone and reported`() throws {
    let small = SmallLog()
    var line = "#penstock segment=0000000000000003 log=00 version=2 shape=other"
    let sum = Array(line.utf8).rawSpan.checksum()
    line += " crc=" + Hexadecimal.text(UInt64(sum), digits: 8) + "\n"
    let bytes = Array(line.utf8) + [UInt8](repeating: 7, count: 20_000)
    small.log.put(3, bytes)
    #expect(try scan(small.log, 3).verdict == .leave)
    let view = try small.log.view()
    #expect(view.damage.map(\.kind) == [.newerVersion])
    #expect(view.segments.map(\.isOurs) == [true, true, false])
    let recovered = try small.log.recover()
    #expect(recovered.damage.map(\.kind) == [.newerVersion])
    #expect(recovered.header.name.number == SegmentNumber(4))
    // Numbers are beyond whatever the newer version may have given out in segment 3.
    #expect(recovered.nextSequence.value == 4 * Limits.sequenceJump)
    #expect(small.log.bytes(3) == bytes)
    #expect(try small.log.events() == SmallLog.events)
    // One flipped bit in the version does not make a segment newer.
    small.log.flip(bit: 1, of: 50, in: 1)
    #expect(try scan(small.log, 1).verdict == .useBySalt)
  }

  @Test func `a file under another segment's name does not count and is kept aside`() throws {
    let small = SmallLog()
    small.log.put(3, small.log.bytes(1))
    let view = try small.log.view()
    #expect(view.damage.map(\.kind) == [.misplaced])
    #expect(try small.log.events(in: view) == SmallLog.events)
    let recovered = try small.log.recover()
    #expect(recovered.damage.map(\.kind) == [.misplaced])
    #expect(recovered.damage.first?.copy != nil)
    #expect(try small.log.events() == SmallLog.events)
    #expect(small.log.bytes(3) == small.log.bytes(1))
  }

  @Test func `a segment of another store does not count`() throws {
    let small = SmallLog()
    var writer = TestSegmentWriter()
    writer.store = StoreIdentifier(high: 7, low: 7)
    small.log.put(3, writer.segment(3, batches(5...6)))
    #expect(try small.log.view().damage.map(\.kind) == [.misplaced])
    #expect(try small.log.events() == SmallLog.events)
  }

  @Test func `for recovery the list stays short however long the segment`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    log.put(1, writer.segment(1, batches(1...500, lag: 2)))
    let short = try scan(log, keepsEvery: false)
    #expect(numbers(short) == [1, 498, 499, 500])
    #expect(short.durable == BatchNumber(498))
    #expect(numbers(try scan(log)).count == 500)
    for number in [100, 250, 251, 400] { log.flip(bit: 0, of: number * 4096 + 210, in: 1) }
    let broken = try scan(log, keepsEvery: false)
    #expect(numbers(broken) == [1, 99, 101, 249, 252, 399, 401, 498, 499, 500])
    #expect(damaged(broken).map(\.count) == [4096, 8192, 4096])
  }

  @Test func `a batch stands alone when the one before it does not lead to it`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    var all = batches(1...4)
    all[2].previous = 0x1234_5678
    log.put(1, writer.segment(1, all))
    let chained = try scan(log).items.map { item in
      if case .batch(_, let isChained) = item { isChained } else { false }
    }
    #expect(chained == [false, true, false, true])
    #expect(try log.view().damage.map(\.kind) == [.rot])
    #expect(try log.events().count == 4)
  }

  @Test func `end lines are found only at the front of a batch`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    let ends = (1...3).map {
      EndLine(
        name: SegmentName(log: LogNumber(0), number: SegmentNumber(UInt64($0))), offset: 4096 * $0)
    }
    let foreign = EndLine(
      name: SegmentName(log: LogNumber(1), number: SegmentNumber(1)), offset: 4096)
    let own = EndLine(name: writer.name(7), offset: 4096)
    var front = TestBatch(number: 300, first: 1, durable: 0, payloads: ["a"])
    front.lines = ends.map(\.text) + [foreign.text, own.text, "#listener tcp\n", ends[0].text]
    var behind = TestBatch(number: 301, first: 2, durable: 300, payloads: ["b"])
    behind.lines = ["#listener tcp\n", ends[1].text]
    log.put(7, writer.segment(7, [front, behind]))
    let scan = try scan(log, 7)
    #expect(scan.ends.map(\.line) == ends)
    #expect(scan.ends.map(\.batchOffset) == [4096, 4096, 4096])
    let recoveries = scan.items.map { item in
      if case .batch(let extent, _) = item { extent.isRecovery } else { false }
    }
    #expect(recoveries == [true, false])
  }

  @Test func `reading may begin behind known batches and end at long filler`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    var bytes = writer.segment(1, batches(1...5), blockCount: 2000)
    let whole = bytes
    log.put(1, whole)
    let known = try scan(log).items.prefix(3).compactMap { item in
      if case .batch(let extent, _) = item { extent } else { nil }
    }
    // What stands in front of the known end is not read again.
    bytes[4300] ^= 1
    let far = whole[4096..<8192]
    bytes.replaceSubrange((1900 * 4096)..<(1901 * 4096), with: far)
    log.put(1, bytes)
    var scanner = SegmentScanner(
      log.files, log.layout, store: nil, readsPastCache: false, keepsEvery: true,
      fillerMax: 1 << 20)
    let scan = try scanner.scan(writer.name(1), behind: known)
    #expect(numbers(scan) == [1, 2, 3, 4, 5])
    #expect(numbers(try self.scan(log)) == [2, 3, 4, 5, 1])
  }

  @Test func `no byte of a segment is read twice`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    var large = batches(1...9, byteCount: 500_000)
    large += batches(10...200, byteCount: 7000)
    let bytes = writer.segment(1, large, blockCount: 3000)
    log.put(1, bytes)
    let offsets = Mutex<[Int]>([])
    log.files.beforeReads { _, offset in offsets.withLock { $0.append(offset) } }
    #expect(numbers(try scan(log)) == Array(1...200))
    let read = offsets.withLock { $0 }
    // The header block is looked at first, with all that a read brings.
    #expect(zip(read, read.dropFirst()).allSatisfy { $0 + (1 << 20) == $1 })
    #expect(read.count == (bytes.count + (1 << 20) - 1) >> 20)
  }
}
