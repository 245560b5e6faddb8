// The line protocol: text over TCP or a unix socket, usable with `nc`.
//
//     session    = *( request )
//     request    = hello | put
//     hello      = "HELLO penstock/1" eol
//     put        = "PUT " byteCount eol  byteCount OCTETS        ; the octets are event lines
//     byteCount  = 1*10DIGIT                                     ; 1 … the slot size (1 MiB)
//     octets     = 1*( line )                                    ; EventLine, each ends in LF
//     eol        = LF | CR LF
//
//     answer     = hello-ok | put-ok | error                     ; one for each request, in order
//     hello-ok   = "OK penstock/1 shard=" n " shards=" n LF
//     put-ok     = "OK shard=" n " first=" n " count=" n LF      ; after the barrier, never before
//     error      = "ERR " code " " [ "line " n ": " ] text LF
//
//     C: HELLO penstock/1
//     S: OK penstock/1 shard=0 shards=2
//     C: PUT 36
//     C: - app/web Login user=7⇥{"ok":true}
//     S: OK shard=0 first=123 count=1
//
// Requests may be pipelined. The events of one PUT are stored together, in one batch, numbered
// `first` … `first + count - 1`; when one line is wrong none is stored. The time "-" lets the
// server set it. `HELLO` may be left out. After an error the session goes on wherever the next
// request can be found: a PUT's octets are passed over even when it is refused. Streams beginning
// with "/" (journals) and "_penstock/" are refused, so are attributes beginning with "_" other
// than `_id` and `_escaped`.
//
// This file is the grammar: parsing requests and checking lines. What happens then is the shard's.

/// Why a request is refused: the code and the text of its answer.
package enum Refusal: UInt8, CaseIterable, BitwiseCopyable, Sendable {
  case unknownCommand, badVersion, badCount, tooLarge, busy, lineTooLong
  case noEvents, unterminated
  case badTime, badStream, badType, badAttribute, badEscape, noPayload, badPayload
  case journal, reserved

  /// The code, for programs.
  package var code: StaticString {
    switch self {
    case .unknownCommand: "unknown-command"
    case .badVersion: "bad-version"
    case .badCount: "bad-count"
    case .tooLarge: "too-large"
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
    }
  }

  /// What was wrong and what was expected, for people.
  package var text: StaticString {
    switch self {
    case .unknownCommand: "unknown request; expected 'HELLO penstock/1' or 'PUT <byteCount>'"
    case .badVersion: "unknown protocol version; this server speaks 'HELLO penstock/1'"
    case .badCount: "expected 'PUT <byteCount>' with a decimal number of bytes, at least 1"
    case .tooLarge: "the events do not fit one slot (1 MiB unless configured); send fewer at once"
    case .busy: "all slots for large requests are taken; try again"
    case .lineTooLong: "a request line may have 1024 bytes"
    case .noEvents: "expected at least one event line"
    case .unterminated: "the last event line does not end in LF within the byte count"
    case .badTime: "expected '-' or a time like 2026-11-21T03:47:52.123456789Z, then a space"
    case .badStream: "expected a stream name of 1 to 1024 bytes, then a space and a type"
    case .badType: "expected a type, '-' when there is none"
    case .badAttribute: "expected at most 256 attributes 'key=value' separated by single spaces"
    case .badEscape: "a word holds a byte or an escape it may not; \\s \\t \\n \\0 \\\\ are known"
    case .noPayload: "expected a TAB and the payload"
    case .badPayload: "a payload may not hold NUL; send it escaped with the attribute _escaped="
    case .journal: "names beginning with '/' are journals, which take transactions, not PUT"
    case .reserved: "streams '_penstock/' and attributes '_' are the server's own"
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

/// A request line.
package enum Request: Equatable, Sendable {
  case hello
  /// Event lines of this many bytes follow.
  case put(byteCount: Int)
  case refused(Refusal)

  /// Longest request line, in bytes: room for options of later versions.
  package static let lineByteCountMax = 1024
  /// Largest count whose octets are passed over to keep the session: 1 GiB.
  package static let skippedByteCountMax = 1 << 30

  /// Reads the request line in `range`, without its end.
  package init(_ span: RawSpan, _ range: ByteRange) {
    let start = range.lowerBound
    if range.count >= 4, span.hasBytes("PUT ", at: start) {
      guard let count = span.decimal((start + 4)..<range.upperBound, digitCountMax: 10), count > 0
      else {
        self = .refused(.badCount)
        return
      }
      self = .put(byteCount: count)
      return
    }
    if range.count >= 5, span.hasBytes("HELLO", at: start) {
      let isKnown = range.count == 16 && span.hasBytes("HELLO penstock/1", at: start)
      self = isKnown ? .hello : .refused(.badVersion)
      return
    }
    if range.count == 3, span.hasBytes("PUT", at: start) {
      self = .refused(.badCount)
      return
    }
    self = .refused(.unknownCommand)
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
    _ source: borrowing AlignedBuffer, _ range: ByteRange, receivedAt: Timestamp,
    _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) -> Outcome {
    let span = source.bytes
    var offset = range.lowerBound
    var count = 0
    while offset < range.upperBound {
      let end = span.firstIndex(of: Byte.lineFeed, from: offset, to: range.upperBound)
      count &+= 1
      guard end < range.upperBound else { return .refused(.unterminated, line: count) }
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
