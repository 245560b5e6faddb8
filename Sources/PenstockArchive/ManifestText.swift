// The text of manifest lines: the grammar of Manifest, read and written.

internal import PenstockCore

/// Lines of the manifest.
enum ManifestText {
  /// The checksum a line ends with; nil when it does not end like a line.
  static func checksum(_ line: RawSpan) -> UInt32? {
    guard line.byteCount >= 13, line.hasBytes(" crc=", at: line.byteCount - 13),
      let sum = line.hexadecimal(at: line.byteCount - 8, digitCount: 8)
    else { return nil }
    return UInt32(sum)
  }

  /// A line with its checksum and LF; `sum` goes in as the one before and comes out as its own.
  static func sealed(_ text: String, _ sum: inout UInt32) -> String {
    sum = Array(text.utf8).rawSpan.checksum(seed: sum)
    return text + " crc=" + Hexadecimal.text(UInt64(sum), digits: 8) + "\n"
  }

  static func headText(_ store: StoreIdentifier) -> String {
    "#penstock-manifest version=\(Manifest.version) store=\(store.text)"
  }

  /// The store a head line names; nil when it is not one of this version.
  static func head(_ line: RawSpan) -> StoreIdentifier? {
    let words = String(span: line).split(separator: " ")
    guard words.count == 4, words[0] == "#penstock-manifest",
      words[1] == "version=\(Manifest.version)", words[2].hasPrefix("store=")
    else { return nil }
    return StoreIdentifier(text: String(words[2].dropFirst(6)))
  }

  static func editText(_ edit: ManifestEdit, number: UInt64, previous: UInt32) -> String {
    var text = "edit number=" + Hexadecimal.text(number, digits: 16)
    for table in edit.added {
      text +=
        " add=\(table.name),events=\(table.eventCount),bytes=\(table.byteCount)"
        + ",hash=\(Hexadecimal.text(table.hash, digits: 16))"
        + ",earliest=\(table.earliest.text),latest=\(table.latest.text)"
    }
    for name in edit.removed { text += " remove=\(name)" }
    for (log, reach) in edit.covered.sorted(by: { $0.key < $1.key }) {
      text +=
        " cover=\(Hexadecimal.text(UInt64(log.value), digits: 2))"
        + ",segment=\(Hexadecimal.text(reach.segment.value, digits: 16))"
        + ",sequence=\(Hexadecimal.text(reach.sequence.value, digits: 16))"
    }
    return text + " prev=" + Hexadecimal.text(UInt64(previous), digits: 8)
  }

  /// The edit a line holds; nil when it is not the one that comes next.
  static func edit(_ line: RawSpan, number: UInt64, previous: UInt32) -> ManifestEdit? {
    let words = String(span: line).split(separator: " ")
    guard words.count >= 4, words[0] == "edit",
      words[1] == "number=" + Hexadecimal.text(number, digits: 16),
      words[words.count - 2] == "prev=" + Hexadecimal.text(UInt64(previous), digits: 8)
    else { return nil }
    var edit = ManifestEdit()
    for word in words[2..<(words.count - 2)] {
      let fields = Fields(word)
      switch fields.kind {
      case "add":
        guard let table = fields.table else { return nil }
        edit.added.append(table)
      case "remove": edit.removed.append(fields.name)
      case "cover":
        guard let (log, reach) = fields.coverage else { return nil }
        edit.covered[log] = reach
      default: return nil
      }
    }
    return edit
  }

  /// `kind=name,key=value,…`
  private struct Fields {
    var kind = ""
    var name = ""
    private var values: [String: String] = [:]

    init(_ word: Substring) {
      for (index, part) in word.split(separator: ",").enumerated() {
        let pair = part.split(separator: "=", maxSplits: 1)
        guard pair.count == 2 else { continue }
        if index == 0 {
          kind = String(pair[0])
          name = String(pair[1])
        } else {
          values[String(pair[0])] = String(pair[1])
        }
      }
    }

    private func hexadecimal(_ key: String) -> UInt64? {
      values[key].flatMap { UInt64($0, radix: 16) }
    }

    private func time(_ key: String) -> Timestamp? {
      guard let text = values[key] else { return nil }
      let bytes = Array(text.utf8)
      return bytes.count == Timestamp.textByteCount
        ? Timestamp(journalText: bytes.rawSpan, at: 0) : nil
    }

    var table: TableEntry? {
      guard !name.isEmpty, let events = values["events"].flatMap({ UInt64($0) }),
        let bytes = values["bytes"].flatMap({ Int($0) }), let hash = hexadecimal("hash"),
        let earliest = time("earliest"), let latest = time("latest"), earliest <= latest
      else { return nil }
      return TableEntry(
        name: name, eventCount: events, byteCount: bytes, hash: hash, earliest: earliest,
        latest: latest)
    }

    var coverage: (LogNumber, Coverage)? {
      guard let log = UInt8(name, radix: 16), let segment = hexadecimal("segment"),
        let sequence = hexadecimal("sequence")
      else { return nil }
      return (
        LogNumber(log),
        Coverage(segment: SegmentNumber(segment), sequence: SequenceNumber(sequence))
      )
    }
  }
}
