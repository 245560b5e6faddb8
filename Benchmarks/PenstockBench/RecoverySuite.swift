// How quickly recovery reads open segments, and how soon a killed store serves again.
//
// A round: write a log, then recover it, and read the same file without looking at it, in turns which
// comes first; then a real `penstock serve` starts on such a log with two prepared segments of
// the same size behind it, as a kill leaves them. All reading is past the page cache.

internal import CShims
internal import LoadGenerator
internal import PenstockCore

/// Recoveries of one log, timed.
package struct RecoverySuite {
  package struct Round {
    /// Recovery as a whole, and its reading: the rest is fresh segment and recovery batch.
    package var nanoseconds: Int64 = 0
    package var readingNanoseconds: Int64 = 0
    /// The drive alone, reading the same.
    package var driveNanoseconds: Int64 = 0
    /// From starting the program until its shard serves; nil when that was not measured.
    package var startNanoseconds: Int64?
    package var eventCount = 0
    /// Resident memory of this process at its highest so far, in bytes.
    package var peakByteCount: Int64 = 0
  }

  private let files: LinuxFileSystem
  private let folder: String
  private let layout: StoreLayout
  private let log: RecoveryLog
  /// The program to start, or nil.
  private let program: String?
  private let serveArguments: [String]
  package let segmentByteCount: Int
  package private(set) var rounds: [Round] = []

  /// Size of the segment recovery makes, in bytes: a shard's.
  private static let freshByteCount = 4 << 20
  /// Segments that are ready behind the active one.
  package static let preparedCount = 2
  /// Size of one read of the drive alone, in bytes.
  private static let driveReadByteCount = 1 << 20

  /// - Parameters:
  ///   - folder: an empty folder on the file system to measure.
  ///   - program: this program, to be started; nil measures no starts.
  ///   - usesRing: whether reads may go ahead by io_uring.
  package init(folder: String, segmentByteCount: Int, program: String?, usesRing: Bool) throws {
    self.folder = folder
    self.segmentByteCount = segmentByteCount
    self.program = program
    files = LinuxFileSystem(queuesReads: usesRing)
    serveArguments = usesRing ? [] : ["--io", "poll"]
    layout = StoreLayout(root: folder + "/recovered")
    log = RecoveryLog(layout, StoreIdentifier(high: System.random(), low: System.random()))
    for path in [layout.root, layout.live, layout.quarantine] {
      try files.makeFolderIfMissing(path)
    }
  }

  /// One round.
  package mutating func runRound() throws {
    try Interruption.check()
    var round = Round()
    round.eventCount = try log.write(segmentByteCount: segmentByteCount)
    let isDriveFirst = rounds.count % 2 == 0
    if isDriveFirst { round.driveNanoseconds = try readDrive() }
    let recovered = try Recovery.run(
      files, layout, store: log.store, log: RecoveryLog.log, archivedThrough: .none,
      segmentByteCount: RecoverySuite.freshByteCount)
    guard recovered.damage.isEmpty else {
      throw BenchFailure("recovery found damage: \(recovered.damage[0])")
    }
    if !isDriveFirst { round.driveNanoseconds = try readDrive() }
    round.nanoseconds = recovered.durationNanoseconds
    round.readingNanoseconds = recovered.readingNanoseconds
    round.peakByteCount = penstock_resident_bytes(System.processIdentifier, true)
    if let program { round.startNanoseconds = try start(program) }
    rounds.append(round)
  }

  private func readDrive() throws -> Int64 {
    let path = layout.segment(
      SegmentName(log: RecoveryLog.log, number: SegmentNumber(1)))
    let result = unsafe bench_read(path, RecoverySuite.driveReadByteCount)
    guard result > 0 else {
      throw BenchFailure("cannot read past the page cache: \(System.message(for: Int32(-result)))")
    }
    return result
  }

  /// Makes a store, puts the log into it, and starts it again.
  private func start(_ program: String) throws -> Int64 {
    let folder = folder + "/started"
    let new = try ServedStore.start(program: program, folder: folder, arguments: serveArguments)
    let layout = new.layout
    try new.stop(keepsStore: true)
    guard let description = try StoreDescription.read(files, layout) else {
      throw BenchFailure("the store has no description")
    }
    _ = try RecoveryLog(layout, description.store).write(
      segmentByteCount: segmentByteCount, preparedCount: RecoverySuite.preparedCount)
    let start = System.monotonicNanoseconds()
    let store = try ServedStore.start(program: program, folder: folder, arguments: serveArguments)
    let end = System.monotonicNanoseconds()
    let recovered = try store.sample()[.activeSegment]
    try store.stop()
    guard recovered > UInt64(RecoverySuite.preparedCount) else {
      throw BenchFailure("the start did not recover the log")
    }
    return end - start
  }
}
