// A store in memory whose logs are written as shards would, archived, crashed and read back.

import PenstockArchive
import PenstockCore

/// A store in memory, and the events that are in it.
final class MemoryStore {
  let layout = StoreLayout(root: "/store")
  let store = StoreIdentifier(high: 0x1234, low: 0x5678)
  private(set) var files = MemoryFileSystem()
  private(set) var events: [ModelEvent] = []
  private var logs: [UInt8: Log] = [:]

  private struct Log {
    var segment: UInt64 = 0
    var batch: UInt64 = 0
    var sequence: UInt64 = 0
    var checksum: UInt32 = 0
    var bytes: [UInt8] = []
    var salt: UInt64 = 0
  }

  init() throws {
    for path in [layout.live, layout.archive, layout.quarantine] {
      try files.makeDirectory(path)
    }
  }

  private func path(_ log: UInt8, _ segment: UInt64) -> String {
    layout.segment(SegmentName(log: LogNumber(log), number: SegmentNumber(segment)))
  }

  /// Begins the next segment of a log.
  func startSegment(_ number: UInt8) {
    var log = logs[number] ?? Log()
    log.segment += 1
    log.salt = log.segment &* 0x9E37_79B9_7F4A_7C15
    let header = SegmentHeader(
      name: SegmentName(log: LogNumber(number), number: SegmentNumber(log.segment)), store: store,
      salt: log.salt, alignment: 4096, byteCount: 1 << 20)
    log.bytes = Array(header.text.utf8)
    log.bytes += [UInt8](repeating: Byte.lineFeed, count: 4096 - log.bytes.count)
    logs[number] = log
    save(number)
  }

  /// Starts the machine again: every open file is closed, and nothing fails.
  func restart(_ cut: MemoryFileSystem.PowerCut = .keepsAll) { files = files.restarted(cut) }

  /// What the clock says when a batch is closed, and to the archiver.
  var now = Timestamp(seconds: 1_763_000_000, nanoseconds: 0)

  /// Appends a batch of lines; those that begin with '#' are none.
  func append(_ lines: [[UInt8]], to number: UInt8) throws {
    if logs[number] == nil { startSegment(number) }
    guard var log = logs[number] else { return }
    var content: [UInt8] = []
    var count: UInt64 = 0
    for line in lines {
      content += line + [Byte.lineFeed]
      guard line.first != Byte.hash else { continue }
      count += 1
      guard let time = Timestamp(journalText: line.rawSpan, at: 0) else { continue }
      let key = EventKey(
        time: time, log: LogNumber(number), sequence: SequenceNumber(log.sequence + count))
      if let event = try? ModelEvent(key, line) { events.append(event) }
    }
    log.batch += 1
    let line = BatchLine(
      number: BatchNumber(log.batch), firstSequence: SequenceNumber(log.sequence + 1),
      eventCount: UInt32(count), byteCount: UInt32(content.count),
      at: now, durable: BatchNumber(log.batch - 1),
      previousChecksum: log.checksum, salt: log.salt)
    let byteCount = BatchLine.textByteCount + content.count
    var memory = AlignedBuffer(byteCount: byteCount)
    memory.copy(content.rawSpan, to: BatchLine.textByteCount)
    log.checksum = line.seal(in: &memory, at: 0)
    log.sequence += count
    log.bytes += memory.bytes(0..<byteCount).array()
    log.bytes += [UInt8](repeating: Byte.lineFeed, count: (4096 - log.bytes.count % 4096) % 4096)
    logs[number] = log
    save(number)
  }

  /// Ends every log's segment: all events so far may be archived.
  func sealAll() throws {
    for number in logs.keys.sorted() {
      startSegment(number)
      try append([], to: number)
    }
  }

  private func save(_ number: UInt8) {
    guard let log = logs[number] else { return }
    files.put(path(number, log.segment), log.bytes)
  }

  /// Random events over several logs and segments, sealed.
  func fill(_ shape: ModelShape, _ random: inout TestRandom) throws {
    var lines = try ModelEvent.random(shape, &random).map(\.line)
    while !lines.isEmpty {
      let number = UInt8.random(in: 0...2, using: &random)
      if random.chance(20) { startSegment(number) }
      let count = min(lines.count, Int.random(in: 0...20, using: &random))
      var batch = Array(lines.prefix(count))
      lines.removeFirst(count)
      if random.chance(20) { batch.insert(Array("#listener x".utf8), at: batch.count / 2) }
      try append(batch, to: number)
    }
    try sealAll()
  }

  /// Everything the store holds, through the archive and the live segments.
  func read(_ files: MemoryFileSystem, _ direction: ReadDirection = .forward) throws
    -> [ModelEvent]
  {
    let reader = try StoreReader(files, layout)
    var query = Query()
    query.direction = direction
    var cursor = try reader.read(query)
    var events: [ModelEvent] = []
    var event = StoredEvent()
    while try cursor.next(&event) { events.append(ModelEvent(event)) }
    return events
  }

  /// Archives all that is settled.
  func archive(
    _ files: MemoryFileSystem, _ settings: ArchiveSettings = ArchiveSettings(),
    runByteCountMax: Int = 8 << 20
  ) throws(ArchiveError) {
    var archiver = try Archiver(
      files, layout, store: store, settings: settings, runByteCountMax: runByteCountMax)
    while try archiver.pass(now: now).segmentCount > 0 {}
  }

  var sorted: [ModelEvent] { events.sorted { $0.key < $1.key } }
}
