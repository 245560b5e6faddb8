// What a listener is told to make of the times its messages carry.
//
//     options = option *( "&" option )
//     option  = "time=" ( "message" | "receive" )
//             | "zone=" ( "+" | "-" ) HH ":" MM | "zone=Z"
//             | "past=" duration | "future=" duration     ; whole seconds, like 90s, 12h or 365d
//
// The same text in a listener's URL, as options of `serve` and on a role's command line. A zone is
// an offset: one with summer time is two listeners, or a sender that says its zone.

package import PenstockCore

/// The options a listener was given; nil where it was given none.
package struct ListenerTimes: Equatable, Sendable {
  /// Whether events have the time of their receipt, whatever they say.
  package var usesReceiveTime: Bool?
  /// Seconds east of UTC in which times without a zone are read.
  package var zoneOffsetSeconds: Int64?
  /// How far behind, and ahead of, its receipt an event may claim to be, in seconds.
  package var pastSecondsMax: Int64?
  package var futureSecondsMax: Int64?

  /// What an option may be, for messages.
  package static let grammar =
    "time=message, time=receive, zone=+HH:MM, past=DURATION and future=DURATION "
    + "(durations like 90s, 12h or 30d)"

  private static let secondNanoseconds: Int64 = 1_000_000_000

  package init() {}

  /// Reads options; nil when `text` holds anything else.
  package init?(_ text: String) {
    for option in text.split(separator: "&") {
      guard take(String(option)) else { return nil }
    }
  }

  /// Takes one option; false, with nothing changed, when it is none.
  package mutating func take(_ option: String) -> Bool {
    guard let equals = option.firstIndex(of: "=") else { return false }
    let value = String(option[option.index(after: equals)...])
    switch option[..<equals] {
    case "time":
      guard value == "message" || value == "receive" else { return false }
      usesReceiveTime = value == "receive"
    case "zone":
      guard let offset = ListenerTimes.zone(value) else { return false }
      zoneOffsetSeconds = offset
    case "past":
      guard let seconds = ListenerTimes.seconds(value) else { return false }
      pastSecondsMax = seconds
    case "future":
      guard let seconds = ListenerTimes.seconds(value) else { return false }
      futureSecondsMax = seconds
    default: return false
    }
    return true
  }

  private static func seconds(_ text: String) -> Int64? {
    guard let nanoseconds = Quantity.nanoseconds(text), nanoseconds % secondNanoseconds == 0 else {
      return nil
    }
    return nanoseconds / secondNanoseconds
  }

  private static func zone(_ text: String) -> Int64? {
    if text == "Z" { return 0 }
    let bytes = Array(text.utf8)
    let span = bytes.rawSpan
    guard bytes.count == 6, bytes[0] == UInt8(ascii: "+") || bytes[0] == Byte.dash,
      bytes[3] == UInt8(ascii: ":"), let hours = span.decimal(1..<3),
      let minutes = span.decimal(4..<6), hours <= 23, minutes <= 59
    else { return nil }
    let seconds = Int64(hours * 3600 + minutes * 60)
    return bytes[0] == Byte.dash ? -seconds : seconds
  }

  /// These options, and those of `others` where these say nothing.
  package func or(_ others: ListenerTimes) -> ListenerTimes {
    var times = self
    times.usesReceiveTime = usesReceiveTime ?? others.usesReceiveTime
    times.zoneOffsetSeconds = zoneOffsetSeconds ?? others.zoneOffsetSeconds
    times.pastSecondsMax = pastSecondsMax ?? others.pastSecondsMax
    times.futureSecondsMax = futureSecondsMax ?? others.futureSecondsMax
    return times
  }

  /// The options as text.
  package var text: String {
    var options = ["time=\(usesReceiveTime == true ? "receive" : "message")"]
    if let zone = zoneOffsetSeconds {
      let minutes = abs(zone) / 60
      let digits = [minutes / 60, minutes % 60].map { $0 < 10 ? "0\($0)" : "\($0)" }
      options.append("zone=\(zone < 0 ? "-" : "+")\(digits[0]):\(digits[1])")
    }
    if let past = pastSecondsMax { options.append("past=\(past)s") }
    if let future = futureSecondsMax { options.append("future=\(future)s") }
    return options.joined(separator: "&")
  }

  /// What a shard goes by.
  package var rules: TimeRules {
    var rules = TimeRules()
    rules.usesReceiveTime = usesReceiveTime ?? false
    rules.zoneOffsetSeconds = zoneOffsetSeconds
    rules.pastSecondsMax = pastSecondsMax ?? .max
    rules.futureSecondsMax = futureSecondsMax ?? .max
    return rules
  }
}
