import PenstockCore
import Testing

struct EndLineTests {
  private let line = EndLine(
    name: SegmentName(log: LogNumber(0x0a), number: SegmentNumber(0x17)), offset: 0x40_1000)
  private let text = "#end segment=0000000000000017 log=0a offset=0000000000401000\n"

  @Test func `the line is the text of the grammar, and reads back`() {
    #expect(line.text == text)
    #expect(text.utf8.count == EndLine.textByteCount)
    let bytes = Array(("x" + text + "#end ").utf8)
    #expect(EndLine(bytes.rawSpan, at: 1) == line)
    #expect(EndLine(bytes.rawSpan, at: 0) == nil)
    #expect(EndLine(bytes.rawSpan, at: -1) == nil)
    #expect(EndLine(bytes.rawSpan, at: 62) == nil)
  }

  @Test func `no truncation and no flipped bit outside a number reads as a line`() {
    let bytes = Array(text.utf8)
    for count in bytes.indices {
      #expect(EndLine(Array(bytes[..<count]).rawSpan, at: 0) == nil)
    }
    let numbers = [13..<29, 34..<36, 44..<60]
    for index in bytes.indices {
      for bit in 0..<8 {
        var flipped = bytes
        flipped[index] ^= 1 << UInt8(bit)
        let read = EndLine(flipped.rawSpan, at: 0)
        #expect(read != line)
        if !numbers.contains(where: { $0.contains(index) }) { #expect(read == nil) }
      }
    }
  }

  @Test func `an offset no file can have is refused`() {
    let bytes = Array(text.replacing("0000000000401000", with: "ffffffffffffffff").utf8)
    #expect(EndLine(bytes.rawSpan, at: 0) == nil)
  }
}
