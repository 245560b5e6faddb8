import PenstockCore
import Synchronization
import Testing

struct LogViewTests {
  private func name(_ number: UInt64) -> SegmentName {
    SegmentName(log: LogNumber(0), number: SegmentNumber(number))
  }

  @Test func `a view lists segments, batches and what is proved`() throws {
    let small = SmallLog()
    let view = try small.log.view()
    #expect(view.segments.map(\.name) == [name(1), name(2)])
    #expect(view.segments.map(\.path) == [small.log.path(1), small.log.path(2)])
    #expect(view.segments.map(\.byteCount) == [5 * 4096, 3 * 4096])
    #expect(view.segments.map { $0.batches.map(\.isProved) } == [[true, true, true], [false]])
    #expect(view.segments.map(\.isSealed) == [true, false])
    #expect(view.segments.map(\.isSettled) == [true, false])
    #expect(view.lastProved == SequenceNumber(5))
    #expect(view.lastBatch == BatchNumber(4))
    #expect(try small.log.events(in: view, onlyProved: true) == small.events(without: 4))
    #expect(try LogView.logs(in: small.log.files, small.log.layout) == [LogNumber(0)])
    #expect(small.log.files.openCount == 0)
  }

  @Test func `the frontier proves what it covers`() throws {
    let small = SmallLog()
    #expect(try small.log.view(frontier: 6).lastProved == SequenceNumber(6))
    #expect(try small.log.view(frontier: 5).lastProved == SequenceNumber(5))
  }

  @Test func `reading changes nothing`() throws {
    let small = SmallLog()
    small.log.flip(bit: 1, of: 8200, in: 1)
    let before = small.log.files.paths.map { small.log.files.bytes($0) }
    _ = try small.log.view()
    #expect(small.log.files.paths.map { small.log.files.bytes($0) } == before)
  }

  @Test func `an empty log is an empty view, and so is one that is archived throughout`() throws {
    let log = TestLog()
    let view = try log.view()
    #expect(view.segments.isEmpty)
    #expect(view.lastProved == .none)
    #expect(try SmallLog().log.view(after: 2).segments.isEmpty)
  }

  @Test func `a hole in the numbers asks for a newer manifest, or is reported`() throws {
    let small = SmallLog()
    small.log.files.remove(small.log.path(1))
    #expect(throws: LogError.changed) { try small.log.view() }
    #expect(try small.log.view(after: 1).damage.isEmpty)
    let view = try small.log.view(acceptsHoles: true)
    #expect(view.damage.map(\.kind) == [.rot, .missingSegment])
    #expect(view.damage.map(\.segment) == [name(2), name(1)])
    #expect(view.damage.dropFirst(0).first?.batches == BatchNumber(1)...BatchNumber(3))
    #expect(try small.log.events(in: view) == small.batches[3])
    let recovered = try small.log.recover()
    #expect(recovered.damage.map(\.kind) == [.rot])
    #expect(try small.log.events() == small.batches[3])
  }

  @Test func `a segment that vanishes while it is read asks for a newer manifest`() throws {
    let small = SmallLog()
    let files = small.log.files
    let first = small.log.path(1)
    files.beforeReads { path, _ in if path != first { files.remove(first) } }
    #expect(throws: LogError.changed) { try small.log.view() }
  }

  @Test func `a file verb that fails is named`() throws {
    for operation in 1... {
      let small = SmallLog()
      small.log.files.fail(.from(operation))
      do {
        _ = try small.log.view()
        if small.log.files.operationCount < operation { return }
      } catch let error as LogError {
        guard case .file = error else { throw error }
      }
      #expect(small.log.files.openCount == 0)
    }
  }

  /// A segment of over four windows, as it stands after each of its batches 1 to 8. Batches 3 and 7
  /// are larger than two windows.
  private func growingSegment() -> [[UInt8]] {
    var writer = TestSegmentWriter()
    let large = String(repeating: "z", count: 2 << 20)
    let durable: [UInt64] = [0, 1, 1, 3, 3, 4, 5, 7]
    let batches = durable.enumerated().map { index, durable in
      TestBatch(
        number: UInt64(index + 1), first: UInt64(index + 1), durable: durable,
        payloads: [index == 2 || index == 6 ? large : "\(index + 1)"])
    }
    let whole = writer.segment(1, batches, blockCount: 1100)
    var end = 4096
    return batches.indices.map { index in
      var copy = TestSegmentWriter()
      end += (copy.bytes(batches[index], salt: 0).count + 4095) / 4096 * 4096
      return Array(whole[..<end]) + [UInt8](repeating: Byte.lineFeed, count: whole.count - end)
    }
  }

  @Test func `what a running shard writes during the read is not taken for rot`() throws {
    let states = growingSegment()
    let log = TestLog()
    log.put(1, states[0])
    let files = log.files
    let path = log.path(1)
    // The first window is read before batch 2 arrives, the others after batch 4, its proof.
    files.beforeReads { _, offset in if offset > 0 { files.put(path, states[3]) } }
    let view = try log.view()
    #expect(view.damage.isEmpty)
    #expect(view.segments.first?.batches.map(\.line.number.value) == [1, 2, 3, 4])
    #expect(view.lastProved == SequenceNumber(3))
  }

  @Test func `what is newer than the second look's proof ends the view and is no loss`() throws {
    let states = growingSegment()
    let log = TestLog()
    log.put(1, states[0])
    let files = log.files
    let path = log.path(1)
    let looks = Atomic(0)
    files.beforeReads { _, offset in
      if offset == 0 { looks.add(1, ordering: .relaxed) }
      let isFirst = looks.load(ordering: .relaxed) == 1
      let late = offset >= 3 << 20
      files.put(path, isFirst ? states[offset == 0 ? 0 : 3] : states[late ? 7 : 4])
    }
    let view = try log.view()
    #expect(looks.load(ordering: .relaxed) == 2)
    #expect(view.segments.first?.batches.map(\.line.number.value) == [1, 2, 3, 4, 5])
    #expect(view.lastProved == SequenceNumber(3))
    #expect(view.damage.filter { !$0.isTail }.isEmpty)
  }

  @Test func `real rot is found in both looks`() throws {
    let small = SmallLog()
    small.log.flip(bit: 0, of: 8192 + 200, in: 1)
    let view = try small.log.view()
    #expect(view.damage.map(\.kind) == [.rot])
    #expect(view.damage.dropFirst(0).first?.batches == small.batch(2))
    #expect(try small.log.events(in: view) == small.events(without: 2))
  }

  @Test func `a refreshed view is what a fresh one is, and reads only what is new`() throws {
    let log = TestLog()
    var previous: LogView?
    var archived: UInt64 = 0
    for round in 0..<8 {
      let recovered = try log.recover(archivedThrough: archived, segmentByteCount: 256 << 10)
      var writer = TestSegmentWriter()
      writer.checksum = recovered.lastChecksum
      let number = recovered.header.name.number.value
      var bytes = log.bytes(number)
      for index in 0..<UInt64(6) {
        let batch = TestBatch(
          number: recovered.lastBatch.value + 1 + index,
          first: recovered.nextSequence.value + index,
          durable: recovered.lastBatch.value + index, payloads: ["\(round) \(index)"])
        let written = writer.bytes(batch, salt: recovered.header.salt)
        let offset = recovered.nextOffset + Int(index) * 4096
        bytes.replaceSubrange(offset..<(offset + written.count), with: written)
        log.put(number, bytes)
        let fresh = try log.view(after: archived)
        let refreshed = try log.view(after: archived, refreshing: previous)
        #expect(refreshed.segments == fresh.segments, "round \(round), batch \(index)")
        #expect(refreshed.damage == fresh.damage)
        #expect(refreshed.lastProved == fresh.lastProved)
        #expect(refreshed.lastBatch == fresh.lastBatch)
        previous = refreshed
      }
      if round == 4 {
        archived = 2
        log.files.remove(log.path(1))
        log.files.remove(log.path(2))
      }
    }
    let reads = Atomic(0)
    log.files.beforeReads { _, _ in reads.add(1, ordering: .relaxed) }
    _ = try log.view(after: archived, refreshing: previous)
    let few = reads.exchange(0, ordering: .relaxed)
    _ = try log.view(after: archived)
    #expect(few < reads.load(ordering: .relaxed))
  }

  @Test func `a refreshed view is fresh after everything it knew was archived`() throws {
    let small = SmallLog()
    let view = try small.log.view()
    try small.log.recover()
    let refreshed = try small.log.view(after: 2, refreshing: view)
    #expect(refreshed.segments.map(\.name) == [name(3)])
    #expect(refreshed.damage.isEmpty)
    small.log.files.remove(small.log.path(3))
    #expect(try small.log.view(after: 3, refreshing: refreshed).segments.isEmpty)
  }

  /// A file that is left alone keeps the segments behind it from being settled.
  @Test func `a refreshed view still knows what a recovery batch it knew had ended`() throws {
    let small = SmallLog()
    var writer = TestSegmentWriter()
    let log = TestLog()
    let batches = (1...3 as ClosedRange<UInt64>).map {
      TestBatch(number: $0, first: $0, durable: $0 - 1, payloads: ["\($0)"])
    }
    log.put(1, writer.segment(1, Array(batches[..<2])))
    log.put(3, writer.segment(3, [batches[2]]))
    log.put(2, small.log.bytes(1))
    let recovered = try log.recover(segmentByteCount: 64 << 10)
    writer.checksum = recovered.lastChecksum
    var bytes = log.bytes(4)
    for index in 1...2 as ClosedRange<UInt64> {
      let next = writer.bytes(
        TestBatch(
          number: recovered.lastBatch.value + index, first: recovered.nextSequence.value + index,
          durable: recovered.lastBatch.value + index - 1, payloads: ["later"]),
        salt: recovered.header.salt)
      let offset = recovered.nextOffset + Int(index - 1) * 4096
      bytes.replaceSubrange(offset..<(offset + next.count), with: next)
    }
    log.put(4, bytes)
    let view = try log.view()
    #expect(try log.events(in: view).map(\.payload) == ["1", "2", "3", "later", "later"])
    let refreshed = try log.view(refreshing: view)
    #expect(refreshed.segments == view.segments)
  }
}
