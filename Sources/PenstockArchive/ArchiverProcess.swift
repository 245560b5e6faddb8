// The archiver as a process: takes the archive's lock, archives what is settled, sleeps.
//
//     lock ─▶ open ─▶ pass ─▶ pass … ─▶ join tables, a step at a time ─▶ sleep ─▶ look …
//       ▲       ▲       └─ trouble: say it once, wait, open again
//       │       └── 'T': exit 0 after this pass, or when told so, once all that is settled is archived
//       └── another process archives: say it once, wait                the pipe ends: exit
//
// It runs in the idle classes of processor and disk, and in the normal ones while what waits takes
// more of the file system than is left: bursts of ingest go first, and the disk does not fill for
// want of archiving. Nothing but the host ends it.

internal import CShims
package import PenstockCore

/// Runs the archiver in this process.
package enum ArchiverProcess {
  /// Pauses between looks and after trouble, in milliseconds.
  static let lookMilliseconds: Int32 = 50
  static let troubleMilliseconds: Int32 = 1000
  /// How long who asked for a seal waits for it, in nanoseconds.
  static let sealNanoseconds: Int64 = 60_000_000_000
  /// How long a killed predecessor may still hold the archive's lock, in milliseconds.
  static let lockMilliseconds = 2000

  /// Runs until the control pipe says stop or ends; the exit status.
  /// - Parameters:
  ///   - control: the read end of the host's pipe.
  ///   - finishes: archive everything that is settled before a stop.
  package static func run(
    layout: StoreLayout, store: StoreIdentifier, control: Int32, finishes: Bool = false
  ) -> Int32 {
    _ = penstock_set_nonblocking(control, true)
    var loop = ArchiverLoop(LinuxFileSystem(), layout, store, control, finishes: finishes)
    return loop.run()
  }
}

/// The loop of the process.
private struct ArchiverLoop<Files: FileSystem> {
  private let files: Files
  private let layout: StoreLayout
  private let store: StoreIdentifier
  private let control: Int32
  /// What was said last: the same trouble is not said again.
  private var said = ""
  private var isIdle = true
  private let finishes: Bool
  /// Whether it was told to stop once everything is archived.
  private var isFinishing = false
  private var upkeep = ArchiveUpkeep { ShardProcess.say("archiver", $0) }
  /// Until when somebody waits for what is sealed, in monotonic nanoseconds.
  private var awaitedUntil: Int64 = 0

  private enum Pause { case over, stop }

  init(
    _ files: Files, _ layout: StoreLayout, _ store: StoreIdentifier, _ control: Int32,
    finishes: Bool
  ) {
    self.finishes = finishes
    self.files = files
    self.layout = layout
    self.store = store
    self.control = control
  }

  mutating func run() -> Int32 {
    while true {
      do throws(FileError) {
        let lock = try files.open(layout.archiveLock, .createIfMissing)
        defer { files.close(lock) }
        if try files.lock(lock, waiting: ArchiverProcess.lockMilliseconds) { return archive() }
        say("\(layout.archiveLock) is held: another process archives this store; waiting for it")
      } catch {
        say(error.description)
      }
      if isFinishing { return 1 }
      if pause(ArchiverProcess.troubleMilliseconds) == .stop { return 0 }
    }
  }

  /// Archives until it is told to stop.
  private mutating func archive() -> Int32 {
    while true {
      do throws(ArchiveError) {
        var archiver = try Archiver(files, layout, store: store, settings: try settings())
        upkeep.begin(archiver)
        while true {
          let pass = try archiver.pass()
          said = ""
          report(pass)
          setPriority(isBehind: try archiver.isBehind(wasBehind: !isIdle))
          let isDone = pass.segmentCount == 0
          if isFinishing, isDone { return 0 }
          try upkeep.tend(&archiver)
          let joins = isDone && !isFinishing ? try upkeep.join(&archiver) : false
          if pause(isDone && !joins ? ArchiverProcess.lookMilliseconds : 0) == .stop { return 0 }
        }
      } catch {
        say(error.description)
        if error.isDiskFull, Reserve.take(files, layout, byteCount: Int.max) > 0 {
          ShardProcess.say("archiver", "the disk is full; going on with what was held back for it")
          continue
        }
      }
      if isFinishing { return 1 }
      if pause(ArchiverProcess.troubleMilliseconds) == .stop { return 0 }
    }
  }

  private func settings() throws(ArchiveError) -> ArchiveSettings {
    do throws(FileError) {
      return try ArchiveSettings.read(files, layout)
    } catch {
      throw .file(error)
    }
  }

  /// Idle while it keeps up and nobody waits for it.
  private mutating func setPriority(isBehind: Bool) {
    let isAwaited = isFinishing || System.monotonicNanoseconds() < awaitedUntil
    guard (isBehind || isAwaited) == isIdle else { return }
    isIdle = !isIdle
    _ = penstock_set_idle(isIdle)
  }

  private func report(_ pass: ArchivePass) {
    for damage in pass.damage { ShardProcess.say("archiver", damage.description) }
    if pass.unreadableCount > 0 {
      ShardProcess.say(
        "archiver",
        "\(pass.unreadableCount) lines are not event lines; their batches were copied to "
          + layout.quarantine)
    }
  }

  private mutating func say(_ text: String) {
    if text != said { ShardProcess.say("archiver", text) }
    said = text
  }

  /// Waits for the host's word.
  private mutating func pause(_ milliseconds: Int32) -> Pause {
    var descriptor = control
    guard unsafe penstock_wait_readable(&descriptor, 1, milliseconds) > 0 else { return .over }
    while true {
      let byte = penstock_read_byte(control)
      if byte == Int32(UInt8(ascii: "T")) {
        guard finishes else { return .stop }
        isFinishing = true
      }
      if byte == Int32(ControlByte.seal) {
        awaitedUntil = System.monotonicNanoseconds() + ArchiverProcess.sealNanoseconds
        // The host has seen to it: idle, it might not have got to read this.
        isIdle = false
      }
      if byte == -System.again { return .over }
      if byte < 0 { return .stop }
    }
  }
}
