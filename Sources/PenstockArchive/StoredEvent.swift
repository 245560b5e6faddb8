// One event as a reader sees it: its line, where it stands, and whether it is proved durable.

package import PenstockCore

/// An event read from a store. Readers fill the same value again and again: its storage is kept.
package struct StoredEvent: Sendable {
  /// The log and the number in it: the event's position.
  package var log: LogNumber
  package var sequence: SequenceNumber
  package var time: Timestamp
  /// The event line without its LF.
  package var bytes: [UInt8]
  /// Where the fields lie in `bytes`.
  package var fields: EventLine
  /// Whether the event may still be dropped by recovery.
  package var isProvisional: Bool

  /// A value to be filled.
  package init() {
    let bytes = Array("0000-01-01T00:00:00.000000000Z - -\t".utf8)
    guard let fields = try? EventLine(bytes.rawSpan, 0..<bytes.count) else {
      preconditionFailure("the shortest event line parses")
    }
    self.log = LogNumber(0)
    self.sequence = .none
    self.time = .earliest
    self.bytes = bytes
    self.fields = fields
    self.isProvisional = false
  }
}
