// Going over the payloads of a block: the loop lies where the block does, since callers in other
// modules pay for every row they ask for by itself.

internal import PenstockCore

/// A value events are asked for by, escaped as in a line.
package struct RowValue: Sendable {
  /// The key of its attribute; nil for the type.
  package var key: [UInt8]?
  package var value: [UInt8]

  package init(key: [UInt8]?, value: [UInt8]) {
    self.key = key
    self.value = value
  }
}

extension TableBlock {
  private static let escaped = Array("_escaped".utf8)

  /// Calls `body` with the time of rows, in nanoseconds since 1970 as far as 64 bits tell it, and
  /// with their payloads, not escaped, until it says false.
  /// - Parameter wanted: only rows with this value.
  /// - Returns: whether it went on to the end.
  package borrowing func forEachPayload(
    _ rows: Range<Int>, _ direction: ReadDirection, of wanted: RowValue?,
    _ body: (Int64, RawSpan) -> Bool
  ) -> Bool {
    let mayBeEscaped = attributesHold(TableBlock.escaped)
    for position in 0..<rows.count {
      let row =
        direction == .forward ? rows.lowerBound &+ position : rows.upperBound &- 1 &- position
      if let wanted, !has(wanted, row) { continue }
      if mayBeEscaped, isEscaped(row) {
        let payload = Escape.decode(payload(row)) ?? payload(row).array()
        guard body(nanoseconds(row), payload.rawSpan) else { return false }
      } else {
        guard body(nanoseconds(row), payload(row)) else { return false }
      }
    }
    return true
  }

  /// Whether an attribute of any row holds `text`, as in a line.
  private func attributesHold(_ text: [UInt8]) -> Bool {
    guard rowCount > 0 else { return false }
    let place = fields(0).attributes.lowerBound..<fields(rowCount - 1).attributes.upperBound
    return Text.find(text.rawSpan, in: bytes, place) != nil
  }

  private func isEscaped(_ row: Int) -> Bool {
    let attributes = attributes(row)
    return AttributeCursor.value(of: "_escaped", in: attributes, 0..<attributes.byteCount) != nil
  }

  @inline(__always)
  private func has(_ wanted: RowValue, _ row: Int) -> Bool {
    guard let wantedKey = wanted.key else { return type(row).equals(wanted.value.rawSpan) }
    let attributes = attributes(row)
    var cursor = AttributeCursor(0..<attributes.byteCount)
    while let (key, value) = cursor.next(in: attributes) {
      if attributes.extracting(key).equals(wantedKey.rawSpan),
        attributes.extracting(value).equals(wanted.value.rawSpan)
      {
        return true
      }
    }
    return false
  }
}
