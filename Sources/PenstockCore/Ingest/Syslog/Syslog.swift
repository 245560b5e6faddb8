// A syslog message becomes an event line. RFC 5424, RFC 3164 and what senders make of them.
//
//     <34>1 2026-11-21T03:47:52.123Z web-1 sshd 811 ID47 [ex@1 k="v"] Failed password
//     2026-11-21T03:47:52.123000000Z syslog/web-1 sshd facility=auth severity=crit host=web-1
//       procid=811 msgid=ID47 ex@1.k=v _form=5424.3Z ⇥Failed password            (one line)
//
//     time        the message's, else when it was received
//     stream      by the listener's template
//     type        the app name, "-" when there is none
//     attributes  facility severity host procid msgid, those that are there; structured data as
//                 id.name=value in its order; then one of
//                 _form=…       the header can be rebuilt from the attributes (SyslogRaw)
//                 _header=…     it cannot: these are its bytes
//     payload     the text; of a malformed message all of it
//
// `SyslogRaw` gives back the bytes that came in, whatever they were. Nothing is dropped: a message
// that follows no grammar is kept whole and marked `_malformed=`. Everything works on offsets into
// the received bytes; nothing allocates.

/// What a listener's messages are parsed with: its template, and what was last seen valid.
package struct SyslogContext: BitwiseCopyable, Sendable {
  package let template: StreamTemplate
  /// Seconds east of UTC in which times without a zone are read.
  package let zoneOffsetSeconds: Int64
  /// The date and time of day last checked, "YYYY-MM-DDTHH:MM:SS" in three overlapping words.
  var checkedFirst: UInt64 = 0
  var checkedMiddle: UInt64 = 0
  var checkedLast: UInt64 = 0

  package init(template: StreamTemplate, zoneOffsetSeconds: Int64 = 0) {
    self.template = template
    self.zoneOffsetSeconds = zoneOffsetSeconds
  }
}

/// What became of a message.
package enum SyslogOutcome: Equatable, Sendable {
  case stored
  /// Stored whole, and marked.
  case malformed
  /// Stored as far as the limit, and marked.
  case truncated
  /// The writer has no room: roll back.
  case full
}

/// Why a message is marked malformed; the raw value is the mark.
enum SyslogFault: String, Error {
  case empty, priority, header, time, data

  var text: StaticString {
    switch self {
    case .empty: "empty"
    case .priority: "priority"
    case .header: "header"
    case .time: "time"
    case .data: "structured-data"
    }
  }
}

/// The PRI part: `<n>`, 0 … 191, and where it ends.
package struct SyslogPriority: BitwiseCopyable {
  var value: Int
  /// First byte behind the ">".
  var end: Int
  /// Written without leading zeros, so that it can be rebuilt.
  var isCanonical: Bool

  /// What a message without one is taken for: user, notice.
  static let assumed = SyslogPriority(value: 13, end: 0, isCanonical: false)

  private init(value: Int, end: Int, isCanonical: Bool) {
    self.value = value
    self.end = end
    self.isCanonical = isCanonical
  }

  /// Reads the priority at the beginning of `span`; nil when there is none.
  @inline(__always)
  package init?(_ span: RawSpan) {
    guard span.byteCount >= 3, span.byte(at: 0) == Byte.less else { return nil }
    var number = 0
    var offset = 1
    while offset < span.byteCount, offset <= 3 {
      let digit = span.byte(at: offset) &- Byte.zero
      guard digit <= 9 else { break }
      number = number &* 10 &+ Int(digit)
      offset &+= 1
    }
    guard offset > 1, offset < span.byteCount, span.byte(at: offset) == Byte.greater,
      number <= 191
    else { return nil }
    value = number
    end = offset &+ 1
    isCanonical = offset == (number < 10 ? 2 : number < 100 ? 3 : 4)
  }
}

/// Syslog messages to event lines.
package enum Syslog {
  /// Names of facilities and severities, at most eight letters each, first letter lowest: a name
  /// is one word to write and one to compare.
  @inline(__always)
  static func facilityName(_ index: Int) -> UInt64 {
    switch index {
    case 0: 0x6E72656B  // kern
    case 1: 0x72657375  // user
    case 2: 0x6C69616D  // mail
    case 3: 0x6E6F6D656164  // daemon
    case 4: 0x68747561  // auth
    case 5: 0x676F6C737973  // syslog
    case 6: 0x72706C  // lpr
    case 7: 0x7377656E  // news
    case 8: 0x70637575  // uucp
    case 9: 0x6E6F7263  // cron
    case 10: 0x7669727068747561  // authpriv
    case 11: 0x707466  // ftp
    case 12: 0x70746E  // ntp
    case 13: 0x7469647561  // audit
    case 14: 0x7472656C61  // alert
    case 15: 0x6B636F6C63  // clock
    case 16: 0x306C61636F6C  // local0
    case 17: 0x316C61636F6C  // local1
    case 18: 0x326C61636F6C  // local2
    case 19: 0x336C61636F6C  // local3
    case 20: 0x346C61636F6C  // local4
    case 21: 0x356C61636F6C  // local5
    case 22: 0x366C61636F6C  // local6
    default: 0x376C61636F6C  // local7
    }
  }

  @inline(__always)
  static func severityName(_ index: Int) -> UInt64 {
    switch index {
    case 0: 0x6772656D65  // emerg
    case 1: 0x7472656C61  // alert
    case 2: 0x74697263  // crit
    case 3: 0x727265  // err
    case 4: 0x676E696E726177  // warning
    case 5: 0x656369746F6E  // notice
    case 6: 0x6F666E69  // info
    default: 0x6775626564  // debug
    }
  }

  /// Letters of a name.
  @inline(__always)
  static func letterCount(_ name: UInt64) -> Int { (71 &- name.leadingZeroBitCount) >> 3 }

  /// Writes the event line of one message.
  /// - Parameter originalByteCount: the message's size as it was sent; more than `message` holds
  ///   when it was cut at the limit.
  @inline(__always)
  package static func append(
    _ message: RawSpan, originalByteCount: Int, receivedAt: Timestamp,
    _ context: inout SyslogContext, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) -> SyslogOutcome {
    let mark = writer.offset
    let isCut = originalByteCount > message.byteCount
    var fault: SyslogFault
    if let priority = SyslogPriority(message) {
      do throws(SyslogFault) {
        if isVersionOne(message, priority.end) {
          if !isCut, SyslogUsual.append(message, priority, &context, &writer, &memory) {
            return writer.isFull ? .full : .stored
          }
          try Syslog5424.append(
            message, priority, isCut ? originalByteCount : 0, receivedAt, &context, &writer,
            &memory)
        } else {
          try Syslog3164.append(
            message, priority, isCut ? originalByteCount : 0, receivedAt, &context, &writer,
            &memory)
        }
        return writer.isFull ? .full : isCut ? .truncated : .stored
      } catch {
        fault = error
      }
    } else {
      fault = message.byteCount == 0 ? .empty : .priority
    }
    writer.offset = mark
    keepWhole(message, fault, originalByteCount, receivedAt, context, &writer, &memory)
    return writer.isFull ? .full : isCut ? .truncated : .malformed
  }

  @inline(__always)
  private static func isVersionOne(_ message: RawSpan, _ offset: Int) -> Bool {
    offset &+ 1 < message.byteCount && message.byte(at: offset) == UInt8(ascii: "1")
      && message.byte(at: offset &+ 1) == Byte.space
  }

  /// A message that follows no grammar: all of it is the payload.
  @inline(never)
  private static func keepWhole(
    _ message: RawSpan, _ fault: SyslogFault, _ originalByteCount: Int, _ receivedAt: Timestamp,
    _ context: SyslogContext, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    let nothing = message.extracting(0..<0)
    // Without a readable PRI a message is of user and notice (RFC 3164 4.3.3).
    let priority = SyslogPriority(message) ?? .assumed
    writer.put(receivedAt, &memory)
    writer.put(Byte.space, &memory)
    context.template.write(
      host: nothing, app: nothing, facility: facility(priority), severity: severity(priority),
      &writer, &memory)
    writer.put(" -", &memory)
    putPriority(priority, &writer, &memory)
    writer.put(" _malformed=", &memory)
    writer.put(fault.text, &memory)
    putTruncated(originalByteCount > message.byteCount ? originalByteCount : 0, &writer, &memory)
    writer.end(payload: message, &memory)
  }

  @inline(__always)
  static func facility(_ priority: SyslogPriority) -> UInt64 { facilityName(priority.value >> 3) }

  @inline(__always)
  static func severity(_ priority: SyslogPriority) -> UInt64 { severityName(priority.value & 7) }

  @inline(__always)
  static func putPriority(
    _ priority: SyslogPriority, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    writer.put(" facility=", &memory)
    let facility = facility(priority)
    writer.put(facility, count: letterCount(facility), &memory)
    writer.put(" severity=", &memory)
    let severity = severity(priority)
    writer.put(severity, count: letterCount(severity), &memory)
  }

  /// ` key=value`, unless the value is absent.
  @inline(__always)
  static func put(
    _ key: StaticString, _ value: RawSpan, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) {
    guard value.byteCount > 0 else { return }
    writer.put(key, &memory)
    writer.put(word: value, &memory)
  }

  /// The mark of a message that was cut; 0 for one that was not.
  @inline(__always)
  static func putTruncated(
    _ originalByteCount: Int, _ writer: inout EventWriter, _ memory: inout AlignedBuffer
  ) {
    guard originalByteCount > 0 else { return }
    writer.put(" _truncated=", &memory)
    writer.put(decimal: originalByteCount, &memory)
  }
}
