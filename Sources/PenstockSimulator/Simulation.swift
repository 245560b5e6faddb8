// One simulation: a store, its clients, and a number of lives of its shard, all from one seed.
//
//     a life = lease → recovery (which may die too) → oracle → the shard runs in the world until its
//              plan ends it: killed, without power, stopped, orphaned, on a broken disk → oracle
//
// Between lives, and in the middle of them, other roles work on the same disk as processes of their
// own and die as well: the preparer, the archiver, readers.

internal import CShims
internal import PenstockArchive
internal import PenstockCore

/// What a simulation came to.
package struct SimulationReport: Equatable, Sendable {
  package var seed: UInt64
  package var steps = 0
  package var lives = 0
  package var endings: [String: Int] = [:]
  package var recoveriesKilled = 0
  package var acknowledgedPuts = 0
  /// Requests with a counter that were sent again, and answers to those that had one before.
  package var resentPuts = 0
  package var repeatedAnswers = 0
  package var messagesSent = 0
  package var eventsFound = 0
  package var archivePasses = 0
  package var joins = 0
  package var archiversKilled = 0
  package var injected: [String: Int] = [:]
  /// What was wrong, and at which step; nil when nothing was.
  package var finding: String?
}

/// A simulation.
package final class Simulation {
  private let world: World
  private let layout = StoreLayout(root: "/sim")
  private let store: StoreIdentifier
  private let canary: Canary?
  private var random: SeededRandom
  private var oracle = Oracle()
  private var workload: Workload
  private var roles: Roles
  private var boot: StoreIdentifier
  private var report: SimulationReport
  private var lastProcess = 1
  /// Takes a line for every life: how it began, and how it ended.
  package var trace: (String) -> Void = { _ in }

  package init(seed: UInt64, canary: Canary? = nil) {
    var random = SeededRandom(seed: seed)
    let limits = Simulation.limits
    let disk = SimulatedDisk(random: random.split(), canary: canary)
    world = World(disk, limits, random: random.split(), canary: canary)
    workload = Workload(random: random.split(), limits: limits, canary: canary)
    roles = Roles(random: random.split(), layout: layout)
    // Names of pages must not meet those of another simulation on the same machine.
    store = StoreIdentifier(high: System.random(), low: System.random())
    boot = StoreIdentifier(high: 1, low: 1)
    self.random = random
    self.canary = canary
    report = SimulationReport(seed: seed)
  }

  /// Small buffers, so that every limit is met.
  static var limits: Limits {
    var limits = Limits()
    limits.eventByteCountMax = 8192
    limits.octetCountMax = 8192
    limits.batchByteCountTarget = 6144
    limits.batchSlotByteCount = 16384
    limits.streamBufferCount = 4
    limits.streamBufferByteCount = 4096
    limits.datagramBufferCount = 4
    limits.connectionCountMax = 16
    limits.carryByteCount = 1024
    limits.largeSlotCount = 2
    limits.middleSlotCount = 2
    limits.middleSlotByteCount = 4096
    limits.answerRecordCount = 512
    limits.answersWaitingMax = 64
    limits.producerCountMax = 3
    return limits
  }

  /// Runs `lives` lives; the first finding ends it.
  package func run(lives: Int) -> SimulationReport {
    let pages = StoreLayout.pages(store)
    defer { Simulation.removePages(pages, layout, store) }
    do throws(Finding) {
      try begin()
      for life in 0..<lives {
        report.lives = life + 1
        try live()
      }
    } catch {
      report.finding = "life \(report.lives), step \(world.stepCount): \(error)"
    }
    report.steps = world.stepCount
    report.acknowledgedPuts = oracle.acknowledgedCount
    report.resentPuts = oracle.puts.count { $0.isResent }
    report.repeatedAnswers = oracle.repeatedAnswerCount
    report.messagesSent = oracle.messages.count
    report.injected = world.disk.injected
    report.archivePasses = roles.passCount
    report.joins = roles.joinCount
    report.archiversKilled = roles.killedCount
    return report
  }

  private static func removePages(_ path: String, _ layout: StoreLayout, _ store: StoreIdentifier) {
    let files = LinuxFileSystem()
    try? files.unlink(layout.frontierPage(store, LogNumber(0)))
    try? files.unlink(layout.statisticsPage(store, LogNumber(0)))
    _ = unsafe penstock_remove_folder(path)
  }

  private func begin() throws(Finding) {
    do {
      try LinuxFileSystem().makeFolderIfMissing(StoreLayout.pages(store))
      let files = SimulatedFiles(world.disk, process: nextProcess())
      let description = StoreDescription(store: store, journalHashWidth: 1)
      try Simulation.make(files, layout, description)
    } catch {
      throw Finding("the store cannot be made: \(error)")
    }
    world.background = { [unowned self] world throws(Finding) in try background(world) }
  }

  /// Folders and description, as the host makes them.
  private static func make(
    _ files: SimulatedFiles, _ layout: StoreLayout, _ description: StoreDescription
  ) throws(FileError) {
    for folder in [layout.root, layout.live, layout.quarantine, layout.archive, layout.run] {
      try files.makeFolderIfMissing(folder)
    }
    let text = Array(description.text.utf8)
    var memory = AlignedBuffer(byteCount: text.count)
    memory.copy(text.rawSpan, to: 0)
    let file = try files.open(layout.description, .create)
    try files.write(file, from: memory, 0..<text.count, at: 0)
    try files.syncFile(file)
    files.close(file)
    // Not the folder rule's concern: the store was made long ago.
    files.disk.with { $0.durableNames[layout.description] = $0.names[layout.description] }
  }

  private func nextProcess() -> Int {
    lastProcess += 1
    return lastProcess
  }

  // MARK: - A life

  private func live() throws(Finding) {
    world.process = nextProcess()
    world.hasBegunToEnd = false
    workload.isQuiet = false
    if canary == nil, random.chance(6) { oracle.excused.formUnion(roles.rot(world)) }
    if random.chance(25) {
      world.disk.kill(world.process, afterOperations: random.within(1...150))
    }
    world.disk.with { $0.isRecovering = true }
    let end: ShardEnd?
    do throws(FileError) {
      end = try serve()
    } catch {
      guard
        error.code == SimulatedFiles.killedCode || error.code == System.noSpace,
        world.finding == nil
      else { throw world.finding ?? Finding("a start failed: \(error)") }
      // Somebody makes room.
      world.disk.setRoom(1 << 30)
      report.recoveriesKilled += 1
      end = nil
    }
    if let finding = world.finding { throw finding }
    try takeEnd(end)
    try readBack(isSettled: false, "after the end of the life")
  }

  private func takeEnd(_ end: ShardEnd?) throws(Finding) {
    var ending = world.ending
    switch end {
    case nil: ending = random.chance(40) ? .powerCut : .kill
    case .stopped where ending == .stop, .stoppedShort where ending == .stop: break
    case .orphaned where ending == .orphan: break
    case .durabilityLost where ending == .brokenDisk: break
    case .failed(let error) where error.code == SimulatedFiles.killedCode: break
    case .some(let other): throw Finding("the shard ended with \(other), planned was \(ending)")
    }
    if end == .stopped { try checkLedger() }
    trace(
      "life \(report.lives), step \(world.stepCount): \(ending.rawValue), \(end.map { "\($0)" } ?? "killed in recovery")"
    )
    report.endings[ending.rawValue, default: 0] += 1
    if ending != .powerCut { world.killShard() }
    // After any end the power may go as well.
    if ending == .powerCut || random.chance(35) {
      world.cutPower()
      boot = StoreIdentifier(high: boot.high + 1, low: 1)
    }
  }

  /// Lease, recovery, oracle, and the shard's loop.
  private func serve() throws(FileError) -> ShardEnd {
    let limits = world.limits
    let memory = ShardMemory(limits)
    var machine = SimulatedMachine(world, memory)
    let log = LogNumber(0)
    let lease = try acquire(log)
    var statistics = Statistics(
      try SharedPage(
        creating: layout.statisticsPage(store, log), magic: Statistics.magic, boot: boot,
        epoch: lease.epoch, valueCount: Statistics.valueCount))
    var frontier = Frontier(
      try SharedPage(
        creating: layout.frontierPage(store, log), magic: Frontier.magic, boot: boot,
        epoch: lease.epoch, valueCount: Frontier.valueCount))
    statistics[.isServing] = 0
    let published = frontier.sequence
    let archived = try roles.coverage(SimulatedFiles(world.disk, process: world.process))
    var recovered: Recovered
    do throws(LogError) {
      recovered = try Recovery.run(
        machine.files, layout, store: store, log: log, archivedThrough: archived.segment,
        coveredThrough: archived.sequence, frontier: published > .none ? published : nil,
        segmentByteCount: 4096 * random.within(8...24), producerCountMax: limits.producerCountMax,
        clock: world.wallTime)
    } catch {
      if case .file(let error) = error { throw error }
      world.finding = Finding("recovery failed: \(error)")
      throw World.died
    }
    world.disk.with { state in
      state.isRecovering = false
      state.operationsLeft[world.process] = nil
    }
    plant(&recovered)
    noteRecovered(recovered)
    frontier.reset()
    try machine.keep(lease.file, in: FileSlot(0))
    var configuration = ShardConfiguration(
      layout: layout, store: store, log: log, shardCount: 1, limits: limits)
    configuration.seal.ageNanoseconds = 50_000_000
    configuration.seal.byteCountMin = 8192
    configuration.seal.onStop = random.chance(50)
    guard let template = try? StreamTemplate(StreamTemplate.default) else { throw World.died }
    for (index, kind) in [ListenerKind.line, .syslogStream, .syslogDatagram].enumerated() {
      configuration.listeners.append(
        ListenerConfiguration(
          socket: Socket(descriptor: Int32(index)), kind: kind, name: "\(kind)",
          template: template))
    }
    choosePlan()
    var shard = try Shard(
      io: machine, memory: memory, configuration: configuration,
      control: Socket(descriptor: 99), statistics: statistics, frontier: frontier,
      recovered: recovered)
    let end = shard.run()
    // Before its memory goes: writes on the way keep what they were given.
    world.captureFlights()
    return end
  }

  /// Waits, as a start does, until the dead holder's last writes have retired.
  private func acquire(_ log: LogNumber) throws(FileError) -> Lease {
    let files = SimulatedFiles(world.disk, process: world.process)
    while true {
      do throws(Lease.Failure) {
        return try Lease.acquire(files, layout, log, waiting: 0)
      } catch {
        if case .failed(let error) = error { throw error }
        try retireOne()
      }
    }
  }

  private func retireOne() throws(FileError) {
    do throws(Finding) {
      guard try world.moveFlight() else {
        throw Finding("the lease is held though nothing is on its way")
      }
    } catch {
      world.finding = error
      throw World.died
    }
  }

  private func choosePlan() {
    world.stepsLeft = random.chance(15) ? random.within(1...60) : random.within(60...6000)
    let roll = random.below(100)
    world.ending =
      roll < 30
      ? .kill
      : roll < 60
        ? .powerCut
        : roll < 75
          ? .stop
          : roll < 80
            ? .orphan
            : .brokenDisk
  }

  private func noteRecovered(_ recovered: Recovered) {
    trace(
      "life \(report.lives), process \(world.process), step \(world.stepCount): recovered into "
        + "\(recovered.header.name.fileName) at \(recovered.nextOffset), \(recovered.eventsRecovered) events copied"
    )
    for damage in recovered.damage { trace("  \(damage)") }
    do throws(Finding) {
      for damage in recovered.damage
      where damage.isLoss && !damage.isTail && !isHarmless(damage) {
        throw Finding("recovery reports damage nobody did: \(damage)")
      }
      try readBack(isSettled: true, "after recovery")
      world.watermarks.batch = max(world.watermarks.batch, recovered.lastBatch.value)
    } catch {
      world.finding = error
    }
  }

  /// Bits were turned; or a segment nobody used has lost its name with the power: its number is
  /// missing, and nothing else.
  private func isHarmless(_ damage: Damage) -> Bool {
    roles.rottenIsExpected || damage.kind == .missingSegment
  }

  private func readBack(isSettled: Bool, _ when: String) throws(Finding) {
    let events = try ReadBack.events(SimulatedFiles(world.disk, process: 0), layout)
    report.eventsFound = events.count
    do throws(Finding) {
      try oracle.check(events, isSettled: isSettled)
    } catch {
      throw Finding("\(when): \(error)")
    }
  }

  /// Everything received is stored, refused or lost, and nothing is pending after a clean stop.
  private func checkLedger() throws(Finding) {
    let page = SharedPage(
      reading: layout.statisticsPage(store, LogNumber(0)), magic: Statistics.magic, boot: boot,
      valueCount: Statistics.valueCount)
    guard let page else { throw Finding("the page of counters is gone") }
    let statistics = Statistics(page)
    for listener in 0..<3 {
      let received = statistics[listener, .received]
      let settled = statistics.settledCount(listener)
      // A refused PUT counts once, a stored one by its events.
      guard received == settled else {
        throw Finding(
          "the ledger of listener \(listener) does not close: received \(received), "
            + "settled \(settled)")
      }
    }
  }

  // MARK: - The others

  private func background(_ world: World) throws(Finding) {
    workload.isQuiet = world.hasBegunToEnd && world.ending != .brokenDisk
    switch random.below(100) {
    case 0..<3: roles.prepare(world, store, process: nextProcess())
    case 3:
      try roles.archive(world, store, process: nextProcess()) { () throws(Finding) in
        try readBack(isSettled: false, "while tables were joined")
      }
    case 4 where random.chance(10): try readBack(isSettled: false, "while the shard runs")
    case 5 where random.chance(5): world.controlBytes.append(UInt8(ascii: "S"))
    case 6 where random.chance(3): world.disk.setRoom(random.below(200_000))
    case 7 where random.chance(30): world.disk.setRoom(1 << 30)
    default: try workload.step(&world.network, &oracle)
    }
  }

  /// Breaks a rule of recovery, for the canaries that need it.
  private func plant(_ recovered: inout Recovered) {
    switch canary {
    case .reusedNumbers:
      recovered.nextSequence = SequenceNumber(recovered.lastDurableSequence.value + 1)
    case .appendToRecovered:
      guard let older = roles.endOfOlderSegment(world, before: recovered.header.name) else {
        return
      }
      recovered.header = older.header
      recovered.nextOffset = older.offset
    case .producersForgotten: recovered.producers = Array("#producers floor=0 count=0\n".utf8)
    case .producerFloorForgotten:
      let text = String(decoding: recovered.producers, as: UTF8.self)
      let lines = text.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
      guard lines.count == 2, let count = lines[0].split(separator: " ").last else { return }
      recovered.producers = Array("#producers floor=0 \(count)\n\(lines[1])".utf8)
    default: break
    }
  }
}
