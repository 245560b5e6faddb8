// Every limit of a shard: its name, its unit, what it protects and how it was chosen.

/// The sizes of a shard. Fixed at start: nothing grows with load.
package struct Limits: Sendable {
  /// Largest event, in bytes.
  package var eventByteCountMax = 1 << 20
  /// Largest request, in bytes: the events of one PUT or COMMIT together. One large slot and one batch
  /// have to hold it.
  package var octetCountMax = 1 << 20
  /// A batch is closed for writing at this size, in bytes: larger ones gained nothing on the
  /// reference machine and cost latency.
  package var batchByteCountTarget = 512 << 10
  /// Capacity of one batch slot, in bytes: the largest event, its attributes and escapes.
  package var batchSlotByteCount = (1 << 20) + (256 << 10)
  /// Whether streams and batches lie in huge pages: 2 MiB each at least.
  package var inHugePages = true
  /// Batch slots: two in flight and one being filled.
  package var batchSlotCount = 3
  /// Batches in flight at most: a third gained nothing, and recovery copies those not proved.
  package var commitsInFlightMax = 2
  /// Buffers streams are received into: 32 × 128 KiB was the knee on the reference machine.
  package var streamBufferCount = 32
  package var streamBufferByteCount = 128 << 10
  /// Buffers datagrams are received into; 64 KiB hold any datagram and any coalesced run.
  package var datagramBufferCount = 64
  package var datagramBufferByteCount = (64 << 10) + 4096
  /// Connections one shard serves at once; more wait in the listen queue.
  package var connectionCountMax = 1024
  /// Bytes of a partial frame kept for each connection.
  package var carryByteCount = 16 << 10
  /// Partial frames larger than a carry that may be collected at once, and their size in bytes:
  /// requests of some hundred events, which many clients send at the same time.
  package var middleSlotCount = 64
  package var middleSlotByteCount = 64 << 10
  /// Partial frames larger than that which may be collected at once, each of `eventByteCountMax`
  /// of the largest request. When all are taken, syslog frames are cut to what they have and marked, PUTs are refused.
  package var largeSlotCount = 4
  /// Bytes of answers being sent on one connection.
  package var answerByteCount = 8 << 10
  /// Bytes of requests on their way to one other shard: the largest request and some more.
  package var requestByteCount = 2 << 20
  /// Shards requests may be passed on to.
  package var shardCount = 1
  /// Answers one connection may have waiting before it is no longer read.
  package var answersWaitingMax = 4096
  /// Answers all connections together may have waiting.
  package var answerRecordCount = 64 << 10
  /// A connection with a partial frame and no progress for so long is closed, in nanoseconds: a
  /// slow sender must not hold a slot for ever.
  package var progressDeadlineNanoseconds: Int64 = 30_000_000_000
  /// A connection that has not sent one byte for so long is closed, in nanoseconds: it may be a
  /// person at a terminal, or somebody taking all places.
  package var silenceDeadlineNanoseconds: Int64 = 300_000_000_000
  /// With every place taken, the connection that is idle longest goes once it has been idle for so
  /// long, in nanoseconds: its sender comes back when it has something to say.
  package var crowdedDeadlineNanoseconds: Int64 = 10_000_000_000
  /// A shortage of segments this long is said on stderr, in nanoseconds: a shorter one is the
  /// preparer at work.
  package var shortageNoticeNanoseconds: Int64 = 1_000_000_000
  /// Listeners a shard serves at most: the ledger has a row for each.
  package static let listenerCountMax = 32
  /// What is remembered of journals: an entry for each journal, and one for each type in it, that was
  /// written to last; at 24 bytes an entry, taken when they are needed. A power of two.
  package var journalEntryCountMax = JournalMemory.entryCountDefault
  /// Named producers remembered, each in 2 KiB, and in 1152 bytes at most of the first batch of a segment:
  /// a fleet of writers, and no more than an eighth of a batch.
  package var producerCountMax = 128
  /// Longest linger before a partly filled batch is written, in nanoseconds.
  package var lingerNanosecondsMax: Int64 = 200_000
  /// Filler bytes a second that are written without lingering.
  package var paddingByteRate = GroupCommit.paddingByteRate
  /// Numbers set aside for each segment when recovery goes on in a new one, so that nothing that
  /// was ever submitted is numbered twice: more events, and more batches, than the largest segment
  /// can hold, at 32 bytes an event and a page a batch.
  package static let sequenceJump: UInt64 = 1 << 24
  package static let batchNumberJump: UInt64 = 1 << 20

  package init() {}

  /// The sizes of a small shard, for a machine that has little memory: what it touches at full load
  /// stays within 8 MB. Fewer bytes are received and written at once, which costs throughput; events and
  /// requests are smaller unless asked for otherwise.
  package static var smallProfile: Limits {
    var limits = Limits()
    limits.batchByteCountTarget = 128 << 10
    limits.fit(eventByteCount: 256 << 10, octetCount: 256 << 10)
    limits.inHugePages = false
    limits.streamBufferCount = 8
    limits.streamBufferByteCount = 64 << 10
    limits.datagramBufferCount = 8
    limits.connectionCountMax = 256
    limits.carryByteCount = 4 << 10
    limits.middleSlotCount = 16
    limits.middleSlotByteCount = 32 << 10
    limits.answerByteCount = 4 << 10
    limits.answersWaitingMax = 1024
    limits.answerRecordCount = 8 << 10
    limits.journalEntryCountMax = 1 << 16
    return limits
  }

  /// Largest request that can be configured, in bytes.
  package static let octetCountLimit = 16 << 20

  /// Makes room for events and requests of these sizes, in bytes.
  package mutating func fit(eventByteCount: Int, octetCount: Int) {
    eventByteCountMax = eventByteCount
    octetCountMax = max(octetCount, eventByteCount)
    carryByteCount = min(carryByteCount, eventByteCount)
    let page = AlignedBuffer.pageByteCount
    // Times, attributes and escapes, in a quarter or in what the largest event needs; and small
    // events still share a batch.
    let room = max(octetCountMax + max(octetCountMax / 4, 256 << 10), 2 * batchByteCountTarget)
    batchSlotByteCount = (room + page - 1) / page * page
    requestByteCount = octetCountMax + (1 << 20)
  }

  /// Smallest segment, in bytes, when segments are sized by rate: it holds a few of the largest batches.
  package var segmentByteCountMin: Int {
    var byteCount = 4 << 20
    while byteCount < 2 * batchSlotByteCount { byteCount *= 2 }
    return byteCount
  }

  /// Proves the relations between the limits; every entry point calls it first.
  package func check() {
    precondition(batchSlotCount == commitsInFlightMax + 1)
    precondition(batchByteCountTarget <= batchSlotByteCount)
    precondition(batchSlotByteCount % AlignedBuffer.pageByteCount == 0)
    precondition(eventByteCountMax <= octetCountMax && octetCountMax <= Limits.octetCountLimit)
    // The largest request, and in a segment's first batch the table of producers behind it.
    let tableByteCount = ProducerLines.tableByteCountMax(producerCountMax)
    precondition(octetCountMax + 4096 + tableByteCount <= batchSlotByteCount)
    precondition(streamBufferCount.nonzeroBitCount == 1)
    precondition(journalEntryCountMax.nonzeroBitCount == 1)
    precondition(datagramBufferCount.nonzeroBitCount == 1)
    precondition(datagramBufferByteCount >= 65_535 + 64)
    precondition(carryByteCount <= eventByteCountMax)
    precondition(requestByteCount > octetCountMax + Request.lineByteCountMax)
    precondition(connectionCountMax < 1 << 24)
    // The shortest event line is over 32 bytes.
    precondition(UInt64(SegmentPreparation.byteCountMax / 32) <= Limits.sequenceJump)
    precondition(
      UInt64(SegmentPreparation.byteCountMax / SegmentHeader.alignmentMin)
        <= Limits.batchNumberJump)
  }
}
