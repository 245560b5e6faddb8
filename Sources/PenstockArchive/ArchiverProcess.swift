// The archiver as a process: takes the archive's lock, archives what is settled, sleeps.
//
// It runs in the idle class while it keeps up and in the normal one while it is behind, so that
// ingest has the processor first and the disk does not fill unnoticed. Trouble is said once and
// tried again later: nothing but the end of the host ends it.

internal import CShims
package import PenstockCore

/// Runs the archiver in this process.
package enum ArchiverProcess {
  /// Settled segments in one log from which it counts as behind.
  static let behindCount = 4
  /// Pauses between looks and after trouble, in milliseconds.
  static let lookMilliseconds: Int32 = 50
  static let troubleMilliseconds: Int32 = 1000
  /// How long a killed predecessor may still hold the archive's lock, in milliseconds.
  static let lockMilliseconds = 2000

  /// Runs until the control pipe says stop or ends; the exit status.
  package static func run(layout: StoreLayout, store: StoreIdentifier, control: Int32) -> Int32 {
    let files = LinuxFileSystem()
    _ = penstock_set_nonblocking(control, true)
    var said = ""
    var isIdle = true
    while true {
      do {
        let lock = try files.open(layout.archiveLock, .createIfMissing)
        defer { files.close(lock) }
        guard try files.lock(lock, waiting: lockMilliseconds) else {
          throw CommandTrouble("\(layout.archiveLock) is held: another process archives this store")
        }
        var archiver = try Archiver(files, layout, store: store)
        while true {
          let pass = try archiver.pass()
          said = ""
          let isBehind = archiver.waitingCount > behindCount
          if isBehind == isIdle {
            isIdle = !isBehind
            _ = penstock_set_idle(isIdle)
          }
          let pause = pass.segmentCount > 0 ? 0 : lookMilliseconds
          if shouldStop(control, pause) { return 0 }
        }
      } catch {
        let text = "\(error)"
        // A log that was being archived or recovered meanwhile is no trouble.
        if text != said, !isPassing(error) { ShardProcess.say("archiver", text) }
        said = text
        if shouldStop(control, isPassing(error) ? lookMilliseconds : troubleMilliseconds) {
          return 0
        }
      }
    }
  }

  private struct CommandTrouble: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
  }

  private static func isPassing(_ error: any Error) -> Bool {
    if case .log(.changed)? = error as? ArchiveError { return true }
    return false
  }

  /// Waits; true when the host says stop or is gone.
  private static func shouldStop(_ control: Int32, _ milliseconds: Int32) -> Bool {
    var descriptor = control
    guard unsafe penstock_wait_readable(&descriptor, 1, milliseconds) > 0 else { return false }
    let byte = penstock_read_byte(control)
    return byte == Int32(UInt8(ascii: "T")) || byte < 0
  }
}
