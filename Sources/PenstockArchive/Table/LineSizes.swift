// Where the parts of an event line lie, by their sizes alone, and the order of names.

internal import PenstockCore

/// How long the parts of a line are; with the grammar of EventLine this says where they lie.
struct LineSizes {
  var stream: UInt32
  var type: UInt32
  var attributes: UInt32
  var payload: UInt32

  static let streamStart = Timestamp.textByteCount + 1

  var streamEnd: Int { LineSizes.streamStart &+ Int(stream) }
  var typeEnd: Int { streamEnd &+ 1 &+ Int(type) }
  var payloadStart: Int {
    typeEnd &+ 1 &+ (attributes > 0 ? 1 &+ Int(attributes) : 0)
  }
  var byteCount: Int { payloadStart &+ Int(payload) }

  /// Where the fields lie in a line that begins at 0.
  func fields(_ time: Timestamp, _ line: inout EventLine) {
    line.time = time
    line.stream = LineSizes.streamStart..<streamEnd
    line.type = (streamEnd &+ 1)..<typeEnd
    let attributesStart = typeEnd &+ (attributes > 0 ? 1 : 0)
    line.attributes = attributesStart..<(attributesStart &+ Int(attributes))
    line.payload = payloadStart..<byteCount
    line.line = 0..<byteCount
  }
}

extension RawSpan {
  /// Whether these bytes come before `other` in the order of names: byte by byte, the shorter first.
  func precedes(_ other: RawSpan) -> Bool {
    var offset = 0
    let shorter = Swift.min(byteCount, other.byteCount)
    while offset < shorter {
      let left = word(at: offset)
      let right = other.word(at: offset)
      if left != right {
        let same = (left ^ right).trailingZeroBitCount >> 3
        guard offset + same < shorter else { break }
        return byte(at: offset + same) < other.byte(at: offset + same)
      }
      offset += 8
    }
    return byteCount < other.byteCount
  }
}
