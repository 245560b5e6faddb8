// The directory of a table: its streams by name, in pages, and an index over the pages.
//
// The writer closes a page when it is full and writes it among the blocks, so its memory does not
// grow with the number of streams. A reader finds a stream by the pages' first names and reads one
// page.

package import PenstockCore

/// What a table says about one of its streams, or about one group of it.
package struct TableStream: Equatable, Sendable {
  /// Name and group (StreamKey), escaped as in an event line.
  package var key: [UInt8]
  package var eventCount: UInt64
  /// The blocks that hold its events.
  package var blocks: ClosedRange<Int>
  package var earliest: Timestamp
  package var latest: Timestamp

  /// The stream's name.
  package var name: [UInt8] { Array(key[..<StreamKey.streamByteCount(key.rawSpan)]) }

  /// The group; nil for events without one.
  package var group: [UInt8]? {
    let count = StreamKey.streamByteCount(key.rawSpan)
    return count < key.count ? Array(key[(count + 1)...]) : nil
  }
}

/// What the footer says about one page.
struct TablePageEntry {
  var place: ByteRange
  var streams: Range<Int>
  var firstName: [UInt8]
}

/// Collects streams into pages.
struct DirectoryWriter: ~Copyable {
  private var names = ColumnBuffer(capacity: TableFormat.pageByteCount)
  private var streams = ColumnBuffer(capacity: TableFormat.pageByteCount)
  private var firstName: [UInt8] = []
  private var previousName: [UInt8] = []
  private var previousBlock = 0
  private var previousTime = Timestamp(seconds: 0, nanoseconds: 0)
  private var count = 0
  private var previousEnd = TableFormat.headerByteCount
  /// The footer's column of pages.
  var pages = ColumnBuffer(capacity: 4 << 10)

  var isEmpty: Bool { count == 0 }
  var isFull: Bool { names.count + streams.count >= TableFormat.pageByteCount }

  /// Adds the next stream.
  mutating func add(_ stream: TableStream) {
    if count == 0 { firstName = stream.key }
    names.append(name: stream.key, after: previousName)
    streams.append(varint: stream.eventCount)
    streams.append(varint: stream.blocks.lowerBound - previousBlock)
    streams.append(varint: stream.blocks.count - 1)
    streams.append(stream.earliest, since: previousTime)
    streams.append(span: stream.earliest, stream.latest)
    previousName = stream.key
    previousBlock = stream.blocks.lowerBound
    previousTime = stream.earliest
    count += 1
  }

  /// Puts the page together; it will stand at `offset`.
  mutating func finishPage(_ part: inout PartBuilder, at offset: Int, _ effort: TableEffort) {
    part.begin(.page, rowCount: count, columnCount: 2)
    part.put(.pageNames, &names)
    part.put(.pageStreams, &streams)
    part.finish(effort)
    pages.append(varint: offset - previousEnd)
    pages.append(varint: part.byteCount)
    pages.append(varint: count)
    pages.append(varint: firstName.count)
    pages.append(firstName)
    previousEnd = offset + part.byteCount
    previousName = []
    previousBlock = 0
    previousTime = Timestamp(seconds: 0, nanoseconds: 0)
    count = 0
  }
}

extension TablePart {
  /// The streams of a page; nil unless every number holds.
  func streams(of entry: TablePageEntry, blockCount: Int) -> [TableStream]? {
    guard let nameRange = column(.pageNames), let streamRange = column(.pageStreams),
      rowCount == entry.streams.count
    else { return nil }
    var names = NumberReader(nameRange)
    var numbers = NumberReader(streamRange)
    var streams: [TableStream] = []
    var name: [UInt8] = []
    var block = 0
    var time = Timestamp(seconds: 0, nanoseconds: 0)
    let span = bytes
    for index in 0..<rowCount {
      guard let shared = names.count(span, max: name.count),
        let rest = names.count(span, max: StreamKey.byteCountMax - shared),
        let range = names.bytes(rest), let events = numbers.varint(span), events > 0,
        let step = numbers.count(span, max: blockCount - 1 - block),
        let extra = numbers.count(span, max: blockCount - 1 - block - step),
        let earliest = numbers.time(span, since: time),
        let latest = numbers.time(span, behind: earliest)
      else { return nil }
      let next = name[..<shared] + span.extracting(range).array()
      guard index == 0 ? Array(next) == entry.firstName : name.lexicographicallyPrecedes(next)
      else { return nil }
      name = Array(next)
      block += step
      time = earliest
      streams.append(
        TableStream(
          key: name, eventCount: events, blocks: block...(block + extra), earliest: earliest,
          latest: latest))
    }
    return names.isAtEnd && numbers.isAtEnd ? streams : nil
  }
}
