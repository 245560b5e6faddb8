// What is read over the line protocol. LineProtocol.swift has the rest of the protocol; these
// requests are the reader's.
//
//     read     = "READ " stream *( SP ( "from=" place | "to=" place | "limit=" n
//                                     | "reverse" | "positions" ) )
//     follow   = "FOLLOW " pattern *( SP ( "from=" at | "positions" ) )
//     copy     = "COPY " log [ SP "from=" segment ":" offset ]
//     stream   = a name as in an event line         ; escaped
//     pattern  = a pattern of Glob                  ; a space in a name is matched by "?"
//     place    = time | sequence                    ; a sequence number only of a journal
//     time     = as in an event line                ; from the first instant on, to before the last
//     sequence = 1*18DIGIT                          ; from and to are both included
//     at       = what an answer said, or a vector  ; FollowPosition
//     vector   = position *( "," position )         ; the last event of each log one has
//              | "start"                            ; nothing of any
//     position = log ":" sequence
//     log      = 1*3DIGIT
//     segment  = 16HEXDIG                           ; where what one has of the log ends
//     offset   = 1*18DIGIT
//
//     answer   = *( events ) end | *( bytes ) | error
//     events   = "EVENTS " byteCount " count=" n [ " at=" at ] [ tag ] LF  octets
//     end      = "OK count=" n " at=" vector [ tag ] LF
//     bytes    = "BYTES " byteCount " segment=" segment " offset=" offset [ tag ] LF  octets
//     error    = "ERR " code [ tag ] " " text LF
//
//     C: READ /orders/42 limit=2 positions
//     S: EVENTS 132 count=2
//     S: 2026-11-21T03:47:52.123456789Z /orders/42 Placed _at=0:124⇥{"sku":"A1"}
//     S: 2026-11-21T03:47:53.000000001Z /orders/42 Paid _at=0:131⇥{"sum":12}
//     S: OK count=2 at=0:170,1:95
//     C: FOLLOW /orders/* from=0:170,1:95
//     S: EVENTS 66 count=1 at=0:171,1:95
//     S: 2026-11-21T03:49:01.000000000Z /orders/7 Placed⇥{"sku":"B2"}
//
// A READ shows the stream as it stood when it began: events in order of time, a journal's in order
// of position, each once. Its end says up to where each log was there to be read, which is where a
// FOLLOW goes on. A FOLLOW gives events as they become durable, in the order of each log, through
// restarts and archiving, without end; from its beginning on, or from behind a vector, which with
// "start" is the store's first event. What is there behind the vector when it begins comes first, in
// order of time, from all logs the store has ever had, also those that were imported or that no shard
// serves any more. Each EVENTS of a FOLLOW says in its `at` where it stands: who comes back with that of
// the last one that was received whole misses nothing and is told nothing twice. In the middle of what
// comes in order of time it is more than a vector, and to be given back as it is. It is a vector behind
// whose events some may have come already only in a store of dozens of logs, whose text would be too
// long there; and an event whose number changed because a recovery could not prove it may come again.
// Nothing for a while: an EVENTS without any says that the server is there. "positions" adds the
// position of each event as the attribute `_at`.
//
// COPY gives the bytes of one log's live segments, header and batches, as they become durable: what
// a copy of the log is made of. What is archived is not there any more: ERR gone names the first
// segment that is.

package import PenstockCore

/// Where a READ begins or ends.
package enum ReadPlace: Equatable, Sendable {
  case time(Timestamp)
  case sequence(SequenceNumber)
}

/// A request the reader answers.
package enum ReadRequest: Equatable, Sendable {
  case read(Read)
  case follow(Follow)
  case copy(Copy)

  /// A bounded read of one stream.
  package struct Read: Equatable, Sendable {
    /// The stream's name, unescaped.
    package var stream: [UInt8]
    package var from: ReadPlace?
    package var to: ReadPlace?
    package var limit: Int?
    package var direction = ReadDirection.forward
    package var tellsPositions = false
  }

  /// A read without end.
  package struct Follow: Equatable, Sendable {
    package enum Start: Equatable, Sendable {
      case now
      case behind(FollowPosition)
    }
    package var pattern: Glob
    package var start = Start.now
    package var tellsPositions = false
  }

  /// The bytes of a log.
  package struct Copy: Equatable, Sendable {
    package var log: LogNumber
    package var segment = SegmentNumber.none
    package var offset = 0
  }

  /// Why a request is refused: a code for programs, a text for people.
  package struct Fault: Error, Equatable, Sendable {
    package var code: String
    package var text: String

    package init(code: String, text: String) {
      self.code = code
      self.text = text
    }

    static func bad(_ text: String) -> Fault { Fault(code: "bad-read", text: text) }
  }

  /// Reads a request line, without its tag and its end.
  package init(_ line: RawSpan) throws(Fault) {
    let words = ReadRequest.words(line)
    guard words.count >= 2, !words[1].isEmpty else {
      throw .bad("expected READ and a stream, FOLLOW and a pattern, or COPY and a log")
    }
    let options = words[2...]
    switch String(decoding: words[0], as: UTF8.self) {
    case "READ": self = .read(try Read(words[1], options))
    case "FOLLOW": self = .follow(try Follow(words[1], options))
    default: self = .copy(try Copy(words[1], options))
    }
  }

  private static func words(_ line: RawSpan) -> [[UInt8]] {
    line.array().split(separator: Byte.space, omittingEmptySubsequences: false).map(Array.init)
  }

  /// What stands behind "key=" in a word; nil when it is another word.
  fileprivate static func value(_ word: [UInt8], _ key: StaticString) -> [UInt8]? {
    guard word.rawSpan.hasBytes(key, at: 0) else { return nil }
    return Array(word[key.utf8CodeUnitCount...])
  }

  fileprivate static func number(_ text: [UInt8]) -> Int? { text.rawSpan.decimal(0..<text.count) }

  fileprivate static func unknown(_ word: [UInt8], expected: String) -> Fault {
    .bad("'\(String(decoding: word.prefix(64), as: UTF8.self))' is not \(expected)")
  }
}

extension ReadRequest.Read {
  fileprivate init(_ name: [UInt8], _ options: ArraySlice<[UInt8]>) throws(ReadRequest.Fault) {
    guard name.count <= EventLine.streamByteCountMax, let plain = Escape.decode(name.rawSpan) else {
      throw .bad("expected a stream name of 1 to 1024 bytes, escaped as in event lines")
    }
    stream = plain
    for word in options {
      if let text = ReadRequest.value(word, "from=") {
        from = try place(text)
      } else if let text = ReadRequest.value(word, "to=") {
        to = try place(text)
      } else if let text = ReadRequest.value(word, "limit="), let number = ReadRequest.number(text)
      {
        limit = number
      } else if word == Array("reverse".utf8) {
        direction = .reverse
      } else if word == Array("positions".utf8) {
        tellsPositions = true
      } else {
        throw ReadRequest.unknown(word, expected: "from=, to=, limit=N, reverse or positions")
      }
    }
  }

  private func place(_ text: [UInt8]) throws(ReadRequest.Fault) -> ReadPlace {
    if let number = ReadRequest.number(text) {
      guard stream.first == Byte.slash else {
        throw .bad("positions are for journals; a plain stream takes times")
      }
      return .sequence(SequenceNumber(UInt64(number)))
    }
    guard text.count == Timestamp.textByteCount,
      let time = Timestamp(journalText: text.rawSpan, at: 0)
    else {
      throw ReadRequest.unknown(
        text, expected: "a time like 2026-11-21T03:47:52.123456789Z or a position")
    }
    return .time(time)
  }

  /// What is asked of the store.
  package var query: Query {
    var query = Query()
    query.selection.streams = [Glob(literal: stream)]
    query.direction = direction
    query.limit = limit
    query.leavesProvisionalOut = true
    if case .time(let time) = from { query.selection.since = time }
    if case .time(let time) = to { query.selection.until = time }
    if case .sequence(let number) = from, number > .none {
      query.aboveAll = SequenceNumber(number.value - 1)
    }
    if case .sequence(let number) = to { query.throughAll = number }
    return query
  }
}

extension ReadRequest.Follow {
  fileprivate init(_ text: [UInt8], _ options: ArraySlice<[UInt8]>) throws(ReadRequest.Fault) {
    do throws(Glob.Fault) {
      pattern = try Glob(String(decoding: text, as: UTF8.self))
    } catch {
      throw .bad(error.description)
    }
    for word in options {
      if let text = ReadRequest.value(word, "from=") {
        if let position = FollowPosition(text.rawSpan) {
          start = .behind(position)
        } else {
          throw ReadRequest.unknown(
            text, expected: "'start', positions like 0:123,1:456, or the at= of an answer")
        }
      } else if word == Array("positions".utf8) {
        tellsPositions = true
      } else {
        throw ReadRequest.unknown(word, expected: "from= or positions")
      }
    }
  }
}

extension ReadRequest.Copy {
  fileprivate init(_ text: [UInt8], _ options: ArraySlice<[UInt8]>) throws(ReadRequest.Fault) {
    guard let number = ReadRequest.number(text), let byte = UInt8(exactly: number) else {
      throw ReadRequest.unknown(text, expected: "the number of a log")
    }
    log = LogNumber(byte)
    guard let word = options.first else { return }
    guard options.count == 1, let place = ReadRequest.value(word, "from="), place.count > 17,
      place[16] == UInt8(ascii: ":"),
      let segment = place.rawSpan.hexadecimal(at: 0, digitCount: 16),
      let offset = place.rawSpan.decimal(17..<place.count)
    else { throw ReadRequest.unknown(word, expected: "from=SEGMENT:OFFSET") }
    self.segment = SegmentNumber(segment)
    self.offset = offset
  }
}
