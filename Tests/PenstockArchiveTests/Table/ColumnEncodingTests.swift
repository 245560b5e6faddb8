import PenstockArchive
import PenstockCore
import Testing

@Suite struct ColumnEncodingTests {
  @Test func `numbers of every size come back`() {
    var random = TestRandom(seed: 3)
    var values: [UInt64] = [0, 1, 127, 128, .max, .max - 1, 1 << 56, (1 << 56) - 1, 1 << 63]
    for bits in 0..<64 {
      values.append(UInt64.random(in: 0...(.max >> UInt64(bits)), using: &random))
    }
    for value in values {
      var buffer = ColumnBuffer(capacity: 64)
      buffer.append(varint: value)
      let count = buffer.count
      buffer.append(zigzag: Int128(value) * -3)
      var reader = NumberReader(0..<buffer.count)
      #expect(reader.varint(buffer.bytes) == value)
      #expect(reader.zigzag(buffer.bytes) == Int128(value) * -3)
      #expect(reader.isAtEnd)
      // Cut short it is none.
      var cut = NumberReader(0..<(count - 1))
      #expect(cut.varint(buffer.bytes) == nil)
    }
  }

  @Test func `a number that never ends is none`() {
    var buffer = ColumnBuffer(capacity: 64)
    for _ in 0..<40 { buffer.append(varint: UInt64.max) }
    let bytes = [UInt8](repeating: 0xFF, count: 40)
    var reader = NumberReader(0..<40)
    #expect(reader.varint(bytes.rawSpan) == nil)
    reader = NumberReader(0..<40)
    #expect(reader.zigzag(bytes.rawSpan) == nil)
  }
}
