import PenstockCore
import Testing

struct EventWriterTests {
  /// A whole line, field by field.
  private func write(
    _ stream: [UInt8], _ type: [UInt8], _ value: [UInt8], _ payload: [UInt8], limit: Int
  ) -> (bytes: [UInt8], isFull: Bool) {
    var memory = AlignedBuffer(byteCount: 8192)
    memory.fill(0..<8192, with: 0xEE)
    var writer = EventWriter(offset: 16, limit: 16 + limit)
    writer.put(Timestamp(seconds: 0, nanoseconds: 5), &memory)
    writer.put(Byte.space, &memory)
    writer.put(word: stream.rawSpan, &memory)
    writer.put(" ", &memory)
    writer.put(word: type.rawSpan, &memory)
    writer.put(" k=", &memory)
    writer.put(word: value.rawSpan, &memory)
    writer.put(" n=", &memory)
    writer.put(decimal: 1234, &memory)
    writer.end(payload: payload.rawSpan, &memory)
    #expect(memory.bytes(0..<16).array() == [UInt8](repeating: 0xEE, count: 16))
    #expect(memory.bytes((16 + limit)..<8192).array().isAll(0xEE, in: 0..<(8192 - 16 - limit)))
    return (memory.bytes(16..<writer.offset).array(), writer.isFull)
  }

  @Test func `a line is written as the grammar has it`() {
    let written = write(
      Array("a b".utf8), Array("T\\".utf8), Array("1\t2".utf8), Array("p\tq".utf8), limit: 500)
    #expect(!written.isFull)
    #expect(
      String(decoding: written.bytes, as: UTF8.self)
        == "1970-01-01T00:00:00.000000005Z a\\sb T\\\\ k=1\\t2 n=1234\tp\tq\n")
  }

  @Test func `whatever goes in, the line reads back as it`() throws {
    for seed in UInt64(1)...1500 {
      var random = TestRandom(seed: seed)
      let alphabet = Array("ab \t\n\\=\0#".utf8) + [0x80, 0xFF]
      func field(_ least: Int, _ most: Int) -> [UInt8] {
        random.bytes(Int.random(in: least...most, using: &random), from: alphabet)
      }
      let (stream, type, value, payload) = (field(1, 30), field(1, 30), field(0, 40), field(0, 90))
      let (bytes, isFull) = write(stream, type, value, payload, limit: 2000)
      #expect(!isFull)
      #expect(bytes.last == Byte.lineFeed)
      #expect(bytes.dropLast().firstIndex(of: Byte.lineFeed) == nil, "seed \(seed)")
      let line = try EventLine(bytes.rawSpan, 0..<(bytes.count - 1))
      func plain(_ range: Range<Int>) -> [UInt8]? { Escape.decode(Array(bytes[range]).rawSpan) }
      #expect(plain(line.stream) == stream, "seed \(seed)")
      #expect(plain(line.type) == type, "seed \(seed)")
      let stored = AttributeCursor.value(of: "k", in: bytes.rawSpan, line.attributes)
      #expect(stored.flatMap(plain) == value, "seed \(seed)")
      let isEscaped =
        AttributeCursor.value(of: "_escaped", in: bytes.rawSpan, line.attributes) != nil
      #expect(isEscaped == (payload.contains(0) || payload.contains(10)), "seed \(seed)")
      #expect((isEscaped ? plain(line.payload) : Array(bytes[line.payload])) == payload)
    }
  }

  @Test func `at every limit the line is whole or marked full, and nothing is written behind it`() {
    let stream = Array("a b".utf8)
    let payload = Array("x\ny\\z".utf8)
    let whole = write(stream, stream, stream, payload, limit: 500).bytes
    for limit in 0...(whole.count + 20) {
      let (bytes, isFull) = write(stream, stream, stream, payload, limit: limit)
      #expect(bytes.count <= limit)
      #expect(isFull == (limit < whole.count), "limit \(limit)")
      if !isFull { #expect(bytes == whole) }
    }
  }

  @Test func `words of up to eight bytes are written at any place`() {
    for count in 0...8 {
      for room in count...12 {
        var memory = AlignedBuffer(byteCount: 64)
        var writer = EventWriter(offset: 3, limit: 3 + room)
        writer.put(0x3837_3635_3433_3231, count: count, &memory)
        #expect(!writer.isFull)
        #expect(memory.bytes(3..<writer.offset).array() == Array("12345678".utf8.prefix(count)))
      }
    }
  }

  @Test func `numbers are written in decimal`() {
    for value in [0, 7, 10, 99, 100, 65_535, Int.max] {
      var memory = AlignedBuffer(byteCount: 64)
      var writer = EventWriter(offset: 0, limit: 64)
      writer.put(decimal: value, &memory)
      #expect(String(span: memory.bytes(0..<writer.offset)) == String(value))
    }
  }
}
