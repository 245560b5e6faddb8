import PenstockCore
import Testing

struct BatchReaderTests {
  @Test func `a listed batch is read and its lines are numbered`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    var batch = TestBatch(number: 1, first: 41, durable: 0, payloads: ["a", "", "c # c"])
    batch.lines = ["#listener tcp\n", "#unknown to everyone\n"]
    log.put(1, writer.segment(1, [batch]))
    let view = try log.view()
    var reader = BatchReader(log.files)
    let lines = try reader.read(view.segments[0].batches[0], of: view.segments[0]) { content in
      var cursor = BatchContent(firstSequence: SequenceNumber(41))
      var lines: [String] = []
      while let (sequence, range) = cursor.next(in: content) {
        lines.append("\(sequence.value) " + String(span: content.extracting(range)))
      }
      return lines
    }
    #expect(
      lines == [
        "41 \(TestSegmentWriter.eventTime) /orders/42 Placed\ta",
        "42 \(TestSegmentWriter.eventTime) /orders/42 Placed\t",
        "43 \(TestSegmentWriter.eventTime) /orders/42 Placed\tc # c",
      ])
  }

  @Test func `what rotted since the view was made is refused`() throws {
    let small = SmallLog()
    let view = try small.log.view()
    for byte in [4096, 4100, 4096 + 190, 4096 + 200, small.ranges[0].upperBound - 1] {
      small.log.flip(bit: 1, of: byte, in: 1)
      var reader = BatchReader(small.log.files)
      let error = #expect(throws: LogError.self) {
        try reader.load(view.segments[0].batches[0], of: view.segments[0])
      }
      #expect(error == .damaged(view.segments[0].name, offset: 4096))
      #expect(reader.content.byteCount == 0)
      small.log.flip(bit: 1, of: byte, in: 1)
    }
    small.log.put(1, Array(small.log.bytes(1)[..<4200]))
    var reader = BatchReader(small.log.files)
    #expect(throws: LogError.damaged(view.segments[0].name, offset: 4096)) {
      try reader.load(view.segments[0].batches[0], of: view.segments[0])
    }
  }

  @Test func `a segment that was unlinked meanwhile tells the reader to start over`() throws {
    let small = SmallLog()
    let view = try small.log.view()
    small.log.files.remove(small.log.path(1))
    var reader = BatchReader(small.log.files)
    #expect(throws: LogError.changed) {
      try reader.load(view.segments[0].batches[0], of: view.segments[0])
    }
    try reader.load(view.segments[1].batches[0], of: view.segments[1])
    #expect(reader.content.byteCount > 0)
  }

  @Test func `memory grows to the largest batch, and files are closed`() throws {
    let log = TestLog()
    var writer = TestSegmentWriter()
    let payload = String(repeating: "y", count: 2 << 20)
    log.put(
      1, writer.segment(1, [TestBatch(number: 1, first: 1, durable: 0, payloads: [payload])]))
    #expect(try log.events().map(\.payload) == [payload])
    #expect(log.files.openCount == 0)
  }

  @Test func `content that ends without a line feed, or is empty, is walked to its end`() {
    var cursor = BatchContent(firstSequence: SequenceNumber(1))
    let bytes = Array("a\n\n#x\nb".utf8)
    var found: [String] = []
    while let (sequence, range) = cursor.next(in: bytes.rawSpan) {
      found.append("\(sequence.value)\(String(decoding: bytes[range], as: UTF8.self))")
    }
    #expect(found == ["1a", "2b"])
    var empty = BatchContent(firstSequence: SequenceNumber(1))
    #expect(empty.next(in: [UInt8]().rawSpan) == nil)
  }
}
