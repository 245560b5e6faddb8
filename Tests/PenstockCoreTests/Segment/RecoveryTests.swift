import PenstockCore
import Testing

/// Two segments: batches 1 to 3 proved durable, batch 4 provisional.
struct SmallLog {
  var log = TestLog()
  /// The events of each batch, from batch 1 on.
  let batches: [[TestEvent]]
  /// The bytes of each batch, from batch 1 on, within its segment.
  let ranges: [Range<Int>]

  static let events = (1...6).map { TestEvent(sequence: UInt64($0), payload: "event \($0)") }

  init(alignment: Int = 4096) {
    log = TestLog(alignment: alignment)
    batches = [
      Array(SmallLog.events[0..<2]), [SmallLog.events[2]], Array(SmallLog.events[3..<5]),
      [SmallLog.events[5]],
    ]
    var writer = TestSegmentWriter()
    let all = batches.enumerated().map { index, events in
      TestBatch(
        number: UInt64(index + 1), first: events[0].sequence, durable: UInt64(index),
        payloads: events.map(\.payload))
    }
    log.put(1, writer.segment(1, Array(all[0..<3]), blockCount: 5))
    log.put(2, writer.segment(2, [all[3]], blockCount: 3))
    var sizes: [Int] = []
    for batch in all { sizes.append(writer.bytes(batch, salt: 0).count) }
    ranges = zip([4096, 8192, 12288, 4096], sizes).map { $0..<($0 + $1) }
  }

  /// The events of all batches but `missing`.
  func events(without missing: Int...) -> [TestEvent] {
    batches.enumerated().filter { !missing.contains($0.offset + 1) }.flatMap(\.element)
  }

  func batch(_ number: UInt64) -> ClosedRange<BatchNumber> {
    BatchNumber(number)...BatchNumber(number)
  }
}

struct RecoveryTests {
  /// Blocks that could not be read when a segment was ended may be readable again, with batches
  /// that are chained to those in front of the end and prove them.
  @Test func `what stands in front of a segment's end stays when batches behind it show up`()
    throws
  {
    let log = TestLog()
    var writer = TestSegmentWriter()
    let all = (1...8).map { number in
      TestBatch(
        number: UInt64(number), first: UInt64(number), durable: UInt64(number - 1),
        payloads: ["\(number)"])
    }
    var until = writer
    _ = until.segment(1, Array(all[..<4]))
    log.put(1, writer.segment(1, all))
    let end = EndLine(name: writer.name(1), offset: 5 * 4096)
    writer.checksum = until.checksum
    log.put(
      2,
      writer.segment(
        2,
        [
          TestBatch(
            number: 2 * Limits.batchNumberJump, first: 5, durable: 4, payloads: ["5"],
            lines: [end.text])
        ]))
    let expected = ["1", "2", "3", "4", "5"]
    #expect(try log.events().map(\.payload) == expected)
    for _ in 1...3 {
      try log.recover()
      #expect(try log.events().map(\.payload) == expected)
    }
  }

  @Test func `a log nobody has written to begins with 1 and needs no recovery batch`() throws {
    let log = TestLog()
    let recovered = try log.recover()
    #expect(recovered.header.name.number == SegmentNumber(1))
    #expect(recovered.nextOffset == 4096)
    #expect(recovered.lastBatch == .none)
    #expect(recovered.lastChecksum == 0)
    #expect(recovered.nextSequence == SequenceNumber(1))
    #expect(recovered.lastDurableSequence == .none)
    #expect(recovered.damage.isEmpty)
    #expect(try log.events().isEmpty)
    #expect(log.files.openCount == 0)
  }

  @Test func `a log that was prepared but never written to leaves numbers out all the same`() throws
  {
    let log = TestLog()
    try log.recover()
    let recovered = try log.recover()
    #expect(recovered.header.name.number == SegmentNumber(2))
    #expect(recovered.lastBatch.value == 2 * Limits.batchNumberJump)
    #expect(recovered.nextSequence.value == 2 * Limits.sequenceJump)
    #expect(recovered.damage.isEmpty)
    let view = try log.view()
    #expect(view.damage.isEmpty)
    #expect(view.lastBatch == recovered.lastBatch)
  }

  @Test func `recovery copies what is not proved and says where the old segments end`() throws {
    let small = SmallLog()
    let recovered = try small.log.recover()
    #expect(recovered.damage.isEmpty)
    #expect(recovered.eventsRecovered == 1)
    #expect(recovered.header.name.number == SegmentNumber(3))
    #expect(recovered.nextOffset == 8192)
    #expect(recovered.lastBatch == BatchNumber(3 * Limits.batchNumberJump))
    #expect(recovered.lastDurableSequence == SequenceNumber(6))
    #expect(recovered.nextSequence == SequenceNumber(3 * Limits.sequenceJump))
    #expect(try small.log.events() == SmallLog.events)
    let view = try small.log.view()
    #expect(view.damage.isEmpty)
    #expect(
      view.segments.map { $0.batches.map(\.line.number.value) } == [[1, 2, 3], [], [3 << 20]])
    #expect(view.segments.map(\.isSealed) == [true, true, false])
    #expect(view.lastProved == SequenceNumber(5))
    let batch = try #require(view.segments[2].batches.first)
    #expect(batch.line.durable == BatchNumber(3))
    #expect(batch.line.firstSequence == SequenceNumber(6))
    #expect(batch.line.checksum == recovered.lastChecksum)
    let text = String(decoding: small.log.bytes(3)[4096..<8192], as: UTF8.self)
    #expect(text.contains("#end segment=0000000000000001 log=00 offset=0000000000004000\n"))
    #expect(text.contains("#end segment=0000000000000002 log=00 offset=0000000000001000\n"))
  }

  @Test func `the old segments are not changed`() throws {
    let small = SmallLog()
    let before = [small.log.bytes(1), small.log.bytes(2)]
    try small.log.recover()
    #expect([small.log.bytes(1), small.log.bytes(2)] == before)
  }

  @Test func `recovering again and again keeps every event once`() throws {
    let small = SmallLog()
    var last = BatchNumber.none
    for round in 1...20 {
      let recovered = try small.log.recover()
      #expect(try small.log.events() == SmallLog.events, "round \(round)")
      #expect(recovered.lastBatch > last)
      #expect(recovered.damage.isEmpty)
      last = recovered.lastBatch
    }
    #expect(try small.log.view().damage.isEmpty)
  }

  @Test func `writing goes on behind the recovery batch, across many recoveries`() throws {
    let log = TestLog()
    var expected: [TestEvent] = []
    for round in 0..<12 {
      let recovered = try log.recover(segmentByteCount: 64 << 10)
      #expect(recovered.damage.isEmpty, "round \(round)")
      var writer = TestSegmentWriter()
      writer.checksum = recovered.lastChecksum
      var bytes = log.bytes(recovered.header.name.number.value)
      var offset = recovered.nextOffset
      for index in 0..<UInt64(round % 4) {
        let event = TestEvent(
          sequence: recovered.nextSequence.value + index, payload: "\(round) \(index)")
        let batch = TestBatch(
          number: recovered.lastBatch.value + 1 + index, first: event.sequence,
          durable: recovered.lastBatch.value + (index > 1 ? index - 1 : 0),
          payloads: [event.payload])
        let written = writer.bytes(batch, salt: recovered.header.salt)
        bytes.replaceSubrange(offset..<(offset + written.count), with: written)
        offset += 4096
        expected.append(event)
      }
      log.put(recovered.header.name.number.value, bytes)
      #expect(try log.events() == expected, "round \(round)")
    }
    #expect(try log.view().damage.isEmpty)
  }

  @Test func `the frontier of the process before proves what no batch does`() throws {
    let small = SmallLog()
    let recovered = try small.log.recover(frontier: 6)
    #expect(recovered.eventsRecovered == 0)
    #expect(recovered.lastDurableSequence.value == recovered.nextSequence.value - 1)
    #expect(try small.log.events() == SmallLog.events)
    #expect(try small.log.view().lastProved == SequenceNumber(6))
  }

  @Test func `a damaged last batch the frontier proves is rot, not a tail`() throws {
    let small = SmallLog()
    small.log.flip(bit: 0, of: small.ranges[3].upperBound - 2, in: 2)
    let recovered = try small.log.recover(frontier: 6)
    #expect(recovered.damage.map(\.kind) == [.rot])
    #expect(recovered.damage.dropFirst(0).first?.batches == small.batch(4))
    #expect(try small.log.events() == small.events(without: 4))
  }

  @Test func `archived segments are unlinked and numbers go on`() throws {
    let small = SmallLog()
    let recovered = try small.log.recover(archivedThrough: 1, coveredThrough: 5)
    #expect(small.log.files.bytes(small.log.path(1)) == nil)
    #expect(recovered.damage.isEmpty)
    #expect(try small.log.events(after: 1) == small.batches[3])
    let again = try small.log.recover(archivedThrough: 3, coveredThrough: 1 << 40)
    #expect(again.header.name.number == SegmentNumber(4))
    #expect(again.nextSequence.value == (1 << 40) + Limits.sequenceJump)
    #expect(again.lastBatch > recovered.lastBatch)
  }

  @Test func `a name a preparer took meanwhile is passed over`() throws {
    let small = SmallLog()
    let header = try SegmentPreparation.prepare(
      small.log.files, small.log.layout,
      name: SegmentName(log: small.log.log, number: SegmentNumber(3)),
      store: TestSegmentWriter.store, byteCount: 8192, isFilled: false)
    #expect(header.byteCount == 8192)
    let recovered = try small.log.recover()
    #expect(recovered.header.name.number == SegmentNumber(4))
    #expect(try small.log.events() == SmallLog.events)
    #expect(try small.log.view().damage.isEmpty)
  }

  @Test func `the fresh segment holds a recovery batch larger than asked for`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    let payload = String(repeating: "x", count: 9000)
    let payloads = (0..<300).map { "\($0) " + payload }
    log.put(
      1,
      writer.segment(
        1, [TestBatch(number: 1, first: 1, durable: 0, payloads: payloads)], blockCount: 700))
    let recovered = try log.recover(segmentByteCount: 8192)
    #expect(recovered.eventsRecovered == 300)
    #expect(recovered.header.byteCount > 300 * 9000)
    #expect(try log.events().map(\.payload) == payloads)
    #expect(try log.view().segments[1].batches.count == 1)
  }

  @Test func `without direct I/O recovery does the same`() throws {
    let small = SmallLog(alignment: 0)
    let recovered = try small.log.recover()
    #expect(recovered.eventsRecovered == 1)
    #expect(try small.log.events() == SmallLog.events)
  }

  @Test func `a tail with a valid batch behind it is dropped, kept aside and reported`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    let batches = (1...5).map {
      TestBatch(
        number: UInt64($0), first: UInt64($0), durable: UInt64(max(0, $0 - 3)),
        payloads: ["event \($0)"])
    }
    log.put(1, writer.segment(1, batches, blockCount: 8))
    log.flip(bit: 3, of: 4 * 4096 + 200, in: 1)
    let recovered = try log.recover()
    #expect(recovered.damage.map(\.kind) == [.tailPossiblyAcknowledged])
    let damage = try #require(recovered.damage.first)
    #expect(damage.range.lowerBound == 4 * 4096)
    #expect(damage.batches == BatchNumber(4)...BatchNumber(5))
    let path = try #require(damage.copy)
    let copy = try #require(log.files.bytes(path))
    #expect(copy == Array(log.bytes(1)[damage.range]))
    #expect(try log.events().map(\.payload) == ["event 1", "event 2", "event 3"])
    #expect(recovered.nextSequence.value == 2 * Limits.sequenceJump)
    #expect(recovered.lastBatch.value == 2 * Limits.batchNumberJump)
  }

  @Test func `what is proved of a gap is rot and what is not is a tail`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    let durable: [UInt64] = [0, 1, 2, 2, 3]
    let batches = (1...5).map {
      TestBatch(
        number: UInt64($0), first: UInt64($0), durable: durable[$0 - 1], payloads: ["event \($0)"])
    }
    log.put(1, writer.segment(1, batches))
    log.flip(bit: 3, of: 3 * 4096 + 200, in: 1)
    log.flip(bit: 3, of: 4 * 4096 + 200, in: 1)
    let recovered = try log.recover()
    #expect(recovered.damage.map(\.kind) == [.rot, .tailPossiblyAcknowledged])
    #expect(recovered.damage.dropFirst(0).first?.batches == BatchNumber(3)...BatchNumber(3))
    #expect(try log.events().map(\.payload) == ["event 1", "event 2"])
  }

  @Test func `rot in a batch that was settled long ago is read around`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    let batches = (1...40).map {
      TestBatch(
        number: UInt64($0), first: UInt64($0), durable: UInt64(max(0, $0 - 2)),
        payloads: ["event \($0)"])
    }
    log.put(1, writer.segment(1, batches))
    for number in [7, 8, 20] { log.flip(bit: 1, of: number * 4096 + 100, in: 1) }
    let recovered = try log.recover()
    #expect(recovered.damage.map(\.kind) == [.rot, .rot])
    #expect(
      recovered.damage.map(\.batches) == [
        BatchNumber(7)...BatchNumber(8), BatchNumber(20)...BatchNumber(20),
      ])
    let expected = (1...40).filter { ![7, 8, 20].contains($0) }.map { "event \($0)" }
    #expect(try log.events().map(\.payload) == expected)
  }

  @Test func `a write the disk lost without a trace is reported where it should stand`() throws {
    let small = SmallLog()
    var bytes = small.log.bytes(1)
    bytes.replaceSubrange(8192..<12288, with: Array(repeating: Byte.lineFeed, count: 4096))
    small.log.put(1, bytes)
    let recovered = try small.log.recover()
    #expect(recovered.damage.map(\.kind) == [.rot])
    #expect(recovered.damage.dropFirst(0).first?.batches == small.batch(2))
    #expect(recovered.damage[0].copy == nil)
    #expect(try small.log.events() == small.events(without: 2))
  }

  @Test func `a block the medium cannot read is damage, and a medium gone is an error`() throws {
    let small = SmallLog()
    small.log.files.breakMedium(small.log.path(1), 8192..<8193)
    let recovered = try small.log.recover()
    #expect(recovered.damage.map(\.kind) == [.rot])
    #expect(recovered.damage.dropFirst(0).first?.batches == small.batch(2))
    let gone = SmallLog()
    gone.log.files.breakMedium(gone.log.path(2), 0..<(1 << 20))
    #expect(throws: LogError.self) { try gone.log.recover() }
    #expect(gone.log.files.openCount == 0)
  }

  @Test func `a damaged line does not use up the numbers`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    var far = TestBatch(number: 1 << 59, first: 1 << 59, durable: 1, payloads: ["far"])
    far.lines = ["#unknown\n"]
    log.put(
      1,
      writer.segment(
        1, [TestBatch(number: 1, first: 1, durable: 0, payloads: ["near"]), far], blockCount: 4))
    log.flip(bit: 0, of: 8192 + 195, in: 1)
    let recovered = try log.recover()
    #expect(recovered.lastBatch.value == 2 << 20)
    #expect(recovered.nextSequence.value == 2 << 24)
  }
}
