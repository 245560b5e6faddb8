import PenstockCore
import Testing

@Suite struct BatchTests {
  @Test func `a batch leaves room for its filler`() {
    let limits = Limits()
    var batch = Batch(slot: 1, limits: limits)
    batch.open(
      number: BatchNumber(7), firstSequence: SequenceNumber(100), alignment: 65_536, limits: limits)
    #expect(batch.contentByteCount == 0)
    // And for the journals line and the producers in front of it.
    let end =
      batch.writer.limit + JournalState.textByteCount
      + ProducerLines.tableByteCountMax(limits.producerCountMax)
    #expect((end - batch.base) % 65_536 == 0)
    #expect(end <= batch.base + limits.batchSlotByteCount)
    batch.eventCount = 3
    #expect(batch.nextSequence == SequenceNumber(103))
  }

  @Test func `a state is never skipped`() async {
    await #expect(processExitsWith: .failure) {
      var batch = Batch(slot: 0, limits: Limits())
      batch.step(to: .submitted)
    }
  }
}
