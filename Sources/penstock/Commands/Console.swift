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
