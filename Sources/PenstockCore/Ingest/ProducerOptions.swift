// The words of request lines that are about producers; LineProtocol.swift has the grammar.

/// The options of a PUT or COMMIT that are about its producer.
package struct ProducerOptions {
  package private(set) var counter: UInt64?
  /// Whose counter it is, when the line says so: where the name stands, and the epoch.
  package private(set) var producer: (name: ByteRange, epoch: UInt64)?
  /// One of them is malformed, or there twice, or a producer stands without a counter.
  package private(set) var isBad = false
  /// There are options about something else.
  package private(set) var hasOthers = false

  /// - Parameter range: the request line, without its tag.
  package init(_ span: RawSpan, _ range: ByteRange) {
    let end = range.upperBound
    let verb = span.nearIndex(of: Byte.space, from: range.lowerBound, to: end)
    var offset = span.nearIndex(of: Byte.space, from: min(verb &+ 1, end), to: end) &+ 1
    while offset < end {
      let stop = span.nearIndex(of: Byte.space, from: offset, to: end)
      take(span, offset..<stop)
      offset = stop &+ 1
    }
    if producer != nil, counter == nil { isBad = true }
  }

  /// Whether an option is about a producer.
  package static func isOne(_ span: RawSpan, _ word: ByteRange) -> Bool {
    word.count >= 8 && span.hasBytes("counter=", at: word.lowerBound)
      || word.count >= 9 && span.hasBytes("producer=", at: word.lowerBound)
  }

  private mutating func take(_ span: RawSpan, _ word: ByteRange) {
    guard ProducerOptions.isOne(span, word) else {
      hasOthers = true
      return
    }
    if span.byte(at: word.lowerBound) == UInt8(ascii: "c") {
      let number = ProducerOptions.number(span, (word.lowerBound + 8)..<word.upperBound)
      if counter != nil || number == nil || number == 0 { isBad = true }
      counter = number
      return
    }
    var at = word.upperBound
    while at > word.lowerBound + 9, span.byte(at: at - 1) != UInt8(ascii: "@") { at -= 1 }
    let name = (word.lowerBound + 9)..<max(word.lowerBound + 9, at - 1)
    guard producer == nil, ProducerName.isValid(span, name),
      let epoch = ProducerOptions.number(span, at..<word.upperBound)
    else {
      isBad = true
      return
    }
    producer = (name, epoch)
  }

  /// Name and epoch of a PRODUCER request, whose words stand in `range`.
  static func request(_ span: RawSpan, _ range: ByteRange) -> (name: ByteRange, epoch: UInt64)? {
    let stop = span.nearIndex(of: Byte.space, from: range.lowerBound, to: range.upperBound)
    let name = range.lowerBound..<stop
    guard ProducerName.isValid(span, name), stop < range.upperBound,
      let epoch = number(span, (stop + 1)..<range.upperBound)
    else { return nil }
    return (name, epoch)
  }

  /// A decimal of 63 bits.
  private static func number(_ span: RawSpan, _ range: ByteRange) -> UInt64? {
    guard !range.isEmpty, range.count <= 19 else { return nil }
    var value: UInt64 = 0
    for offset in range {
      let digit = span.byte(at: offset) &- Byte.zero
      guard digit <= 9 else { return nil }
      value = value &* 10 &+ UInt64(digit)
    }
    return value <= ProducerStamp.numberMax ? value : nil
  }
}
