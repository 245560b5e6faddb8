// A table as plain memory: the events that went in, and what every question about them answers.

import PenstockArchive
import PenstockCore

/// One event of the model.
struct ModelEvent: Equatable, CustomStringConvertible {
  var key: EventKey
  var line: [UInt8]
  var fields: EventLine

  init(_ key: EventKey, _ line: [UInt8]) throws {
    self.key = key
    self.line = line
    fields = try EventLine(line.rawSpan, 0..<line.count)
  }

  init(_ event: borrowing StoredEvent) {
    key = event.key
    line = event.bytes
    fields = event.fields
  }

  var stream: [UInt8] { Array(line[fields.stream]) }

  var description: String {
    "\(key.log.value):\(key.sequence.value) " + String(decoding: line.prefix(80), as: UTF8.self)
  }

  /// The order of a table.
  static func precedes(_ left: ModelEvent, _ right: ModelEvent) -> Bool {
    let (first, second) = (left.stream, right.stream)
    return first != second ? first.lexicographicallyPrecedes(second) : left.key < right.key
  }
}

/// What random events look like.
struct ModelShape {
  var eventCount = 200
  var streamCount = 20
  /// Times lie in so many nanoseconds behind the start.
  var span: Int128 = 1_000_000_000
  var start = Timestamp(seconds: 1_763_000_000, nanoseconds: 123)
  var payloadByteCountMax = 200

  /// A shape of any kind.
  static func random(_ random: inout TestRandom) -> ModelShape {
    var shape = ModelShape()
    shape.eventCount = [1, 2, 30, 300, 1200][Int.random(in: 0..<5, using: &random)]
    shape.streamCount = [1, 2, 10, 500][Int.random(in: 0..<4, using: &random)]
    shape.span = [0, 1, 1_000_000, 1 << 60, 1 << 62][Int.random(in: 0..<5, using: &random)]
    shape.payloadByteCountMax = [0, 10, 300, 900][Int.random(in: 0..<4, using: &random)]
    if random.chance(20) {
      shape.start = .earliest
      shape.span = Timestamp.latest.nanosecondsSince1970 - Timestamp.earliest.nanosecondsSince1970
    }
    return shape
  }
}

extension ModelEvent {
  private static let word = Array("abcxyzAB0189-_./:\u{e4}".utf8)
  private static let payload: [UInt8] = (1...255).filter { $0 != Byte.lineFeed }

  /// Random events: late ones, equal times, empty payloads, escapes, several logs.
  static func random(_ shape: ModelShape, _ random: inout TestRandom) throws -> [ModelEvent] {
    var streams: [String] = []
    for index in 0..<shape.streamCount {
      let name = String(
        decoding: random.bytes(Int.random(in: 1...12, using: &random), from: word), as: UTF8.self)
      streams.append(random.chance(50) ? "syslog/host-\(index)" : name + "\\s\(index)")
    }
    var sequences: [UInt64] = [0, 0, 0]
    return try (0..<shape.eventCount).map { _ in
      let log = Int.random(in: 0...2, using: &random)
      sequences[log] += random.chance(2) ? UInt64.random(in: 1...(1 << 40), using: &random) : 1
      let offset = Int128(Double.random(in: 0...1, using: &random) * Double(shape.span))
      let time = Timestamp(
        nanosecondsSince1970: shape.start.nanosecondsSince1970 + offset)
      var line = Array(time.text.utf8) + [Byte.space]
      line += Array((streams.randomElement(using: &random) ?? "s").utf8) + [Byte.space]
      line += Array(["-", "sshd", "Order\\sPlaced"][Int.random(in: 0...2, using: &random)].utf8)
      for index in 0..<(random.chance(50) ? 0 : Int.random(in: 1...4, using: &random)) {
        line += Array(" key\(index)=".utf8)
        line += random.bytes(Int.random(in: 0...9, using: &random), from: word)
      }
      line.append(Byte.tab)
      let count =
        random.chance(20) ? 0 : Int.random(in: 0...shape.payloadByteCountMax, using: &random)
      line += random.bytes(count, from: payload)
      return try ModelEvent(
        EventKey(
          time: time, log: LogNumber(UInt8(log)), sequence: SequenceNumber(sequences[log])), line)
    }
  }

  /// Writes events as a table and gives what was written.
  static func write<Files: FileSystem>(
    _ events: [ModelEvent], _ files: Files, path: String,
    store: StoreIdentifier = StoreIdentifier(high: 1, low: 2), indexes: [String] = [],
    effort: TableEffort = .fast
  ) throws -> TableSummary {
    var writer = try TableWriter(
      files, path: path, store: store, indexes: indexes.map { Array($0.utf8) }, effort: effort)
    var stream: [UInt8]?
    var hash: UInt64 = 0
    for event in events.sorted(by: ModelEvent.precedes) {
      if stream != event.stream {
        stream = event.stream
        try writer.begin(event.stream.rawSpan)
      }
      hash &+= EventHash.of(event.line.rawSpan, event.key.log, event.key.sequence)
      try writer.add(
        TableRow(
          time: event.key.time, log: event.key.log, sequence: event.key.sequence,
          type: event.fields.type, attributes: event.fields.attributes,
          payload: event.fields.payload), event.line.rawSpan)
    }
    return try writer.finish(
      hash: hash,
      covered: [TableCoverage(log: LogNumber(0), sequences: 1...9, segments: 1...2)])
  }
}

extension ModelEvent {
  /// The value of an attribute, unescaped; nil when it is no text.
  func attribute(_ key: String) -> String? {
    var cursor = AttributeCursor(fields.attributes)
    while let (name, value) = cursor.next(in: line.rawSpan) {
      guard line[name].elementsEqual(key.utf8) else { continue }
      return Escape.decode(line.rawSpan.extracting(value)).flatMap {
        String(validating: $0, as: UTF8.self)
      }
    }
    return nil
  }
}

extension TableEntry {
  /// The entry the manifest would have for a table.
  init(_ name: String, _ summary: TableSummary) {
    self.init(
      name: name, eventCount: summary.eventCount, byteCount: summary.byteCount,
      hash: summary.hash, earliest: summary.earliest, latest: summary.latest)
  }
}

/// Reads what a source gives, to its end.
func readAll(_ source: any EventSource) throws -> [ModelEvent] {
  var events: [ModelEvent] = []
  var event = StoredEvent()
  while try source.next(&event) { events.append(ModelEvent(event)) }
  return events
}
