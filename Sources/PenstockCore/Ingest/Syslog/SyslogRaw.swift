// The bytes a shipper sent, from the event that was stored: the way back of `Syslog`.
//
//     raw = header + payload, within what `_framing=` says
//
// where the header is `_header=` as it stands, or rebuilt after `_form=`, or nothing for a message
// that was kept whole. For cold paths: it allocates.

/// Rebuilds received messages.
package enum SyslogRaw {
  /// The received bytes of the event in `line`. An event that did not come by syslog gives its
  /// payload.
  package static func bytes(_ line: RawSpan, _ event: EventLine) -> [UInt8] {
    var header: [UInt8] = []
    var isEscaped = false
    var form: ByteRange?
    var time = event.time ?? .earliest
    var framing = DatagramFraming.none
    var cursor = AttributeCursor(event.attributes)
    while let (key, value) = cursor.next(in: line) {
      guard line.byte(at: key.lowerBound) == UInt8(ascii: "_") else { continue }
      if isKey("_escaped", key, line) { isEscaped = true }
      if isKey("_form", key, line) { form = value }
      if isKey("_framing", key, line) { framing = DatagramFraming(text: line, value) }
      if isKey("_claimed", key, line) {
        time = Timestamp(journalText: line, at: value.lowerBound) ?? time
      }
      if isKey("_header", key, line) {
        header = Escape.decode(line.extracting(value)) ?? line.extracting(value).array()
      }
    }
    let stored = line.extracting(event.payload)
    let payload = isEscaped ? Escape.decode(stored) ?? stored.array() : stored.array()
    if let form, isForm(line, form) { header = rebuild(line, event, time, form) }
    return framing.whole(header + payload)
  }

  private static func isKey(_ name: StaticString, _ key: ByteRange, _ line: RawSpan) -> Bool {
    key.count == name.utf8CodeUnitCount && line.hasBytes(name, at: key.lowerBound)
  }

  /// Whether `form` follows the grammar: a journal may have been written by anyone.
  private static func isForm(_ line: RawSpan, _ form: ByteRange) -> Bool {
    guard form.count >= 6, line.hasBytes("5424.", at: form.lowerBound) else { return false }
    let mark = form.lowerBound + 5
    if line.byte(at: mark) == Byte.dash { return true }
    guard line.byte(at: mark) &- Byte.zero <= 9, form.count >= 7 else { return false }
    return line.byte(at: mark + 1) == UInt8(ascii: "Z") || form.count >= 12
  }

  /// An RFC 5424 header from its attributes.
  private static func rebuild(
    _ line: RawSpan, _ event: EventLine, _ instant: Timestamp, _ form: ByteRange
  ) -> [UInt8] {
    var facility = 0
    var severity = 0
    var fields: [String: [UInt8]] = [:]
    var data: [UInt8] = []
    var element: [UInt8] = []
    var cursor = AttributeCursor(event.attributes)
    while let (key, value) = cursor.next(in: line) {
      let name = Escape.decode(line.extracting(key)) ?? []
      let text = Escape.decode(line.extracting(value)) ?? []
      if let dot = name.firstIndex(of: UInt8(ascii: ".")) {
        let identifier = Array(name[..<dot])
        if identifier != element {
          if !element.isEmpty { data.append(Byte.closeBracket) }
          data.append(Byte.openBracket)
          data += identifier
          element = identifier
        }
        data.append(Byte.space)
        data += name[(dot + 1)...]
        data += [Byte.equals, Byte.quote]
        for byte in text {
          if SyslogData.isEscapable(byte) { data.append(Byte.backslash) }
          data.append(byte)
        }
        data.append(Byte.quote)
        continue
      }
      let word = String(decoding: name, as: UTF8.self)
      switch word {
      case "facility": facility = (0..<24).first { isName(text, Syslog.facilityName($0)) } ?? 0
      case "severity": severity = (0..<8).first { isName(text, Syslog.severityName($0)) } ?? 0
      case "host", "procid", "msgid": fields[word] = text
      default: break
      }
    }
    if !element.isEmpty { data.append(Byte.closeBracket) }
    var out = Array("<\(facility * 8 + severity)>1 ".utf8)
    var flags = form.lowerBound + 5
    if line.byte(at: flags) == Byte.dash {
      out.append(Byte.dash)
      flags += 1
    } else {
      let digitCount = Int(line.byte(at: flags) &- Byte.zero)
      let zoneEnd = line.byte(at: flags + 1) == UInt8(ascii: "Z") ? flags + 2 : flags + 7
      out += time(instant, digitCount: digitCount, zone: line.extracting((flags + 1)..<zoneEnd))
      flags = zoneEnd
    }
    let type = Escape.decode(line.extracting(event.type)) ?? []
    for field in [fields["host"], type, fields["procid"], fields["msgid"], data] {
      out.append(Byte.space)
      out += field.flatMap { $0.isEmpty ? nil : $0 } ?? [Byte.dash]
    }
    let rest = line.extracting(flags..<form.upperBound).array()
    if !rest.contains(UInt8(ascii: "n")) { out.append(Byte.space) }
    if rest.contains(UInt8(ascii: "b")) { out += [0xEF, 0xBB, 0xBF] }
    return out
  }

  private static func isName(_ text: [UInt8], _ name: UInt64) -> Bool {
    text.count == Syslog.letterCount(name) && text.rawSpan.word(at: 0) == name
  }

  /// An instant as RFC 3339 text in the zone written in `zone`, with so many digits of fraction.
  static func time(_ instant: Timestamp, digitCount: Int, zone: RawSpan) -> [UInt8] {
    var offset: Int64 = 0
    if zone.byteCount == 6, let hours = zone.decimal(1..<3), let minutes = zone.decimal(4..<6) {
      offset = Int64(hours * 3600 + minutes * 60)
      if zone.byte(at: 0) == Byte.dash { offset = -offset }
    }
    let local = instant.adding(seconds: offset)
    let text = Array(local.text.utf8)
    var out = Array(text[..<19])
    if digitCount > 0 { out += text[19..<(20 + digitCount)] }
    return out + zone.array()
  }
}
