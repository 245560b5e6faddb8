// The host: opens sockets, starts the roles, watches and restarts them. Almost no logic, so that
// it does not crash; it touches no event.
//
//     serve ─ lock the store ─ listen ─ start roles ─┬─ child ended → restart policy → start
//                                                    ├─ control socket → seal, status, reload
//                                                    ├─ every second on a terminal: one live line
//                                                    └─ SIGINT, SIGTERM, SIGHUP → stop
//
//     stop = shards ("T": what was sent is read, made durable, answered) → preparer and archiver
//          → exit 0. Each step has a deadline, after which what is left is killed and the exit
//          status is 1: nothing acknowledged is lost by that, the next start recovers. A second
//          signal is a deadline that has passed.
//
// A role ends when its control pipe does: a killed host takes all of them with it. When no shard is
// left that could serve, the host stops as well and says so.

internal import CShims
internal import Glibc
internal import PenstockCore

/// A running store.
final class Host {
  /// How far a stop has come.
  private enum Stop {
    case no
    case shards(deadline: Int64)
    case others(deadline: Int64)
  }

  private let options: HostOptions
  private let store: StoreIdentifier
  private let journalHashWidth: Int
  private var sockets: HostSockets
  /// What shards pass requests on to each other with, when clients need tokens.
  private let peerSecret = PeerSecret.make()
  private var roles: [ManagedRole] = []
  private let logCount: Int
  private let signals: Int32
  private var controlServer: ControlServer
  private var liveLine: LiveLine?
  private var stop = Stop.no
  private var stopBeganAt: Int64 = 0
  private var status: Int32 = 0

  /// How long shards may take to stop, in nanoseconds: they read on while senders send, up to 2 s,
  /// and wait 5 s for answers to be taken.
  private static let shardStopNanoseconds: Int64 = 15_000_000_000
  /// How long the others may take, and how long when the archiver is to hand everything over.
  private static let otherStopNanoseconds: Int64 = 5_000_000_000
  private static let handOverNanoseconds: Int64 = 60_000_000_000
  /// A signal so soon after the first is the same wish: service managers and shells signal both a
  /// process and its group.
  private static let secondSignalNanoseconds: Int64 = 500_000_000
  /// Pause after a role could not be started at all, in nanoseconds.
  private static let startRetryNanoseconds: Int64 = 1_000_000_000

  /// - Parameters:
  ///   - retired: logs without a shard that still have to be sealed.
  ///   - signals: a descriptor with the signals of `watchedSignals`.
  init(
    _ options: HostOptions, _ description: StoreDescription, sockets: HostSockets,
    control: ControlServer,
    retired: [LogNumber], signals: Int32
  ) {
    self.options = options
    store = description.store
    journalHashWidth = description.journalHashWidth
    self.sockets = sockets
    self.signals = signals
    controlServer = control
    logCount = max(options.shardCount, (retired.map { Int($0.value) }.max() ?? -1) + 1)
    for shard in 0..<options.shardCount { roles.append(ManagedRole(.shard(shard))) }
    for log in retired { roles.append(ManagedRole(.retired(log))) }
    roles.append(ManagedRole(.archiver))
    roles.append(ManagedRole(.preparer))
    roles.append(ManagedRole(.reader))
    if options.everstore != nil { roles.append(ManagedRole(.everstore)) }
    if penstock_is_terminal(1) {
      liveLine = LiveLine(options.layout, store, shardCount: options.shardCount)
    }
  }

  /// Blocks the signals a host waits for and gives a descriptor that tells them.
  static func watchSignals() throws(FileError) -> Int32 {
    let watched: [Int32] = [SIGCHLD, SIGINT, SIGTERM, SIGHUP, -1]
    let descriptor = unsafe watched.withUnsafeBufferPointer {
      unsafe penstock_signal_descriptor($0.baseAddress)
    }
    if descriptor < 0 { throw FileError(.open, "signals", code: -descriptor) }
    return descriptor
  }

  /// Runs until it is told to stop; the exit status.
  func run() -> Int32 {
    // The preparer first: a shard without a next segment would have to wait for it.
    for index in roles.indices.reversed() { start(index) }
    while true {
      waitForSomething()
      let now = System.monotonicNanoseconds()
      takeSignals(now)
      takeEndedChildren(now)
      for index in roles.indices {
        if let at = roles[index].startAt, now >= at, case .no = stop { start(index) }
      }
      controlServer.serve(now) { command in self.answer(command) }
      liveLine?.show(now)
      if advanceStop(now) {
        liveLine?.end()
        return status
      }
    }
  }

  private func waitForSomething() {
    let now = System.monotonicNanoseconds()
    var timeout: Int64 = 60_000_000_000
    if let liveLine { timeout = min(timeout, liveLine.nanosecondsToNext(now)) }
    if let deadline = controlServer.deadline { timeout = min(timeout, deadline - now) }
    for role in roles {
      if let at = role.startAt { timeout = min(timeout, at - now) }
    }
    switch stop {
    case .no: break
    case .shards(let deadline), .others(let deadline): timeout = min(timeout, deadline - now)
    }
    let descriptors = [signals] + controlServer.descriptors
    _ = unsafe descriptors.withUnsafeBufferPointer {
      unsafe penstock_wait_readable(
        $0.baseAddress, Int32($0.count), Int32((max(0, timeout) + 999_999) / 1_000_000))
    }
  }

  // MARK: - Roles

  private func start(_ index: Int) {
    roles[index].startAt = nil
    let now = System.monotonicNanoseconds()
    switch startProcess(roles[index].kind) {
    case .success(let process):
      roles[index].process = process
      roles[index].startedAt = now
      // Nothing comes in for a retired log: it is to stop as soon as it has been recovered.
      if case .retired = roles[index].kind { process.send(ControlByte.stop) }
    case .failure(let error):
      say("cannot start \(roles[index].name): \(error)")
      roles[index].startAt = now + Host.startRetryNanoseconds
    }
  }

  private func startProcess(_ kind: ManagedRole.Kind) -> Result<RoleProcess, FileError> {
    switch kind {
    case .shard(let shard):
      RoleProcess.start(
        arguments: options.shardArguments(shard, store, addresses: sockets.shardAddresses),
        descriptors: sockets.descriptors[shard],
        names: ListenerURL.Scheme.names(of: options.listenerSchemes),
        processor: Int32(shard % System.processorCount),
        secret: options.tokens == nil ? [] : peerSecret)
    case .retired(let log):
      RoleProcess.start(arguments: options.retiredArguments(log, store))
    case .preparer:
      RoleProcess.start(arguments: options.preparerArguments(store, logCount: logCount))
    case .archiver:
      RoleProcess.start(arguments: options.archiverArguments(store), isIdle: true)
    case .reader:
      RoleProcess.start(
        arguments: options.readerArguments(store), descriptors: [sockets.reader], names: ["reader"])
    case .everstore:
      RoleProcess.start(
        arguments: options.everstoreArguments(store, width: journalHashWidth),
        descriptors: [sockets.everstore], names: ["everstore"],
        secret: options.tokens == nil ? [] : peerSecret)
    }
  }

  private func takeEndedChildren(_ now: Int64) {
    var ended: Int32 = 0
    while true {
      let identifier = unsafe penstock_next_ended_child(&ended)
      guard identifier > 0 else { return }
      guard let index = roles.firstIndex(where: { $0.process?.processIdentifier == identifier })
      else { continue }
      roles[index].process?.closeControl()
      roles[index].process = nil
      if case .no = stop {
        noteEnd(index, ended, now)
      } else if ended != 0, !roles[index].isLeft(toOthers: ended) {
        say("\(roles[index].name) \(ManagedRole.how(ended)) while stopping")
        if !(roles[index].isKilled && isExcused(roles[index])) { status = 1 }
      }
    }
  }

  private func noteEnd(_ index: Int, _ ended: Int32, _ now: Int64) {
    let role = roles[index]
    if case .retired = role.kind, ended == 0 || role.isLeft(toOthers: ended) {
      roles[index].isLeftDown = true
      if ended != 0 { say("\(role.name) is not needed: another process writes it now") }
      return
    }
    roles[index].restartCount += 1
    let decision = roles[index].policy.decide(
      startedAt: role.startedAt, now: now,
      lostDurability: ended == ShardProcess.Status.durabilityLost.rawValue)
    switch decision {
    case .restart(let pause):
      roles[index].startAt = now + pause
      say(
        "\(role.name) \(ManagedRole.how(ended)); starting it again"
          + (pause > 0 ? " in \(pause / 1_000_000) ms" : ""))
    case .leaveDown:
      roles[index].isLeftDown = true
      say(
        "\(role.name) lost durability \(RestartPolicy.durabilityLossesMax) times within a "
          + "minute; it is left down, its events stay readable. Look at the device that holds "
          + "\(options.layout.root), then restart penstock")
      closeSockets(of: role, now)
    }
  }

  private func closeSockets(of role: ManagedRole, _ now: Int64) {
    guard case .shard(let shard) = role.kind else { return }
    for (listener, dropped) in sockets.close(shard: shard, options) {
      say("\(role.name): the kernel had dropped \(dropped) buffers of its socket on \(listener)")
    }
    guard !roles.contains(where: { $0.isShard && !$0.isLeftDown }) else { return }
    say("no shard is left to serve; stopping")
    status = 1
    beginStop(now)
  }

  // MARK: - Stopping

  private func takeSignals(_ now: Int64) {
    while true {
      switch penstock_next_signal(signals) {
      case 0: return
      case SIGINT, SIGTERM, SIGHUP:
        if case .no = stop {
          beginStop(now)
        } else if now - stopBeganAt >= Host.secondSignalNanoseconds {
          killAll("a second signal came")
        }
      default: break
      }
    }
  }

  private func beginStop(_ now: Int64) {
    guard case .no = stop else { return }
    stopBeganAt = now
    stop = .shards(deadline: now + Host.shardStopNanoseconds)
    for role in roles where role.isShard { role.process?.send(ControlByte.stop) }
  }

  /// Shards stop first, so that what they seal is still archived; true when all have ended.
  private func advanceStop(_ now: Int64) -> Bool {
    switch stop {
    case .no: return false
    case .shards(let deadline):
      if now >= deadline { killAll("they did not stop in time") { $0.isShard } }
      guard !roles.contains(where: { $0.isShard && $0.process != nil }) else {
        if now >= deadline { stop = .shards(deadline: now + Host.shardStopNanoseconds) }
        return false
      }
      let limit = options.sealsOnStop ? Host.handOverNanoseconds : Host.otherStopNanoseconds
      stop = .others(deadline: now + limit)
      for role in roles { role.process?.send(ControlByte.stop) }
      hurryArchiver()
    case .others(let deadline):
      if now >= deadline {
        killAll("they did not stop in time")
        stop = .others(deadline: now + Host.otherStopNanoseconds)
      }
    }
    return roles.allSatisfy { $0.process == nil }
  }

  private func killAll(_ reason: String, where isMeant: (ManagedRole) -> Bool = { _ in true }) {
    let meant = roles.filter { $0.process != nil && isMeant($0) }
    guard !meant.isEmpty else { return }
    say("killing \(meant.map(\.name).joined(separator: ", ")): \(reason)")
    if !meant.allSatisfy(isExcused) { status = 1 }
    for index in roles.indices where roles[index].process != nil && isMeant(roles[index]) {
      roles[index].isKilled = true
      roles[index].process?.kill()
    }
  }

  /// Takes the archiver out of the idle classes: somebody waits for it, and on a busy machine it might
  /// not even get to read that.
  private func hurryArchiver() {
    for role in roles where role.kind == .archiver {
      if let process = role.process { _ = penstock_set_idle_of(process.processIdentifier, false) }
    }
  }

  /// Whether a stop is clean although the role had to be killed: an archiver that was not to archive
  /// everything does again, at the next start, what it was at.
  private func isExcused(_ role: ManagedRole) -> Bool {
    role.kind == .archiver && !options.sealsOnStop
  }

  // MARK: - Control

  private func answer(_ command: String) -> String {
    switch command {
    case "seal":
      for role in roles where role.isShard || role.kind == .archiver {
        role.process?.send(ControlByte.seal)
      }
      hurryArchiver()
      return "OK\n"
    case "status": return roles.map { $0.line + "\n" }.joined() + "OK\n"
    case "reload": return reload()
    default: return "ERR unknown command; expected 'seal', 'status' or 'reload'\n"
    }
  }

  /// Has the roles read the file of tokens again, once it is seen to be right.
  private func reload() -> String {
    guard let path = options.tokens else {
      return "ERR the daemon asks for no tokens; start it with --tokens FILE\n"
    }
    do throws(PrivateFile.Fault) {
      let told = HostOptions.told(try TokenFile.read(path), path)
      for role in roles {
        switch role.kind {
        case .shard, .reader, .everstore: role.process?.send(ControlByte.reload)
        case .retired, .preparer, .archiver: break
        }
      }
      say(told)
      return "\(told)\nOK\n"
    } catch {
      say("\(error); the tokens before stay in force")
      return "ERR \(error); the tokens before stay in force\n"
    }
  }

  private func say(_ text: String) { ShardProcess.say("host", text) }
}
