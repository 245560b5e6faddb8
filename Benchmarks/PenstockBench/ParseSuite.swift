// What framing and parsing cost alone: messages in memory to event lines in memory, no kernel.
//
// The same messages as the load generator's, and some that leave the way of the usual ones. The hash
// is that of the event lines: equal hashes say that two programs did the same work. Rounds go over all kinds in turn, so that what a noisy
// machine does to one it does to its neighbours.

internal import LoadGenerator
internal import PenstockCore

/// Nanoseconds an event, by kind of message.
package struct ParseSuite {
  /// A kind of message and its rounds.
  package struct Row {
    package let name: String
    package var nanosecondsPerEvent: [Double] = []
    package var inputBytesPerEvent = 0.0
    package var outputBytesPerEvent = 0.0
    /// CRC-32C of the event lines.
    package var hash: UInt32 = 0
  }

  package private(set) var rows: [Row] = []
  private let messages: [(plan: LoadPlan.Kind, name: String, bytes: [UInt8])]

  /// Events parsed in one round: about a hundredth of a second.
  private static let roundEventCount = 51_200

  private let template: StreamTemplate

  package init() throws {
    template = try StreamTemplate(StreamTemplate.default)
    let lines = ParseSuite.generated(.newline)
    // As the others but for the zone, which is not copied.
    let zoned = String(decoding: lines, as: UTF8.self).split(separator: "\n").prefix(256).map {
      $0.replacing("Z ", with: "+02:00 ", maxReplacements: 1) + "\n"
    }
    let plain = (0..<64).map { index in
      "<\(128 + index % 8)>Nov 21 03:48:\(index % 50 + 10) web\(index % 16) sshd[\(1000 + index)]: "
        + "Failed password for root from 192.0.2.\(index) port \(40000 + index) ssh2\n"
    }
    messages = [
      (.octet, "5424, octet-counted", ParseSuite.generated(.octet)),
      (.newline, "5424, a line each", lines),
      (.newline, "5424, with a zone", Array(zoned.joined().utf8)),
      (.newline, "3164, a line each", Array(plain.joined().utf8)),
    ]
    rows = messages.map { Row(name: $0.name) }
  }

  private static func generated(_ kind: LoadPlan.Kind) -> [UInt8] {
    var plan = unsafe load_plan()
    unsafe plan.kind = kind.number
    unsafe plan.events_per_put = 1
    unsafe plan.seed = 1
    var byteCount = 0
    _ = unsafe load_build(&plan, nil, &byteCount)
    return unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      var built = 0
      _ = unsafe buffer.withMemoryRebound(to: CChar.self) { text in
        unsafe load_build(&plan, text.baseAddress, &built)
      }
      count = built
    }
  }

  /// One round of every kind.
  package mutating func runRound() {
    for index in messages.indices {
      let text = messages[index].bytes
      var source = AlignedBuffer(byteCount: text.count)
      source.copy(text.rawSpan, to: 0)
      var memory = AlignedBuffer(byteCount: 4 << 20)
      var context = SyslogContext(template: template)
      var events = 0
      var bytes = 0
      let start = System.monotonicNanoseconds()
      while events < ParseSuite.roundEventCount {
        let count = parse(source, 0..<text.count, &context, &memory)
        events += count.events
        bytes += count.bytes
      }
      let elapsed = Double(System.monotonicNanoseconds() - start)
      rows[index].nanosecondsPerEvent.append(elapsed / Double(events))
      rows[index].outputBytesPerEvent = Double(bytes) / Double(events)
    }
  }

  /// Looks once at what the kinds are made into.
  package mutating func look() {
    for index in messages.indices {
      let text = messages[index].bytes
      var source = AlignedBuffer(byteCount: text.count)
      source.copy(text.rawSpan, to: 0)
      var memory = AlignedBuffer(byteCount: 4 * text.count + (4 << 20))
      var context = SyslogContext(template: template)
      let count = parse(source, 0..<text.count, &context, &memory)
      rows[index].inputBytesPerEvent = Double(text.count) / Double(count.events)
      rows[index].hash = memory.bytes(0..<count.bytes).checksum()
    }
  }

  /// Parses what `range` holds once, from the beginning of `memory` on.
  private func parse(
    _ source: borrowing AlignedBuffer, _ range: ByteRange, _ context: inout SyslogContext,
    _ memory: inout AlignedBuffer
  ) -> (events: Int, bytes: Int) {
    let now = Timestamp(seconds: 1_795_233_000, nanoseconds: 0)
    var events = 0
    var writer = EventWriter(offset: 0, limit: memory.byteCount)
    var framing = StreamFraming.undecided
    var offset = range.lowerBound
    while offset < range.upperBound,
      case .frame(let message, let next) = framing.step(source.bytes, offset, range.upperBound)
    {
      _ = Syslog.append(
        source.bytes(message), originalByteCount: message.count, receivedAt: now, &context,
        &writer, &memory)
      events += 1
      offset = next
    }
    return (events, writer.offset)
  }

  /// The table: median, least and most.
  package var table: String {
    var text =
      "messages               ns/event (least … most)   M events/s   bytes in   bytes out       hash\n"
    for row in rows {
      let sorted = row.nanosecondsPerEvent.sorted()
      guard let least = sorted.first, let most = sorted.last else { continue }
      let median = sorted[sorted.count / 2]
      let cells = [
        row.name, Decimal.text(median, digits: 1), "(\(Decimal.text(least, digits: 1)) …",
        "\(Decimal.text(most, digits: 1)))", Decimal.text(1000 / median, digits: 2),
        Decimal.text(row.inputBytesPerEvent, digits: 0),
        Decimal.text(row.outputBytesPerEvent, digits: 0),
        Hexadecimal.text(UInt64(row.hash), digits: 8),
      ]
      let widths = [-21, 10, 9, 8, 11, 11, 12, 11]
      for (cell, width) in zip(cells, widths) {
        let padding = String(repeating: " ", count: max(1, abs(width) - cell.count))
        text += width < 0 ? cell + padding : padding + cell
      }
      text += "\n"
    }
    return text
  }
}
