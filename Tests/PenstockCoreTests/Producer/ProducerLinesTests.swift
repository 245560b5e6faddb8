import Testing

@testable import PenstockCore

/// How producers stand in the log.
@Suite struct ProducerLinesTests {
  /// Bytes of the lines are the format: Tests/Golden/producers-v1 has them.
  static func known() -> Producers {
    var producers = Producers(countMax: 4)
    producers.begin(floor: 0x19f_0000_0000)
    producers.remember(
      "old@host", ProducerStamp(epoch: 5, counter: 1), first: 1, count: 1)
    producers.remember(
      "web-1", ProducerStamp(epoch: 1_795_232_872_123, counter: 4), first: 12345, count: 3)
    producers.remember(
      "web-1", ProducerStamp(epoch: 1_795_232_872_123, counter: 7), first: 12340, count: 5)
    producers.remember(
      "web-1", ProducerStamp(epoch: 1_795_232_872_123, counter: 6), first: 12336, count: 4)
    return producers
  }

  static func text(_ producers: borrowing Producers) -> String {
    var memory = AlignedBuffer(byteCount: 1 << 20)
    var writer = EventWriter(offset: 0, limit: 1 << 20)
    ProducerLines.put(producers, &writer, &memory)
    return String(span: memory.bytes(0..<writer.offset))
  }

  @Test("the lines are written as the golden file has them, and read back")
  func goldenLines() throws {
    let producers = ProducerLinesTests.known()
    var memory = AlignedBuffer(byteCount: 4096)
    var writer = EventWriter(offset: 0, limit: 4096)
    let name = Array("web-1".utf8)
    ProducerLines.putProduced(
      name.rawSpan, ProducerStamp(epoch: 1_795_232_872_123, counter: 7), first: 12340, count: 5,
      &writer, &memory)
    let produced = String(span: memory.bytes(0..<writer.offset))
    let golden = String(decoding: try golden("producers-v1"), as: UTF8.self)
    #expect(produced + ProducerLinesTests.text(producers) == golden)
    var read = Producers(countMax: 4)
    read.take(table: Array(golden.utf8))
    #expect(ProducerLinesTests.text(read) == ProducerLinesTests.text(producers))
    let expected = ProducerVerdict.repeated(first: 12336, count: 4)
    #expect(read.judge("web-1", 1_795_232_872_123, 6) == expected)
  }

  @Test("a table is as large as it may be at most, and what is left out of it is refused")
  func bounds() {
    var producers = Producers(countMax: 128)
    let far = ProducerStamp.numberMax / 128
    for index in 0..<128 {
      let digits = "\(index)"
      let name = String(repeating: "n", count: 64 - digits.count) + digits
      for counter in 1...64 {
        producers.remember(
          name,
          ProducerStamp(epoch: ProducerStamp.numberMax - 1, counter: UInt64(counter) * 2 * far),
          first: BatchLine.numberMax / 64 * UInt64(1 + counter * 37 % 64), count: 0xFFFFF)
      }
    }
    let text = ProducerLinesTests.text(producers)
    #expect(text.utf8.count <= ProducerLines.tableByteCountMax(128))
    for line in text.split(separator: "\n") {
      #expect(line.utf8.count < ProducerLines.lineByteCountMax)
    }
    var read = Producers(countMax: 128)
    read.take(table: Array(text.utf8))
    #expect(read.count == 128)
    var repeatedCount = 0
    for counter in 1...64 {
      let name = String(repeating: "n", count: 63) + "0"
      let epoch = ProducerStamp.numberMax - 1
      switch read.judge(name, epoch, UInt64(counter) * 2 * far) {
      case .repeated: repeatedCount += 1
      case .refused(let refusal, _): #expect(refusal == .counterTooOld)
      case .new: Issue.record("counter \(counter) was forgotten silently")
      }
    }
    #expect(repeatedCount > 15)
  }

  @Test("a usual window fits its line whole")
  func usualWindow() {
    var producers = Producers(countMax: 1)
    for counter in 1...64 {
      producers.remember(
        String(repeating: "n", count: 64),
        ProducerStamp(epoch: 1_795_232_872_123, counter: UInt64(1_000_000 + counter)),
        first: UInt64(counter) << 28, count: 999)
    }
    var read = Producers(countMax: 1)
    read.take(table: Array(ProducerLinesTests.text(producers).utf8))
    #expect(read.windowCount(0) == 64)
    #expect(ProducerLinesTests.text(read) == ProducerLinesTests.text(producers))
  }

  @Test("any cut and any changed byte is read without harm, and never as more than was there")
  func damage() throws {
    let golden = try golden("producers-v1")
    for line in golden.split(separator: Byte.lineFeed).map(Array.init) {
      for index in line.indices {
        for byte in [Byte.null, Byte.space, UInt8(ascii: ":"), UInt8(ascii: "f"), 0xFF] {
          var changed = line
          changed[index] = byte
          var producers = Producers(countMax: 2)
          _ = ProducerLines.take(changed.rawSpan, 0..<changed.count, &producers)
          #expect(producers.count <= 1)
        }
        var producers = Producers(countMax: 2)
        let cut = Array(line[..<index])
        let found = ProducerLines.take(cut.rawSpan, 0..<cut.count, &producers)
        // A name, a number may be shorter and still be one: the batch's checksum covers that.
        #expect(found != .producer || cut.count + 20 > line.count)
      }
    }
  }
}

extension Producers {
  mutating func remember(_ name: String, _ stamp: ProducerStamp, first: UInt64, count: UInt32) {
    let bytes = Array(name.utf8)
    remember(bytes.rawSpan, stamp, first: first, count: count)
  }

  func judge(
    _ name: String, _ epoch: UInt64, _ counter: UInt64, epochMax: UInt64 = ProducerStamp.numberMax
  ) -> ProducerVerdict {
    let bytes = Array(name.utf8)
    return judge(
      bytes.rawSpan, ProducerStamp(epoch: epoch, counter: counter), epochMax: epochMax)
  }
}
