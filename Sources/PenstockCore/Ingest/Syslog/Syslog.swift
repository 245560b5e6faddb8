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
//                 id.name=value in its order; then what is said of the message (`SyslogEvent`)
//     payload     the text; of a malformed message all of it
//
// `SyslogMessage` reads, `SyslogEvent` writes, `SyslogUsual` does both at once for what nearly every
// message is, and `SyslogRaw` gives back the bytes that came in, whatever they were. Nothing is
// dropped: a message that follows no grammar is kept whole and marked `_malformed=`. Everything works
// on offsets into the received bytes; nothing allocates. Whoever has a whole message, however it
// was framed, calls `Syslog.append`.

/// What a listener's messages are parsed with: its template, its rules, and what was seen last.
package struct SyslogContext: BitwiseCopyable, Sendable {
  package let template: StreamTemplate
  package let rules: TimeRules
  /// The date and time of day that was checked last.
  var checked = CheckedSecond()
  /// The second that was written last.
  var written = WrittenSecond()
  var years = SyslogYears()

  package init(template: StreamTemplate, rules: TimeRules = TimeRules()) {
    self.template = template
    self.rules = rules
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
  /// - Parameters:
  ///   - originalByteCount: the message's size as it was sent; more than `message` holds when it
  ///     was cut at the limit.
  ///   - framing: what stood around the message in its datagram.
  @inline(__always)
  package static func append(
    _ message: RawSpan, originalByteCount: Int, framing: DatagramFraming = .none,
    receivedAt: Timestamp, _ context: inout SyslogContext, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) -> IngestOutcome {
    if originalByteCount == message.byteCount, framing == .none,
      let priority = SyslogPriority(message),
      SyslogMessage.isVersionOne(message, priority.end),
      SyslogUsual.append(message, priority, receivedAt, &context, &writer, &memory)
    {
      return writer.isFull ? .full : .stored
    }
    return appendAny(
      message, originalByteCount > message.byteCount ? originalByteCount : 0, framing, receivedAt,
      &context, &writer, &memory)
  }

  /// Writes the event line of any message; `originalByteCount` is 0 for one that was not cut.
  @inline(never)
  private static func appendAny(
    _ message: RawSpan, _ originalByteCount: Int, _ framing: DatagramFraming,
    _ receivedAt: Timestamp, _ context: inout SyslogContext, _ writer: inout EventWriter,
    _ memory: inout AlignedBuffer
  ) -> IngestOutcome {
    let size = SyslogSize(originalByteCount: originalByteCount, framing: framing)
    var outcome: IngestOutcome
    do throws(SyslogFault) {
      let view = try SyslogMessage(message, receivedAt: receivedAt, &context)
      outcome = SyslogEvent.append(
        message, view, size, receivedAt, &context, &writer, &memory)
    } catch {
      SyslogEvent.keepWhole(message, error, size, receivedAt, context, &writer, &memory)
      outcome = .malformed
    }
    if originalByteCount > 0 { outcome.insert(.truncated) }
    return writer.isFull ? .full : outcome
  }
}
