// What whoever archives does beside archiving, in a daemon and in a program with a store inside.
//
//     now and then            orders to erase, the manifest's length, tables whose time has come
//     when nothing waits      tables are joined, a step at a time
//
// It outlives the archiver it looks after: the clock it watches for steps is of the process, not of
// one opening of the archive.

package import PenstockCore

/// Keeps an archive as its settings ask for.
package struct ArchiveUpkeep: Sendable {
  private let tell: @Sendable (String) -> Void
  private var clock: RetentionClock?
  /// When to look for tables to join again, in monotonic nanoseconds.
  private var joinsAgainAt: Int64 = 0
  /// When to do the rest again, in monotonic nanoseconds.
  private var tendsAgainAt: Int64 = 0

  /// Pause between two looks, in nanoseconds, at least.
  static let lookNanoseconds: Int64 = 1_000_000_000
  /// The pause is at least so many times what a look takes: with many tables it takes longer.
  static let lookFactor: Int64 = 100
  /// Pause after a join met a full disk, in nanoseconds.
  static let fullNanoseconds: Int64 = 60_000_000_000

  /// - Parameter tell: takes what there is to say to people.
  package init(_ tell: @escaping @Sendable (String) -> Void) { self.tell = tell }

  /// An archiver has read the manifest and goes to work: looks are due.
  package mutating func begin<Files: FileSystem>(_ archiver: borrowing Archiver<Files>) {
    lookAtOnce()
    guard clock == nil else { return }
    clock = RetentionClock(
      newest: archiver.manifest.newest, realtime: System.now(),
      monotonic: System.monotonicNanoseconds())
  }

  /// The archive has changed, and somebody waits: looks are due.
  package mutating func lookAtOnce() {
    joinsAgainAt = 0
    tendsAgainAt = 0
  }

  /// Does what is done now and then, when it is due.
  package mutating func tend<Files: FileSystem>(_ archiver: inout Archiver<Files>)
    throws(ArchiveError)
  {
    let began = System.monotonicNanoseconds()
    guard began >= tendsAgainAt else { return }
    try erase(&archiver)
    try archiver.shortenManifest()
    try expire(&archiver)
    tendsAgainAt = ArchiveUpkeep.nextLook(after: began)
  }

  /// Goes on joining tables; false when there is nothing to join.
  package mutating func join<Files: FileSystem>(_ archiver: inout Archiver<Files>)
    throws(ArchiveError) -> Bool
  {
    let began = System.monotonicNanoseconds()
    guard began >= joinsAgainAt else { return false }
    do throws(ArchiveError) {
      switch try archiver.merge() {
      case .nothing:
        joinsAgainAt = ArchiveUpkeep.nextLook(after: began)
        return false
      case .refused(let why): tell(why)
      case .working, .joined: break
      }
      return true
    } catch {
      // What is held back is for handing segments over.
      guard error.isDiskFull else { throw error }
      joinsAgainAt = System.monotonicNanoseconds() + ArchiveUpkeep.fullNanoseconds
      return false
    }
  }

  /// When to look again after a look that began at `began`.
  private static func nextLook(after began: Int64) -> Int64 {
    let now = System.monotonicNanoseconds()
    return now + max(lookNanoseconds, lookFactor * (now - began))
  }

  /// Lets tables go whose time has come.
  private mutating func expire<Files: FileSystem>(_ archiver: inout Archiver<Files>)
    throws(ArchiveError)
  {
    let now = System.now()
    guard clock?.mayExpire(realtime: now, monotonic: System.monotonicNanoseconds()) ?? false else {
      return
    }
    for expiry in try archiver.expire(now: now) {
      tell(
        "archive/\(expiry.table.name) expired by \(expiry.reason.rawValue): "
          + "\(expiry.table.eventCount) events up to \(expiry.table.latest.text)")
    }
  }

  /// Takes orders to erase.
  private mutating func erase<Files: FileSystem>(_ archiver: inout Archiver<Files>)
    throws(ArchiveError)
  {
    while true {
      switch try archiver.erase() {
      case .nothing: return
      case .taken(let what), .refused(let what): tell(what)
      case .working: break
      }
      // What there is to be written anew is not to wait.
      joinsAgainAt = 0
    }
  }
}
