// Where one frame ends and the next begins on a byte stream: syslog over TCP (RFC 6587) and the
// request lines of the line protocol. Pure: it looks at bytes and says what they are.
//
//     octet-counted   count SP message          count = nonzero digit *digit
//     delimited       message ( LF | CR LF | NUL )
//
// The framing of a connection is decided once: octet-counted when it begins with digits, SP, "<";
// else delimited, by LF or NUL, whichever came first. A frame that does not follow what was
// decided is taken up to the next LF, so that one bad frame costs itself only. A connection that
// begins like TLS (RFC 8446 5.1: a handshake record) is none of ours.

/// What is known about a connection's framing.
package enum StreamFraming: UInt8, BitwiseCopyable, Sendable {
  /// Nothing was received yet.
  case undecided
  case octetCounted
  /// Delimited; the first delimiter decides which.
  case delimited
  case lineFeed
  case null
  /// Not syslog: a TLS handshake.
  case encrypted
}

/// What stands at an offset of the stream.
package enum FrameStep: Equatable, Sendable {
  /// A whole frame: its message, and where the next frame begins.
  case frame(ByteRange, next: Int)
  /// The rest of the bytes is the beginning of a frame whose size is known: message bytes begin at
  /// `start` and `count` of them make it whole.
  case counted(start: Int, count: Int)
  /// The rest of the bytes is the beginning of a frame whose end is not known yet.
  case open
  /// The connection begins with a TLS handshake.
  case encrypted
}

/// What stood around the message of a datagram, so that it can be put back.
///
/// A final LF alone is not told: where messages are given back, one stands behind each anyway.
package struct DatagramFraming: BitwiseCopyable, Equatable, Sendable {
  /// Digits of the count in front of the message; 0 when there was none. The count is that of the
  /// message and what ended it.
  package var countDigitCount: UInt8 = 0
  /// What ended the message: "n" for LF, "r" for CR LF, "z" for NUL, 0 for nothing.
  package var ending: UInt8 = 0

  package static let none = DatagramFraming()
  static let lineFeed = UInt8(ascii: "n")
  static let returnAndLineFeed = UInt8(ascii: "r")
  static let null = UInt8(ascii: "z")

  private init() {}

  /// What `whole` holds beside `message`, which `StreamFraming.datagram` found in it.
  package init(_ span: RawSpan, _ whole: ByteRange, _ message: ByteRange) {
    let prefix = message.lowerBound &- whole.lowerBound
    countDigitCount = UInt8(max(0, prefix &- 1))
    switch whole.upperBound &- message.upperBound {
    case 0: break
    case 1:
      ending =
        span.byte(at: message.upperBound) == Byte.null
        ? DatagramFraming.null : DatagramFraming.lineFeed
    default: ending = DatagramFraming.returnAndLineFeed
    }
    if countDigitCount == 0, ending == DatagramFraming.lineFeed { ending = 0 }
  }

  /// Reads what was written of it: `[ digit ] [ "n" / "r" / "z" ]`; what is neither counts as not
  /// there.
  init(text span: RawSpan, _ range: ByteRange) {
    for index in range {
      let byte = span.byte(at: index)
      switch byte {
      case UInt8(ascii: "1")...Byte.nine: countDigitCount = byte &- Byte.zero
      case DatagramFraming.lineFeed, DatagramFraming.returnAndLineFeed, DatagramFraming.null:
        ending = byte
      default: break
      }
    }
  }

  /// The datagram around a message. For cold paths: it allocates.
  func whole(_ message: [UInt8]) -> [UInt8] {
    var rest = message
    switch ending {
    case DatagramFraming.lineFeed: rest.append(Byte.lineFeed)
    case DatagramFraming.returnAndLineFeed: rest += [Byte.carriageReturn, Byte.lineFeed]
    case DatagramFraming.null: rest.append(Byte.null)
    default: break
    }
    guard countDigitCount > 0 else { return rest }
    let digits = Array("\(rest.count)".utf8)
    let zeros = max(0, Int(countDigitCount) - digits.count)
    return [UInt8](repeating: Byte.zero, count: zeros) + digits + [Byte.space] + rest
  }
}

extension StreamFraming {
  /// Digits a count may have: more is not a size anyone means.
  static let countDigitsMax = 9
  /// The first two bytes of a TLS connection: a handshake record, of version 3.x.
  private static let handshake: UInt8 = 0x16
  private static let handshakeMajor: UInt8 = 3

  /// Decides the framing if it is open, and finds the frame at `offset` of `span`, of which
  /// `[offset, end)` was received.
  @inline(__always)
  package mutating func step(_ span: RawSpan, _ offset: Int, _ end: Int) -> FrameStep {
    if self == .undecided {
      guard decide(span, offset, end) else { return .open }
    }
    switch self {
    case .octetCounted: return octetStep(span, offset, end)
    case .lineFeed: return lineStep(span, offset, end)
    case .undecided, .delimited, .null: return delimitedStep(span, offset, end)
    case .encrypted: return .encrypted
    }
  }

  /// False when too little was received to tell.
  private mutating func decide(_ span: RawSpan, _ offset: Int, _ end: Int) -> Bool {
    var index = offset
    while index < end, StreamFraming.isDigit(span.byte(at: index)),
      index &- offset <= StreamFraming.countDigitsMax
    {
      index &+= 1
    }
    if span.byte(at: offset) == StreamFraming.handshake {
      guard offset &+ 1 < end else { return false }
      self = span.byte(at: offset &+ 1) == StreamFraming.handshakeMajor ? .encrypted : .delimited
      return true
    }
    if index == offset || index &- offset > StreamFraming.countDigitsMax
      || span.byte(at: offset) == Byte.zero
    {
      self = .delimited
      return true
    }
    guard index &+ 1 < end else {
      // Digits, or digits and a space: either framing may still follow.
      if index < end, span.byte(at: index) != Byte.space {
        self = .delimited
        return true
      }
      return false
    }
    self =
      span.byte(at: index) == Byte.space && span.byte(at: index &+ 1) == Byte.less
      ? .octetCounted : .delimited
    return true
  }

  @inline(__always)
  private static func isDigit(_ byte: UInt8) -> Bool { byte &- Byte.zero <= 9 }

  @inline(__always)
  private func octetStep(_ span: RawSpan, _ offset: Int, _ end: Int) -> FrameStep {
    var count = 0
    var index = offset
    while index < end {
      let digit = span.byte(at: index) &- Byte.zero
      guard digit <= 9 else { break }
      count = count &* 10 &+ Int(digit)
      index &+= 1
      guard index &- offset <= StreamFraming.countDigitsMax else {
        return lineStep(span, offset, end)
      }
    }
    if index == end { return .open }
    guard index > offset, count > 0, span.byte(at: index) == Byte.space else {
      return lineStep(span, offset, end)
    }
    let start = index &+ 1
    guard count <= end &- start else { return .counted(start: start, count: count) }
    return .frame(
      StreamFraming.withoutFinalLineFeed(span, start, start &+ count), next: start &+ count)
  }

  /// Several senders count a final LF into the frame; it is framing, not text.
  @inline(__always)
  package static func withoutFinalLineFeed(_ span: RawSpan, _ start: Int, _ end: Int) -> ByteRange {
    end > start && span.byte(at: end &- 1) == Byte.lineFeed ? start..<(end &- 1) : start..<end
  }

  @inline(__always)
  private func lineStep(_ span: RawSpan, _ offset: Int, _ end: Int) -> FrameStep {
    let stop = span.firstIndex(of: Byte.lineFeed, from: offset, to: end)
    guard stop < end else { return .open }
    return .frame(StreamFraming.withoutFinalReturn(span, offset, stop), next: stop &+ 1)
  }

  /// A CR before the LF belongs to the delimiter.
  @inline(__always)
  package static func withoutFinalReturn(_ span: RawSpan, _ start: Int, _ end: Int) -> ByteRange {
    end > start && span.byte(at: end &- 1) == Byte.carriageReturn
      ? start..<(end &- 1) : start..<end
  }

  private mutating func delimitedStep(_ span: RawSpan, _ offset: Int, _ end: Int) -> FrameStep {
    if self == .null {
      let stop = span.firstIndex(of: Byte.null, from: offset, to: end)
      return stop < end ? .frame(offset..<stop, next: stop &+ 1) : .open
    }
    let lineEnd = span.firstIndex(of: Byte.lineFeed, from: offset, to: end)
    let nullEnd = span.firstIndex(of: Byte.null, from: offset, to: lineEnd)
    if nullEnd < lineEnd {
      self = .null
      return .frame(offset..<nullEnd, next: nullEnd &+ 1)
    }
    guard lineEnd < end else { return .open }
    self = .lineFeed
    return .frame(StreamFraming.withoutFinalReturn(span, offset, lineEnd), next: lineEnd &+ 1)
  }

  /// Where the open frame ends whose beginning was kept, or `to`. The first delimiter of a
  /// connection decides which it is.
  package mutating func delimiterIndex(_ span: RawSpan, from: Int, to: Int) -> Int {
    if self == .null { return span.firstIndex(of: Byte.null, from: from, to: to) }
    let lineEnd = span.firstIndex(of: Byte.lineFeed, from: from, to: to)
    guard self == .delimited || self == .undecided else { return lineEnd }
    let nullEnd = span.firstIndex(of: Byte.null, from: from, to: lineEnd)
    if nullEnd < lineEnd {
      self = .null
      return nullEnd
    }
    if lineEnd < to { self = .lineFeed }
    return lineEnd
  }

  /// The message of a datagram: a count some senders put before it, and the final LF, CR LF or
  /// NUL others put behind it, are framing.
  @inline(__always)
  package static func datagram(_ span: RawSpan, _ range: ByteRange) -> ByteRange {
    var start = range.lowerBound
    var end = range.upperBound
    guard start < end else { return range }
    if isDigit(span.byte(at: start)) {
      var index = start
      var count = 0
      while index < end, isDigit(span.byte(at: index)), index &- start < countDigitsMax {
        count = count &* 10 &+ Int(span.byte(at: index) &- Byte.zero)
        index &+= 1
      }
      if index &+ 1 < end, span.byte(at: index) == Byte.space,
        span.byte(at: index &+ 1) == Byte.less, count == end &- index &- 1
      {
        start = index &+ 1
      }
    }
    let last = span.byte(at: end &- 1)
    if last == Byte.lineFeed {
      end &-= 1
      if end > start, span.byte(at: end &- 1) == Byte.carriageReturn { end &-= 1 }
    } else if last == Byte.null {
      end &-= 1
    }
    return start..<end
  }
}
