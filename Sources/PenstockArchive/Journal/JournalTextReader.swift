// Reads a stretch of a journal's text, event by event.
//
//     older events, from the files ─▶ the first run's text ─▶ runs, oldest first ─▶ end
//
// A run that was archived meanwhile is read from the tables, as is what stands behind it.

package import PenstockCore

/// A stretch of a journal's text being read.
package final class JournalTextReader<Files: FileSystem> {
  private let log: JournalLog<Files>
  private let name: [UInt8]
  private let includesTimes: Bool
  /// What is wanted of the text, and how far it was given out.
  private let range: Range<UInt64>
  private var position: UInt64 = 0
  /// Runs to come, the next one last.
  private var runs: [JournalRun]
  private let base: UInt64
  private var older: OlderText<Files>?

  /// Events older than the runs.
  private final class OlderText<Source: FileSystem> {
    var cursor: StoreCursor<Source>
    var event = StoredEvent()
    init(_ cursor: consuming StoreCursor<Source>) { self.cursor = cursor }
  }

  /// Why a text cannot be read to its end.
  package struct Damaged: Error {}

  init(
    _ log: JournalLog<Files>, _ name: [UInt8], _ range: Range<UInt64>, includesTimes: Bool
  ) throws {
    self.log = log
    self.name = name
    self.range = range
    self.includesTimes = includesTimes
    (runs, base) = try log.runs(of: name, range)
    let runStart = runs.last.map { base + $0.textStart } ?? .max
    if range.lowerBound < min(runStart, range.upperBound) {
      // All that is behind the floor has runs.
      try readOlder(through: log.runs.floor)
    } else {
      position = runStart
    }
  }

  private func readOlder(through sequence: UInt64) throws(ReadError) {
    position = 0
    older = OlderText(try log.older(name, through: sequence))
  }

  /// Appends whole events until `output` has `byteCount` bytes or all are given; false when all are.
  /// - Throws: `Damaged` when a part of the text is lost.
  package func next(_ output: inout TextBuffer, upTo byteCount: Int) throws -> Bool {
    while output.byteCount < byteCount {
      if let older {
        if try older.cursor.next(&older.event) {
          let event = older.event
          let line = event.bytes.rawSpan
          put(line, 0..<line.byteCount, event.fields.payload.lowerBound, &output)
          if position >= range.upperBound { return false }
          continue
        }
        guard older.cursor.report.damageCount == 0 else { throw Damaged() }
        self.older = nil
      }
      guard let run = runs.popLast() else { return false }
      let isThere = try log.read(run) { lines in put(lines, of: run, &output) }
      if !isThere {
        // It was archived: so it, and what is behind it, is found in the files.
        let last = runs.first?.last ?? run.last
        runs = []
        try log.refresh(looks: true, System.monotonicNanoseconds())
        let given = position
        try readOlder(through: last)
        guard try skip(to: given) else { throw Damaged() }
      }
      if position >= range.upperBound { return false }
    }
    return true
  }

  /// Passes the events that were given out before.
  private func skip(to given: UInt64) throws -> Bool {
    guard let older else { return false }
    while position < given {
      guard try older.cursor.next(&older.event) else { return false }
      position += UInt64(JournalText.overheadByteCount + older.event.fields.payload.count)
    }
    return position == given
  }

  private func put(_ lines: RawSpan, of run: JournalRun, _ output: inout TextBuffer) {
    position = base + run.textStart
    var offset = 0
    while offset < lines.byteCount {
      let end = lines.firstIndex(of: Byte.lineFeed, from: offset, to: lines.byteCount)
      let tab = lines.nearIndex(of: Byte.tab, from: offset, to: end)
      put(lines, offset..<end, min(tab + 1, end), &output)
      offset = end + 1
    }
  }

  /// Puts one event, when it is wanted.
  @inline(__always)
  private func put(
    _ span: RawSpan, _ line: ByteRange, _ payloadStart: Int, _ output: inout TextBuffer
  ) {
    let start = position
    position += UInt64(JournalText.overheadByteCount + line.upperBound - payloadStart)
    guard start >= range.lowerBound, position <= range.upperBound else { return }
    if includesTimes {
      output.put(
        span.extracting(line.lowerBound..<(line.lowerBound + JournalText.timeByteCount)))
      output.put(Byte.space)
    }
    output.put(span.extracting(payloadStart..<line.upperBound))
    output.put(Byte.lineFeed)
  }
}
