// Where a FOLLOW stands, so that another can go on there: no event is left out, and none comes twice.
//
//     at       = vector [ ";" vector ";" time ";" position ]
//     position = log ":" sequence
//
// Events come live in the order of their log, and a vector says how far. What was missed is read in
// order of time, because tables are sorted so: in the middle of that read no vector tells what was
// given. Then a second one says how far the read goes, in the logs it is about, and time and position
// which event it has reached in the order of time-ordered reads. Given is what lies behind the first
// vector, up to the second and up to that event.

internal import PenstockCore

/// How far a store was followed.
package struct FollowPosition: Equatable, Sendable {
  /// A read of what was missed, in its middle.
  package struct Reading: Equatable, Sendable {
    /// The last event it gives, in each log it is about.
    package var through: PositionVector
    /// The last event it gave.
    package var last: EventKey
  }

  package var vector: PositionVector
  package var reading: Reading?

  /// Longest text that tells of a read, in bytes: with a pattern it fits a request line. A store of so
  /// many logs that it would be longer tells where the read began.
  private static let readingByteCountMax = 1 << 10

  package init(_ vector: PositionVector = PositionVector(), _ reading: Reading? = nil) {
    self.vector = vector
    self.reading = reading
  }

  /// Reads its text; nil when it is anything else.
  package init?(_ text: RawSpan) {
    let semicolon = UInt8(ascii: ";")
    var ends: [Int] = []
    var offset = 0
    while offset <= text.byteCount, ends.count <= 4 {
      let end = text.nearIndex(of: semicolon, from: offset, to: text.byteCount)
      ends.append(end)
      offset = end + 1
    }
    guard ends.count == 1 || ends.count == 4,
      let vector = PositionVector(text.extracting(0..<ends[0]))
    else { return nil }
    self.vector = vector
    guard ends.count == 4 else { return }
    guard let through = PositionVector(text.extracting((ends[0] + 1)..<ends[1])),
      ends[2] - ends[1] - 1 == Timestamp.textByteCount,
      let time = Timestamp(journalText: text, at: ends[1] + 1),
      let last = PositionVector(text.extracting((ends[2] + 1)..<ends[3]))?.positions,
      last.count == 1, let place = last.first
    else { return nil }
    reading = Reading(
      through: through, last: EventKey(time: time, log: place.key, sequence: place.value))
  }

  /// Its text.
  package var text: String {
    guard let reading else { return vector.text }
    let key = reading.last
    let last = PositionVector([key.log: key.sequence])
    let text = "\(vector.text);\(reading.through.text);\(key.time.text);\(last.text)"
    return text.utf8.count <= FollowPosition.readingByteCountMax ? text : vector.text
  }
}
