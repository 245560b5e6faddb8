import PenstockCore
import Testing

struct BatchStreamTests {
  @Test func `what rotted since the view was made is refused`() throws {
    let small = SmallLog()
    let view = try small.log.view()
    for byte in [4096, 4100, 4096 + 190, 4096 + 200, small.ranges[0].upperBound - 1] {
      small.log.flip(bit: 1, of: byte, in: 1)
      var stream = BatchStream(small.log.files)
      let error = #expect(throws: LogError.self) {
        try stream.load(view.segments[0].batches[0], of: view.segments[0])
      }
      #expect(error == .damaged(view.segments[0].name, offset: 4096))
      #expect(stream.content.byteCount == 0)
      stream.close()
      small.log.flip(bit: 1, of: byte, in: 1)
    }
    small.log.put(1, Array(small.log.bytes(1)[..<4200]))
    var stream = BatchStream(small.log.files)
    #expect(throws: LogError.damaged(view.segments[0].name, offset: 4096)) {
      try stream.load(view.segments[0].batches[0], of: view.segments[0])
    }
    stream.close()
    #expect(small.log.files.openCount == 0)
  }

  @Test func `a block that cannot be read costs the batch it is in, not the one before`() throws {
    let small = SmallLog()
    let view = try small.log.view()
    let batches = view.segments[0].batches
    try #require(batches.count > 1)
    let second = batches[1].offset
    small.log.files.breakMedium(view.segments[0].path, second..<(second + 4096))
    var stream = BatchStream(small.log.files)
    defer { stream.close() }
    try stream.load(batches[0], of: view.segments[0])
    #expect(stream.content.byteCount == batches[0].content.count)
    #expect(throws: LogError.self) { try stream.load(batches[1], of: view.segments[0]) }
  }

  @Test func `a segment that was unlinked meanwhile tells the reader to start over`() throws {
    let small = SmallLog()
    let view = try small.log.view()
    small.log.files.remove(small.log.path(1))
    var stream = BatchStream(small.log.files)
    defer { stream.close() }
    #expect(throws: LogError.changed) {
      try stream.load(view.segments[0].batches[0], of: view.segments[0])
    }
    try stream.load(view.segments[1].batches[0], of: view.segments[1])
    #expect(stream.content.byteCount > 0)
  }

  /// Batches of all sizes, on a real file: smaller and larger than what a window shows at once.
  @Test(arguments: UInt64(1)...4)
  func `a segment reads the same with reads on their way and without`(_ seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let folder = try TestFolder()
    let layout = StoreLayout(root: folder.path)
    let files = LinuxFileSystem()
    try files.makeDirectory(layout.live)
    var writer = TestSegmentWriter()
    let batches = (UInt64(1)...24).map { number in
      let size =
        [10, 4000, 60_000, 400_000, 523_900, 524_400, 1_100_000, 2_300_000]
        .randomElement(using: &random) ?? 10
      return TestBatch(
        number: number, first: number, durable: number > 2 ? number - 2 : 0,
        payloads: [String(repeating: "x", count: size)])
    }
    let bytes = writer.segment(1, batches)
    let name = SegmentName(log: LogNumber(0), number: SegmentNumber(1))
    let file = try files.open(layout.segment(name), .create)
    var memory = AlignedBuffer(byteCount: bytes.count)
    memory.copy(bytes.rawSpan, to: 0)
    try files.write(file, from: memory, 0..<bytes.count, at: 0)
    files.close(file)
    let view = try LogView.read(
      files, layout, log: LogNumber(0), after: .none, frontier: SequenceNumber(24),
      store: TestSegmentWriter.store)
    let segment = try #require(view.segments.first)
    try #require(segment.batches.count == 24)
    var reader = BatchReader(files)
    for queues in [true, false] {
      var stream = BatchStream(LinuxFileSystem(queuesReads: queues))
      // Front to back, and some of them once more.
      for extent in segment.batches + [segment.batches[3], segment.batches[4]] {
        try reader.load(extent, of: segment)
        try stream.load(extent, of: segment)
        let isSame = stream.content.equals(reader.content)
        #expect(isSame, "batch \(extent.line.number.value), seed \(seed)")
      }
      stream.close()
    }
  }
}
