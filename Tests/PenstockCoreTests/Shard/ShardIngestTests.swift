// Frames that are whole when the open batch has no room for them: the shard has no segment to write
// to, so that the batch stays full until it gets one.

import CShims
import Foundation
import PenstockCore
import Testing

@Suite struct ShardIngestTests {
  /// How a frame is put on the wire: what comes before its last bytes, and those.
  struct Form: Sendable, CustomStringConvertible {
    var description: String
    /// What the connection begins with, and the payload of that.
    var opening = ""
    var openingPayload: String?
    var isCounted = false
    /// Whether what comes last is the LF alone; CR LF otherwise.
    var endsInReturn = false

    func pieces(_ payload: String) -> [String] {
      let message = "<13>" + payload
      if isCounted { return ["\(message.utf8.count + 1) " + message, "\n"] }
      return endsInReturn ? [message + "\r", "\n"] : [message, "\r\n"]
    }
  }

  static let forms = [
    Form(description: "lines, CR and LF apart", endsInReturn: true),
    Form(description: "lines, CR LF in one piece"),
    Form(
      description: "without a count between counted ones", opening: "8 <13>one\n",
      openingPayload: "one", endsInReturn: true),
    Form(description: "counted, the LF too", isCounted: true),
  ]

  /// Longer than a receive buffer and a carry. It ends in a CR of its own, which has to stay.
  private func payload(_ number: Int) -> String {
    "m\(number)" + String(repeating: "f", count: 100_000) + "\r"
  }

  @Test(arguments: Backend.available, forms)
  func `a frame that finds no room at its last byte is finished later, the same way`(
    _ backend: Backend, _ form: Form
  ) throws {
    let shard = try TestShard(backend, segmentCount: 1)
    let client = shard.connect(.syslogStream)
    #expect(Wire.write(client, form.opening))
    var expected = form.openingPayload.map { [$0] } ?? []
    var isHeldUp = false
    while !isHeldUp, expected.count < 200 {
      let payload = payload(expected.count)
      for piece in form.pieces(payload) {
        #expect(Wire.write(client, piece))
        usleep(5000)
      }
      expected.append(payload)
      // Nothing comes behind the frame that could have it looked at again.
      let deadline = System.monotonicNanoseconds() + 500_000_000
      while shard.counter(.syslogStream, .received) < UInt64(expected.count), !isHeldUp {
        usleep(1000)
        isHeldUp =
          shard.counter(.isStalled) == 1 && System.monotonicNanoseconds() > deadline
      }
    }
    #expect(isHeldUp)
    for number in 3...8 as ClosedRange<UInt64> {
      _ = try SegmentPreparation.prepare(
        LinuxFileSystem(), shard.layout,
        name: SegmentName(log: LogNumber(0), number: SegmentNumber(number)), store: shard.store,
        byteCount: 4 << 20, isFilled: true)
    }
    shard.wait("the last frame is stored") {
      shard.counter(.syslogStream, .stored) == UInt64(expected.count)
    }
    _ = penstock_close(client)
    shard.stop()
    let stored = try shard.payloads()
    #expect(stored.count == expected.count)
    for (index, payload) in zip(stored, expected).map({ $0 == $1 }).enumerated() {
      #expect(payload, "frame \(index) is stored as it was sent")
    }
  }
}
