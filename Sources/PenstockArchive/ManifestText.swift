// The text of manifest lines: the grammar of Manifest, read and written.

internal import PenstockCore

/// Lines of the manifest.
enum ManifestText {
  /// Bytes of " crc=" and its digits.
  static let checksumByteCount = 13

  /// The checksum a line ends with; nil when it does not end like a line.
  static func checksum(_ line: RawSpan) -> UInt32? {
    let start = line.byteCount - checksumByteCount
    guard start >= 0, line.hasBytes(" crc=", at: start),
      let sum = line.hexadecimal(at: start + 5, digitCount: 8)
    else { return nil }
    return UInt32(sum)
  }

  /// Whether an edit begins behind the first byte of a line.
  static func holdsSecondEdit(_ line: RawSpan) -> Bool {
    var offset = line.firstIndex(
      of: UInt8(ascii: "e"), from: min(1, line.byteCount), to: line.byteCount)
    while offset < line.byteCount {
      if line.hasBytes("edit number=", at: offset) { return true }
      offset = line.firstIndex(of: UInt8(ascii: "e"), from: offset + 1, to: line.byteCount)
    }
    return false
  }

  /// A line with its checksum and LF; `sum` goes in as the one before and comes out as its own.
  static func sealed(_ text: String, _ sum: inout UInt32) -> String {
    sum = Array(text.utf8).rawSpan.checksum(seed: sum)
    return text + " crc=" + Hexadecimal.text(UInt64(sum), digits: 8) + "\n"
  }

  static func headText(_ store: StoreIdentifier, edits: UInt64) -> String {
    "#penstock-manifest version=\(Manifest.version) store=\(store.text) "
      + "edits=\(Hexadecimal.text(edits, digits: 16))"
  }

  /// The store a head line names, and the edits it counts.
  static func head(_ line: RawSpan, _ path: String) throws(ManifestError) -> (
    store: StoreIdentifier, edits: UInt64
  ) {
    var cursor = LineCursor(line)
    guard cursor.take("#penstock-manifest version="), let version = cursor.decimal() else {
      throw .damaged(path: path, line: 1)
    }
    guard version >= Manifest.version else {
      throw .formerVersion(path: path, version: version)
    }
    guard version == Manifest.version else { throw .newerVersion(path: path, line: 1) }
    guard cursor.take(" store="), let high = cursor.hexadecimal(16),
      let low = cursor.hexadecimal(16), cursor.take(" edits="),
      let edits = cursor.hexadecimal(16), edits < .max, cursor.isAtChecksum
    else { throw .damaged(path: path, line: 1) }
    return (StoreIdentifier(high: high, low: low), edits)
  }

  /// - Parameter erasures: orders of former edits, by their numbers, that are said again.
  static func editText(
    _ edit: ManifestEdit, number: UInt64, previous: UInt32, erasures: [UInt64: Erasure] = [:]
  ) -> String {
    var text = "edit number=" + Hexadecimal.text(number, digits: 16)
    for table in edit.added {
      text +=
        " add=\(table.name),events=\(table.eventCount),bytes=\(table.byteCount)"
        + ",hash=\(Hexadecimal.text(table.hash, digits: 16))"
        + ",earliest=\(table.earliest.text),latest=\(table.latest.text)"
      if table.lateCount > 0 { text += ",late=\(table.lateCount)" }
      if let written = table.written { text += ",written=\(written.text)" }
      if let received = table.received { text += ",received=\(received.text)" }
      if table.mergeCount > 0 { text += ",merges=\(table.mergeCount)" }
    }
    for name in edit.removed { text += " remove=\(name)" }
    for (log, reach) in edit.covered.sorted(by: { $0.key < $1.key }) {
      text +=
        " cover=\(Hexadecimal.text(UInt64(log.value), digits: 2))"
        + ",segment=\(Hexadecimal.text(reach.segment.value, digits: 16))"
        + ",sequence=\(Hexadecimal.text(reach.sequence.value, digits: 16))"
    }
    for erasure in edit.erases { text += eraseText(erasure) }
    for (number, erasure) in erasures.sorted(by: { $0.key < $1.key }) {
      text += eraseText(erasure) + ",edit=\(Hexadecimal.text(number, digits: 16))"
    }
    for number in edit.erased { text += " erased=\(Hexadecimal.text(number, digits: 16))" }
    return text + " prev=" + Hexadecimal.text(UInt64(previous), digits: 8)
  }

  private static func eraseText(_ erasure: Erasure) -> String {
    let word = Escape.encode(Array(erasure.pattern.utf8).rawSpan, .word)
    var text = " erase=\(String(decoding: word, as: UTF8.self)),before=\(erasure.before.text)"
    for (log, sequence) in erasure.through.sorted(by: { $0.key < $1.key }) {
      text +=
        ",through=\(Hexadecimal.text(UInt64(log.value), digits: 2))"
        + ":\(Hexadecimal.text(sequence.value, digits: 16))"
    }
    return text
  }

  /// The edit an intact line holds.
  static func edit(
    _ line: RawSpan, number: UInt64, previous: UInt32, path: String, line lineNumber: Int
  ) throws(ManifestError) -> ManifestEdit {
    let damaged = ManifestError.damaged(path: path, line: lineNumber)
    var cursor = LineCursor(line)
    guard cursor.take("edit number="), cursor.hexadecimal(16) == number else { throw damaged }
    var edit = ManifestEdit()
    while !cursor.take(" prev=") {
      if cursor.take(" add=") {
        guard let table = cursor.table() else { throw damaged }
        edit.added.append(table)
      } else if cursor.take(" remove=") {
        guard let name = cursor.tableName() else { throw damaged }
        edit.removed.append(name)
      } else if cursor.take(" cover=") {
        guard let log = cursor.hexadecimal(2), cursor.take(",segment="),
          let segment = cursor.hexadecimal(16), cursor.take(",sequence="),
          let sequence = cursor.hexadecimal(16)
        else { throw damaged }
        edit.covered[LogNumber(UInt8(log))] =
          Coverage(segment: SegmentNumber(segment), sequence: SequenceNumber(sequence))
      } else if cursor.take(" erase=") {
        guard let erasure = cursor.erasure() else { throw damaged }
        edit.erases.append(erasure)
      } else if cursor.take(" erased=") {
        guard let number = cursor.hexadecimal(16) else { throw damaged }
        edit.erased.append(number)
      } else if cursor.skipWord() {
        // The checksum holds, so somebody meant it.
        throw .newerVersion(path: path, line: lineNumber)
      } else {
        throw damaged
      }
    }
    guard cursor.hexadecimal(8) == UInt64(previous), cursor.isAtChecksum else { throw damaged }
    return edit
  }
}

/// Goes through one line of the manifest.
private struct LineCursor: ~Escapable {
  private let line: RawSpan
  private var offset = 0
  /// Where the checksum begins.
  private let end: Int

  @_lifetime(copy line)
  init(_ line: RawSpan) {
    self.line = line
    end = line.byteCount - ManifestText.checksumByteCount
  }

  var isAtChecksum: Bool { offset == end }

  /// Passes over `text`, if it stands here.
  @_lifetime(self: copy self)
  mutating func take(_ text: StaticString) -> Bool {
    guard offset + text.utf8CodeUnitCount <= end, line.hasBytes(text, at: offset) else {
      return false
    }
    offset += text.utf8CodeUnitCount
    return true
  }

  @_lifetime(self: copy self)
  mutating func hexadecimal(_ digitCount: Int) -> UInt64? {
    guard offset + digitCount <= end,
      let value = line.hexadecimal(at: offset, digitCount: digitCount)
    else { return nil }
    offset += digitCount
    return value
  }

  @_lifetime(self: copy self)
  mutating func decimal() -> Int? {
    let start = offset
    while offset < end, line.byte(at: offset) &- Byte.zero <= 9 { offset += 1 }
    return line.decimal(start..<offset)
  }

  @_lifetime(self: copy self)
  mutating func time() -> Timestamp? {
    guard offset + Timestamp.textByteCount <= end,
      let time = Timestamp(journalText: line, at: offset)
    else { return nil }
    offset += Timestamp.textByteCount
    return time
  }

  /// "2026-11-21/0123456789abcdef.table": never a path that leads elsewhere.
  @_lifetime(self: copy self)
  mutating func tableName() -> String? {
    let start = offset
    while offset < end, isFolderByte(line.byte(at: offset)) { offset += 1 }
    guard offset > start, take("/"), hexadecimal(16) != nil, take(".table") else { return nil }
    return String(span: line.extracting(start..<offset))
  }

  private func isFolderByte(_ byte: UInt8) -> Bool {
    switch byte {
    case Byte.dash, Byte.zero...Byte.nine, UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "A")...UInt8(ascii: "Z"):
      true
    default: false
    }
  }

  @_lifetime(self: copy self)
  mutating func table() -> TableEntry? {
    guard let name = tableName(), take(",events="), let events = decimal(), take(",bytes="),
      let bytes = decimal(), take(",hash="), let hash = hexadecimal(16), take(",earliest="),
      let earliest = time(), take(",latest="), let latest = time(), earliest <= latest,
      events <= TableEntry.numberMax, bytes <= TableEntry.numberMax
    else { return nil }
    var table = TableEntry(
      name: name, eventCount: UInt64(events), byteCount: bytes, hash: hash, earliest: earliest,
      latest: latest)
    while offset < end, line.byte(at: offset) != Byte.space {
      if take(",late=") {
        guard let late = decimal() else { return nil }
        table.lateCount = UInt64(late)
      } else if take(",received=") {
        guard let received = time() else { return nil }
        table.received = received
      } else if take(",merges=") {
        guard let merges = decimal() else { return nil }
        table.mergeCount = merges
      } else if take(",written=") {
        guard let written = time() else { return nil }
        table.written = written
      } else {
        // A key of a later version.
        offset += 1
        while offset < end, line.byte(at: offset) != Byte.space,
          line.byte(at: offset) != UInt8(ascii: ",")
        { offset += 1 }
      }
    }
    return table
  }

  @_lifetime(self: copy self)
  mutating func erasure() -> Erasure? {
    // A pattern may hold commas: the fields are looked for from the end of the word.
    let stop = line.nearIndex(of: Byte.space, from: offset, to: end)
    var comma = stop - 1
    while comma > offset, !line.hasBytes(",before=", at: comma) { comma -= 1 }
    guard comma > offset, let plain = Escape.decode(line.extracting(offset..<comma)),
      let pattern = String(validating: plain, as: UTF8.self)
    else { return nil }
    offset = comma
    guard take(",before="), let before = time() else { return nil }
    var through: [LogNumber: SequenceNumber] = [:]
    while take(",through=") {
      guard let log = hexadecimal(2), take(":"), let sequence = hexadecimal(16) else { return nil }
      through[LogNumber(UInt8(log))] = SequenceNumber(sequence)
    }
    var edit: UInt64?
    if take(",edit=") {
      guard let number = hexadecimal(16) else { return nil }
      edit = number
    }
    guard offset == stop else { return nil }
    return try? Erasure(pattern: pattern, before: before, through: through, edit: edit)
  }

  /// Passes over a change that is not known; false when none stands here.
  @_lifetime(self: copy self)
  mutating func skipWord() -> Bool {
    guard offset < end, line.byte(at: offset) == Byte.space else { return false }
    let stop = line.nearIndex(of: Byte.space, from: offset + 1, to: end)
    let equals = line.nearIndex(of: Byte.equals, from: offset + 1, to: stop)
    guard equals > offset + 1, equals < stop else { return false }
    offset = stop
    return true
  }
}
