import PenstockCore
import Testing

/// The sizes of a shard.
@Suite struct LimitsTests {
  @Test func `sizes that can be configured fit together`() {
    for base in [Limits(), Limits.smallProfile] {
      for event in [1024, 2048, 65_536, 300_001, 1 << 20] {
        for octets in [event, 1 << 20, 3_000_000, Limits.octetCountLimit] where octets >= event {
          var limits = base
          limits.fit(eventByteCount: event, octetCount: octets)
          limits.check()
          #expect(limits.eventByteCountMax == event && limits.octetCountMax == octets)
          #expect(limits.segmentByteCountMin >= 2 * limits.batchSlotByteCount)
          #expect(limits.carryByteCount <= event)
        }
      }
    }
    #expect(Limits().segmentByteCountMin == 4 << 20)
  }
}
