// The line protocol: text over TCP or a unix socket, usable with `nc`.
//
//     session    = *( request )
//     request    = hello | put | commit | head | exists | producer | read | follow | copy
//     hello      = "HELLO penstock/1" [ " moved" ] [ " token=" secret ] [ tag ] eol
//     put        = "PUT " byteCount [ counter ] [ tag ] eol  byteCount OCTETS
//                                                 ; the octets are event lines
//     commit     = "COMMIT " byteCount *( SP option ) [ tag ] eol  byteCount OCTETS
//     head       = "HEAD " journal [ tag ] eol
//     exists     = "EXISTS " journal [ tag ] eol
//     producer   = "PRODUCER " name SP epoch [ tag ] eol
//     counter    = SP "counter=" number [ SP "producer=" name "@" epoch ]      ; in either order
//     name       = 1*64( %x21-7E )
//     epoch      = number                       ; milliseconds since 1970 at which the producer began
//     number     = 1*19DIGIT                    ; below 2^63; a counter is not 0
//     option     = "since=" position               ; none of the commit's own types after it
//                | "rule=subset"                   ; with since: broken only when all of them were
//                | "if-none=" types "@" position   ; no event of these types after it
//                | "if-type=" type "@" position    ; the same, of one type that may hold ","
//                | "if-unchanged@" position        ; no event at all after it
//                | "in=" journal                   ; what the conditions behind are about; before
//                                                  ; any, the journal of the first event
//                | counter
//     types      = type *( "," type )
//     position   = 1*19DIGIT                       ; a sequence number of the journal's shard
//     secret     = 1*128 bytes of %x21-7E          ; one of the server's tokens (TokenFile)
//     tag        = SP "tag=" 1*16 bytes            ; the answer repeats it
//     byteCount  = 1*10DIGIT                       ; 1 … the slot size (1 MiB)
//     octets     = 1*( line )                      ; EventLine, each ends in LF
//     eol        = LF | CR LF
//
//                                                  ; read, follow, copy: see ReadRequest
//     answer     = hello-ok | stored | head-ok | exists-ok | conflict | moved | named | error | what
//                  ReadRequest says              ; in the order of the requests
//     hello-ok   = "OK penstock/1 shard=" n " shards=" n [ tag ] LF
//     stored     = "OK shard=" n " first=" n " count=" n [ tag ] LF  ; after the barrier
//     head-ok    = "OK shard=" n " head=" ( n | "unknown" ) " at=" n [ tag ] LF
//     exists-ok  = "OK shard=" n " exists=" ( "0" | "1" | "unknown" ) " at=" n [ tag ] LF
//     conflict   = "CONFLICT shard=" n " position=" n [ " journal=" journal " type=" type ] [ tag ] LF
//     moved      = "MOVED shard=" n [ " address=" ( host ":" port | path ) ] [ tag ] LF
//     named      = "OK shard=" n " producer" [ tag ] LF
//     error      = "ERR " code [ tag ] " " [ "line " n ": " ] text LF
//
//     C: HELLO penstock/1
//     S: OK penstock/1 shard=0 shards=2
//     C: PUT 36
//     C: - app/web Login user=7⇥{"ok":true}
//     S: OK shard=0 first=123 count=1
//     C: HEAD /orders/42
//     S: OK shard=0 head=120 at=123
//     C: COMMIT 34 since=123 tag=a1
//     C: - /orders/42 Placed⇥{"sku":"A1"}
//     S: OK shard=0 first=124 count=1 tag=a1
//     C: COMMIT 34 since=123 tag=a2
//     C: - /orders/42 Placed⇥{"sku":"A1"}
//     S: CONFLICT shard=0 position=124 journal=/orders/42 type=Placed tag=a2
//     C: PRODUCER web-1 1795232872123
//     S: OK shard=0 producer
//     C: PUT 36 counter=7
//     C: - app/web Login user=7⇥{"ok":true}
//     S: OK shard=0 first=125 count=1
//     C: PUT 36 counter=7                          ; again: it changes nothing, the answer is the same
//     C: - app/web Login user=7⇥{"ok":true}
//     S: OK shard=0 first=125 count=1
//
// Requests may be pipelined. The events of one PUT or COMMIT are stored together, in one batch,
// numbered `first` … `first + count - 1`; when one line is wrong none is stored. The time "-" lets
// the server set it. `HELLO` may be left out. After an error the session goes on wherever the next
// request can be found: octets are passed over even when their request is refused.
//
// READ, FOLLOW and COPY see what the connection stored before them. The shard lends the connection to
// the reader for the time of the answer (Shard+Lend); at most 128 of them may wait on a connection, more
// are refused as busy.
//
// A server with tokens wants one first, in a HELLO: anything before is ERR unauthorized, and so is a
// token it does not know, which ends the session. What the token gives no right to is ERR forbidden,
// PUT and COMMIT as a whole. A later HELLO with a token takes its place. A server without tokens takes
// any and looks at none.
//
// Streams beginning with "/" are journals. They take COMMITs only, whose events all belong to
// journals, of one shard, and whose times the server sets: one for each commit, later than that of
// any before it. "_penstock/" is refused, and attributes beginning with "_" other than `_id` and
// `_escaped` are.
//
// Conditions hold or nothing is stored. A CONFLICT names the event that broke one; what a shard no
// longer remembers is answered with ERR too-old and the position from which on it does: read again,
// and commit with a position from there on. `HEAD` gives such a position as `at`, and the last event
// of the journal as `head`, 0 when there is none, "unknown" when it lies further back than the shard
// remembers. Answers wait until what they tell is durable. A journal belongs to one shard, by the hash
// of its name (JournalKey), and any other passes requests on to it; a client that says "moved" in its
// latest HELLO is told the owner's number instead, and that shard's own address: another port of the
// host it came to, where the host is named as the listener was, or a path for who came over a unix
// socket, both escaped like names. Without an address it has none that can be told.
// The journals of one commit and its conditions have to belong to one shard. When the owner gives no
// answer, because it was killed, the answer is ERR unavailable: nobody knows whether it was done.
//
// A producer is a name and an epoch. A PUT or COMMIT with a counter is stored once, however often it is
// sent, over whatever connection and to whatever shard: after a lost answer, or ERR unavailable, the
// same request is sent again with the same counter until it is answered. The counters of a producer
// are chosen by it, each for one request; they should ascend, gaps are legal, and a request that was
// refused or met a conflict has not used its counter up. Of each producer a shard knows the highest 64
// counters it stored; one below those is refused with ERR counter-too-old. So at most 64 requests may
// be without an answer. A producer that begins anew takes a higher epoch, and its counters begin anew:
// ERR fenced tells one with a lower epoch that there is a newer one. A shard knows 128 producers, and
// forgets the one that was silent longest: ERR unknown-producer tells one that may have been forgotten
// that what it sends may be there already; it goes on with an epoch above the floor that is told.
// Epochs more than ten minutes ahead of the server's clock are refused.
//
// This file is the grammar of event lines in requests; RequestLine.swift has that of request lines.
// What happens then is the shard's.

/// Why a request is refused: the code and the text of its answer.
package enum Refusal: UInt8, CaseIterable, BitwiseCopyable, Sendable {
  case unknownCommand, badVersion, badCount, tooLarge, eventTooLarge, busy, lineTooLong
  case noEvents, unterminated
  case badTime, badStream, badType, badAttribute, badEscape, noPayload, badPayload
  case journal, reserved
  case badTag, badCondition, notJournal, journalTime, tooOld, severalShards, unavailable, notServed
  case readTooLong, noReader
  case badProducer, noProducer, fenced, unknownProducer, counterTooOld, epochAhead
  case unauthorized, forbidden

  /// The code, for programs.
  package var code: StaticString {
    switch self {
    case .unknownCommand: "unknown-command"
    case .badVersion: "bad-version"
    case .badCount: "bad-count"
    case .tooLarge: "too-large"
    case .eventTooLarge: "event-too-large"
    case .busy: "busy"
    case .lineTooLong: "line-too-long"
    case .noEvents: "no-events"
    case .unterminated: "unterminated"
    case .badTime: "bad-time"
    case .badStream: "bad-stream"
    case .badType: "bad-type"
    case .badAttribute: "bad-attribute"
    case .badEscape: "bad-escape"
    case .noPayload: "no-payload"
    case .badPayload: "bad-payload"
    case .journal: "journal"
    case .reserved: "reserved"
    case .badTag: "bad-tag"
    case .badCondition: "bad-condition"
    case .notJournal: "not-a-journal"
    case .journalTime: "journal-time"
    case .tooOld: "too-old"
    case .severalShards: "several-shards"
    case .unavailable: "unavailable"
    case .notServed: "not-served"
    case .readTooLong: "read-too-long"
    case .noReader: "no-reader"
    case .badProducer: "bad-producer"
    case .noProducer: "no-producer"
    case .fenced: "fenced"
    case .unknownProducer: "unknown-producer"
    case .counterTooOld: "counter-too-old"
    case .epochAhead: "epoch-ahead"
    case .unauthorized: "unauthorized"
    case .forbidden: "forbidden"
    }
  }

  /// What was wrong and what was expected, for people.
  package var text: StaticString {
    switch self {
    case .unknownCommand:
      "unknown request; expected HELLO, PUT, COMMIT, HEAD, EXISTS, PRODUCER, READ, FOLLOW or COPY"
    case .badVersion: "unknown protocol version; this server speaks 'HELLO penstock/1'"
    case .badCount: "expected a decimal number of bytes, at least 1, behind PUT or COMMIT"
    case .tooLarge: "the events do not fit one slot (1 MiB unless configured); send fewer at once"
    case .eventTooLarge: "the event is longer than any may be (1 MiB unless configured)"
    case .busy: "all slots for large requests are taken; try again"
    case .lineTooLong: "a request line may have 4096 bytes"
    case .noEvents: "expected at least one event line"
    case .unterminated: "the last event line does not end in LF within the byte count"
    case .badTime: "expected '-' or a time like 2026-11-21T03:47:52.123456789Z, then a space"
    case .badStream: "expected a stream name of 1 to 1024 bytes, then a space and a type"
    case .badType: "expected a type, '-' when there is none"
    case .badAttribute: "expected at most 256 attributes 'key=value' separated by single spaces"
    case .badEscape: "a word holds a byte or an escape it may not; \\s \\t \\n \\0 \\\\ are known"
    case .noPayload: "expected a TAB and the payload"
    case .badPayload: "a payload may not hold NUL; send it escaped with the attribute _escaped="
    case .journal: "names beginning with '/' are journals, which take COMMIT, not PUT"
    case .reserved: "streams '_penstock/' and attributes '_' are the server's own"
    case .badTag: "a tag has 1 to 16 bytes and no space"
    case .badCondition:
      "expected since=N, rule=subset, if-none=TYPE,…@N, if-type=TYPE@N, if-unchanged@N, in=/JOURNAL"
    case .notJournal:
      "expected the name of a journal: '/' and 1 to 1023 bytes more, without '//' or '..'"
    case .journalTime: "a journal's times are the server's: send '-', or yours as an attribute"
    case .severalShards: "the journals of one commit must belong to one shard; commit them apart"
    case .unavailable:
      "the journal's shard gave no answer: it may have been done or not; ask HEAD, then try again"
    case .notServed:
      "the store spreads journals over more shards than are served; start with as many as it had"
    case .readTooLong: "a READ, FOLLOW or COPY may have 2304 bytes"
    case .noReader: "the reader is not there to answer; try again in a moment"
    case .unauthorized:
      "this server wants one of its tokens first: 'HELLO penstock/1 token=SECRET'"
    case .forbidden:
      "the token gives no right to do this with this stream; the server's token file says who may"
    case .tooOld: "the server does not remember so far back; read again and commit from there"
    case .badProducer:
      "expected PRODUCER NAME EPOCH, and counter=N, producer=NAME@EPOCH behind PUT or COMMIT"
    case .noProducer: "a counter needs a PRODUCER request before it, or the option producer="
    case .fenced: "a producer of this name with a higher epoch was here: this one is out of date"
    case .unknownProducer:
      "the producer may have been forgotten, and what it sends again may be there; take a new epoch"
    case .counterTooOld:
      "the server does not remember counters so far back: nobody knows whether it was stored"
    case .epochAhead:
      "the epoch is too far ahead of the server's clock; take milliseconds since 1970"
    }
  }

  /// The refusal for a line that does not follow the grammar.
  package init(_ fault: EventLine.Fault) {
    switch fault {
    case .badTime: self = .badTime
    case .badStream: self = .badStream
    case .badType: self = .badType
    case .badAttribute: self = .badAttribute
    case .badEscape: self = .badEscape
    case .noPayload: self = .noPayload
    case .badPayload: self = .badPayload
    }
  }
}

/// Writes the lines of a PUT into a batch.
package enum PutLines {
  /// How it ended.
  package enum Outcome: Equatable, Sendable {
    /// All lines were written; so many.
    case written(count: Int)
    /// The batch has no room for all of them; nothing counts.
    case full
    /// Line `line`, counted from 1, is wrong; nothing counts.
    case refused(Refusal, line: Int)
  }

  /// Checks and writes the event lines in `range` of `source`. The caller rolls the writer back
  /// unless all were written.
  package static func append(
    _ source: borrowing AlignedBuffer, _ range: ByteRange, eventByteCountMax: Int,
    receivedAt: Timestamp, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) -> Outcome {
    let span = source.bytes
    var offset = range.lowerBound
    var count = 0
    while offset < range.upperBound {
      let end = span.firstIndex(of: Byte.lineFeed, from: offset, to: range.upperBound)
      count &+= 1
      guard end < range.upperBound else { return .refused(.unterminated, line: count) }
      guard end &- offset <= eventByteCountMax else {
        return .refused(.eventTooLarge, line: count)
      }
      let line: EventLine
      do throws(EventLine.Fault) {
        line = try EventLine(span, offset..<end)
      } catch {
        return .refused(Refusal(error), line: count)
      }
      if let refusal = refusal(line, span) { return .refused(refusal, line: count) }
      if line.time == nil {
        writer.put(receivedAt, &memory)
        writer.put(verbatim: span.extracting((offset &+ 1)..<(end &+ 1)), &memory)
      } else {
        writer.put(verbatim: span.extracting(offset..<(end &+ 1)), &memory)
      }
      guard !writer.isFull else { return .full }
      offset = end &+ 1
    }
    return count == 0 ? .refused(.noEvents, line: 0) : .written(count: count)
  }

  /// Names only the server may use.
  private static func refusal(_ line: EventLine, _ span: RawSpan) -> Refusal? {
    let first = span.byte(at: line.stream.lowerBound)
    if first == Byte.slash { return .journal }
    if first == UInt8(ascii: "_"), span.hasBytes("_penstock/", at: line.stream.lowerBound) {
      return .reserved
    }
    return attributeRefusal(line, span)
  }

  /// Attributes only the server may use.
  static func attributeRefusal(_ line: EventLine, _ span: RawSpan) -> Refusal? {
    guard !line.attributes.isEmpty else { return nil }
    var cursor = AttributeCursor(line.attributes)
    while let (key, value) = cursor.next(in: span) {
      guard span.byte(at: key.lowerBound) == UInt8(ascii: "_") else { continue }
      if key.count == 8, span.hasBytes("_escaped", at: key.lowerBound), value.isEmpty { continue }
      if key.count == 3, span.hasBytes("_id", at: key.lowerBound), value.count == 8,
        span.hexadecimal(at: value.lowerBound, digitCount: 8) != nil
      {
        continue
      }
      return .reserved
    }
    return nil
  }
}
