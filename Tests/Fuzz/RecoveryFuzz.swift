// Segments: whatever stands in the live folder, recovery ends, keeps exactly what a reader without
// a daemon had shown, and has nothing more to change when it is run again.
//
//     input  = flags [archived covered] [frontier] ( script | bytes of one segment file )
//     flags    bit 0 something is archived, bit 1 a frontier was published, bit 2 bytes follow
//     script = *( operation )      see `SegmentScript`
//
// Random bytes never hold a valid checksum, so the script makes them; it may as well break them.

import PenstockCore

enum RecoveryFuzz {
  static func run(_ input: [UInt8]) {
    var reader = InputReader(input)
    let flags = reader.byte()
    let archived = flags & 1 != 0 ? UInt64(reader.byte() % 4) : 0
    let covered = archived > 0 ? UInt64(reader.byte()) : 0
    let frontier = flags & 2 != 0 ? UInt64(reader.byte()) : nil
    let log = TestLog()
    var countsEvents = true
    if flags & 4 != 0 {
      log.put(archived + 1, reader.rest())
    } else {
      var script = SegmentScript(firstSegment: 1)
      for (number, bytes) in script.run(&reader) { log.put(number, bytes) }
      countsEvents = script.countsEvents
    }
    check(log, archived, covered, frontier, countsEvents: countsEvents)
  }

  /// An event as it is stored.
  private struct Event: Equatable {
    var sequence: UInt64
    var line: [UInt8]
  }

  private static func check(
    _ log: TestLog, _ archived: UInt64, _ covered: UInt64, _ frontier: UInt64?, countsEvents: Bool
  ) {
    let before = requireSuccess("the first view") {
      try events(log, archived, covered, frontier)
    }
    require(log.files.openCount == 0, "a file stays open after the view")
    let recovered = requireSuccess("the recovery") {
      try log.recover(
        archivedThrough: archived, coveredThrough: covered, frontier: frontier,
        segmentByteCount: 8192)
    }
    require(log.files.openCount == 0, "a file stays open")
    let after = requireSuccess("the view of the recovered log") {
      try events(log, archived, covered, nil)
    }
    // No shard miscounts its events; what a copy of them is numbered is then anybody's guess.
    require(
      before == after || !countsEvents,
      "recovery keeps other events than a reader shows: " + difference(before, after))
    let again = log.restarted()
    let second = requireSuccess("the second recovery") {
      try again.recover(archivedThrough: archived, coveredThrough: covered, segmentByteCount: 8192)
    }
    require(
      second.header.name.number > recovered.header.name.number, "a segment is written to twice")
    let last = requireSuccess("the view after the second recovery") {
      try events(again, archived, covered, nil)
    }
    require(
      after == last || !countsEvents,
      "a second recovery keeps other events than the first: " + difference(after, last))
  }

  /// The sequence numbers of both, for the log of a finding.
  private static func difference(_ before: [Event], _ after: [Event]) -> String {
    "\(before.map(\.sequence)) and then \(after.map(\.sequence))"
  }

  private static func events(
    _ log: TestLog, _ archived: UInt64, _ covered: UInt64, _ frontier: UInt64?
  ) throws -> [Event] {
    let view = try log.view(
      after: archived, coveredThrough: covered, frontier: frontier, acceptsHoles: true)
    var reader = BatchReader(log.files)
    var events: [Event] = []
    for segment in view.segments {
      for batch in segment.batches {
        try reader.load(batch, of: segment)
        var content = BatchContent(firstSequence: batch.line.firstSequence)
        while let (sequence, range) = content.next(in: reader.content) {
          events.append(
            Event(sequence: sequence.value, line: reader.content.extracting(range).array()))
        }
      }
    }
    return events
  }
}
