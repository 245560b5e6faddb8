import PenstockCore
import Testing

struct DamageTests {
  private let name = SegmentName(log: LogNumber(1), number: SegmentNumber(0x2a))

  @Test func `a finding says what, where and what was done`() {
    var rot = Damage(
      .rot, name, range: 4096..<8192, batches: BatchNumber(16)...BatchNumber(17), hasBytes: true)
    rot.copy = "q/x.bytes"
    #expect(
      rot.description
        == "live/01-000000000000002a.log, bytes 4096–8191: batches 10 to 11 had been acknowledged "
        + "and cannot be read; the rest is served; the bytes were copied to q/x.bytes")
    #expect(Damage(foreign: "core").description == "live/core: not a file of penstock; ignored")
    #expect(
      Damage(.tail, name, range: 0..<1).description
        .contains("nothing of it was acknowledged"))
  }

  @Test func `every kind has words of its own`() {
    let texts = Damage.Kind.allCases.map { Damage($0, name).description }
    #expect(Set(texts).count == Damage.Kind.allCases.count)
    let losses = Damage.Kind.allCases.filter { Damage($0, name).isLoss }
    #expect(losses == [.rot, .tailPossiblyAcknowledged, .misplaced, .missingSegment])
    #expect(
      Damage.Kind.allCases.filter { Damage($0, name).isTail } == [.tail, .tailPossiblyAcknowledged])
  }
}
