import PenstockArchive
import PenstockCore
import Testing

@Suite struct PostingBitsTests {
  private func encode(_ values: [[IndexPosting]], _ blockCount: Int) -> [UInt8] {
    var writer = PostingBitsWriter()
    writer.begin(blockCount: blockCount)
    for places in values { writer.add(places[...]) }
    var column = ColumnBuffer(capacity: 64)
    writer.finish(into: &column)
    return column.bytes.array()
  }

  /// Every value; nil when one is none, or something is left.
  private func decode(_ bytes: [UInt8], _ count: Int, blockCount: Int) -> [[IndexPosting]]? {
    guard var reader = PostingBitsReader(0..<bytes.count, bytes.rawSpan, blockCount: blockCount)
    else { return nil }
    var values: [[IndexPosting]] = []
    for _ in 0..<count {
      guard let places = reader.next(bytes.rawSpan) else { return nil }
      values.append(places)
    }
    return reader.isAtEnd(bytes.rawSpan) ? values : nil
  }

  /// Values with places of many kinds: few and many, close together and far apart, of one event and
  /// of as many as a block may have.
  private func random(_ blockCount: Int, _ random: inout TestRandom) -> [[IndexPosting]] {
    (0..<20).map { _ in
      let isClose = random.chance(33)
      let most = isClose ? min(blockCount, 200) : blockCount
      let first = isClose ? Int.random(in: 0...(blockCount - most), using: &random) : 0
      var blocks: Set<Int> = []
      for _ in 0..<Int.random(in: 1...min(most, 150), using: &random) {
        blocks.insert(first + Int.random(in: 0..<most, using: &random))
      }
      let countMax = [1, 1, 3, 300, 1 << 16].randomElement(using: &random) ?? 1
      return blocks.sorted().map {
        IndexPosting(block: $0, eventCount: Int.random(in: 1...countMax, using: &random))
      }
    }
  }

  @Test(arguments: [1, 2, 3, 63, 64, 65, 1000, 1 << 20, Int(Int32.max)])
  func `postings come back, and any of them can be passed over`(blockCount: Int) {
    for seed in 1...20 as ClosedRange<UInt64> {
      var random = TestRandom(seed: seed)
      let values = self.random(blockCount, &random)
      let bytes = encode(values, blockCount)
      #expect(decode(bytes, values.count, blockCount: blockCount) == values, "seed \(seed)")
      guard var reader = PostingBitsReader(0..<bytes.count, bytes.rawSpan, blockCount: blockCount)
      else {
        Issue.record("seed \(seed)")
        continue
      }
      for places in values {
        let isWanted = random.chance(50)
        let found = isWanted ? reader.next(bytes.rawSpan) : places
        let isPassed = isWanted || reader.skip(bytes.rawSpan)
        #expect(isPassed && found == places, "seed \(seed)")
      }
      let isAtEnd = reader.isAtEnd(bytes.rawSpan)
      #expect(isAtEnd, "seed \(seed)")
    }
  }

  @Test func `the bytes are those of the format`() {
    // 10 blocks. Value 1: block 3, one event: 1, 1100, 1. Value 2: blocks 0, 4 and 5, with 1, 3
    // and 2 events: 01 1 (3 places), 0000, r 0: 1, steps 3 and 0: 0001 1, s 1: 01, counts less
    // one, 0, 2 and 1: 1 001 01.
    let values = [
      [IndexPosting(block: 3, eventCount: 1)],
      [
        IndexPosting(block: 0, eventCount: 1), IndexPosting(block: 4, eventCount: 3),
        IndexPosting(block: 5, eventCount: 2),
      ],
    ]
    let bits = "1" + "1100" + "1" + "011" + "0000" + "1" + "00011" + "01" + "1" + "001" + "01"
    var bytes: [UInt8] = [10]
    for (index, bit) in bits.enumerated() {
      if index % 8 == 0 { bytes.append(0) }
      if bit == "1" { bytes[bytes.count - 1] |= 1 << UInt8(index % 8) }
    }
    #expect(encode(values, 10) == bytes)
    #expect(decode(bytes, 2, blockCount: 10) == values)
  }

  @Test func `a column cut short is refused`() {
    var random = TestRandom(seed: 5)
    let values = self.random(300, &random)
    let bytes = encode(values, 300)
    for count in bytes.indices {
      let found = decode(Array(bytes[..<count]), values.count, blockCount: 300)
      #expect(found == nil, "\(count) bytes")
    }
    #expect(decode(bytes + [0], values.count, blockCount: 300) == nil)
    #expect(decode(bytes, values.count, blockCount: 299) == nil)
  }

  @Test func `any bytes give postings within the table, or none`() {
    var random = TestRandom(seed: 17)
    for round in 0..<4000 {
      var bytes = (0..<Int.random(in: 1...60, using: &random)).map { _ in
        random.chance(33) ? 0 : UInt8.random(in: 0...255, using: &random)
      }
      bytes[0] = UInt8.random(in: 0...127, using: &random)
      guard var reader = PostingBitsReader(0..<bytes.count, bytes.rawSpan, blockCount: 100) else {
        #expect(bytes[0] == 0 || bytes[0] > 100, "round \(round)")
        continue
      }
      for _ in 0..<100 {
        var other = reader
        guard let places = reader.next(bytes.rawSpan) else { break }
        let isPassed = other.skip(bytes.rawSpan)
        let blocks = places.map(\.block)
        #expect(isPassed && blocks == Set(blocks).sorted(), "round \(round)")
        #expect(blocks.allSatisfy { $0 >= 0 && $0 < Int(bytes[0]) }, "round \(round)")
        #expect(places.allSatisfy { $0.eventCount >= 1 && $0.eventCount <= 1 << 16 })
      }
      while reader.skip(bytes.rawSpan) {}
    }
  }
}
