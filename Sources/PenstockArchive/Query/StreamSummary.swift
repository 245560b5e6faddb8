// The streams of a store: how many events each holds, and between which times.
//
// Tables answer from their directories. Live segments are read through, once; names are looked up
// without making strings, through a small cache in front of the dictionary, because most events
// of a batch are of few streams.

package import PenstockCore

/// One stream's events.
package struct StreamSummary: Equatable, Sendable {
  /// The name, unescaped.
  package var name: [UInt8]
  package var eventCount: Int
  package var earliest: Timestamp
  package var latest: Timestamp

  package init(name: [UInt8], eventCount: Int, earliest: Timestamp, latest: Timestamp) {
    self.name = name
    self.eventCount = eventCount
    self.earliest = earliest
    self.latest = latest
  }
}

/// Counts events by stream.
struct StreamCounter {
  private(set) var streams: [StreamSummary] = []
  /// Index in `streams` by escaped name.
  private var indexes: [[UInt8]: Int] = [:]
  /// Index in `streams` by a hash of the name, or -1; a guess that is checked.
  private var recent = [Int](repeating: -1, count: 256)
  private var escapedNames: [[UInt8]] = []

  /// Adds one event of the stream called `name`, escaped as in a line.
  mutating func take(_ name: RawSpan, _ time: Timestamp) {
    let slot = StreamCounter.slot(name)
    var index = recent[slot]
    let isKnown = index >= 0 && StreamCounter.areEqual(escapedNames[index], name)
    if !isKnown {
      index = find(name.array(), time)
      recent[slot] = index
    }
    streams[index].eventCount += 1
    if time < streams[index].earliest { streams[index].earliest = time }
    if time > streams[index].latest { streams[index].latest = time }
  }

  /// Adds what a table's directory says of the stream called `name`, escaped.
  mutating func take(_ name: [UInt8], count: Int, _ earliest: Timestamp, _ latest: Timestamp) {
    let index = find(name, earliest)
    streams[index].eventCount += count
    streams[index].earliest = min(streams[index].earliest, earliest)
    streams[index].latest = max(streams[index].latest, latest)
  }

  private mutating func find(_ name: [UInt8], _ time: Timestamp) -> Int {
    if let index = indexes[name] { return index }
    streams.append(
      StreamSummary(
        name: Escape.decode(name.rawSpan) ?? name, eventCount: 0, earliest: time, latest: time))
    escapedNames.append(name)
    indexes[name] = streams.count - 1
    return streams.count - 1
  }

  private static func areEqual(_ bytes: [UInt8], _ name: RawSpan) -> Bool {
    bytes.rawSpan.equals(name)
  }

  private static func slot(_ name: RawSpan) -> Int {
    let mixed = name.word(at: 0) ^ name.word(at: max(0, name.byteCount - 8)) &* 31
    return Int((mixed &* 0x9E37_79B9_7F4A_7C15) >> 56)
  }
}

extension StoreReader {
  /// The streams of the store that `selection` names, by name, and what is to be said about the
  /// answer. Times and other conditions of the selection are not looked at.
  package func streams(_ selection: Selection) throws(ReadError) -> (
    streams: [StreamSummary], report: ReadReport
  ) {
    for _ in 0..<StoreReader.countAttemptMax {
      do throws(ReadError) {
        return try countStreams(selection)
      } catch {
        guard case .changed = error else { throw error }
      }
    }
    throw .changed(layout.live)
  }

  /// How often counting starts over because the archiver was at work.
  private static var countAttemptMax: Int { 100 }

  private func countStreams(_ selection: Selection) throws(ReadError) -> (
    streams: [StreamSummary], report: ReadReport
  ) {
    var counter = StreamCounter()
    let damage = DamageLog()
    let snapshot = try StoreSnapshot(files, layout, store, Query())
    for found in snapshot.damage { damage.note(found.description) }
    try snapshot.archive.countStreams(selection, &counter, damage)
    let reading = SegmentReading(files, Selection(), .forward, damage)
    var report = ReadReport()
    for log in snapshot.logs {
      report.provisionalCount += log.provisionalCount
      for segment in log.view?.segments ?? [] {
        for batch in segment.batches where batch.line.eventCount > 0 {
          try reading.forEachLine(batch, of: segment, log.stretch) { content, range, _ in
            guard let time = Timestamp(journalText: content, at: range.lowerBound) else { return }
            let start = min(range.lowerBound + Timestamp.textByteCount + 1, range.upperBound)
            let end = content.nearIndex(of: Byte.space, from: start, to: range.upperBound)
            let name = content.extracting(start..<end)
            if selection.matches(stream: name) { counter.take(name, time) }
          }
        }
      }
    }
    report.damage = damage.notes
    report.damageCount = damage.count
    return (
      counter.streams.sorted { $0.name.lexicographicallyPrecedes($1.name) }, report
    )
  }
}
