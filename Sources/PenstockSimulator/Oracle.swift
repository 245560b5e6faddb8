// What must be true, from what clients sent and were told: independent of the shard's own books.
//
//     acknowledged             present once, whole, under the numbers of its receipt
//     not acknowledged         a PUT is there whole or not at all; a message whole, cut at its end or
//                              not at all
//     nobody sent it           is not there
//     found after a recovery   stays, under the same number, for ever
//     one session's events     keep their order, but for what was sent again
//     sent again with the same counter: there once, and always answered alike (Oracle+Producers)
//
// Every payload begins with a mark that says what it is: "p12.0;" the first event of PUT 12, "m7;"
// message 7.

internal import PenstockArchive
internal import PenstockCore

/// An event as it was read back.
struct ReadEvent {
  var sequence: UInt64
  var payload: [UInt8]
  var stream: String
  var type: String
  var time: Timestamp
}

/// Says which event of which client a payload is.
struct Mark: Hashable, CustomStringConvertible {
  /// The PUT's number, or the message's.
  let number: Int
  /// The event's place in its PUT; -1 for a message.
  let index: Int

  init(put number: Int, _ index: Int) {
    self.number = number
    self.index = index
  }

  init(message number: Int) {
    self.number = number
    index = -1
  }

  var isMessage: Bool { index < 0 }

  var description: String { isMessage ? "m\(number)" : "p\(number).\(index)" }

  /// Reads "p12.0;" or "m7;" at the beginning of a payload; nil when there is neither.
  init?(_ payload: [UInt8]) {
    guard let end = payload.firstIndex(of: UInt8(ascii: ";")), end > 1, end < 24 else { return nil }
    let text = String(decoding: payload[1..<end], as: UTF8.self)
    let parts = text.split(separator: ".").compactMap { Int($0) }
    switch (payload[0], parts.count) {
    case (UInt8(ascii: "p"), 2): self.init(put: parts[0], parts[1])
    case (UInt8(ascii: "m"), 1): self.init(message: parts[0])
    default: return nil
    }
  }
}

/// What clients know.
struct Oracle {
  struct Put {
    var session: Int
    var payloads: [[UInt8]]
    /// The first sequence number of its receipt.
    var first: UInt64?
    /// Whether it was refused, or breaks the protocol.
    var isRefused = false
    /// What it is when it is a commit.
    var commit: Commit?
    /// Whose counter it has, if it has one.
    var stamp: Stamp?
    /// Whether it was sent more than once: then it may come behind what was sent later.
    var isResent = false
  }

  struct Message {
    var text: [UInt8]
    /// How often it may be there: datagrams can come twice.
    var copyCount = 1
  }

  var puts: [Put] = []
  /// Answers to requests that had one before.
  var repeatedAnswerCount = 0
  /// The last position any client was told.
  var lastPosition: UInt64 = 0
  /// The events conflicts were told about.
  var quotes: [UInt64: Quote] = [:]
  var messages: [Message] = []
  /// Events that were found after a recovery, and their numbers.
  private(set) var settled: [Mark: UInt64] = [:]
  /// Events whose batches were damaged at rest on purpose: they may be gone.
  var excused: Set<Mark> = []

  var acknowledgedCount: Int { puts.count { $0.first != nil } }

  /// Where each event was found, and how often.
  private typealias Places = [Mark: (sequence: UInt64, count: Int)]

  /// Checks what was read. After a recovery what is there has to stay.
  mutating func check(_ events: [ReadEvent], isSettled: Bool) throws(Finding) {
    var places: Places = [:]
    places.reserveCapacity(events.count)
    var last: UInt64?
    for event in events {
      let mark = try source(of: event)
      places[mark, default: (event.sequence, 0)].count += 1
      if let last, event.sequence == last {
        throw Finding("two events have the number \(last)")
      }
      last = event.sequence
    }
    try checkPuts(places)
    try checkCommits(events)
    for (mark, place) in places where mark.isMessage {
      guard place.count <= messages[mark.number].copyCount else {
        throw Finding("\(mark) is there \(place.count) times")
      }
    }
    for (mark, sequence) in settled where !excused.contains(mark) {
      guard let place = places[mark] else {
        throw Finding("\(mark), found after a recovery as number \(sequence), is gone")
      }
      guard place.sequence == sequence || mark.isMessage else {
        throw Finding("\(mark) was number \(sequence) and is number \(place.sequence)")
      }
    }
    guard isSettled else { return }
    for (mark, place) in places where settled[mark] == nil { settled[mark] = place.sequence }
  }

  private func source(of event: ReadEvent) throws(Finding) -> Mark {
    guard let mark = Mark(event.payload) else {
      throw Finding("an event nobody sent is there, number \(event.sequence)")
    }
    if mark.isMessage {
      guard mark.number < messages.count,
        messages[mark.number].text.starts(with: event.payload)
      else { throw Finding("\(mark) has other bytes than were sent") }
      return mark
    }
    guard mark.number < puts.count, mark.index < puts[mark.number].payloads.count,
      puts[mark.number].payloads[mark.index] == event.payload
    else { throw Finding("\(mark) has other bytes than were sent") }
    let put = puts[mark.number]
    guard event.stream == put.commit.map(\.journal) ?? "sim/\(put.session)" else {
      throw Finding("\(mark) is in stream \(event.stream)")
    }
    return mark
  }

  private func checkPuts(_ places: Places) throws(Finding) {
    var reached: [Int: UInt64] = [:]
    for (number, put) in puts.enumerated() {
      let marks = put.payloads.indices.map { Mark(put: number, $0) }
      if !excused.isDisjoint(with: marks) { continue }
      let found = marks.compactMap { places[$0] }
      if let first = put.first, found.count < put.payloads.count {
        throw Finding(
          "PUT \(number) was acknowledged as \(first), and \(put.payloads.count - found.count) of "
            + "its \(put.payloads.count) events are missing")
      }
      guard let start = found.first?.sequence else { continue }
      guard found.count == put.payloads.count else {
        throw Finding(
          "PUT \(number) is there in part: \(found.count) of \(put.payloads.count) events")
      }
      if put.isRefused { throw Finding("PUT \(number) was refused and is there") }
      for (index, place) in found.enumerated() {
        guard place.count == 1 else { throw Finding("p\(number).\(index) is there more than once") }
        guard place.sequence == start + UInt64(index) else {
          throw Finding("the events of PUT \(number) are not numbered in a row")
        }
      }
      if let first = put.first, first != start {
        throw Finding("PUT \(number) was acknowledged as \(first) and is at \(start)")
      }
      guard !put.isResent else { continue }
      if let before = reached[put.session], before > start {
        throw Finding("PUT \(number) is before one its session sent earlier")
      }
      reached[put.session] = start
    }
  }
}

/// Reads a store back, the way any reader does.
enum ReadBack {
  static func events(_ files: SimulatedFiles, _ layout: StoreLayout) throws(Finding) -> [ReadEvent]
  {
    do throws(ReadError) {
      let reader = try StoreReader(files, layout)
      var cursor = try reader.read(Query())
      var events: [ReadEvent] = []
      var event = StoredEvent()
      while try cursor.next(&event) { events.append(plain(event)) }
      return events.sorted { $0.sequence < $1.sequence }
    } catch {
      throw Finding("the store cannot be read: \(error)")
    }
  }

  private static func plain(_ event: StoredEvent) -> ReadEvent {
    let line = event.bytes.rawSpan
    let stored = line.extracting(event.fields.payload)
    let isEscaped =
      AttributeCursor.value(of: "_escaped", in: line, event.fields.attributes) != nil
    let payload = isEscaped ? Escape.decode(stored) ?? [] : stored.array()
    return ReadEvent(
      sequence: event.sequence.value, payload: payload,
      stream: String(span: line.extracting(event.fields.stream)),
      type: String(span: line.extracting(event.fields.type)),
      time: event.fields.time ?? .earliest)
  }
}
