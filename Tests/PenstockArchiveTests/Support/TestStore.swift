// A store made by hand: segments and batches written byte by byte, as a shard would leave them.

import PenstockArchive
import PenstockCore
import Testing

/// One event of a hand-made store.
struct TestEvent: Equatable {
  var key: EventKey
  /// The event line without its LF.
  var line: String

  init(
    _ key: EventKey, stream: String, type: String = "-", attributes: String = "", payload: String
  ) {
    self.key = key
    let gap = attributes.isEmpty ? "" : " "
    line = key.time.text + " " + stream + " " + type + gap + attributes + "\t" + payload
  }
}

/// Writes the segments of one store.
final class TestStore {
  let folder: TestFolder
  let layout: StoreLayout
  let store = StoreIdentifier(high: .random(in: 0 ... .max), low: .random(in: 0 ... .max))
  let files = LinuxFileSystem()
  private var logs: [LogNumber: TestLog] = [:]
  private var hasPages = false

  init() throws {
    folder = try TestFolder()
    layout = StoreLayout(root: folder.path)
    for path in [layout.live, layout.archive, layout.run, layout.quarantine] {
      try files.makeDirectory(path)
    }
    try write(
      StoreDescription(store: store, journalHashWidth: 1).text, to: layout.description)
  }

  deinit {
    guard hasPages else { return }
    removeFolder(StoreLayout.pages(store))
  }

  func log(_ number: UInt8) -> TestLog {
    let name = LogNumber(number)
    if let found = logs[name] { return found }
    let made = TestLog(self, name)
    logs[name] = made
    return made
  }

  func write(_ text: String, to path: String) throws {
    let bytes = Array(text.utf8)
    let file = try files.open(path, .createIfMissing)
    defer { files.close(file) }
    try files.truncate(file, byteCount: 0)
    guard !bytes.isEmpty else { return }
    var memory = AlignedBuffer(byteCount: bytes.count)
    memory.copy(bytes.rawSpan, to: 0)
    try files.write(file, from: memory, 0..<bytes.count, at: 0)
  }

  /// Publishes a frontier as a shard of this process would.
  func publish(_ log: UInt8, _ sequence: UInt64, batch: UInt64 = 0, epoch: UInt64 = 1) throws {
    try hold(log, epoch: epoch)
    let path = layout.frontierPage(store, LogNumber(log))
    var page = Frontier(
      try SharedPage(
        creating: path, magic: Frontier.magic, boot: System.bootIdentifier(), epoch: epoch,
        valueCount: Frontier.valueCount))
    page.reset()
    page.publish(SequenceNumber(sequence), BatchNumber(batch))
  }

  /// Writes the lock file's text; process 0 is nobody.
  func hold(_ log: UInt8, epoch: UInt64, process: Int32 = System.processIdentifier) throws {
    if !hasPages {
      try files.makeDirectory(StoreLayout.pages(store))
      hasPages = true
    }
    try write(
      "pid=\(process) epoch=\(Hexadecimal.text(epoch, digits: 16))\n",
      to: layout.lock(LogNumber(log)))
  }

  func reader() throws -> StoreReader<LinuxFileSystem> { try StoreReader(files, layout) }

  /// All events of a query, as keys and lines.
  func read(_ query: Query = Query(), indexEntryCountMax: Int = 1 << 20) throws -> (
    events: [TestEvent], report: ReadReport
  ) {
    let reader = try reader()
    reader.indexEntryCountMax = indexEntryCountMax
    var cursor = try reader.read(query)
    var events: [TestEvent] = []
    var event = StoredEvent()
    while try cursor.next(&event) { events.append(TestEvent(event)) }
    return (events, cursor.report)
  }
}

extension TestEvent {
  init(_ event: borrowing StoredEvent) {
    key = event.key
    line = String(decoding: event.bytes, as: UTF8.self)
  }
}

/// Writes one log.
final class TestLog {
  private unowned let owner: TestStore
  let log: LogNumber
  private(set) var segment = SegmentNumber.none
  private var offset = 0
  private var salt: UInt64 = 0
  private(set) var batch = BatchNumber.none
  private var checksum: UInt32 = 0
  private var checksumBefore: UInt32 = 0
  private var lastOffset = 0
  private(set) var sequence = SequenceNumber.none
  private let segmentByteCount = 1 << 20

  init(_ owner: TestStore, _ log: LogNumber) {
    self.owner = owner
    self.log = log
  }

  /// Makes the next segment and goes on there.
  func startSegment() throws {
    segment = segment.next
    salt = .random(in: 0 ... .max)
    let name = SegmentName(log: log, number: segment)
    let header = SegmentHeader(
      name: name, store: owner.store, salt: salt, alignment: 4096, byteCount: segmentByteCount)
    var memory = AlignedBuffer(byteCount: segmentByteCount)
    memory.fill(0..<segmentByteCount, with: Byte.lineFeed)
    memory.copy(Array(header.text.utf8).rawSpan, to: 0)
    let file = try owner.files.open(owner.layout.segment(name), .create)
    defer { owner.files.close(file) }
    try owner.files.write(file, from: memory, 0..<segmentByteCount, at: 0)
    offset = 4096
  }

  /// Writes one batch. Lines get this log's next numbers, in their order.
  /// - Parameter durable: the batch proved by this one; the one before it by default.
  @discardableResult
  func append(_ lines: [String], durable: BatchNumber? = nil, skip: UInt64 = 0) throws
    -> SequenceNumber
  {
    let content = lines.map { $0 + "\n" }.joined()
    return try append(
      content: Array(content.utf8), count: lines.filter { !$0.hasPrefix("#") }.count,
      durable: durable, skip: skip)
  }

  private func append(content: [UInt8], count: Int, durable: BatchNumber?, skip: UInt64) throws
    -> SequenceNumber
  {
    if segment == .none { try startSegment() }
    let byteCount = BatchLine.textByteCount + content.count
    let first = sequence.advanced(by: 1 + skip)
    let line = BatchLine(
      number: batch.advanced(by: 1), firstSequence: first, eventCount: UInt32(count),
      byteCount: UInt32(content.count), at: Timestamp(seconds: 1_800_000_000, nanoseconds: 0),
      durable: durable ?? batch, previousChecksum: checksum, salt: salt)
    var memory = AlignedBuffer(byteCount: byteCount)
    memory.copy(content.rawSpan, to: BatchLine.textByteCount)
    checksumBefore = checksum
    checksum = line.seal(in: &memory, at: 0)
    lastOffset = offset
    let name = SegmentName(log: log, number: segment)
    let file = try owner.files.open(owner.layout.segment(name), .write)
    defer { owner.files.close(file) }
    try owner.files.write(file, from: memory, 0..<byteCount, at: offset)
    offset += (byteCount + 4095) / 4096 * 4096
    batch = line.number
    sequence = line.lastSequence
    return sequence
  }

  /// Begins a segment as recovery does: one batch that copies the last batch, which was not
  /// proved, under its events' old numbers, and says that the segment before ends in front of it.
  func recoverLastBatch(_ lines: [String]) throws {
    let ended = EndLine(name: SegmentName(log: log, number: segment), offset: lastOffset)
    let kept = BatchNumber(batch.value - 1)
    sequence = SequenceNumber(sequence.value - UInt64(lines.count))
    try startSegment()
    batch = batch.advanced(by: Limits.batchNumberJump)
    checksum = checksumBefore
    try append([String(ended.text.dropLast())] + lines, durable: kept)
  }

  /// An empty batch, whose `durable` proves everything before it.
  func prove() throws { try append([]) }

  /// Bytes left in the segment.
  var room: Int { segment == .none ? 0 : segmentByteCount - offset }

  func path(_ number: UInt64) -> String {
    owner.layout.segment(SegmentName(log: log, number: SegmentNumber(number)))
  }
}

extension TestStore {
  /// Changes bytes of a file.
  func overwrite(_ path: String, at offset: Int, with text: String) throws {
    let bytes = Array(text.utf8)
    let file = try files.open(path, .write)
    defer { files.close(file) }
    var memory = AlignedBuffer(byteCount: bytes.count)
    memory.copy(bytes.rawSpan, to: 0)
    try files.write(file, from: memory, 0..<bytes.count, at: offset)
  }
}

extension StoredEvent {
  /// An event with this line, for judging selections and formats.
  init(line: String, log: UInt8 = 0, sequence: UInt64 = 1) {
    self.init()
    bytes = Array(line.utf8)
    guard let parsed = try? EventLine(bytes.rawSpan, 0..<bytes.count), let parsedTime = parsed.time
    else { preconditionFailure("the test's line parses") }
    fields = parsed
    time = parsedTime
    self.log = LogNumber(log)
    self.sequence = SequenceNumber(sequence)
  }
}
