// Request lines of the line protocol; LineProtocol.swift has the grammar.

/// A request line.
package enum Request: Equatable, Sendable {
  case hello
  /// HELLO of a client that wants to be told where journals are.
  case helloMoved
  /// Event lines of this many bytes follow.
  case put(byteCount: Int)
  /// The same, of journals; options stand in the line.
  case commit(byteCount: Int)
  /// Event lines with a counter of their producer, which stands in the line.
  case putCounted(byteCount: Int)
  /// Who the requests with a counter come from.
  case producer(name: ByteRange, epoch: UInt64)
  /// What a journal's last event is, and whether there is one; where its name stands.
  case head(ByteRange)
  case exists(ByteRange)
  /// READ, FOLLOW or COPY, which the reader answers.
  case read
  case refused(Refusal)
  /// Refused, and octets follow that have to be passed over.
  case refusedOctets(Refusal, byteCount: Int)

  /// Longest request line, in bytes: room for a journal's name and some conditions.
  package static let lineByteCountMax = 4096
  /// Largest count whose octets are passed over to keep the session: 1 GiB.
  package static let skippedByteCountMax = 1 << 30

  /// Reads the request line in `range`, without its end and its tag.
  package init(_ span: RawSpan, _ range: ByteRange) {
    let stop = span.nearIndex(of: Byte.space, from: range.lowerBound, to: range.upperBound)
    let rest = min(stop &+ 1, range.upperBound)..<range.upperBound
    let word = range.lowerBound..<stop
    if word.count == 3, span.hasBytes("PUT", at: word.lowerBound) {
      self =
        Request.count(span, rest).map { .put(byteCount: $0) } ?? Request.counted(span, range, rest)
    } else if word.count == 6, span.hasBytes("COMMIT", at: word.lowerBound) {
      let end = span.nearIndex(of: Byte.space, from: rest.lowerBound, to: rest.upperBound)
      self =
        Request.count(span, rest.lowerBound..<end).map { .commit(byteCount: $0) }
        ?? .refused(.badCount)
    } else if word.count == 4, span.hasBytes("HEAD", at: word.lowerBound) {
      self = JournalName.isValid(span, rest) ? .head(rest) : .refused(.notJournal)
    } else if word.count == 6, span.hasBytes("EXISTS", at: word.lowerBound) {
      self = JournalName.isValid(span, rest) ? .exists(rest) : .refused(.notJournal)
    } else if word.count == 8, span.hasBytes("PRODUCER", at: word.lowerBound) {
      self =
        ProducerOptions.request(span, rest).map { .producer(name: $0.name, epoch: $0.epoch) }
        ?? .refused(.badProducer)
    } else if Request.isForReader(span, word) {
      self =
        range.count <= AnswerPool.textByteCountMax ? .read : .refused(.readTooLong)
    } else if word.count >= 5, span.hasBytes("HELLO", at: word.lowerBound) {
      let isKnown = range.count >= 16 && span.hasBytes("HELLO penstock/1", at: range.lowerBound)
      let end = HelloToken.lineEnd(span, range)
      let options = min(range.lowerBound &+ min(16, range.count), end)..<end
      let isMoved = options.count == 6 && span.hasBytes(" moved", at: options.lowerBound)
      if isKnown, isMoved {
        self = .helloMoved
      } else {
        self = isKnown && options.isEmpty ? .hello : .refused(.badVersion)
      }
    } else {
      self = .refused(.unknownCommand)
    }
  }

  private static func isForReader(_ span: RawSpan, _ word: ByteRange) -> Bool {
    let start = word.lowerBound
    switch word.count {
    case 4: return span.hasBytes("READ", at: start) || span.hasBytes("COPY", at: start)
    case 6: return span.hasBytes("FOLLOW", at: start)
    default: return false
    }
  }

  private static func count(_ span: RawSpan, _ range: ByteRange) -> Int? {
    guard let count = span.decimal(range, digitCountMax: 10), count > 0 else { return nil }
    return count
  }

  /// A PUT with options.
  private static func counted(_ span: RawSpan, _ line: ByteRange, _ rest: ByteRange) -> Request {
    let end = span.nearIndex(of: Byte.space, from: rest.lowerBound, to: rest.upperBound)
    let options = ProducerOptions(span, line)
    guard let count = count(span, rest.lowerBound..<end), !options.hasOthers else {
      return .refused(.badCount)
    }
    let isCounted = !options.isBad && options.counter != nil
    return isCounted
      ? .putCounted(byteCount: count) : .refusedOctets(.badProducer, byteCount: count)
  }

  /// Whether the line is needed until the octets are there: it says more than their count.
  package var keepsLine: Bool {
    switch self {
    case .commit, .putCounted: true
    default: false
    }
  }

  /// Bytes that follow the line.
  package var octetCount: Int? {
    switch self {
    case .put(let byteCount), .commit(let byteCount), .putCounted(let byteCount),
      .refusedOctets(_, let byteCount):
      byteCount
    case .hello, .helloMoved, .head, .exists, .producer, .read, .refused: nil
    }
  }

  /// Whether what follows can be what was asked for.
  package var isWellFormed: Bool {
    if case .refusedOctets = self { false } else { true }
  }

  /// The same request, refused.
  package func refused(_ refusal: Refusal) -> Request {
    octetCount.map { .refusedOctets(refusal, byteCount: $0) } ?? .refused(refusal)
  }
}

/// What a client tells its requests apart by; the answer repeats it.
package struct RequestTag: BitwiseCopyable, Equatable, Sendable {
  private var low: UInt64 = 0
  private var high: UInt64 = 0

  /// No tag.
  package static let none = RequestTag()
  package static let byteCountMax = 16

  package var isNone: Bool { low == 0 && high == 0 }

  /// Bytes of the tag: none of them is NUL.
  package var byteCount: Int {
    let word = high == 0 ? low : high
    let bytes = 8 - word.leadingZeroBitCount / 8
    return high == 0 ? bytes : 8 + bytes
  }

  /// The tag's bytes, the first lowest.
  package var words: (low: UInt64, high: UInt64) { (low, high) }

  /// Takes the tag off a request line.
  /// - Returns: where the line without it ends, and the tag; nil when the tag is none.
  package static func split(_ span: RawSpan, _ line: ByteRange) -> (end: Int, tag: RequestTag)? {
    var start = line.upperBound
    while start > line.lowerBound, span.byte(at: start &- 1) != Byte.space { start &-= 1 }
    guard start > line.lowerBound, line.upperBound &- start >= 4, span.hasBytes("tag=", at: start)
    else { return (line.upperBound, .none) }
    let bytes = span.extracting((start &+ 4)..<line.upperBound)
    guard bytes.byteCount > 0, bytes.byteCount <= byteCountMax else { return nil }
    for offset in 0..<bytes.byteCount where bytes.byte(at: offset) == Byte.null { return nil }
    var tag = RequestTag()
    tag.low = bytes.word(at: 0)
    tag.high = bytes.byteCount > 8 ? bytes.word(at: 8) : 0
    return (start &- 1, tag)
  }
}

/// A request line with its tag.
package struct RequestLine: Equatable, Sendable {
  package var request: Request
  package var tag = RequestTag.none
  /// Where the line without the tag stands.
  package var range: ByteRange

  /// Reads the line in `whole`, without its end.
  package init(_ span: RawSpan, _ whole: ByteRange) {
    guard let (end, tag) = RequestTag.split(span, whole) else {
      range = whole
      request = Request(span, whole).refused(.badTag)
      return
    }
    self.tag = tag
    range = whole.lowerBound..<end
    request = Request(span, range)
  }
}

/// Names of journals.
package enum JournalName {
  /// Whether `range` holds a journal's name: "/" and more, without empty or upward steps, so that
  /// it stands for itself wherever it is used as a path.
  package static func isValid(_ span: RawSpan, _ range: ByteRange) -> Bool {
    guard range.count >= 2, range.count <= EventLine.streamByteCountMax,
      span.byte(at: range.lowerBound) == Byte.slash
    else { return false }
    var previous = UInt8(0)
    for offset in range {
      let byte = span.byte(at: offset)
      if byte == previous, byte == Byte.slash || byte == UInt8(ascii: ".") { return false }
      if byte == Byte.space || byte == Byte.tab || byte == Byte.null { return false }
      previous = byte
    }
    return true
  }
}

/// The options of a COMMIT, read one by one.
package struct CommitOptions {
  package enum Option: Equatable {
    case since(UInt64)
    case subset
    /// No event of these types, a list of names or one, behind the position.
    case none(types: ByteRange, isList: Bool, UInt64)
    case unchanged(UInt64)
    case journal(ByteRange)
    /// About who sends it: no condition.
    case producer
    case bad
  }

  private var offset: Int
  private let end: Int

  /// - Parameter range: the request line, without its tag.
  package init(_ span: RawSpan, _ range: ByteRange) {
    let verb = span.nearIndex(of: Byte.space, from: range.lowerBound, to: range.upperBound)
    offset =
      span.nearIndex(
        of: Byte.space, from: min(verb &+ 1, range.upperBound), to: range.upperBound) &+ 1
    end = range.upperBound
  }

  /// The next option; nil behind the last.
  package mutating func next(in span: RawSpan) -> Option? {
    guard offset < end else { return nil }
    let stop = span.nearIndex(of: Byte.space, from: offset, to: end)
    let word = offset..<stop
    offset = stop &+ 1
    let start = word.lowerBound
    if word.count > 6, span.hasBytes("since=", at: start) {
      return CommitOptions.position(span, (start &+ 6)..<stop).map { .since($0) } ?? .bad
    }
    if word.count == 11, span.hasBytes("rule=subset", at: start) { return .subset }
    if word.count > 13, span.hasBytes("if-unchanged@", at: start) {
      return CommitOptions.position(span, (start &+ 13)..<stop).map { .unchanged($0) } ?? .bad
    }
    if word.count > 3, span.hasBytes("in=", at: start) {
      let name = (start &+ 3)..<stop
      return JournalName.isValid(span, name) ? .journal(name) : .bad
    }
    if ProducerOptions.isOne(span, word) { return .producer }
    let isList = word.count > 8 && span.hasBytes("if-none=", at: start)
    guard isList || (word.count > 8 && span.hasBytes("if-type=", at: start)) else { return .bad }
    var at = stop
    while at > start, span.byte(at: at &- 1) != UInt8(ascii: "@") { at &-= 1 }
    guard at &- 1 > start &+ 8, let position = CommitOptions.position(span, at..<stop) else {
      return .bad
    }
    return .none(types: (start &+ 8)..<(at &- 1), isList: isList, position)
  }

  private static func position(_ span: RawSpan, _ range: ByteRange) -> UInt64? {
    guard !range.isEmpty, range.count <= 19 else { return nil }
    var value: UInt64 = 0
    for offset in range {
      let digit = span.byte(at: offset) &- Byte.zero
      guard digit <= 9 else { return nil }
      value = value &* 10 &+ UInt64(digit)
    }
    return value <= UInt64(Int64.max) ? value : nil
  }
}
