// The shard's way to the disk: open batch → submitted → durable, and from segment to segment.

extension Shard where Machine: ~Copyable {
  /// Batches that may be in flight: one where direct writes are not proved, because a shared
  /// descriptor then reports an error once.
  var inFlightMax: Int { active.isDirect ? limits.commitsInFlightMax : 1 }

  // MARK: - Closing

  /// Closes the open batch when the policy says so.
  mutating func closeBatchIfDue() {
    lingerUntil = nil
    if isSealing {
      if inFlight == 0 { sealNow() }
      return
    }
    let batch = batches[openSlot]
    guard batch.eventCount > 0 else { return }
    let decision = groupCommit.decide(
      contentByteCount: batch.contentByteCount, isFull: openBatchIsFull, openedAt: batch.openedAt,
      inFlight: inFlight, inFlightMax: inFlightMax, now: now, limits: limits)
    switch decision {
    case .close: _ = submitOpenBatch()
    case .wait(let until): lingerUntil = until
    case .waitForBarrier: break
    }
  }

  var openBatchIsFull: Bool {
    batches[openSlot].contentByteCount >= limits.batchByteCountTarget
  }

  /// Submits the open batch and opens the next; false when it has to wait for a barrier or for a
  /// segment.
  mutating func submitOpenBatch() -> Bool {
    guard inFlight < inFlightMax, !(isSealing && inFlight > 0) else { return false }
    if active.offset + openBatchPaddedByteCount() > active.byteCount {
      guard switchSegment(needing: openBatchPaddedByteCount(isFirst: true)) else { return false }
    }
    if journalsLineIsDue {
      journalsLineIsDue = false
      batches[openSlot].put(journalsBefore, &memory.commits)
    }
    if producersAreDue {
      producersAreDue = false
      batches[openSlot].put(producers, &memory.commits)
    }
    var batch = batches[openSlot]
    let byteCount = BatchLine.textByteCount + batch.contentByteCount
    let padded = openBatchPaddedByteCount()
    precondition(batch.base + padded <= batch.base + limits.batchSlotByteCount)
    memory.commits.fill((batch.base + byteCount)..<(batch.base + padded), with: Byte.lineFeed)
    let line = BatchLine(
      number: batch.number, firstSequence: batch.firstSequence, eventCount: batch.eventCount,
      byteCount: UInt32(batch.contentByteCount), at: wallTime, durable: durableNumber,
      previousChecksum: lastChecksum, salt: active.salt)
    precondition(batch.number > submittedNumber)
    lastChecksum = line.seal(in: &memory.commits, at: batch.base)
    io.commit(
      active.slot, batch.base..<(batch.base + padded), at: active.offset,
      token: Token(.commit, slot: openSlot))
    batch.step(to: .submitted)
    batch.submittedAt = now
    batch.writtenByteCount = padded
    batches[openSlot] = batch
    submittedNumber = batch.number
    active.offset += padded
    if batch.eventCount > 0 { active.hasEvents = true }
    inFlight += 1
    groupCommit.spend(paddingByteCount: padded - byteCount, now: now)
    openNextBatch(after: batch)
    return true
  }

  /// Bytes the open batch will take in a segment at most; with the journals line and the table of
  /// producers, which a segment's first batch carries.
  private func openBatchPaddedByteCount(isFirst: Bool = false) -> Int {
    var byteCount = BatchLine.textByteCount + batches[openSlot].contentByteCount
    if isFirst || journalsLineIsDue { byteCount += JournalState.textByteCount }
    if isFirst || producersAreDue { byteCount += ProducerLines.tableByteCountMax(producers.count) }
    return (byteCount + active.alignment - 1) / active.alignment * active.alignment
  }

  private mutating func openNextBatch(after batch: Batch) {
    openSlot = (openSlot + 1) % limits.batchSlotCount
    journalsBefore = journals.state
    batches[openSlot].open(
      number: batch.number.advanced(by: 1), firstSequence: batch.nextSequence,
      alignment: active.alignment, limits: limits)
  }

  // MARK: - Retiring

  /// A commit has completed: the batch is durable, or the shard is at its end.
  mutating func takeCommit(_ completion: Completion) {
    let slot = completion.token.slot
    guard completion.result >= 0 else {
      if failure == nil { failure = (batches[slot].number, completion.result) }
      return
    }
    batches[slot].step(to: .durable)
    statistics[.barrierNanoseconds] += UInt64(max(0, now - batches[slot].submittedAt))
  }

  /// Retires durable batches, oldest first: a batch behind one still in flight waits for it.
  mutating func retireDurableBatches() {
    while batches[oldestSlot].state == .durable {
      var batch = batches[oldestSlot]
      precondition(batch.number > durableNumber)
      durableNumber = batch.number
      if batch.eventCount > 0 {
        durableSequence = SequenceNumber(batch.nextSequence.value - 1)
      }
      frontier.publish(durableSequence, durableNumber)
      statistics[.durableBatch] = durableNumber.value
      statistics[.batches] += 1
      statistics[.eventsStored] += UInt64(batch.eventCount)
      statistics[.bytesStored] += UInt64(batch.contentByteCount)
      statistics[.bytesWritten] += UInt64(batch.writtenByteCount)
      bookStored(oldestSlot)
      batch.step(to: .free)
      batches[oldestSlot] = batch
      inFlight -= 1
      oldestSlot = (oldestSlot + 1) % limits.batchSlotCount
    }
  }

  private mutating func bookStored(_ slot: Int) {
    for listener in 0..<configuration.ledgerRowCount {
      let index = slot * Limits.listenerCountMax + listener
      let count = UInt64(batchCounts[index])
      guard count > 0 else { continue }
      batchCounts[index] = 0
      statistics[listener, .stored] += count
      statistics[listener, .pending] -= min(count, statistics[listener, .pending])
    }
  }

  // MARK: - Segments

  /// Goes on in the next prepared segment that holds `byteCount` bytes. No directory is changed:
  /// the segment's header and name have been durable since it was prepared.
  private mutating func switchSegment(needing byteCount: Int) -> Bool {
    if next == nil {
      nextLookAt = min(nextLookAt, now)
      lookForNextSegment()
    }
    guard let segment = next, segment.byteCount - segment.offset >= byteCount else {
      next = nil
      if !isStalled {
        isStalled = true
        stalledAt = now
        statistics[.isStalled] = 1
        statistics[.segmentShortages] += 1
      }
      return false
    }
    active = segment
    active.startedAt = now
    journalsLineIsDue = true
    producersAreDue = true
    next = nil
    if hasSaidStall { configuration.tell(name, "there is a segment again; serving goes on") }
    isStalled = false
    hasSaidStall = false
    statistics[.isStalled] = 0
    statistics[.segmentsStarted] += 1
    statistics[.activeSegment] = active.number.value
    return true
  }

  /// Says once that a shortage lasts: senders are waiting, and why is seen in the preparer's word.
  mutating func noticeStall() {
    guard isStalled, !hasSaidStall, now - stalledAt > limits.shortageNoticeNanoseconds else {
      return
    }
    hasSaidStall = true
    configuration.tell(
      name,
      "there is no prepared segment to write to: nothing is acknowledged and nothing is read until "
        + "there is one. Most often the disk is full")
  }

  private var name: String { "shard \(configuration.log.value)" }

  /// Opens the next prepared segment, once the active one is partly used.
  mutating func lookForNextSegment() {
    guard next == nil, now >= nextLookAt else { return }
    nextLookAt = now + 1_000_000
    // Numbers of files that were never finished, or that recovery left behind, are passed over.
    for distance in 1...UInt64(Shard.segmentLookAhead) {
      let name = SegmentName(
        log: configuration.log, number: SegmentNumber(active.number.value + distance))
      if let segment = openPrepared(name) {
        next = segment
        return
      }
    }
  }

  /// How many numbers ahead a prepared segment is looked for: each preparation that was cut short,
  /// by a kill or a full disk, used one up.
  static var segmentLookAhead: Int { 32 }

  private mutating func openPrepared(_ name: SegmentName) -> ActiveSegment? {
    let path = configuration.layout.segment(name)
    guard let opened = try? SegmentOpening.open(io.files, path) else { return nil }
    let count = scratch.byteCount
    let read = try? io.files.read(opened.file, into: &scratch, 0..<count, at: 0)
    // One that cannot hold the largest batch was prepared for a shard of smaller ones.
    guard read == count, case .header(let header) = SegmentHeader.read(scratch.bytes),
      header.name == name, header.store == configuration.store,
      header.byteCount - header.alignment >= limits.batchSlotByteCount
    else {
      io.files.close(opened.file)
      return nil
    }
    // A file that holds anything but filler where the first batch goes was used before.
    let first = SegmentHeader.alignmentMin..<count
    let isFilled = scratch.bytes.isAll(Byte.lineFeed, in: first)
    guard isFilled || scratch.bytes.isAll(Byte.null, in: first) else {
      io.files.close(opened.file)
      return nil
    }
    let slot = FileSlot(active.slot.index % 4 + 1)
    guard (try? io.keep(opened.file, in: slot)) != nil else { return nil }
    if !isFilled { statistics[.segmentsUnfilled] += 1 }
    return ActiveSegment(
      number: name.number, salt: header.salt, alignment: header.alignment,
      byteCount: header.byteCount, slot: slot, offset: header.alignment,
      isDirect: opened.isDirect)
  }

  // MARK: - Sealing

  /// Asks for the active segment to be sealed: at the next moment nothing is in flight.
  mutating func requestSeal() {
    if active.hasEvents { isSealing = true }
  }

  /// Sealing is a switch: the next segment's first batch, empty or not, says that everything
  /// before it is durable.
  private mutating func sealNow() {
    guard switchSegment(needing: openBatchPaddedByteCount(isFirst: true)) else { return }
    isSealing = false
    statistics[.seals] += 1
    _ = submitOpenBatch()
    if stopping != .no { hasClosingBatch = true }
  }

  mutating func sealByAge() {
    guard active.hasEvents, !isSealing, stopping == .no else { return }
    let age = now - active.startedAt
    let rules = configuration.seal
    let isOld = age >= rules.ageNanoseconds && active.offset >= rules.byteCountMin
    if isOld || age >= rules.ageMaxNanoseconds { requestSeal() }
  }
}

/// Opening a segment for writing: past the page cache where that is proved.
package enum SegmentOpening {
  /// The open file and whether writes to it are direct.
  package static func open<Files: FileSystem>(_ files: Files, _ path: String) throws(FileError)
    -> (file: File, isDirect: Bool)
  {
    let plain = try files.open(path, .write)
    guard files.directAlignment(plain) > 0, let direct = try? files.open(path, .writeDirect)
    else { return (plain, false) }
    files.close(plain)
    return (direct, true)
  }
}
