// The segment format, byte for byte. Tests/Golden/segment-v1.log was written once; a change of what
// these tests write is a change of the format, and needs a new version and a new file.

import PenstockCore
import Testing

struct GoldenSegmentTests {
  private static let lines = [
    "2026-11-21T03:47:52.123456789Z /orders/42 OrderPlaced user=7\t{\"sku\":\"A1\",\"n\":2}\n",
    "2026-11-21T03:47:52.123456790Z syslog/web-1 sshd facility=auth severity=info\t"
      + "Failed password for root from 10.0.0.9\n",
    "0000-01-01T00:00:00.000000000Z a\\sb - _id=0badcafe k\\e=\\t\\n\\0\\\\ _escaped=\t"
      + "two\\nlines\\0\\\\\n",
    "9999-12-31T23:59:59.999999999Z ünï -\t\n",
  ]

  /// The segment as the format's writers write it.
  private func segment() -> [UInt8] {
    let salt: UInt64 = 0x9a8b_7c6d_5e4f_3a2b
    let header = SegmentHeader(
      name: SegmentName(log: LogNumber(0), number: SegmentNumber(0x17)),
      store: TestSegmentWriter.store, salt: salt, alignment: 4096, byteCount: 4 * 4096)
    let end = EndLine(
      name: SegmentName(log: LogNumber(0), number: SegmentNumber(0x16)), offset: 0x40_1000)
    let contents = [
      end.text + "#listener tcp\n" + GoldenSegmentTests.lines[0],
      GoldenSegmentTests.lines[1...].joined(),
    ]
    let number = BatchNumber(0x170_0000)
    var memory = AlignedBuffer(byteCount: 4 * 4096)
    memory.fill(0..<memory.byteCount, with: Byte.lineFeed)
    memory.copy(Array(header.text.utf8).rawSpan, to: 0)
    var previous: UInt32 = 0x77aa_00ff
    for (index, content) in contents.enumerated() {
      let offset = (index + 1) * 4096
      let bytes = Array(content.utf8)
      memory.copy(bytes.rawSpan, to: offset + BatchLine.textByteCount)
      previous =
        BatchLine(
          number: number.advanced(by: UInt64(index)),
          firstSequence: SequenceNumber(0x3039 + UInt64(index)), eventCount: index == 0 ? 1 : 3,
          byteCount: UInt32(bytes.count), at: TestSegmentWriter.at,
          durable: index == 0 ? BatchNumber(0x29) : number, previousChecksum: previous, salt: salt
        ).seal(in: &memory, at: offset)
    }
    return memory.bytes(0..<memory.byteCount).array()
  }

  @Test func `the segment's bytes are those of the golden file`() throws {
    #expect(try golden("segment-v1.log") == segment())
  }

  @Test func `the golden file reads as what was written`() throws {
    let log = TestLog()
    log.put(0x17, try golden("segment-v1.log"))
    let view = try log.view(after: 0x16)
    #expect(view.damage.isEmpty)
    #expect(view.segments.map(\.byteCount) == [4 * 4096])
    let batches = try #require(view.segments.first?.batches)
    #expect(batches.map(\.line.number.value) == [0x170_0000, 0x170_0001])
    #expect(batches.map(\.isProved) == [true, false])
    #expect(batches.map(\.isRecovery) == [true, false])
    #expect(
      try log.events(after: 0x16) == [
        TestEvent(sequence: 0x3039, payload: "{\"sku\":\"A1\",\"n\":2}"),
        TestEvent(sequence: 0x303a, payload: "Failed password for root from 10.0.0.9"),
        TestEvent(sequence: 0x303b, payload: "two\\nlines\\0\\\\"),
        TestEvent(sequence: 0x303c, payload: ""),
      ])
  }

  @Test func `the golden file is text that plain tools read`() throws {
    let text = String(decoding: try golden("segment-v1.log"), as: UTF8.self)
    let lines = text.split(separator: "\n")
    #expect(lines.count == 9)
    #expect(lines.filter { !$0.hasPrefix("#") }.map { $0 + "\n" } == GoldenSegmentTests.lines)
    #expect(lines[0].hasPrefix("#penstock segment=0000000000000017 log=00 version=1 store=0011"))
    #expect(
      lines[1].hasPrefix(
        "#batch number=0000000001700000 first=0000000000003039 events=00000001 bytes="))
    #expect(lines[1].contains(" durable=0000000000000029 prev=77aa00ff salt=9a8b7c6d5e4f3a2b crc="))
  }
}
