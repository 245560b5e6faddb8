// A COMMIT of Everstore as one of the line protocol:
//
//     COMMIT <byteCount> since=<position> rule=subset LF
//     - /journal Type\nOther⇥event LF …          every event is of all the types
//
// Its rule is kept: a commit fails when all of its types were committed to the journal since its
// transaction was opened. Without any type nothing can be told apart, so it fails when anything was
// ("if-unchanged").

internal import PenstockCore

enum EverstoreCommit {
  /// The request for a shard, line and octets; nil when there is no event.
  /// - Parameters:
  ///   - name: the journal's name, escaped.
  ///   - types: as they came, separated by LF or ",".
  ///   - events: as they came, separated by LF; an LF at the end ends the last one.
  ///   - byteCountMax: most bytes of event lines in one commit that a shard takes.
  /// - Throws: when what came cannot be stored.
  static func lines(
    name: [UInt8], types: RawSpan, events: RawSpan, since position: SequenceNumber,
    byteCountMax: Int
  ) throws(EverstoreError) -> [UInt8]? {
    guard events.byteCount > 0 else { return nil }
    let type = EverstoreCommit.type(types)
    guard type.count <= CommitLines.typeByteCountMax else { throw .unknown }
    var front = Array("- ".utf8)
    front += name
    front.append(Byte.space)
    front += type
    front.append(Byte.tab)
    var body: [UInt8] = []
    body.reserveCapacity(events.byteCount + 4 * front.count)
    var offset = 0
    while offset < events.byteCount {
      let end = events.firstIndex(of: Byte.lineFeed, from: offset, to: events.byteCount)
      body += front
      events.extracting(offset..<end).append(to: &body)
      body.append(Byte.lineFeed)
      guard body.count <= byteCountMax else { throw .unknown }
      offset = end + 1
    }
    let rule =
      type == [Byte.dash]
      ? "if-unchanged@\(position.value)" : "since=\(position.value) rule=subset"
    return Array("COMMIT \(body.count) \(rule)\n".utf8) + body
  }

  /// The types as one type of an event line; "-" for none.
  static func type(_ types: RawSpan) -> [UInt8] {
    var names: [[UInt8]] = []
    var name: [UInt8] = []
    for offset in 0..<types.byteCount {
      let byte = types.byte(at: offset)
      guard byte == Byte.lineFeed || byte == UInt8(ascii: ",") else {
        name.append(byte)
        continue
      }
      if !name.isEmpty, !names.contains(name) { names.append(name) }
      name = []
    }
    if !name.isEmpty, !names.contains(name) { names.append(name) }
    guard !names.isEmpty else { return [Byte.dash] }
    let list = Array(names.joined(separator: [Byte.lineFeed]))
    return Escape.encode(list.rawSpan, .word)
  }

  /// A journal's name as it stands in event lines.
  static func name(_ name: RawSpan) throws(EverstoreError) -> [UInt8] {
    guard name.byteCount >= 2, name.byteCount <= 1024 else { throw .badPath }
    let escaped = Escape.encode(name, .word)
    guard JournalName.isValid(escaped.rawSpan, 0..<escaped.count) else { throw .badPath }
    return escaped
  }
}

extension RawSpan {
  /// Appends the bytes to an array.
  func append(to bytes: inout [UInt8]) {
    unsafe withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }
}
