import Foundation
import PenstockArchive
import PenstockCore
import Testing

@Suite struct JSONTextTests {
  private func written(_ capacity: Int = 4096, _ body: (inout OutputBuffer) -> Void) throws
    -> [UInt8]
  {
    let folder = try TestFolder()
    let file = try LinuxFileSystem().open(folder.path + "/out", .create)
    defer { LinuxFileSystem().close(file) }
    var output = OutputBuffer(file, capacity: capacity)
    body(&output)
    try output.flush()
    return try folder.bytes(of: "out")
  }

  private func parsed(_ json: [UInt8]) throws -> String {
    let any = try JSONSerialization.jsonObject(with: Data(json), options: .fragmentsAllowed)
    return try #require(any as? String)
  }

  @Test func `every character up to U+FFFF reads back by another parser`() throws {
    for start in stride(from: UInt32(0), through: 0xFFFF, by: 256) {
      let scalars = (start..<(start + 256)).compactMap(Unicode.Scalar.init)
      let text = String(String.UnicodeScalarView(scalars))
      let bytes = Array(text.utf8)
      let json = try written { $0.put(json: bytes.rawSpan) }
      #expect(Array(try parsed(json).unicodeScalars) == scalars, "from U+\(start)")
      #expect(!json.contains { $0 < 0x20 })
    }
  }

  @Test(arguments: 0..<20) func `random text reads back by another parser`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let pieces = [
      "a", "plain text of some length ", "\"", "\\", "\n", "\u{1}", "ö", "漢", "🚀", "\0",
    ]
    for _ in 0..<50 {
      let count = Int.random(in: 0..<60, using: &random)
      let text = (0..<count).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
      let bytes = Array(text.utf8)
      let json = try written { $0.put(json: bytes.rawSpan) }
      #expect(Array(try parsed(json).utf8) == bytes, "seed \(seed)")
    }
  }

  @Test(arguments: 0..<20) func `any bytes become text that parses`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let bytes = random.bytes(300, from: Array(0...255))
    let json = try written { $0.put(json: bytes.rawSpan) }
    #expect(try parsed(json) == String(decoding: bytes, as: UTF8.self), "seed \(seed)")
  }

  @Test func `base64 of any length is what others write`() throws {
    for count in 0..<260 {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
      let json = try written { $0.put(base64: bytes.rawSpan) }
      #expect(json == Array(("\"" + Data(bytes).base64EncodedString() + "\"").utf8))
    }
  }

  @Test func `well-formed text is told from any single wrong byte`() {
    let cases: [([UInt8], Bool)] = [
      ([], true), ([0x7F], true), ([0xC2, 0x80], true), ([0xED, 0x9F, 0xBF], true),
      ([0xEF, 0xBF, 0xBF], true), ([0xF4, 0x8F, 0xBF, 0xBF], true), ([0x80], false),
      ([0xC0, 0x80], false), ([0xC1, 0xBF], false), ([0xE0, 0x9F, 0x80], false),
      ([0xED, 0xA0, 0x80], false), ([0xF0, 0x8F, 0x80, 0x80], false),
      ([0xF4, 0x90, 0x80, 0x80], false), ([0xF5, 0x80, 0x80, 0x80], false), ([0xC2], false),
      ([0xE1, 0x80], false), ([0xF1, 0x80, 0x80], false), ([0xC2, 0x41], false), ([0xFF], false),
    ]
    for (bytes, expected) in cases {
      for padding in [0, 3, 8, 17] {
        let padded = Array(repeating: UInt8(ascii: "x"), count: padding) + bytes
        #expect(Text.isUTF8(padded.rawSpan, 0..<padded.count) == expected, "\(bytes)")
      }
    }
  }

  @Test func `what is larger than the buffer goes out whole`() throws {
    let bytes = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    let out = try written { output in
      output.put("head ")
      output.put(bytes.rawSpan)
      for value: UInt64 in [0, 9, 10, 123_456, .max] {
        output.put(decimal: value)
        output.put(Byte.space)
      }
    }
    #expect(out == Array("head ".utf8) + bytes + Array("0 9 10 123456 18446744073709551615 ".utf8))
  }

  @Test func `a reader that leaves ends the output without a failure`() throws {
    let pipe = Pipe()
    try pipe.fileHandleForReading.close()
    var output = OutputBuffer(File(descriptor: pipe.fileHandleForWriting.fileDescriptor))
    let isClosed = output.isClosed
    #expect(isClosed)
    output.put("lost")
    OutputBuffer.ignoreClosedPipes()
    var caught: OutputError?
    do throws(OutputError) { try output.flush() } catch { caught = error }
    #expect(caught == .closedPipe)
  }
}
