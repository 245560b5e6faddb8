import PenstockArchive
import PenstockCore
import Testing

@Suite struct FollowerTests {
  private func line(_ second: Int, stream: String = "a") -> String {
    let time = Timestamp(seconds: 1_763_000_000 + Int64(second), nanoseconds: 0)
    return "\(time.text) \(stream) -\tevent \(second)"
  }

  /// Waits out the interval at which a follower looks for new pages and logs.
  private func poll(_ follower: Follower<LinuxFileSystem>, untilCount count: Int) throws -> [String]
  {
    var lines: [String] = []
    let deadline = System.monotonicNanoseconds() + 5_000_000_000
    repeat {
      try follower.poll { event in lines.append(String(decoding: event.bytes, as: UTF8.self)) }
      if lines.count >= count { break }
      System.sleep(nanoseconds: 5_000_000)
    } while System.monotonicNanoseconds() < deadline
    return lines
  }

  private func follow(_ store: TestStore, _ selection: Selection = Selection()) throws -> (
    Follower<LinuxFileSystem>, [String]
  ) {
    let reader = try store.reader()
    var cursor = try reader.read(Query(selection))
    var event = StoredEvent()
    var lines: [String] = []
    while try cursor.next(&event) { lines.append(String(decoding: event.bytes, as: UTF8.self)) }
    return (Follower(reader, selection, from: cursor.places), lines)
  }

  @Test func `events come as the frontier moves, not before`() throws {
    let store = try TestStore()
    let log = store.log(0)
    try log.append([line(1)])
    try store.publish(0, 1)
    let (follower, before) = try follow(store)
    #expect(before == [line(1)])
    try log.append([line(3), line(2)])
    #expect(try pollOnce(follower).isEmpty)
    try store.publish(0, 3)
    #expect(try poll(follower, untilCount: 2) == [line(3), line(2)])
    try log.append([])
    for second in 4...8 { try log.append([line(second)]) }
    try store.publish(0, 8)
    #expect(try poll(follower, untilCount: 5) == (4...8).map { line($0) })
    #expect(try pollOnce(follower).isEmpty)
  }

  /// In pieces of two events, as far as batches allow, each is given once and no log waits for ever.
  @Test func `who takes events slowly leaves the rest where it is stored`() throws {
    let store = try TestStore()
    let log = store.log(0)
    try log.append([line(1)])
    try store.publish(0, 1)
    let (follower, _) = try follow(store)
    try log.append((2...4).map { line($0) })
    for second in 5...12 { try log.append([line(second)]) }
    try store.publish(0, 12)
    // A log that came later is read by a snapshot first.
    let other = store.log(1)
    for second in 101...106 { try other.append([line(second, stream: "b")]) }
    try store.publish(1, 6)
    var pieces: [[String]] = []
    let deadline = System.monotonicNanoseconds() + 5_000_000_000
    while pieces.joined().count < 17, System.monotonicNanoseconds() < deadline {
      var piece: [String] = []
      try follower.poll(while: { piece.count < 2 }) { event in
        piece.append(String(decoding: event.bytes, as: UTF8.self))
      }
      if piece.isEmpty { System.sleep(nanoseconds: 5_000_000) } else { pieces.append(piece) }
    }
    let all = Array(pieces.joined())
    #expect(all.filter { $0.contains(" a ") } == (2...12).map { line($0) })
    #expect(all.filter { $0.contains(" b ") } == (101...106).map { line($0, stream: "b") })
    #expect(pieces.map(\.count).max() == 3 && pieces[0] == (2...4).map { line($0) })
    let lastA = all.lastIndex { $0.contains(" a ") } ?? 0
    #expect(all[..<lastA].contains { $0.contains(" b ") }, "the logs take turns")
    #expect(try pollOnce(follower).isEmpty)
  }

  private func pollOnce(_ follower: Follower<LinuxFileSystem>) throws -> [String] {
    var lines: [String] = []
    try follower.poll { event in lines.append(String(decoding: event.bytes, as: UTF8.self)) }
    return lines
  }

  @Test func `switches of segments are followed, also several at once`() throws {
    let store = try TestStore()
    let log = store.log(0)
    try log.append([line(1)])
    try store.publish(0, 1)
    let (follower, _) = try follow(store)
    try log.startSegment()
    try log.append([])
    try log.append([line(2)])
    try store.publish(0, 2)
    #expect(try poll(follower, untilCount: 1) == [line(2)])
    try log.startSegment()
    try log.append([line(3)])
    try log.startSegment()
    try log.append([line(4)])
    try store.publish(0, 4)
    #expect(try poll(follower, untilCount: 2) == [line(3), line(4)])
  }

  @Test func `events larger than one read come whole`() throws {
    let store = try TestStore()
    let log = store.log(0)
    try log.append([line(1)])
    try store.publish(0, 1)
    let (follower, _) = try follow(store)
    let large = line(2) + String(repeating: "x", count: 300_000)
    try log.append([large])
    try log.append([line(3)])
    try store.publish(0, 3)
    #expect(try poll(follower, untilCount: 2) == [large, line(3)])
  }

  @Test func `a restart of the shard is followed and nothing comes twice`() throws {
    let store = try TestStore()
    let log = store.log(0)
    try log.append([line(1)])
    try log.append([line(2)])
    try store.publish(0, 2, epoch: 1)
    // The second batch is in the first life's frontier; the third is not proved.
    try log.append([line(3)])
    try store.hold(0, epoch: 1, process: 0)
    let (follower, before) = try follow(store)
    #expect(before == [line(1), line(2), line(3)])
    try log.recoverLastBatch([line(3)])
    try log.append([line(4)], skip: Limits.sequenceJump)
    try store.publish(0, log.sequence.value, epoch: 2)
    #expect(try poll(follower, untilCount: 1) == [line(4)])
    try log.append([line(5)])
    try store.publish(0, log.sequence.value, epoch: 2)
    #expect(try poll(follower, untilCount: 1) == [line(5)])
  }

  @Test func `a log that is added later is followed from its first event`() throws {
    let store = try TestStore()
    try store.log(0).append([line(1)])
    try store.publish(0, 1)
    let (follower, _) = try follow(store)
    try store.log(1).append([line(2, stream: "b"), line(3, stream: "b")])
    try store.publish(1, 2)
    #expect(try poll(follower, untilCount: 2) == [line(2, stream: "b"), line(3, stream: "b")])
  }

  @Test func `who follows from the start gets what no writer is there for, once, then what comes`()
    throws
  {
    let store = try TestStore()
    // Log 1 is in tables only; of log 2 nothing is, and nobody writes it; log 255 was imported.
    try store.log(1).append([line(1, stream: "archived"), line(9, stream: "archived")])
    try store.sealAll()
    try store.archive()
    try store.files.unlink(store.log(1).path(2))
    let tables = try TableImport(store.files, store.layout, store: store.store)
    try tables.append(Array((line(3, stream: "imported") + "\n").utf8).rawSpan, count: 1)
    _ = try tables.finish()
    try store.log(2).append([line(2, stream: "retired"), line(4, stream: "retired")])
    try store.log(2).prove()
    try store.log(0).append([line(5, stream: "live"), line(0, stream: "live")])
    try store.publish(0, 2)
    let all = [
      line(0, stream: "live"), line(1, stream: "archived"), line(2, stream: "retired"),
      line(3, stream: "imported"), line(4, stream: "retired"), line(5, stream: "live"),
      line(9, stream: "archived"),
    ]
    let follower = Follower(try store.reader(), Selection(), behind: FollowPosition())
    #expect(try poll(follower, untilCount: all.count) == all)
    let positions = follower.position.vector.positions
    #expect(
      positions == [
        LogNumber(0): SequenceNumber(2), LogNumber(1): SequenceNumber(2),
        LogNumber(2): SequenceNumber(2), .imported: SequenceNumber(1),
      ])
    try store.log(0).append([line(6, stream: "live")])
    try store.publish(0, 3)
    #expect(try poll(follower, untilCount: 1) == [line(6, stream: "live")])
    #expect(try pollOnce(follower).isEmpty)
    // Behind a vector: the rest of each log, and all of those it does not name.
    let vector = PositionVector([LogNumber(0): SequenceNumber(3), LogNumber(1): SequenceNumber(1)])
    let other = Follower(try store.reader(), Selection(), behind: FollowPosition(vector))
    #expect(
      try poll(other, untilCount: 4) == [all[2], all[3], all[4], all[6]])
    #expect(try pollOnce(other).isEmpty)
  }

  /// Why a poll was given up.
  private struct Left: Error {}

  @Test func `at each event another follower goes on, with none left out and none twice`() throws {
    let store = try TestStore()
    // The order of time is not that of the logs, and a third of it is archived.
    var random = TestRandom(seed: 7)
    var second = 0
    for part in 0..<3 {
      for log in UInt8(0)..<3 {
        for _ in 0..<4 {
          second += 1
          try store.log(log).append([
            line(Int.random(in: 0..<1000, using: &random), stream: "s\(second)")
          ])
        }
        if part > 0 { try store.log(log).startSegment() }
      }
      if part == 0 {
        try store.sealAll()
        try store.archive()
      }
    }
    for log in UInt8(0)..<3 {
      try store.log(log).prove()
      try store.publish(log, store.log(log).sequence.value)
    }
    let reader = try store.reader()
    let whole = Follower(reader, Selection(), behind: FollowPosition())
    let all = try poll(whole, untilCount: 36)
    #expect(Set(all).count == 36 && all.count == 36)
    var late = 0
    for cut in 0..<36 {
      let first = Follower(reader, Selection(), behind: FollowPosition())
      var seen: [String] = []
      // In one step, or in two.
      var position = FollowPosition()
      if cut > 0 { position = try follow(first, cut, &seen) }
      if cut > 9 {
        position = try follow(
          Follower(reader, Selection(), behind: try reread(position)), cut / 3, &seen)
      }
      // What comes meanwhile has the earliest time of all, and may be archived before it is followed.
      late += 1
      let new = line(-late, stream: "late\(late)")
      try store.log(0).append([new])
      try store.log(0).prove()
      if cut % 5 == 0 {
        try store.log(0).startSegment()
        try store.log(0).prove()
        try store.publish(0, store.log(0).sequence.value)
        try store.archive()
      }
      try store.publish(0, store.log(0).sequence.value)
      let rest = Follower(reader, Selection(), behind: try reread(position))
      seen += try poll(rest, untilCount: 36 + late - seen.count)
      #expect(seen.count == 36 + late && Set(seen).count == seen.count, "cut at \(cut)")
      #expect(rest.position.reading == nil)
    }
  }

  /// Follows until so many events more were seen; the position then.
  private func follow(
    _ follower: Follower<LinuxFileSystem>, _ count: Int, _ seen: inout [String]
  ) throws -> FollowPosition {
    var position = FollowPosition()
    var left = count
    do {
      try follower.poll { event in
        seen.append(String(decoding: event.bytes, as: UTF8.self))
        position = follower.position
        left -= 1
        if left == 0 { throw Left() }
      }
    } catch is Left {}
    return left == 0 ? position : follower.position
  }

  /// The position by way of its text.
  private func reread(_ position: FollowPosition) throws -> FollowPosition {
    let text = Array(position.text.utf8)
    let read = FollowPosition(text.rawSpan)
    return try #require(read)
  }

  @Test func `a read that has no time pauses, and its place is exact then`() throws {
    let store = try TestStore()
    for part in 0..<4 {
      try store.log(0).append([line(10 * part, stream: "a"), line(10 * part + 5, stream: "b")])
      try store.sealAll()
      try store.archive()
    }
    try store.log(0).append([line(100, stream: "b")])
    try store.publish(0, 9)
    var selection = Selection()
    selection.streams = [try Glob("b")]
    let reader = try store.reader()
    var follower = Follower(reader, selection, behind: FollowPosition())
    var seen: [String] = []
    var pauseCount = 0
    for turn in 0..<100 where seen.count < 5 {
      try follower.poll(for: 0) { event in seen.append(String(decoding: event.bytes, as: UTF8.self))
      }
      if follower.isReading { pauseCount += 1 }
      if turn % 3 == 2 {
        follower = Follower(reader, selection, behind: try reread(follower.position))
      }
    }
    #expect(pauseCount > 2)
    #expect(seen == [5, 15, 25, 35, 100].map { line($0, stream: "b") })
  }

  @Test func `in the middle of live events a position is exact, too`() throws {
    let store = try TestStore()
    try store.log(0).append([line(1)])
    try store.log(1).append([line(1, stream: "b")])
    try store.publish(0, 1)
    try store.publish(1, 1)
    let (follower, _) = try follow(store)
    _ = try poll(follower, untilCount: 0)
    try store.log(0).append([line(2), line(3)])
    try store.log(0).append([line(4)])
    try store.log(1).append([line(2, stream: "b"), line(3, stream: "b")])
    try store.publish(0, 4)
    try store.publish(1, 3)
    var seen: [String] = []
    var texts: [String] = []
    for _ in 0..<1000 where seen.count < 5 {
      try follower.poll { event in
        seen.append(String(decoding: event.bytes, as: UTF8.self))
        texts.append(follower.position.text)
      }
      System.sleep(nanoseconds: 5_000_000)
    }
    #expect(seen.count == 5)
    #expect(texts == ["0:2,1:1", "0:3,1:1", "0:4,1:1", "0:4,1:2", "0:4,1:3"])
  }

  @Test func `who is ahead of a log is told nothing until it gets there`() throws {
    let store = try TestStore()
    try store.log(0).append([line(1)])
    try store.publish(0, 1)
    let vector = PositionVector([LogNumber(0): SequenceNumber(2)])
    let follower = Follower(try store.reader(), Selection(), behind: FollowPosition(vector))
    #expect(try pollOnce(follower).isEmpty)
    try store.log(0).append([line(2)])
    try store.log(0).append([line(3)])
    try store.publish(0, 3)
    #expect(try poll(follower, untilCount: 1) == [line(3)])
    #expect(follower.position.vector.positions == [LogNumber(0): SequenceNumber(3)])
  }

  @Test func `only what is selected comes`() throws {
    let store = try TestStore()
    let log = store.log(0)
    try log.append([line(1)])
    try store.publish(0, 1)
    var selection = Selection()
    selection.streams = [try Glob("w*")]
    let (follower, _) = try follow(store, selection)
    try log.append([line(2), line(3, stream: "web"), line(4)])
    try log.append([line(5, stream: "web")])
    try store.publish(0, 5)
    #expect(
      try poll(follower, untilCount: 2) == [line(3, stream: "web"), line(5, stream: "web")])
  }
}
