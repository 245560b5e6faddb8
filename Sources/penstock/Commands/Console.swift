// What commands say to people: on standard error, so that standard output stays data.

import CShims
import PenstockArchive
import PenstockCore

/// Standard error, and what standard output is.
enum Console {
  static let isErrorTerminal = penstock_is_terminal(2)
  static let isOutputTerminal = penstock_is_terminal(1)

  /// Writes one message and a line end. A failure to write it has nowhere to be told.
  static func say(_ message: String) { write(message + "\n") }

  /// Replaces the current line of a terminal, for progress.
  static func show(_ progress: String) { write("\r\u{1B}[K" + progress) }

  private static func write(_ text: String) {
    var output = OutputBuffer(File(descriptor: 2), capacity: 4096)
    output.put(text: text)
    // Standard error may be closed; the exit status still tells.
    _ = try? output.flush()
  }
}

/// Numbers as people read them.
enum Readable {
  /// 1234567 as "1,234,567".
  static func count(_ value: Int) -> String {
    var text = ""
    for (index, digit) in String(value.magnitude).reversed().enumerated() {
      if index > 0, index % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return (value < 0 ? "-" : "") + String(text.reversed())
  }

  /// 1536 as "1.5 KiB".
  static func bytes(_ value: Int) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    var scaled = Double(value)
    var unit = 0
    while scaled >= 1024, unit < units.count - 1 {
      scaled /= 1024
      unit += 1
    }
    return unit == 0 ? "\(value) B" : "\(tenths(scaled)) \(units[unit])"
  }

  /// One digit behind the point.
  static func tenths(_ value: Double) -> String {
    let rounded = Int((value * 10).rounded())
    return "\(rounded / 10).\(rounded % 10)"
  }

  /// "1 event", "2 events".
  static func counted(_ value: Int, _ noun: String) -> String {
    "\(count(value)) \(noun)\(value == 1 ? "" : "s")"
  }
}
