// A store that is written, sealed, recovered and archived by a script, through the file system's
// verbs alone, and the oracle that knows what was acknowledged. The oracle's own book is kept here
// and shares nothing with what it judges but the sequence numbers of receipts.
//
//     open the store → recover → prepare, write, sync, acknowledge … → recover → archive
//       → write more → archive, merging into the manifest → recover
//
// The script ends at the first thing a shard would end for; the archiver tries each pass twice, as
// its process does. What then is on the disk is recovered without faults.

import PenstockArchive
import PenstockCore

/// The script's store.
final class ScriptedStore {
  /// One batch as it was handed over.
  struct Attempt {
    var first: UInt64
    var payloads: [String]
    var isAcknowledged = false
  }

  private let folder: TestFolder
  private let layout: StoreLayout
  private let log = LogNumber(0)
  /// A planted mistake: events are acknowledged before they are written.
  private let acknowledgesEarly: Bool
  private(set) var attempts: [Attempt] = []
  private var eventCount = 0

  /// Bytes of a segment: a few batches, so that segments change often.
  private static let segmentByteCount = 24 << 10
  /// Batches of one life of the shard.
  private static let batchCount = 7

  init(acknowledgesEarly: Bool = false) throws {
    self.acknowledgesEarly = acknowledgesEarly
    folder = try TestFolder()
    layout = StoreLayout(root: folder.path + "/store")
  }

  // MARK: - The script

  /// Runs the script until its end or until a shard would end; true at its end.
  func run<Files: FileSystem>(_ files: Files) throws -> Bool {
    do {
      let store = try StoreDescription.open(files, layout, journalHashWidth: 1).store
      try liveAndWrite(files, store)
      guard archive(files, store) else { return false }
      try liveAndWrite(files, store)
      guard archive(files, store) else { return false }
      _ = try recover(files, store)
      return true
    } catch is StoreError {
      return false
    } catch is LogError {
      return false
    } catch is FileError {
      return false
    } catch is ManifestError {
      return false
    }
  }

  /// What a start without faults finds: recovers, and archives what is settled.
  func settle(archives: Bool) throws -> Recovered {
    let files = LinuxFileSystem()
    let store = try StoreDescription.open(files, layout, journalHashWidth: 1).store
    if archives { try TestStore.archive(layout, store) }
    return try recover(files, store)
  }

  private func recover<Files: FileSystem>(_ files: Files, _ store: StoreIdentifier) throws
    -> Recovered
  {
    let manifest = try Manifest.read(files, layout)
    return try Recovery.run(
      files, layout, store: store, log: log, archivedThrough: manifest.archivedThrough(log),
      coveredThrough: manifest.coveredThrough(log), segmentByteCount: ScriptedStore.segmentByteCount
    )
  }

  private func archive<Files: FileSystem>(_ files: Files, _ store: StoreIdentifier) -> Bool {
    for _ in 0..<2 {
      do throws(ArchiveError) {
        var archiver = try Archiver(files, layout, store: store)
        while try archiver.pass().segmentCount > 0 {}
        return true
      } catch {
        continue
      }
    }
    return false
  }

  /// One life of a shard: recovers, writes batches one and two to a barrier, seals.
  private func liveAndWrite<Files: FileSystem>(_ files: Files, _ store: StoreIdentifier) throws {
    let recovered = try recover(files, store)
    var writer = Writer(recovered)
    writer.file = try files.open(layout.segment(recovered.header.name), .write)
    defer { if let file = writer.file { files.close(file) } }
    for index in 0..<ScriptedStore.batchCount {
      try append(files, store, &writer, payloadCount: 1 + index % 3)
      // The third and the sixth share their barrier with the next one.
      if index % 3 != 2 { try barrier(files, &writer) }
    }
    try switchSegment(files, store, &writer)
    try append(files, store, &writer, payloadCount: 0)
    try barrier(files, &writer)
  }

  /// Where a shard writes.
  private struct Writer {
    var header: SegmentHeader
    var offset: Int
    var batch: BatchNumber
    var durable: BatchNumber
    var sequence: SequenceNumber
    var checksum: UInt32
    var file: File?
    /// Attempts whose barrier has not come.
    var open: [Int] = []

    init(_ recovered: Recovered) {
      header = recovered.header
      offset = recovered.nextOffset
      batch = recovered.lastBatch
      durable = recovered.lastBatch
      sequence = recovered.nextSequence
      checksum = recovered.lastChecksum
    }
  }

  private func append<Files: FileSystem>(
    _ files: Files, _ store: StoreIdentifier, _ writer: inout Writer, payloadCount: Int
  ) throws {
    let base = Timestamp(seconds: 1_763_000_000, nanoseconds: 0).nanosecondsSince1970
    var payloads: [String] = []
    var content = ""
    for _ in 0..<payloadCount {
      eventCount += 1
      let padding = String(repeating: "p", count: eventCount % 5 * 900)
      payloads.append("event \(eventCount) \(padding)")
      let time = Timestamp(nanosecondsSince1970: base + Int128(eventCount) * 1_000_000_000)
      content += "\(time.text) s/\(eventCount % 3) T\t\(payloads[payloads.count - 1])\n"
    }
    let byteCount = BatchLine.textByteCount + content.utf8.count
    let alignment = writer.header.alignment
    let padded = (byteCount + alignment - 1) / alignment * alignment
    if writer.offset + padded > writer.header.byteCount {
      try barrier(files, &writer)
      try switchSegment(files, store, &writer)
    }
    let line = BatchLine(
      number: writer.batch.advanced(by: 1), firstSequence: writer.sequence,
      eventCount: UInt32(payloadCount), byteCount: UInt32(content.utf8.count),
      at: Timestamp(nanosecondsSince1970: base), durable: writer.durable,
      previousChecksum: writer.checksum, salt: writer.header.salt)
    var memory = AlignedBuffer(byteCount: padded)
    memory.fill(0..<padded, with: Byte.lineFeed)
    memory.copy(Array(content.utf8).rawSpan, to: BatchLine.textByteCount)
    writer.checksum = line.seal(in: &memory, at: 0)
    if payloadCount > 0 {
      writer.open.append(attempts.count)
      attempts.append(
        Attempt(
          first: writer.sequence.value, payloads: payloads, isAcknowledged: acknowledgesEarly))
    }
    if let file = writer.file { try files.write(file, from: memory, 0..<padded, at: writer.offset) }
    writer.offset += padded
    writer.batch = line.number
    writer.sequence = writer.sequence.advanced(by: UInt64(payloadCount))
  }

  /// Syncs what was written, and only then acknowledges it.
  private func barrier<Files: FileSystem>(_ files: Files, _ writer: inout Writer) throws {
    if let file = writer.file { try files.syncData(file) }
    writer.durable = writer.batch
    for index in writer.open { attempts[index].isAcknowledged = true }
    writer.open = []
  }

  /// Goes on in a fresh segment, once everything in this one is durable.
  private func switchSegment<Files: FileSystem>(
    _ files: Files, _ store: StoreIdentifier, _ writer: inout Writer
  ) throws {
    try barrier(files, &writer)
    writer.header = try SegmentPreparation.prepare(
      files, layout, name: SegmentName(log: log, number: writer.header.name.number.next),
      store: store, byteCount: ScriptedStore.segmentByteCount, isFilled: true)
    if let file = writer.file { files.close(file) }
    writer.file = nil
    writer.file = try files.open(layout.segment(writer.header.name), .write)
    writer.offset = writer.header.alignment
  }

  // MARK: - The oracle

  /// What is wrong with what the store holds; empty when it holds every acknowledged event once,
  /// whole and in order, and of the rest whole batches only.
  func faults() throws -> [String] {
    let reader = try StoreReader(LinuxFileSystem(), layout)
    var cursor = try reader.read(Query())
    var event = StoredEvent()
    var found: [UInt64: String] = [:]
    var faults: [String] = []
    var last: UInt64 = 0
    while try cursor.next(&event) {
      let sequence = event.key.sequence.value
      if sequence <= last { faults.append("\(sequence) comes behind \(last)") }
      last = sequence
      let line = String(decoding: event.bytes, as: UTF8.self)
      let payload = line.split(separator: "\t", maxSplits: 1).last.map(String.init) ?? ""
      if found.updateValue(payload, forKey: sequence) != nil { faults.append("\(sequence) twice") }
    }
    for damage in cursor.report.damage { faults.append(damage) }
    for attempt in attempts {
      let present = attempt.payloads.indices.map { found[attempt.first + UInt64($0)] }
      if attempt.isAcknowledged || present.contains(where: { $0 != nil }) {
        if present != attempt.payloads.map({ $0 }) {
          faults.append(
            "batch at \(attempt.first), \(attempt.isAcknowledged ? "acknowledged" : "open"): "
              + "\(present.count { $0 != nil }) of \(present.count) events as written")
        }
      }
      for index in attempt.payloads.indices {
        found.removeValue(forKey: attempt.first + UInt64(index))
      }
    }
    if !found.isEmpty { faults.append("\(found.count) events that nobody wrote") }
    return faults
  }

  /// The highest sequence number handed over.
  var highest: UInt64 {
    attempts.map { $0.first + UInt64($0.payloads.count) - 1 }.max() ?? 0
  }

  var acknowledgedCount: Int {
    attempts.filter(\.isAcknowledged).reduce(0) { $0 + $1.payloads.count }
  }
}
