import PenstockArchive
import PenstockCore
import Testing

@Suite struct TextColumnTests {
  private struct Encoded {
    var encoding: UInt16
    var bytes: [UInt8]
  }

  private func encode(_ texts: [[UInt8]], _ effort: TableEffort) -> Encoded {
    var rows = TextRows(capacity: 1 << 10)
    for text in texts { rows.append(text.rawSpan) }
    var encoder = TextEncoder()
    var buffer = ColumnBuffer(capacity: 1 << 10)
    // What stood there before must not matter.
    buffer.append(varint: UInt64(7))
    let encoding = encoder.encode(rows, effort, into: &buffer)
    return Encoded(encoding: encoding, bytes: Array(buffer.bytes.array().dropFirst()))
  }

  private func decode(_ encoded: Encoded, rowCount: Int) -> [[UInt8]]? {
    var decoder = TextDecoder()
    var texts = ColumnBuffer(capacity: 1 << 10)
    var starts = NumberBuffer()
    guard
      decoder.decode(
        encoded.bytes.rawSpan, 0..<encoded.bytes.count, encoding: encoded.encoding,
        rowCount: rowCount, into: &texts, starts: &starts)
    else { return nil }
    let bytes = texts.bytes.array()
    return (0..<rowCount).map { Array(bytes[Int(starts[$0])..<Int(starts[$0 + 1])]) }
  }

  private func expectSame(_ texts: [[UInt8]], _ name: String) {
    for effort in [TableEffort.fast, .thorough] {
      let encoded = encode(texts, effort)
      let decoded = decode(encoded, rowCount: texts.count)
      #expect(decoded != nil, "\(name)")
      guard let decoded, decoded != texts else { continue }
      let index = zip(texts, decoded).enumerated().first { $0.element.0 != $0.element.1 }?.offset
      let wanted = index.map { String(decoding: texts[$0], as: UTF8.self) } ?? "-"
      let got = index.map { String(decoding: decoded[$0], as: UTF8.self) } ?? "-"
      Issue.record("\(name): \(wanted) came back as \(got)")
    }
  }

  private func lines(_ text: String) -> [[UInt8]] {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { Array($0.utf8) }
  }

  /// Lines with one of everything that is looked for, and with what looks nearly like it.
  static let kinds = [
    "0", "9", "00", "10", "99", "100", "007", "18446744073709551615", "9999999999999999999",
    "00000000000000000000", "12345678901234567890123456789", "1234567890123456789",
    "0x0", "0x1f", "0xDEADBEEF", "0xdeadbeefdeadbeef", "0x1234567890abcdef0", "0xg", "0x",
    "deadbeef1", "dead", "DEAD1", "DeaD1", "a1b2c3", "1a", "a1", "1e5", "4d5e", "cafe0", "CAFE0",
    "10.0.0.9", "255.255.255.255", "256.1.1.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4a",
    "0.0.0.0.", "1.2.3.4:80", "1..2.3", "10.10.10.1000",
    "03:47:52", "99:59:59", "12:60:00", "12:00:60", "03:47:52.123", "03:47:52,123", "03:47:52:123",
    "03:47:52.123456", "03:47:52.12", "03:47:52.1234", "03:47:521", "3:47:52", "103:47:52",
    "Jul  1 09:00:55", "Jul 01 09:00:55", "Jul 10 09:00:55", "Jul 1 09:00:55", "Jul 32 09:00:55",
    "Jul 10 29:00:55", "Foo 10 09:00:55", "Jul  1 24:00:00", "xJul  1 09:00:55", "Jul 10 09:00:5",
    "2026-11-21T03:47:52.123456789Z", "2026-11-21T03:47:52Z", "20171223-22:15:29:606",
    "123e4567-e89b-12d3-a456-426614174000", "12345678-e89b-12d3-a456-426614174000",
    "1abcdefa-abcd-abcd-abcd-abcdefabcdef", "1abcdefa-abcd-abcd-abcd-abcdefabcde",
    "0123456789abcdef0123456789abcdef", "0123456789abcdef", "0123456789ABCDEF",
    "_id=0123abcd", "_id=01234567", "_id=0123ABCD", "_id=abcdefab", "_id=0123abcdx",
    "x_id=0123abcd",
    "_id=0123abcd y=1 _id=7", "\u{e4}1\u{20ac}2", "1\u{1B}[0m2", "\t1\t2", "a\r", "", " ", "-1",
    "+1",
  ]

  @Test func `every kind of value comes back`() {
    expectSame(Self.kinds.map { Array($0.utf8) }, "once")
    for kind in Self.kinds {
      for frame in ["\(kind)", "a \(kind) b", "\(kind)\(kind)", "x=\(kind),\(kind)]"] {
        expectSame([Array(frame.utf8)], frame)
        expectSame([[UInt8]](repeating: Array(frame.utf8), count: 40), frame)
      }
    }
  }

  @Test(arguments: 0..<40)
  func `lines put together from values come back`(seed: UInt64) {
    var random = TestRandom(seed: seed)
    let statements = (0..<Int.random(in: 1...9, using: &random)).map { number in
      (0..<Int.random(in: 0...7, using: &random)).map { _ in
        random.chance(50) ? "word\(number)" : Self.kinds.randomElement(using: &random) ?? ""
      }
    }
    let texts = (0..<Int.random(in: 1...700, using: &random)).map { row in
      let words = (statements.randomElement(using: &random) ?? []).map { word in
        switch Int.random(in: 0..<6, using: &random) {
        case 0: "\(row)"
        case 1: "\(UInt64.random(in: 0...(.max), using: &random))"
        case 2: String(UInt32.random(in: 0...(.max), using: &random), radix: 16)
        case 3: Self.kinds.randomElement(using: &random) ?? ""
        default: word
        }
      }
      return Array(words.joined(separator: [" ", "=", "", "-"][Int(seed % 4)]).utf8)
    }
    expectSame(texts, "seed \(seed)")
  }

  @Test(arguments: 0..<20)
  func `any bytes come back`(seed: UInt64) {
    var random = TestRandom(seed: seed)
    let sizes = [0...0, 0...3, 0...200, 4000...4200, 64...64][Int(seed % 5)]
    let alphabet: [UInt8] =
      seed % 3 == 0
      ? Array(0...255) : seed % 3 == 1 ? Array("0123456789abcdefx.: ".utf8) : [48, 49]
    let texts = (0..<Int.random(in: 1...60, using: &random)).map { _ in
      random.bytes(Int.random(in: sizes, using: &random), from: alphabet)
    }
    expectSame(texts, "seed \(seed)")
  }

  @Test func `one row, very many and a very long one come back`() {
    expectSame([[]], "an empty one")
    expectSame((0..<65_536).map { Array("\($0 % 7)".utf8) }, "many")
    expectSame([[UInt8]](repeating: [], count: 65_536), "many empty ones")
    var long = [UInt8](repeating: UInt8(ascii: "7"), count: 8 << 20)
    for index in stride(from: 0, to: long.count, by: 3) { long[index] = UInt8(index & 255) }
    expectSame([[1], long, []], "long")
  }

  @Test func `many numbers in one line come back`() {
    let line = Array((0..<600).map { "\($0)" }.joined(separator: " ").utf8)
    expectSame([[UInt8]](repeating: line, count: 30), "numbers")
  }

  // MARK: - Damage

  private func sample(_ seed: UInt64) -> [[UInt8]] {
    (0..<24).map { row in
      let text =
        switch row % 3 {
        case 0:
          "Jul  \(row % 9 + 1) 09:00:\(row + 10) host app[\(row * 37)]: took \(row * seedy(seed)) ms"
        case 1: "GET /item/\(row) from 10.0.0.\(row) id 0123abcd\(row) a1b2c\(row)d"
        default: "2026-11-21T03:47:52.\(100 + row)Z _id=0000ab\(row + 10) 0x\(row)f"
        }
      return Array(text.utf8)
    }
  }

  private func seedy(_ seed: UInt64) -> Int { Int(seed) * 1001 }

  /// Decodes bytes that may be anything: what comes is as long as it says.
  private func decodeAny(_ bytes: [UInt8], _ encoding: UInt16) {
    guard let texts = decode(Encoded(encoding: encoding, bytes: bytes), rowCount: 24) else {
      return
    }
    #expect(texts.count == 24)
  }

  @Test(arguments: [TableEffort.fast, .thorough])
  func `cut short, or with a bit flipped, a column never traps`(effort: TableEffort) {
    let encoded = encode(sample(1), effort)
    #expect(encoded.encoding == 1)
    #expect(decode(encoded, rowCount: 24) == sample(1))
    for count in encoded.bytes.indices {
      let cut = Encoded(encoding: 1, bytes: Array(encoded.bytes[..<count]))
      #expect(decode(cut, rowCount: 24) == nil, "cut at \(count)")
    }
    for offset in encoded.bytes.indices {
      for bit in 0..<8 {
        var flipped = encoded.bytes
        flipped[offset] ^= 1 << UInt8(bit)
        decodeAny(flipped, 1)
        decodeAny(flipped, 0)
      }
    }
  }

  @Test func `random damage never traps`() {
    var random = TestRandom(seed: 11)
    for round in 0..<4000 {
      var bytes = encode(sample(UInt64(round % 5)), .fast).bytes
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        let offset = Int.random(in: 0..<(round % 2 == 0 ? 40 : bytes.count), using: &random)
        bytes[offset] =
          [0, 1, 0x7F, 0x80, 0xFF, UInt8.random(in: 0...255, using: &random)][
            Int.random(in: 0..<6, using: &random)]
      }
      decodeAny(bytes, 1)
    }
  }

  @Test func `a wrong count of rows is noticed`() {
    let encoded = encode(sample(2), .fast)
    for count in [1, 23, 25, 65_536] { #expect(decode(encoded, rowCount: count) == nil) }
  }
}
