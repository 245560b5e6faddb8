import PenstockCore
import Testing

struct BatchLineTests {
  private let line = BatchLine(
    number: BatchNumber(0x2a), firstSequence: SequenceNumber(0x3039), eventCount: 3, byteCount: 11,
    at: Timestamp(seconds: 1_795_232_872, nanoseconds: 125_000_000), durable: BatchNumber(0x29),
    previousChecksum: 0x77aa_00ff, salt: 0x9a8b_7c6d_5e4f_3a2b)
  private let content = Array("a\nbb\ncccccc".utf8)

  private func sealed() -> [UInt8] {
    var memory = AlignedBuffer(byteCount: 4096)
    memory.copy(content.rawSpan, to: 7 + BatchLine.textByteCount)
    line.seal(in: &memory, at: 7)
    return memory.bytes(7..<(7 + BatchLine.textByteCount + content.count)).array()
  }

  private func read(_ bytes: [UInt8]) -> BatchLine? { BatchLine(bytes.rawSpan, at: 0) }

  private func isIntact(_ bytes: [UInt8]) -> Bool {
    read(bytes)?.isIntact(in: bytes.rawSpan, at: 0) ?? false
  }

  @Test func `the line is the text of the grammar`() {
    let text = String(decoding: sealed(), as: UTF8.self)
    #expect(
      text
        == "#batch number=000000000000002a first=0000000000003039 events=00000003 bytes=0000000b "
        + "at=2026-11-21T03:47:52.125000000Z durable=0000000000000029 prev=77aa00ff "
        + "salt=9a8b7c6d5e4f3a2b crc=d7427b47\n" + String(decoding: content, as: UTF8.self))
  }

  @Test func `a sealed line reads back and its checksum holds`() throws {
    let bytes = sealed()
    var expected = line
    expected.checksum = try #require(read(bytes)).checksum
    #expect(read(bytes) == expected)
    #expect(isIntact(bytes))
    #expect(expected.lastSequence == SequenceNumber(0x303b))
    #expect(BatchLine(([1, 2] + bytes).rawSpan, at: 2) == expected)
    let begins = ([1] + bytes).rawSpan
    let places = [BatchLine.mayBegin(begins, at: 1), BatchLine.mayBegin(begins, at: 0)]
    #expect(places == [true, false])
  }

  @Test func `every flipped bit of line and content breaks the batch`() {
    let bytes = sealed()
    for index in bytes.indices {
      for bit in 0..<8 {
        var flipped = bytes
        flipped[index] ^= 1 << UInt8(bit)
        #expect(!isIntact(flipped), "byte \(index), bit \(bit)")
      }
    }
  }

  @Test func `no truncation of line or content is a batch`() {
    let bytes = sealed()
    for count in bytes.indices {
      let cut = Array(bytes[..<count])
      #expect((read(cut) != nil) == (count >= BatchLine.textByteCount))
      #expect(!isIntact(cut))
    }
    #expect(BatchLine(bytes.rawSpan, at: -1) == nil)
    #expect(BatchLine(bytes.rawSpan, at: bytes.count) == nil)
  }

  @Test func `largest values have their room`() {
    var largest = line
    largest.number = BatchNumber(.max)
    largest.firstSequence = SequenceNumber(.max)
    largest.eventCount = .max
    largest.byteCount = .max
    largest.durable = BatchNumber(.max)
    largest.previousChecksum = .max
    largest.salt = .max
    largest.checksum = .max
    var memory = AlignedBuffer(byteCount: 4096)
    largest.write(into: &memory, at: 0)
    let bytes = memory.bytes(0..<BatchLine.textByteCount).array()
    #expect(read(bytes) == largest)
    #expect(!isIntact(bytes))
  }

  @Test func `another salt gives another checksum`() {
    let bytes = sealed()
    let sums = [0, 1, line.salt].map { BatchLine.checksum(salt: $0, bytes.rawSpan) }
    #expect(Set(sums).count == 3)
    #expect(sums[2] == read(bytes)?.checksum)
  }
}
