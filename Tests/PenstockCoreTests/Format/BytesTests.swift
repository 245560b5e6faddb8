import PenstockCore
import Testing

struct BytesTests {
  private func at(_ bytes: [UInt8], _ offset: Int) -> UInt64 { bytes.rawSpan.word(at: offset) }

  private func find(_ wanted: UInt8, _ bytes: [UInt8], _ from: Int, _ to: Int) -> [Int] {
    [
      bytes.rawSpan.firstIndex(of: wanted, from: from, to: to),
      bytes.rawSpan.nearIndex(of: wanted, from: from, to: to),
    ]
  }

  @Test func `words read past the end as zeros`() {
    let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    #expect(at(bytes, 0) == 0x0807_0605_0403_0201)
    #expect(at(bytes, 1) == 0x0908_0706_0504_0302)
    #expect(at(bytes, 2) == 0x0009_0807_0605_0403)
    #expect(at(bytes, 8) == 9)
    #expect(at(bytes, 9) == 0)
    #expect(at(bytes, 1000) == 0)
  }

  @Test func `both searches find what a plain loop finds`() {
    var random = TestRandom(seed: 11)
    for _ in 0..<3000 {
      let bytes = random.bytes(Int.random(in: 0...40, using: &random), from: [0, 1, 2, 0x80, 0xFF])
      let to = Int.random(in: 0...bytes.count, using: &random)
      let from = Int.random(in: 0...to, using: &random)
      let wanted: UInt8 = [0, 1, 2, 3, 0x80, 0xFF][Int.random(in: 0..<6, using: &random)]
      let expected = bytes[from..<to].firstIndex(of: wanted) ?? to
      #expect(find(wanted, bytes, from, to) == [expected, expected], "seed 11")
      let any = bytes.rawSpan.nearIndex(ofAny: 1, 2, wanted, 7, from: from, to: to)
      let expectedAny = bytes[from..<to].firstIndex { [1, 2, wanted, 7].contains($0) } ?? to
      #expect(any == expectedAny, "seed 11")
    }
  }

  @Test func `decimal numbers are digits and nothing else`() {
    func read(_ text: String, _ limit: Int = 18) -> Int? {
      let bytes = Array(text.utf8)
      return bytes.rawSpan.decimal(0..<bytes.count, digitCountMax: limit)
    }
    #expect(read("0") == 0)
    #expect(read("007") == 7)
    #expect(read("999999999999999999") == 999_999_999_999_999_999)
    for text in ["", "-1", "+1", " 1", "1 ", "1a", "/", ":", "9999999999999999999"] {
      #expect(read(text) == nil, "\(text)")
    }
    #expect(read("1234", 3) == nil)
    #expect(read("123", 3) == 123)
  }

  @Test func `hexadecimal numbers are lower-case digits inside the span`() {
    func read(_ text: String, _ offset: Int, _ count: Int) -> UInt64? {
      Array(text.utf8).rawSpan.hexadecimal(at: offset, digitCount: count)
    }
    #expect(read("ffffffffffffffff", 0, 16) == .max)
    #expect(read("x0a9f", 1, 4) == 0x0a9f)
    for text in ["0A", "0g", "0/", "0:", "0`", " 0"] { #expect(read(text, 0, 2) == nil) }
    #expect(read("ab", 1, 2) == nil)
    #expect(read("ab", -1, 2) == nil)
    #expect(read("00000000000000000", 0, 17) == nil)
  }

  @Test func `fixed-width text is what the reader reads`() {
    for value in [0, 1, 0xdead_beef, UInt64.max] {
      let text = Hexadecimal.text(value, digits: 16)
      #expect(text.utf8.count == 16)
      #expect(Array(text.utf8).rawSpan.hexadecimal(at: 0, digitCount: 16) == value)
    }
    #expect(Hexadecimal.text(10, digits: 2) == "0a")
  }

  @Test func `the checksum is CRC-32C, whole or in parts`() {
    let check = Array("123456789".utf8)
    #expect(check.rawSpan.checksum() == 0xE306_9283)
    #expect([UInt8](repeating: 0, count: 32).rawSpan.checksum() == 0x8A91_36AA)
    #expect([UInt8](repeating: 0xFF, count: 32).rawSpan.checksum() == 0x62A8_AB43)
    #expect(Array(UInt8(0)..<32).rawSpan.checksum() == 0x46DD_794E)
    var random = TestRandom(seed: 5)
    let bytes = random.bytes(40_000, from: Array(0...255))
    let whole = bytes.rawSpan.checksum()
    for cut in [0, 1, 7, 767, 768, 12_288, 20_001, 39_999, 40_000] {
      let first = Array(bytes[..<cut]).rawSpan.checksum()
      let both = Array(bytes[cut...]).rawSpan.checksum(seed: first)
      #expect(both == whole, "cut at \(cut)")
    }
    #expect(Checksum.ofWord(0x3837_3635_3433_3231) == Array("12345678".utf8).rawSpan.checksum())
  }

  @Test func `spans compare by their bytes`() {
    func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool { left.rawSpan.equals(right.rawSpan) }
    #expect(equal([], []))
    #expect(!equal([], [0]))
    #expect(!equal([1], [1, 0]))
    let bytes = Array(UInt8(0)..<20)
    #expect(equal(bytes, bytes))
    for index in bytes.indices {
      var other = bytes
      other[index] ^= 0x80
      #expect(!equal(bytes, other))
    }
  }

  @Test func `a range is all one byte or it is not`() {
    func isAll(_ bytes: [UInt8], _ range: Range<Int>) -> Bool { bytes.rawSpan.isAll(10, in: range) }
    let bytes = [UInt8](repeating: 10, count: 300)
    #expect(isAll(bytes, 0..<300))
    #expect(isAll(bytes, 5..<5))
    for index in [0, 1, 150, 299] {
      var other = bytes
      other[index] = 11
      #expect(!isAll(other, 0..<300))
      #expect(isAll(other, (index + 1)..<300))
    }
  }

  @Test func `text is found only where it stands whole`() {
    func has(_ offset: Int) -> Bool { Array("abcabc".utf8).rawSpan.hasBytes("abc", at: offset) }
    #expect((-1...7).map(has) == [false, true, false, false, true, false, false, false, false])
  }
}
