import PenstockCore
import Testing

struct EventLineTests {
  private static let time = "2026-11-21T03:47:52.123456789Z"

  private func read(_ bytes: [UInt8]) throws(EventLine.Fault) -> EventLine {
    try EventLine(bytes.rawSpan, 0..<bytes.count)
  }

  private func fault(_ line: String) -> EventLine.Fault? {
    do throws(EventLine.Fault) {
      _ = try read(Array(line.utf8))
      return nil
    } catch {
      return error
    }
  }

  @Test func `the fields of a line lie where the grammar says`() throws {
    let text = "xx\(EventLineTests.time) /orders/42 OrderPlaced user=7 k=\t{\"a\": 1}\tb yy"
    let bytes = Array(text.utf8)
    let line = try EventLine(bytes.rawSpan, 2..<(bytes.count - 3))
    func part(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
    #expect(line.time?.text == EventLineTests.time)
    #expect(part(line.stream) == "/orders/42")
    #expect(part(line.type) == "OrderPlaced")
    #expect(part(line.attributes) == "user=7 k=")
    #expect(part(line.payload) == "{\"a\": 1}\tb")
    #expect(line.line == 2..<(bytes.count - 3))
  }

  @Test func `the smallest lines are lines`() throws {
    let line = try read(Array("- s t\t".utf8))
    #expect(line.time == nil)
    #expect(line.attributes.isEmpty)
    #expect(line.payload.isEmpty)
  }

  @Test(arguments: [
    ("", EventLine.Fault.badTime), ("-", .badTime), ("#x", .badTime), ("x s t\tp", .badTime),
    ("-s t\tp", .badTime), ("2026-11-21 s t\tp", .badTime), ("\(time)s t\tp", .badTime),
    ("- s t p", .noPayload), ("- s", .noPayload), ("-  t\tp", .badStream), ("- s\tp", .badStream),
    ("- \tp", .badStream), ("- s \tp", .badType), ("- s  k=v\tp", .badType),
    ("- s t \tp", .badAttribute), ("- s t k\tp", .badAttribute), ("- s t =v\tp", .badAttribute),
    ("- s t k=v \tp", .badAttribute), ("- s t k=v  l=w\tp", .badAttribute),
    ("- s\\ t\tp", .badEscape), ("- s\\x t\tp", .badEscape), ("- s\\e t\tp", .badEscape),
    ("- s t\\q\tp", .badEscape), ("- s t k\\=v\tp", .badEscape), ("- s t k=\\e\tp", .badEscape),
    ("- s\n t\tp", .badEscape), ("- s t\n\tp", .badEscape), ("- s t k=\0\tp", .badEscape),
    ("- s t\ta\0b", .badPayload),
  ])
  func `each fault has its name`(_ line: String, _ expected: EventLine.Fault) {
    #expect(fault(line) == expected, "\(line.debugDescription)")
  }

  @Test func `every fault can happen and has a word of its own`() {
    #expect(Set(EventLine.Fault.allCases.map(\.rawValue)).count == 7)
  }

  @Test func `names and attributes have limits`() {
    let longest = String(repeating: "s", count: EventLine.streamByteCountMax)
    #expect(fault("- \(longest) t\tp") == nil)
    #expect(fault("- \(longest)s t\tp") == .badStream)
    let most = Array(repeating: "k=v", count: EventLine.attributeCountMax).joined(separator: " ")
    #expect(fault("- s t \(most)\tp") == nil)
    #expect(fault("- s t \(most) k=v\tp") == .badAttribute)
  }

  @Test func `no truncation before the payload reads as a line`() {
    let head = "\(EventLineTests.time) /orders/42 Placed user=7 _id=0badcafe"
    for count in 0...head.utf8.count { #expect(fault(String(head.prefix(count))) != nil) }
    #expect(fault(head + "\t") == nil)
  }

  @Test func `no flipped bit makes the parser go outside or read two lines as one`() {
    let bytes = Array("\(EventLineTests.time) /a\\sb T k\\e=v\\t _id=1\tpay\\load".utf8)
    for index in bytes.indices {
      for bit in 0..<8 {
        var flipped = bytes
        flipped[index] ^= 1 << UInt8(bit)
        guard let line = try? read(flipped) else { continue }
        #expect(line.stream.upperBound < line.type.lowerBound)
        #expect(line.type.upperBound <= line.attributes.lowerBound)
        #expect(line.payload.lowerBound == line.attributes.upperBound + 1)
        #expect(line.payload.upperBound == flipped.count)
        #expect(flipped[line.payload.lowerBound - 1] == Byte.tab)
      }
    }
  }

  @Test func `random bytes are a line or a fault, never a trap`() {
    for seed in UInt64(1)...2000 {
      var random = TestRandom(seed: seed)
      let bytes = random.bytes(
        Int.random(in: 0...80, using: &random), from: Array("- =\t\n\\se0kx".utf8) + [0])
      if let line = try? read(Array("- ".utf8) + bytes) {
        #expect(!line.stream.isEmpty && !line.type.isEmpty, "seed \(seed)")
      }
    }
  }

  @Test func `attributes come in order, repeated ones too`() throws {
    let bytes = Array("- s t a=1 b= a=2 _id=x=y\tp".utf8)
    let line = try read(bytes)
    var cursor = AttributeCursor(line.attributes)
    var found: [String] = []
    while let (key, value) = cursor.next(in: bytes.rawSpan) {
      found.append(
        String(decoding: bytes[key], as: UTF8.self) + ":"
          + String(decoding: bytes[value], as: UTF8.self))
    }
    #expect(found == ["a:1", "b:", "a:2", "_id:x=y"])
    let value = AttributeCursor.value(of: "a", in: bytes.rawSpan, line.attributes)
    #expect(value.map { String(decoding: bytes[$0], as: UTF8.self) } == "1")
    #expect(AttributeCursor.value(of: "c", in: bytes.rawSpan, line.attributes) == nil)
    #expect(AttributeCursor.value(of: "_i", in: bytes.rawSpan, line.attributes) == nil)
  }

  @Test func `every byte is escaped where it must be, and comes back`() {
    let all = Array(UInt8(0)...255)
    let forbidden: [(Escape.Context, [UInt8])] = [
      (.word, [0, 9, 10, 32, 92]), (.key, [0, 9, 10, 32, 61, 92]), (.payload, [0, 10, 92]),
    ]
    for (context, escaped) in forbidden {
      #expect(all.filter { Escape.letter(for: $0, context) != nil } == escaped)
      let text = Escape.encode(all.rawSpan, context)
      #expect(text.count == all.count + escaped.count)
      for byte in escaped where byte != 92 { #expect(!text.contains(byte)) }
      #expect(Escape.decode(text.rawSpan) == all)
    }
    #expect(
      Escape.encode(Array("a b\t\n\0\\=".utf8).rawSpan, .key) == Array("a\\sb\\t\\n\\0\\\\\\e".utf8)
    )
  }

  @Test(arguments: ["\\", "a\\", "\\x", "\\S", "\\1", "a\\ b"])
  func `an unknown or cut escape is none`(_ text: String) {
    #expect(Escape.decode(Array(text.utf8).rawSpan) == nil)
  }
}
