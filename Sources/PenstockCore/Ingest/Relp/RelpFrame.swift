// RELP, the Reliable Event Logging Protocol (version 0, as librelp speaks it): syslog messages that are
// acknowledged one by one.
//
//     frame    = txnr SP command SP datalen [ SP data ] LF
//     txnr     = 1*9DIGIT                      ; a session counts up from 1, and begins again behind
//                                              ; 999999999; 0 is the server's own word
//     command  = 1*32ALPHA                     ; open, syslog, close; the server says rsp, serverclose
//     datalen  = 1*9DIGIT                      ; bytes of data; some senders leave the SP out for 0
//     offer    = name [ "=" value ] LF         ; the data of open, and of its answer behind "200 OK"
//
// A server that answers "200 OK" to a syslog frame has taken it over for good. One it could not take is
// left without an answer, and its sender sends it again on the next session: a negative answer would
// have it thrown away.

/// One frame of a RELP session.
package struct RelpFrame: Equatable, Sendable {
  /// What a client may say.
  package enum Command: Equatable, Sendable { case open, syslog, close, other }

  package var transaction: UInt32
  package var command: Command
  /// Bytes of data the frame says it has.
  package var dataByteCount: Int
  /// Bytes in front of the data.
  package var headByteCount: Int

  /// Bytes of the whole frame, its LF included.
  package var byteCount: Int { headByteCount + dataByteCount + 1 }

  /// Digits of a transaction number and of a length, and letters of a command, at most.
  private static let digitCountMax = 9
  private static let commandByteCountMax = 32
  /// Longest head, in bytes: numbers, command and three spaces.
  package static let headByteCountMax = 2 * digitCountMax + commandByteCountMax + 3

  package init(
    transaction: UInt32, command: Command, dataByteCount: Int, headByteCount: Int
  ) {
    self.transaction = transaction
    self.command = command
    self.dataByteCount = dataByteCount
    self.headByteCount = headByteCount
  }

  /// What stands at an offset of a session's bytes.
  package enum Step: Equatable, Sendable {
    /// The head of a frame.
    case head(RelpFrame)
    /// The beginning of one.
    case open
    /// No frame: where the next one begins is not known.
    case bad
  }

  /// Reads the head of the frame at `offset` of `span`, of which `[offset, end)` was received.
  package static func step(_ span: RawSpan, _ offset: Int, _ end: Int) -> Step {
    var index = offset
    guard let transaction = number(span, &index, end) else { return ended(index, end) }
    guard index < end else { return .open }
    guard span.byte(at: index) == Byte.space else { return .bad }
    index += 1
    let commandStart = index
    while index < end, isLetter(span.byte(at: index)) { index += 1 }
    guard index - commandStart <= commandByteCountMax else { return .bad }
    guard index < end else { return .open }
    guard index > commandStart, span.byte(at: index) == Byte.space else { return .bad }
    let command = command(span, commandStart..<index)
    index += 1
    guard let dataByteCount = number(span, &index, end) else { return ended(index, end) }
    guard index < end else { return .open }
    if span.byte(at: index) == Byte.space {
      index += 1
    } else if dataByteCount > 0 || span.byte(at: index) != Byte.lineFeed {
      return .bad
    }
    return .head(
      RelpFrame(
        transaction: UInt32(transaction), command: command, dataByteCount: dataByteCount,
        headByteCount: index - offset))
  }

  /// A number; nil when there is none, or too long a one.
  private static func number(_ span: RawSpan, _ index: inout Int, _ end: Int) -> Int? {
    let start = index
    var value = 0
    while index < end, span.byte(at: index) &- Byte.zero <= 9 {
      guard index - start < digitCountMax else { return nil }
      value = value * 10 + Int(span.byte(at: index) - Byte.zero)
      index += 1
    }
    return index > start ? value : nil
  }

  /// What it means that there was no number: nothing has come yet, or something else stands there.
  private static func ended(_ index: Int, _ end: Int) -> Step { index == end ? .open : .bad }

  private static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- UInt8(ascii: "a") < 26 }

  private static func command(_ span: RawSpan, _ range: ByteRange) -> Command {
    if span.hasBytes("syslog", at: range.lowerBound), range.count == 6 { return .syslog }
    if span.hasBytes("open", at: range.lowerBound), range.count == 4 { return .open }
    if span.hasBytes("close", at: range.lowerBound), range.count == 5 { return .close }
    return .other
  }

  /// Whether an open's offers say that the client sends syslog.
  package static func offersSyslog(_ span: RawSpan, _ range: ByteRange) -> Bool {
    var start = range.lowerBound
    while start < range.upperBound {
      let end = span.firstIndex(of: Byte.lineFeed, from: start, to: range.upperBound)
      if span.hasBytes("commands=", at: start), start + 9 <= end {
        var word = start + 9
        while word < end {
          let wordEnd = span.firstIndex(of: UInt8(ascii: ","), from: word, to: end)
          if wordEnd - word == 6, span.hasBytes("syslog", at: word) { return true }
          word = wordEnd + 1
        }
      }
      start = end + 1
    }
    return false
  }
}
