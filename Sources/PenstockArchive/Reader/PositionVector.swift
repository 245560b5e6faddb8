// How far each log of a store was read: "0:123,1:456", the log's number and that of the last event;
// "start" when nothing of any was.

package import PenstockCore

/// The last event of each log.
package struct PositionVector: Equatable, Sendable {
  package var positions: [LogNumber: SequenceNumber] = [:]

  package init(_ positions: [LogNumber: SequenceNumber] = [:]) { self.positions = positions }

  /// Reads its text; nil when it is anything else, or names a log twice.
  package init?(_ text: RawSpan) {
    if text.hasBytes("start", at: 0), text.byteCount == 5 { return }
    var offset = 0
    while offset <= text.byteCount {
      let end = text.nearIndex(of: UInt8(ascii: ","), from: offset, to: text.byteCount)
      let colon = text.nearIndex(of: UInt8(ascii: ":"), from: offset, to: end)
      guard colon < end, let log = text.decimal(offset..<colon, digitCountMax: 3),
        let number = UInt8(exactly: log), let sequence = text.decimal((colon + 1)..<end),
        positions.updateValue(SequenceNumber(UInt64(sequence)), forKey: LogNumber(number)) == nil
      else { return nil }
      offset = end + 1
    }
  }

  /// The text, in the order of the logs.
  package var text: String {
    if positions.isEmpty { return "start" }
    return positions.sorted { $0.key < $1.key }.map { "\($0.key.value):\($0.value.value)" }
      .joined(separator: ",")
  }
}
