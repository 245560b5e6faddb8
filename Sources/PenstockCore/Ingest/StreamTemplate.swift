// How the stream of a shipped message is named.
//
//     template    = *( literal / "{host}" / "{app}" / "{facility}" / "{severity}" )
//
// The default is `syslog/{host}`. What a message lacks is "-". A name that would be empty, a
// journal's ("/…") or the server's own ("_penstock/…") gets "syslog/" in front: no sender chooses
// its way into those. Names are cut at `EventLine.streamByteCountMax`, between characters and
// escapes.

/// A compiled template. Fixed size: reading it counts no references.
package struct StreamTemplate: BitwiseCopyable, Sendable {
  /// A piece of a name.
  package enum Piece: UInt8, BitwiseCopyable, Sendable {
    case end, literal, host, app, facility, severity
  }

  package static let `default` = "syslog/{host}"
  /// Pieces and literal bytes a template may have: names are short, and copied for every event.
  package static let pieceCountMax = 8
  package static let literalByteCountMax = 64
  private static let wordCountMax = 16

  private var pieces: InlineArray<8, Piece> = .init(repeating: .end)
  /// The literals' bytes, eight to a word; each literal begins a word.
  private var literals: InlineArray<16, UInt64> = .init(repeating: 0)
  /// Bytes of the literal of each piece.
  private var literalByteCounts: InlineArray<8, UInt8> = .init(repeating: 0)
  /// Whether every name is a plain stream's whatever the fields hold.
  private var isSafe = false
  /// Whether it is a safe literal of up to 16 bytes and the host: what nearly everybody has, and
  /// what is written without going over the pieces.
  private(set) var isPrefixAndHost = false
  private(set) var prefix: (first: UInt64, second: UInt64, byteCount: Int) = (0, 0, 0)

  /// What is wrong with a template's text.
  package enum Fault: Error, Equatable, Sendable, CustomStringConvertible {
    case unknownField(String)
    case tooLong
    case empty
    case reserved

    package var description: String {
      switch self {
      case .unknownField(let name):
        "the stream template has an unknown field {\(name)}; "
          + "known are {host}, {app}, {facility} and {severity}"
      case .tooLong: "the stream template may have 8 pieces and 64 literal bytes"
      case .empty: "the stream template is empty; the default is \(StreamTemplate.default)"
      case .reserved: "a stream template may not begin with '/' or '_penstock/'"
      }
    }
  }

  /// Compiles a template.
  package init(_ text: String) throws(Fault) {
    guard !text.isEmpty else { throw .empty }
    guard !text.hasPrefix("/"), !text.hasPrefix("_penstock/") else { throw .reserved }
    let bytes = Escape.encode(Array(text.utf8).rawSpan, .word)
    var count = 0
    var used = 0
    var offset = 0
    func check() throws(Fault) {
      if count == StreamTemplate.pieceCountMax { throw .tooLong }
    }
    while offset < bytes.count {
      try check()
      if bytes[offset] == UInt8(ascii: "{"),
        let close = bytes[offset...].firstIndex(of: UInt8(ascii: "}"))
      {
        let name = String(decoding: bytes[(offset + 1)..<close], as: UTF8.self)
        switch name {
        case "host": pieces[count] = .host
        case "app": pieces[count] = .app
        case "facility": pieces[count] = .facility
        case "severity": pieces[count] = .severity
        default: throw .unknownField(name)
        }
        offset = close + 1
      } else {
        pieces[count] = .literal
        var length = 0
        while offset < bytes.count, length == 0 || bytes[offset] != UInt8(ascii: "{") {
          guard length < StreamTemplate.literalByteCountMax,
            used + length / 8 < StreamTemplate.wordCountMax
          else { throw .tooLong }
          literals[used + length / 8] |= UInt64(bytes[offset]) << UInt64(length % 8 * 8)
          length += 1
          offset += 1
        }
        literalByteCounts[count] = UInt8(length)
        used += (length + 7) / 8
      }
      count += 1
    }
    isSafe =
      pieces[0] == .literal && UInt8(truncatingIfNeeded: literals[0]) != UInt8(ascii: "_")
    isPrefixAndHost = isSafe && count == 2 && pieces[1] == .host && literalByteCounts[0] <= 16
    prefix = (literals[0], literalByteCounts[0] > 8 ? literals[1] : 0, Int(literalByteCounts[0]))
  }

  /// Writes the stream's name for the given fields, escaped; names of facility and severity come as
  /// words (`Syslog.facilityName`).
  @inline(__always)
  package func write(
    host: RawSpan, app: RawSpan, facility: UInt64, severity: UInt64,
    _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    guard isPrefixAndHost, host.byteCount <= EventLine.streamByteCountMax / 2 - 16 else {
      return writePieces(host, app, facility, severity, &writer, &memory)
    }
    writer.put(prefix.first, prefix.second, count: prefix.byteCount, &memory)
    put(host, &writer, &memory)
  }

  @inline(never)
  private func writePieces(
    _ host: RawSpan, _ app: RawSpan, _ facility: UInt64, _ severity: UInt64,
    _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    let start = writer.offset
    var word = 0
    var index = 0
    while index < StreamTemplate.pieceCountMax, pieces[index] != .end {
      switch pieces[index] {
      case .literal:
        var rest = Int(literalByteCounts[index])
        while rest > 0 {
          writer.put(literals[word], count: min(rest, 8), &memory)
          word &+= 1
          rest &-= 8
        }
      case .host: put(host, &writer, &memory)
      case .app: put(app, &writer, &memory)
      case .facility: writer.put(facility, count: Syslog.letterCount(facility), &memory)
      case .severity: writer.put(severity, count: Syslog.letterCount(severity), &memory)
      case .end: break
      }
      index &+= 1
    }
    if !isSafe || writer.offset &- start > EventLine.streamByteCountMax {
      repair(from: start, &writer, &memory)
    }
  }

  @inline(__always)
  private func put(_ field: RawSpan, _ writer: inout EventWriter, _ memory: inout AlignedBuffer) {
    if field.byteCount == 0 {
      writer.put(Byte.dash, &memory)
    } else {
      writer.put(word: field, &memory)
    }
  }

  /// Cuts a name that is too long, and moves one away from the names that are not for senders.
  @inline(never)
  private func repair(
    from start: Int, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    guard !writer.isFull else { return }
    writer.offset = StreamTemplate.cut(memory.bytes, start..<writer.offset)
    let count = writer.offset - start
    guard StreamTemplate.isForeign(memory.bytes, start..<writer.offset) else { return }
    writer.put("syslog/", &memory)
    guard !writer.isFull else { return }
    memory.move(start..<(start + count), to: start + 7)
    memory.copy("syslog/", to: start)
  }

  private static func isForeign(_ span: RawSpan, _ name: ByteRange) -> Bool {
    name.isEmpty || span.byte(at: name.lowerBound) == Byte.slash
      || name.count >= 10 && span.hasBytes("_penstock/", at: name.lowerBound)
  }

  /// Where a name has to end to leave room for the prefix: neither in the middle of a character
  /// nor behind half an escape.
  private static func cut(_ span: RawSpan, _ name: ByteRange) -> Int {
    let limit = name.lowerBound + EventLine.streamByteCountMax - 8
    guard name.upperBound > limit else { return name.upperBound }
    var end = limit
    while end > name.lowerBound, span.byte(at: end) & 0xC0 == 0x80 { end -= 1 }
    var backslashes = 0
    while end - backslashes > name.lowerBound,
      span.byte(at: end - backslashes - 1) == Byte.backslash
    {
      backslashes += 1
    }
    return end - backslashes % 2
  }
}
