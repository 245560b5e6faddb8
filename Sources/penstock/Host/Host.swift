// The host: opens sockets, starts the roles, watches and restarts them. Almost no logic, so that
// it does not crash; it touches no event.
//
//     serve ─ lock the store ─ listen ─ start roles ─┬─ child ended → restart policy → start
//                                                    ├─ control socket → seal, status
//                                                    ├─ every second on a terminal: one live line
//                                                    └─ SIGINT, SIGTERM → stop roles → exit
//
// A role ends when its control pipe does: a killed host takes all of them with it.

internal import CShims
internal import Glibc
internal import PenstockCore

/// A running store.
final class Host {
  /// A role and what became of it.
  private struct Managed {
    enum Kind: Equatable { case shard(Int), preparer, archiver }
    let kind: Kind
    var process: RoleProcess?
    var policy = RestartPolicy()
    /// When it is to be started again, in monotonic nanoseconds.
    var startAt: Int64?
    var isLeftDown = false

    var name: String {
      switch kind {
      case .shard(let index): "shard \(index)"
      case .preparer: "preparer"
      case .archiver: "archiver"
      }
    }
  }

  private let options: HostOptions
  private let store: StoreIdentifier
  private var sockets: HostSockets
  private var roles: [Managed] = []
  private let signals: Int32
  private var controlServer: ControlServer
  private var liveLine: LiveLine?
  private var isStopping = false
  private var stopDeadline: Int64 = 0

  /// How long roles may take to stop before they are killed, in nanoseconds.
  private static let stopNanosecondsMax: Int64 = 15_000_000_000

  init(
    _ options: HostOptions, store: StoreIdentifier, sockets: HostSockets,
    control: ControlServer
  ) {
    self.options = options
    self.store = store
    self.sockets = sockets
    controlServer = control
    let watched: [Int32] = [SIGCHLD, SIGINT, SIGTERM, SIGHUP, -1]
    signals = unsafe watched.withUnsafeBufferPointer {
      unsafe penstock_signal_descriptor($0.baseAddress)
    }
    if penstock_is_terminal(1) {
      liveLine = LiveLine(options.layout, store, shardCount: options.shardCount)
    }
  }

  /// Runs until it is told to stop; the exit status.
  func run() -> Int32 {
    penstock_ignore_pipe_signal()
    for shard in 0..<options.shardCount { roles.append(Managed(kind: .shard(shard))) }
    roles.append(Managed(kind: .preparer))
    roles.append(Managed(kind: .archiver))
    // The preparer first: a shard without a next segment would have to wait for it.
    for index in roles.indices.reversed() { start(index) }
    while true {
      waitForSomething()
      let now = System.monotonicNanoseconds()
      takeSignals(now)
      takeEndedChildren(now)
      for index in roles.indices {
        if let at = roles[index].startAt, now >= at, !isStopping { start(index) }
      }
      controlServer.serve { command in self.answer(command) }
      liveLine?.show(now)
      if isStopping, advanceStop(now) { return 0 }
    }
  }

  private func waitForSomething() {
    var timeout: Int64 = liveLine == nil ? 60_000_000_000 : liveLine?.nanosecondsToNext() ?? 0
    let now = System.monotonicNanoseconds()
    for role in roles {
      if let at = role.startAt { timeout = min(timeout, max(0, at - now)) }
    }
    if isStopping { timeout = min(timeout, 50_000_000) }
    let descriptors = [signals] + controlServer.descriptors
    _ = unsafe descriptors.withUnsafeBufferPointer {
      unsafe penstock_wait_readable(
        $0.baseAddress, Int32($0.count), Int32((timeout + 999_999) / 1_000_000))
    }
  }

  // MARK: - Roles

  private func start(_ index: Int) {
    roles[index].startAt = nil
    let processors = System.processorCount
    let result: Result<RoleProcess, FileError>
    switch roles[index].kind {
    case .shard(let shard):
      result = RoleProcess.start(
        arguments: options.shardArguments(shard, store), descriptors: sockets.descriptors[shard],
        names: options.listeners.map(\.scheme.name), processor: Int32(shard % processors),
        isIdle: false)
    case .preparer:
      result = RoleProcess.start(
        arguments: options.preparerArguments(store), descriptors: [], names: [], processor: -1,
        isIdle: false)
    case .archiver:
      result = RoleProcess.start(
        arguments: options.archiverArguments(store), descriptors: [], names: [], processor: -1,
        isIdle: true)
    }
    switch result {
    case .success(let process): roles[index].process = process
    case .failure(let error):
      say("cannot start \(roles[index].name): \(error)")
      roles[index].startAt = System.monotonicNanoseconds() + 1_000_000_000
    }
  }

  private func takeEndedChildren(_ now: Int64) {
    var status: Int32 = 0
    while true {
      let identifier = unsafe penstock_next_ended_child(&status)
      guard identifier > 0 else { return }
      guard let index = roles.firstIndex(where: { $0.process?.processIdentifier == identifier })
      else { continue }
      roles[index].process?.closeControl()
      roles[index].process = nil
      guard !isStopping else { continue }
      noteEnd(index, status, now)
    }
  }

  private func noteEnd(_ index: Int, _ status: Int32, _ now: Int64) {
    let name = roles[index].name
    let lostDurability = status == ShardProcess.Status.durabilityLost.rawValue
    let how = status >= 128 ? "killed by signal \(status - 128)" : "ended with status \(status)"
    switch roles[index].policy.decide(now: now, lostDurability: lostDurability) {
    case .restart(let pause):
      roles[index].startAt = now + pause
      say("\(name) \(how); starting it again" + (pause > 0 ? " in \(pause / 1_000_000) ms" : ""))
    case .leaveDown:
      roles[index].isLeftDown = true
      say(
        "\(name) \(how) three times within a minute; it is left down and its events stay readable. "
          + "Look at its device, then restart penstock")
      if case .shard(let shard) = roles[index].kind {
        for (listener, dropped) in sockets.close(shard: shard, options) {
          say("\(name): the kernel dropped \(dropped) buffers on \(listener)")
        }
      }
    }
  }

  // MARK: - Stopping

  private func takeSignals(_ now: Int64) {
    while true {
      switch penstock_next_signal(signals) {
      case 0: return
      case SIGINT, SIGTERM, SIGHUP:
        guard !isStopping else { continue }
        isStopping = true
        stopDeadline = now + Host.stopNanosecondsMax
        for role in roles {
          if case .shard = role.kind { role.process?.send(UInt8(ascii: "T")) }
        }
      default: break
      }
    }
  }

  /// Shards stop first, so that what they seal is still archived; true when all have ended.
  private func advanceStop(_ now: Int64) -> Bool {
    if now >= stopDeadline {
      for role in roles {
        guard let process = role.process else { continue }
        say("\(role.name) did not stop in time and is killed")
        process.kill()
      }
      stopDeadline = now + Host.stopNanosecondsMax
    }
    let shardsRun = roles.contains { role in
      if case .shard = role.kind { return role.process != nil }
      return false
    }
    guard !shardsRun else { return false }
    for index in roles.indices where roles[index].process != nil {
      roles[index].process?.send(UInt8(ascii: "T"))
    }
    return roles.allSatisfy { $0.process == nil }
  }

  // MARK: - Control

  private func answer(_ command: String) -> String {
    switch command {
    case "seal":
      for role in roles {
        if case .shard = role.kind { role.process?.send(UInt8(ascii: "S")) }
      }
      return "OK\n"
    case "status":
      return roles.map { role in
        let state = role.process.map { "pid=\($0.processIdentifier)" }
          ?? (role.isLeftDown ? "down" : "starting")
        return "\(role.name) \(state)\n"
      }.joined() + "OK\n"
    default: return "ERR unknown command; expected 'seal' or 'status'\n"
    }
  }

  private func say(_ text: String) { ShardProcess.say("host", text) }
}
