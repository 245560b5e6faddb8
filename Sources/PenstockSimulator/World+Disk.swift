// Batches on their way: submitted → landed → synced, each step when the seed says so.

internal import PenstockCore

/// The highest numbers any process of the log has used. They only grow.
struct Watermarks {
  var batch: UInt64 = 0
  var sequence: UInt64 = 0
}

extension World {
  /// Takes a batch over, after a look at the rules it has to keep.
  func commit(_ slot: FileSlot, _ range: ByteRange, at offset: Int, token: Token) {
    guard finding == nil, let memory, let inode = queues.slots[slot.index] else { return }
    do throws(Finding) {
      try checkCommit(memory.commit(range), inode, offset)
    } catch {
      finding = error
    }
    flights.append(
      Flight(process: process, inode: inode, offset: offset, range: range, token: token))
    disk.with { $0.flightCount[process, default: 0] += 1 }
  }

  private func checkCommit(_ bytes: [UInt8], _ inode: Int, _ offset: Int) throws(Finding) {
    guard let batch = SeenBatch(bytes, at: 0) else {
      throw Finding("what is committed does not begin with a batch line")
    }
    guard batch.number > watermarks.batch else {
      throw Finding("batch number \(batch.number) is used again")
    }
    watermarks.batch = batch.number
    if batch.eventCount > 0 {
      guard batch.first > watermarks.sequence else {
        throw Finding("sequence number \(batch.first) is given out again")
      }
      watermarks.sequence = batch.first + UInt64(batch.eventCount) - 1
    }
    let end = offset + bytes.count
    for flight in flights where flight.inode == inode {
      let other = flight.offset..<(flight.offset + flight.range.count)
      if other.overlaps(offset..<end) {
        throw Finding("a write overlaps one that is on its way, at \(offset)")
      }
    }
    activeInode = inode
    let committer: Int? = disk.with { state in
      let first = state.inodes[inode].committer
      if first == nil { state.inodes[inode].committer = process }
      return first
    }
    if let committer, committer != process {
      throw Finding("a segment that process \(committer) wrote to is appended to")
    }
  }

  /// Moves one batch on; false when none is on its way.
  func moveFlight() throws(Finding) -> Bool {
    guard !flights.isEmpty else { return false }
    let index = random.below(flights.count)
    if flights[index].stage == .submitted {
      try land(index)
    } else {
      sync(index)
    }
    return true
  }

  private func bytes(of flight: Flight) -> [UInt8] {
    flight.bytes ?? memory?.commit(flight.range) ?? []
  }

  private func land(_ index: Int) throws(Finding) {
    let flight = flights[index]
    let isAlive = flight.process == process
    if !isAlive { try checkLease(flight) }
    let bytes = bytes(of: flight)
    let faults = disk.with { $0.faults }
    if isAlive, random.chance(faults.writeFails) {
      let part = random.chance(50) ? 0 : random.below(bytes.count) & ~511
      disk.with { state in
        state.note("failed write")
        state.write(Array(bytes[..<part]), to: flight.inode, at: flight.offset)
      }
      return retire(index, canary == .failedWriteAccepted ? 0 : -5)
    }
    if isAlive, random.chance(faults.writeIsShort) {
      let part = random.below(bytes.count) & ~511
      disk.with { state in
        state.note("short write")
        state.write(Array(bytes[..<part]), to: flight.inode, at: flight.offset)
        if canary == .shortWriteAccepted { state.sync(flight.inode) }
      }
      return retire(index, canary == .shortWriteAccepted ? 0 : -5)
    }
    disk.with { $0.write(bytes, to: flight.inode, at: flight.offset) }
    flights[index].stage = .landed
    if canary == .acknowledgeBeforeSync, isAlive {
      flights[index].isReported = true
      complete(flight.token, 0)
    }
    // The sync of a process that is dead may never begin.
    if !isAlive, random.chance(50) { retire(index, 0) }
  }

  private func checkLease(_ flight: Flight) throws(Finding) {
    let successor: Int? = disk.with { state in
      state.inodes.compactMap(\.lockedBy).first { $0 != flight.process && $0 == process }
    }
    if let successor {
      throw Finding(
        "a write of process \(flight.process) landed while \(successor) had the lease")
    }
  }

  private func sync(_ index: Int) {
    let flight = flights[index]
    let faults = disk.with { $0.faults }
    if flight.process == process, random.chance(faults.syncFails) {
      let isRetried = canary == .retryFailedSync
      disk.with { $0.failSync(flight.inode) }
      return retire(index, isRetried ? 0 : -5)
    }
    disk.with { $0.sync(flight.inode) }
    retire(index, 0)
  }

  private func retire(_ index: Int, _ result: Int32) {
    var flight = flights.remove(at: index)
    if flight.process == process, !flight.isReported {
      if canary == .receiptOutOfOrder,
        let older = flights.firstIndex(where: {
          $0.process == process && $0.token != flight.token
        })
      {
        swap(&flight.token, &flights[older].token)
      }
      complete(flight.token, result)
    }
    disk.with { state in
      state.flightCount[flight.process, default: 1] -= 1
      if state.flightCount[flight.process] == 0, state.deadProcesses.contains(flight.process) {
        DiskState.releaseLocks(of: flight.process, &state)
      }
    }
  }

  // MARK: - Ends

  /// The shard's memory is about to go: writes on their way keep the bytes they were given.
  func captureFlights() {
    for index in flights.indices where flights[index].process == process {
      flights[index].bytes = bytes(of: flights[index])
    }
    memory = nil
  }

  /// The shard's process is gone: what it had on the way goes on without it.
  func killShard() {
    endMemory()
    disk.kill(process)
    network.resetAccepted()
  }

  /// The machine is without power: what was on the way has landed or not, and is torn.
  func cutPower() {
    for flight in flights where flight.stage == .submitted && random.chance(60) {
      let bytes = bytes(of: flight)
      disk.with { $0.write(bytes, to: flight.inode, at: flight.offset) }
    }
    flights = []
    endMemory()
    disk.kill(process)
    disk.with { $0.cutPower() }
    network.resetAll()
  }

  /// The number of the segment the shard wrote to last.
  var activeNumber: UInt64 {
    guard let activeInode else { return 0 }
    let path: String? = disk.with { state in state.names.first { $0.value == activeInode }?.key }
    guard let path else { return lastActiveNumber }
    let digits = path.dropLast(4).suffix(16)
    lastActiveNumber = UInt64(digits, radix: 16) ?? lastActiveNumber
    return lastActiveNumber
  }

  private func endMemory() {
    memory = nil
    queues = KernelQueues()
    controlBytes = []
    hostIsGone = false
    disk.setFaults(DiskFaults())
  }
}
