// Everything around one shard: its kernel, its disk, its clients, and time. One step at a time, each
// chosen by the seed, while the shard waits for completions.
//
//     shard ── submitAndWait ──▶ World.run: step, step, … ──▶ completions, in any legal order
//                                   │
//                                   ├ a write lands, whole, short or not at all; a sync ends
//                                   ├ bytes arrive or leave, in pieces; a datagram comes
//                                   ├ a client sends or reads; the preparer, the archiver, a reader
//                                   └ time passes
//
// A life ends after a number of steps, the way its plan says. The world outlives it: writes that
// were on their way, what clients know, and the disk.

internal import PenstockCore

/// How a life of the shard ends.
package enum Ending: String, CaseIterable, Sendable {
  case kill, powerCut, stop, orphan, brokenDisk
}

/// A batch on its way to the disk.
struct Flight {
  enum Stage { case submitted, landed }
  var process: Int
  var inode: Int
  var offset: Int
  var range: ByteRange
  /// The bytes, once the memory they lay in is gone.
  var bytes: [UInt8]?
  var token: Token
  var stage = Stage.submitted
  /// Its completion was given out before its time.
  var isReported = false
}

/// What a shard's kernel has queued.
struct KernelQueues {
  var accepts: [(listener: Int, token: Token)] = []
  var receives: [(descriptor: Int32, token: Token)] = []
  var datagrams: [(listener: Int, token: Token)] = []
  var sends: [(descriptor: Int32, range: ByteRange, token: Token)] = []
  var watch: Token?
  var ready: [Completion] = []
  var freeStreams: [Int] = []
  var freeDatagrams: [Int] = []
  /// The file in each slot.
  var slots: [Int: Int] = [:]
}

/// The world of one simulation.
final class World {
  let disk: SimulatedDisk
  let limits: Limits
  let canary: Canary?
  var random: SeededRandom
  var network = SimulatedNetwork()
  var queues = KernelQueues()
  var flights: [Flight] = []
  var memory: KernelMemory?
  var process = 0
  var now: Int64 = 1_000_000_000
  /// Nanoseconds since 1970 at `now` 0: 2026-11-21T00:00:00Z.
  let epoch: Int128 = 1_795_219_200_000_000_000
  var controlBytes: [UInt8] = []
  var hostIsGone = false
  var stepsLeft = 0
  var ending = Ending.kill
  var hasBegunToEnd = false
  var stepCount = 0
  var watermarks = Watermarks()
  /// The file the shard wrote to last, and its number.
  var activeInode: Int?
  var lastActiveNumber: UInt64 = 0
  /// What else happens: clients and the other roles.
  var background: (World) throws(Finding) -> Void = { _ in }
  var finding: Finding?

  init(_ disk: SimulatedDisk, _ limits: Limits, random: SeededRandom, canary: Canary?) {
    self.disk = disk
    self.limits = limits
    self.random = random
    self.canary = canary
  }

  var wallTime: Timestamp { Timestamp(nanosecondsSince1970: epoch + Int128(now)) }

  // MARK: - Waiting

  static let died = FileError(.read, "the simulated machine", code: SimulatedFiles.killedCode)

  /// Runs until `count` completions are there or the time is over.
  func run(count: Int, timeoutNanoseconds: Int64) throws(FileError) {
    let deadline = timeoutNanoseconds < 0 ? Int64.max : now &+ timeoutNanoseconds
    var spare = random.below(3)
    while true {
      if finding != nil { throw World.died }
      stepsLeft -= 1
      if stepsLeft <= 0 { try end() }
      if count == 0 || queues.ready.count >= count {
        if spare == 0 { return }
        spare -= 1
      } else if now >= deadline {
        return
      }
      do throws(Finding) {
        try step(deadline)
      } catch {
        finding = error
        throw World.died
      }
    }
  }

  /// Ends the life, at once or by and by.
  private func end() throws(FileError) {
    switch ending {
    case .kill, .powerCut: throw World.died
    case .stop, .orphan, .brokenDisk:
      guard !hasBegunToEnd else { throw World.died }
      hasBegunToEnd = true
      stepsLeft = 200_000
      if ending == .stop { controlBytes.append(UInt8(ascii: "T")) }
      if ending == .orphan { hostIsGone = true }
      if ending == .brokenDisk {
        var faults = DiskFaults()
        switch random.below(3) {
        case 0: faults.writeFails = 60
        case 1: faults.writeIsShort = 60
        default: faults.syncFails = 60
        }
        disk.setFaults(faults)
        stepsLeft = 3000
      }
    }
  }

  private func step(_ deadline: Int64) throws(Finding) {
    stepCount += 1
    switch random.below(10) {
    case 0, 1, 2: if try moveFlight() { return }
    case 3, 4, 5: if moveNetwork() { return }
    case 6, 7:
      try background(self)
      return
    default: break
    }
    let nap = Int64(random.chance(2) ? random.below(20_000_000) : random.below(50_000))
    now += max(1, min(nap, deadline - now))
  }

  func complete(_ token: Token, _ result: Int32) {
    queues.ready.append(Completion(token: token, result: result))
  }

  /// Takes a completion; any may come first.
  func nextCompletion() -> Completion? {
    guard !queues.ready.isEmpty else { return nil }
    return queues.ready.remove(at: random.below(queues.ready.count))
  }
}
