// A model of a shard's life: it writes with two batches in flight, switches segments, is killed or
// loses power at any moment, also inside recovery, and its settled segments are archived. The
// oracle: what was acknowledged is there, what was not is there whole or not at all, what was once
// recovered stays, order is kept, and no sequence number is given out twice.

import PenstockCore
import Testing

private struct Life {
  var log = TestLog()
  var random: TestRandom
  /// Events that must be there from now on, and events that may be.
  var certain: [TestEvent] = []
  var inFlight: [(batch: TestBatch, segment: UInt64)] = []
  var archive: [TestEvent] = []
  var archivedThrough: UInt64 = 0
  var coveredThrough: UInt64 = 0
  var highestSequence: UInt64 = 0
  var crashesInRecovery = 0

  init(seed: UInt64) { random = TestRandom(seed: seed) }

  func stored() throws -> [TestEvent] {
    try archive + log.events(after: archivedThrough, coveredThrough: coveredThrough)
  }

  /// What the log holds after a crash: everything certain, then whole batches of those in flight.
  mutating func check(_ what: String) throws {
    let stored = try stored()
    #expect(Array(stored.prefix(certain.count)) == certain, "\(what): acknowledged")
    var rest = Array(stored.dropFirst(certain.count))
    for (batch, _) in inFlight {
      let events = Life.events(of: batch)
      if Array(rest.prefix(events.count)) == events {
        rest.removeFirst(events.count)
      } else if archivedThrough == 0 {
        // With nothing left in front of it, a batch stands even when the one before it is lost.
        break
      }
    }
    #expect(rest.isEmpty, "\(what): nothing but whole batches in order")
  }

  static func events(of batch: TestBatch) -> [TestEvent] {
    batch.payloads.enumerated().map {
      TestEvent(sequence: batch.first + UInt64($0.offset), payload: $0.element)
    }
  }

  mutating func crash() {
    let cut: MemoryFileSystem.PowerCut =
      random.chance(30) ? .keepsAll : random.chance(20) ? .dropsAll : .random(seed: random.next())
    log = log.restarted(cut)
  }

  mutating func recover(_ what: String) throws -> Recovered {
    while random.chance(40) {
      log.files.fail(.from(Int.random(in: 1...80, using: &random)))
      _ = try? log.recover(archivedThrough: archivedThrough, coveredThrough: coveredThrough)
      crash()
      crashesInRecovery += 1
      try check(what)
    }
    let recovered = try log.recover(
      archivedThrough: archivedThrough, coveredThrough: coveredThrough,
      segmentByteCount: 4096 * Int.random(in: 2...6, using: &random))
    try check(what)
    certain = try stored()
    inFlight = []
    #expect(recovered.nextSequence.value > highestSequence, "\(what): sequence numbers")
    #expect(recovered.damage.filter { !$0.isTail }.isEmpty, "\(what): \(recovered.damage)")
    return recovered
  }

  /// Writes until the model decides to crash.
  mutating func write(_ recovered: Recovered) throws {
    var segment = recovered.header
    var offset = recovered.nextOffset
    var writer = TestSegmentWriter()
    writer.checksum = recovered.lastChecksum
    var number = recovered.lastBatch.value
    var durable = number
    var sequence = recovered.nextSequence.value
    for _ in 0..<Int.random(in: 0...30, using: &random) {
      if inFlight.count == 2 || (!inFlight.isEmpty && random.chance(40)) {
        let (batch, name) = inFlight.removeFirst()
        try sync(name)
        durable = batch.number
        certain += Life.events(of: batch)
        continue
      }
      number += 1
      let payloads =
        (0..<Int.random(in: 0...3, using: &random)).map { "\(number).\($0)" }
        + (random.chance(30) ? ["\(number).large" + String(repeating: "x", count: 9000)] : [])
      let batch = TestBatch(number: number, first: sequence, durable: durable, payloads: payloads)
      let size = writer.bytesCount(batch)
      if offset + size > segment.byteCount {
        if random.chance(20) { try leaveUnfinished(segment.name.number.next) }
        segment = try prepare(room: size)
        offset = segment.alignment
      }
      try put(writer.bytes(batch, salt: segment.salt), segment.name, offset)
      inFlight.append((batch, segment.name.number.value))
      offset += size
      sequence += UInt64(payloads.count)
      highestSequence = max(highestSequence, sequence - 1)
    }
  }

  private func sync(_ number: UInt64) throws {
    let file = try log.files.open(log.path(number), .write)
    defer { log.files.close(file) }
    try log.files.syncData(file)
  }

  private func put(_ bytes: [UInt8], _ name: SegmentName, _ offset: Int) throws {
    let file = try log.files.open(log.layout.segment(name), .write)
    defer { log.files.close(file) }
    let padded = (bytes.count + 4095) / 4096 * 4096
    var memory = AlignedBuffer(byteCount: padded)
    memory.fill(0..<padded, with: Byte.lineFeed)
    memory.copy(bytes.rawSpan, to: 0)
    try log.files.write(file, from: memory, 0..<padded, at: offset)
  }

  private mutating func prepare(room: Int) throws -> SegmentHeader {
    let catalog = try SegmentCatalog(log.files, log.layout)
    let number = catalog.nextNumber(of: log.log, after: SegmentNumber(archivedThrough))
    return try SegmentPreparation.prepare(
      log.files, log.layout, name: SegmentName(log: log.log, number: number),
      store: TestSegmentWriter.store, byteCount: 4096 * Int.random(in: 2...6, using: &random),
      isFilled: random.chance(70), room: room)
  }

  /// A segment whose preparation was cut short.
  private func leaveUnfinished(_ number: SegmentNumber) throws {
    guard log.files.bytes(log.path(number.value)) == nil else { return }
    log.put(number.value, [UInt8](repeating: 0, count: 8192))
  }

  mutating func archiveSettled() throws {
    let view = try log.view(after: archivedThrough, coveredThrough: coveredThrough)
    let settled = view.segments.prefix { $0.isSettled }
    guard let last = settled.last, random.chance(50) else { return }
    var part = view
    part.segments = Array(settled)
    archive += try log.events(in: part)
    archivedThrough = last.name.number.value
    coveredThrough = archive.last?.sequence ?? coveredThrough
    for segment in settled where random.chance(70) { log.files.remove(segment.path) }
  }
}

extension TestSegmentWriter {
  /// Bytes of the blocks `batch` takes.
  func bytesCount(_ batch: TestBatch) -> Int {
    var copy = self
    return (copy.bytes(batch, salt: 0).count + 4095) / 4096 * 4096
  }
}

struct RecoveryModelTests {
  @Test(arguments: 0..<6)
  func `through any life of a shard the oracle is content`(_ part: Int) throws {
    var crashesInRecovery = 0
    var archivedCount = 0
    var certainCount = 0
    for seed in UInt64(part * 12)..<UInt64(part * 12 + 12) {
      var life = Life(seed: seed)
      for round in 0..<10 {
        let what = "seed \(seed), round \(round)"
        let recovered = try life.recover(what)
        try life.write(recovered)
        if life.random.chance(30) { try life.archiveSettled() }
        life.crash()
        try life.check(what)
      }
      crashesInRecovery += life.crashesInRecovery
      archivedCount += life.archive.count
      certainCount += life.certain.count
    }
    // The lives have to be eventful, or the oracle has nothing to say.
    #expect(crashesInRecovery > 30)
    #expect(archivedCount > 50)
    #expect(certainCount > 500)
  }
}
