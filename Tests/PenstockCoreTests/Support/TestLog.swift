// Writes segments byte by byte as a shard would, and reads back what a log holds.

import PenstockCore

/// A batch to be written: its events are payloads.
struct TestBatch {
  var number: UInt64
  var first: UInt64
  var durable: UInt64
  var payloads: [String]
  /// Lines in front of the events.
  var lines: [String] = []
  /// Overrides the checksum of the batch before it.
  var previous: UInt32?
  /// Overrides how many events the batch says it holds.
  var eventCount: UInt32?
}

/// One stored event, as tests compare them.
struct TestEvent: Equatable, CustomStringConvertible {
  var sequence: UInt64
  var payload: String
  var description: String { "\(sequence):\(payload.prefix(16))" }
}

/// Builds the bytes of segments; batches chain from one to the next, across segments too.
struct TestSegmentWriter {
  static let store = StoreIdentifier(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff)
  static let at = Timestamp(seconds: 1_795_232_872, nanoseconds: 125_000_000)
  static let eventTime = "2026-11-21T03:47:52.123456789Z"

  var log = LogNumber(0)
  /// The checksum of the batch written last.
  var checksum: UInt32 = 0
  var alignment = 4096
  var store = TestSegmentWriter.store

  init() {}

  static func salt(_ number: UInt64) -> UInt64 { 0x9a8b_7c6d_5e4f_0000 &+ number }

  func name(_ number: UInt64) -> SegmentName {
    SegmentName(log: log, number: SegmentNumber(number))
  }

  static func line(_ payload: String) -> String { "\(eventTime) /orders/42 Placed\t\(payload)\n" }

  /// The bytes of segment `number` with `batches`, `blockCount` blocks long or as long as needed.
  mutating func segment(
    _ number: UInt64, _ batches: [TestBatch], blockCount: Int = 0, filler: UInt8 = Byte.lineFeed
  ) -> [UInt8] {
    let salt = TestSegmentWriter.salt(number)
    var body: [UInt8] = []
    for batch in batches {
      body += self.bytes(batch, salt: salt)
      body += Array(
        repeating: Byte.lineFeed, count: (alignment - body.count % alignment) % alignment)
    }
    let size = max(blockCount * alignment, alignment + body.count)
    let header = SegmentHeader(
      name: name(number), store: store, salt: salt, alignment: alignment, byteCount: size)
    var bytes = Array(header.text.utf8)
    bytes += Array(repeating: Byte.lineFeed, count: alignment - bytes.count) + body
    return bytes + Array(repeating: filler, count: size - bytes.count)
  }

  /// One sealed batch: line and content.
  mutating func bytes(_ batch: TestBatch, salt: UInt64) -> [UInt8] {
    var content: [UInt8] = []
    for line in batch.lines { content += Array(line.utf8) }
    for payload in batch.payloads { content += Array(TestSegmentWriter.line(payload).utf8) }
    let line = BatchLine(
      number: BatchNumber(batch.number), firstSequence: SequenceNumber(batch.first),
      eventCount: batch.eventCount ?? UInt32(batch.payloads.count),
      byteCount: UInt32(content.count),
      at: TestSegmentWriter.at, durable: BatchNumber(batch.durable),
      previousChecksum: batch.previous ?? checksum, salt: salt)
    var memory = AlignedBuffer(byteCount: BatchLine.textByteCount + content.count)
    memory.copy(content.rawSpan, to: BatchLine.textByteCount)
    checksum = line.seal(in: &memory, at: 0)
    return memory.bytes(0..<(BatchLine.textByteCount + content.count)).array()
  }
}

/// A store in memory with one log.
struct TestLog {
  var files: MemoryFileSystem
  let layout = StoreLayout(root: "store")
  let log = LogNumber(0)

  init(alignment: Int = 4096) {
    files = MemoryFileSystem(alignment: alignment)
    for folder in [layout.root, layout.live, layout.quarantine] {
      try? files.makeDirectory(folder)
    }
  }

  /// The same store after a restart.
  func restarted(_ cut: MemoryFileSystem.PowerCut = .keepsAll) -> TestLog {
    var copy = self
    copy.files = files.restarted(cut)
    return copy
  }

  func path(_ number: UInt64) -> String {
    layout.segment(SegmentName(log: log, number: SegmentNumber(number)))
  }

  func put(_ number: UInt64, _ bytes: [UInt8]) { files.put(path(number), bytes) }

  func bytes(_ number: UInt64) -> [UInt8] { files.bytes(path(number)) ?? [] }

  func flip(bit: Int, of byte: Int, in number: UInt64) {
    var bytes = bytes(number)
    bytes[byte] ^= 1 << UInt8(bit)
    put(number, bytes)
  }

  @discardableResult
  func recover(
    archivedThrough: UInt64 = 0, coveredThrough: UInt64 = 0, frontier: UInt64? = nil,
    segmentByteCount: Int = 8192
  ) throws -> Recovered {
    try Recovery.run(
      files, layout, store: TestSegmentWriter.store, log: log,
      archivedThrough: SegmentNumber(archivedThrough),
      coveredThrough: SequenceNumber(coveredThrough),
      frontier: frontier.map { SequenceNumber($0) }, segmentByteCount: segmentByteCount)
  }

  func view(
    after archived: UInt64 = 0, coveredThrough: UInt64 = 0, frontier: UInt64? = nil,
    acceptsHoles: Bool = false, refreshing previous: LogView? = nil
  ) throws -> LogView {
    try LogView.read(
      files, layout, log: log, after: SegmentNumber(archived),
      coveredThrough: SequenceNumber(coveredThrough), frontier: frontier.map { SequenceNumber($0) },
      store: TestSegmentWriter.store,
      acceptsHoles: acceptsHoles, refreshing: previous)
  }

  /// Every event the log holds, provisional ones included.
  func events(after archived: UInt64 = 0, coveredThrough: UInt64 = 0, frontier: UInt64? = nil)
    throws -> [TestEvent]
  {
    try events(
      in: view(
        after: archived, coveredThrough: coveredThrough, frontier: frontier, acceptsHoles: true))
  }

  func events(in view: LogView, onlyProved: Bool = false) throws -> [TestEvent] {
    var reader = BatchReader(files)
    var events: [TestEvent] = []
    for segment in view.segments {
      for batch in segment.batches where batch.isProved || !onlyProved {
        try reader.load(batch, of: segment)
        events += try TestLog.events(reader.content, batch.line)
      }
    }
    return events
  }

  private static func events(_ content: RawSpan, _ line: BatchLine) throws -> [TestEvent] {
    var events: [TestEvent] = []
    var cursor = BatchContent(firstSequence: line.firstSequence)
    while let (sequence, range) = cursor.next(in: content) {
      let event = try EventLine(content, range)
      events.append(
        TestEvent(
          sequence: sequence.value, payload: String(span: content.extracting(event.payload))))
    }
    return events
  }
}

extension [UInt8] {
  /// Whether every byte of `range` is `wanted`.
  func isAll(_ wanted: UInt8, in range: Range<Int>) -> Bool {
    self[range].allSatisfy { $0 == wanted }
  }
}
