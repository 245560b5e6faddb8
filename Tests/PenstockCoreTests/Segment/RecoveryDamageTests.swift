// Every truncation and every flipped bit of a small log: recovery never fails, and gives exactly
// what the decision table says.

import PenstockCore
import Testing

struct RecoveryDamageTests {
  /// What a change of one byte of the small log means.
  private struct Expectation: Equatable {
    var missing: [Int] = []
    var kinds: [Damage.Kind] = []
    var batches: ClosedRange<BatchNumber>?
  }

  private func expectation(_ small: SmallLog, segment: Int, byte: Int) -> Expectation {
    let inFirst = segment == 1
    if byte < SegmentHeader.textByteCount { return Expectation(kinds: [.header]) }
    for (index, range) in small.ranges.enumerated()
    where range.contains(byte) && (index < 3) == inFirst {
      let number = index + 1
      return inFirst
        ? Expectation(missing: [number], kinds: [.rot], batches: small.batch(UInt64(number)))
        : Expectation(missing: [number], kinds: [.tail])
    }
    // Filler of the header block, and of a batch's last block, is not looked at.
    let lastBlock = inFirst ? 12288 : 4096
    guard byte >= lastBlock + 4096 else { return Expectation() }
    // A damaged filler block between two batches, and one behind the last batch of the log.
    return Expectation(kinds: [inFirst ? .strayBytes : .tail])
  }

  private func check(
    _ log: TestLog, _ expected: [TestEvent], _ expectation: Expectation, isTwice: Bool,
    _ what: String
  ) throws {
    let before = try log.view()
    #expect(try log.events(in: before) == expected, "\(what): the view")
    #expect(before.damage.map(\.kind) == expectation.kinds, "\(what): the view")
    let recovered = try log.recover()
    #expect(recovered.damage.map(\.kind) == expectation.kinds, "\(what): recovery")
    #expect(recovered.damage.first?.batches == expectation.batches, "\(what): the batches")
    #expect(recovered.damage.filter { $0.copy == nil }.isEmpty, "\(what): the copies")
    #expect(try log.events() == expected, "\(what): after recovery")
    #expect(log.files.openCount == 0, "\(what): closed files")
    guard isTwice else { return }
    let again = try log.recover()
    #expect(again.damage.filter(\.isTail).isEmpty, "\(what): the second recovery")
    #expect(try log.events() == expected, "\(what): after the second recovery")
  }

  /// Bytes whose every bit is flipped, and others of which one bit is.
  private func isTold(_ small: SmallLog, segment: Int, byte: Int) -> Bool {
    byte < SegmentHeader.textByteCount + 2
      || small.ranges.enumerated().contains { index, range in
        (index < 3) == (segment == 1) && range.contains(byte)
      }
  }

  /// Numbers no writer reaches: taken at their word, no number would be left to go on with.
  @Test(arguments: [UInt64.max, UInt64.max - 1, 1 << 63, 0])
  func `a planted batch of impossible numbers is damaged bytes`(_ number: UInt64) throws {
    for isSequence in [false, true] {
      let log = TestLog()
      var writer = TestSegmentWriter()
      var planted = TestBatch(number: 2, first: 2, durable: 1, payloads: ["planted"])
      if isSequence { planted.first = number } else { planted.number = number }
      log.put(
        1,
        writer.segment(
          1, [TestBatch(number: 1, first: 1, durable: 0, payloads: ["good"]), planted]))
      let recovered = try log.recover()
      #expect(try log.events().map(\.payload) == ["good"])
      #expect(recovered.damage.map(\.kind) == [.tail])
      #expect(recovered.nextSequence == SequenceNumber(2 * Limits.sequenceJump))
      #expect(try log.recover().eventsRecovered == 1)
    }
  }

  /// A page holds whatever was written to it.
  @Test func `a frontier of any value leaves numbers to go on with`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    log.put(1, writer.segment(1, [TestBatch(number: 1, first: 1, durable: 0, payloads: ["a"])]))
    let recovered = try log.recover(frontier: .max, segmentByteCount: 64 << 10)
    writer.checksum = recovered.lastChecksum
    var bytes = log.bytes(2)
    let next = writer.bytes(
      TestBatch(
        number: recovered.lastBatch.value + 1, first: recovered.nextSequence.value,
        durable: recovered.lastBatch.value, payloads: ["b"]), salt: recovered.header.salt)
    bytes.replaceSubrange(recovered.nextOffset..<(recovered.nextOffset + next.count), with: next)
    log.put(2, bytes)
    #expect(try log.events().map(\.payload) == ["a", "b"])
    try log.recover(frontier: .max)
    #expect(try log.events().map(\.payload) == ["a", "b"])
  }

  @Test(arguments: [1, 2], 0..<8)
  func `every flipped bit costs exactly the batch it is in`(_ segment: Int, _ bit: Int) throws {
    let small = SmallLog()
    let whole = small.log.restarted()
    let bytes = whole.bytes(UInt64(segment))
    for byte in bytes.indices
    where isTold(small, segment: segment, byte: byte) || (byte / 8) % 67 == bit {
      let log = whole.restarted()
      log.flip(bit: bit, of: byte, in: UInt64(segment))
      let expectation = expectation(small, segment: segment, byte: byte)
      let events = small.batches.enumerated()
        .filter { !expectation.missing.contains($0.offset + 1) }.flatMap(\.element)
      try check(
        log, events, expectation, isTwice: byte % 8 == bit,
        "segment \(segment), byte \(byte), bit \(bit)")
    }
  }

  @Test func `every truncation of the sealed segment costs the batches it cuts`() throws {
    let small = SmallLog()
    let whole = small.log.restarted()
    let bytes = whole.bytes(1)
    for count in bytes.indices where count % 3 == 0 || isTold(small, segment: 1, byte: count) {
      let log = whole.restarted()
      log.put(1, Array(bytes[..<count]))
      let lost = (1...3).filter { small.ranges[$0 - 1].upperBound > count }
      let events = small.batches.enumerated()
        .filter { !lost.contains($0.offset + 1) }.flatMap(\.element)
      let recovered = try log.recover()
      #expect(try log.events() == events, "\(count) bytes")
      #expect(recovered.damage.map(\.kind) == (lost.isEmpty ? [] : [.rot]), "\(count) bytes")
      if let first = lost.first {
        #expect(
          recovered.damage.dropFirst(0).first?.batches == BatchNumber(
            UInt64(first))...BatchNumber(3),
          "\(count) bytes")
      }
    }
  }

  @Test func `every truncation of the last segment leaves the batches before it`() throws {
    let small = SmallLog()
    let whole = small.log.restarted()
    let bytes = whole.bytes(2)
    for count in bytes.indices where count % 3 == 0 || isTold(small, segment: 2, byte: count) {
      let log = whole.restarted()
      log.put(2, Array(bytes[..<count]))
      let isWhole = count >= small.ranges[3].upperBound
      let isTorn = !isWhole && count > small.ranges[3].lowerBound
      let recovered = try log.recover()
      let expected = isWhole ? SmallLog.events : small.events(without: 4)
      #expect(try log.events() == expected, "\(count) bytes")
      #expect(recovered.damage.map(\.kind) == (isTorn ? [.tail] : []), "\(count) bytes")
    }
  }

  @Test func `random damage all over never stops recovery, and never invents an event`() throws {
    for seed in UInt64(1)...400 {
      var random = TestRandom(seed: seed)
      let small = SmallLog()
      for number in UInt64(1)...2 where random.chance(80) {
        var bytes = small.log.bytes(number)
        for _ in 0..<Int.random(in: 1...40, using: &random) {
          let start = Int.random(in: 0..<bytes.count, using: &random)
          let count = min(Int.random(in: 1...6000, using: &random), bytes.count - start)
          let source = Int.random(in: 0...(bytes.count - count), using: &random)
          switch random.next() % 4 {
          case 0: bytes[start] = UInt8(truncatingIfNeeded: random.next())
          case 1: for index in start..<(start + count) { bytes[index] = 0 }
          case 2:
            bytes.replaceSubrange(start..<(start + count), with: bytes[source..<(source + count)])
          default: if random.chance(5) { bytes.removeLast(bytes.count - max(start, 1)) }
          }
        }
        small.log.put(number, bytes)
      }
      let seen = try small.log.events()
      try small.log.recover()
      let events = try small.log.events()
      #expect(events == seen, "seed \(seed)")
      #expect(events.allSatisfy(SmallLog.events.contains), "seed \(seed)")
      #expect(events.map(\.sequence) == events.map(\.sequence).sorted(), "seed \(seed)")
    }
  }
}
