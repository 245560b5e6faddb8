import CShims
import Foundation
import PenstockCore
import Testing

/// A process that keeps many large direct writes on their way is killed, and a successor waits for
/// its lease: nothing of the dead process lands once the successor has it.
///
///     PENSTOCK_LEASE_RUNS   kills for each backend; default 3
@Suite(.serialized) struct LeaseExperimentTests {
  private static let runCount =
    ProcessInfo.processInfo.environment["PENSTOCK_LEASE_RUNS"].flatMap { Int($0) } ?? 3
  /// Writes on their way at once: what the fallback's queue takes, and a few dozen for the ring.
  private static func partCount(_ backend: Backend) -> Int { backend == .ring ? 384 : 16 }
  private static func partByteCount(_ backend: Backend) -> Int {
    backend == .ring ? 256 << 10 : 1 << 20
  }
  /// How long a late write is waited for, in seconds: none was seen later than 79 ms.
  private static let patience = 0.12

  private static let program: URL = {
    let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    return bundle.deletingLastPathComponent().appendingPathComponent("LeaseVictim")
  }()

  /// What became of one kill.
  private struct Outcome {
    /// From the kill to the lease, in nanoseconds.
    var waited: Int64
    /// Blocks the dead process changed after its successor had looked at them, or written them.
    var overwritten: Int
  }

  @Test(arguments: Backend.available)
  func `after a kill no write lands behind the successor's first`(_ backend: Backend) throws {
    let folder = try TestFolder()
    var waits: [Int64] = []
    for run in 0..<LeaseExperimentTests.runCount {
      let outcome = try kill(backend, isKept: true, in: folder)
      #expect(outcome.overwritten == 0, "run \(run) on \(backend)")
      waits.append(outcome.waited)
    }
    waits.sort()
    func milliseconds(_ part: Double) -> Double {
      Double(waits[min(waits.count - 1, Int(Double(waits.count) * part))]) / 1e6
    }
    print(
      "lease on \(backend): \(waits.count) kills with \(LeaseExperimentTests.partCount(backend)) "
        + "writes of \(LeaseExperimentTests.partByteCount(backend) >> 10) KiB on their way, no block changed behind it; from kill to lease "
        + "\(milliseconds(0.5)) ms median, \(milliseconds(1)) ms at most")
  }

  /// The same with a descriptor like any other: whether the experiment can see anything. Only in long
  /// runs, since a quick disk may hide it in a few.
  @Test(.enabled(if: Backend.available.contains(.ring) && runCount >= 100))
  func `with an ordinary lock, writes do land behind the successor's first`() throws {
    let folder = try TestFolder()
    var hurt = 0
    var blocks = 0
    var waits: [Int64] = []
    for _ in 0..<LeaseExperimentTests.runCount {
      let outcome = try kill(.ring, isKept: false, in: folder)
      if outcome.overwritten > 0 { hurt += 1 }
      blocks += outcome.overwritten
      waits.append(outcome.waited)
    }
    print(
      "ordinary lock on ring: \(blocks) blocks changed behind it in \(hurt) of "
        + "\(LeaseExperimentTests.runCount) kills; from kill to lock "
        + "\(Double(waits.sorted()[waits.count / 2]) / 1e6) ms median")
    #expect(hurt > 0, "the experiment sees late writes")
  }

  /// Starts a victim, kills it, takes its lease and writes over everything it wrote.
  private func kill(_ backend: Backend, isKept: Bool, in folder: TestFolder) throws -> Outcome {
    let files = LinuxFileSystem()
    let layout = StoreLayout(root: folder.path)
    try files.makeFolderIfMissing(layout.live)
    let count = LeaseExperimentTests.partCount(backend)
    let size = LeaseExperimentTests.partByteCount(backend)
    let data = folder.path + "/data-\(backend)"
    if !FileManager.default.fileExists(atPath: data) { try fill(files, data, count * size) }
    try? files.unlink(data + ".ready")
    let process = Process()
    process.executableURL = LeaseExperimentTests.program
    process.arguments = [
      backend.rawValue, isKept ? "kept" : "ordinary", folder.path, data, "\(count)",
      "\(size >> 10)",
    ]
    try process.run()
    for _ in 0..<20_000
    where process.isRunning && !FileManager.default.fileExists(atPath: data + ".ready") {
      usleep(500)
    }
    try #require(process.isRunning, "the victim writes")
    usleep(UInt32.random(in: 0...20_000))
    let killedAt = System.monotonicNanoseconds()
    penstock_signal(process.processIdentifier, SIGKILL)
    let lease = try Lease.acquire(files, layout, LogNumber(0), waiting: 10_000)
    let waited = System.monotonicNanoseconds() - killedAt
    let overwritten = try succeed(files, data, count, size)
    files.close(lease.file)
    process.waitUntilExit()
    return Outcome(waited: waited, overwritten: overwritten)
  }

  /// Writes every block of the file once, so that the victim's writes find blocks that were written.
  private func fill(_ files: LinuxFileSystem, _ data: String, _ byteCount: Int) throws {
    let file = try files.open(data, .create)
    defer { files.close(file) }
    let memory = AlignedBuffer(byteCount: 1 << 20)
    for offset in stride(from: 0, to: byteCount, by: memory.byteCount) {
      try files.write(file, from: memory, 0..<memory.byteCount, at: offset)
    }
    try files.syncFile(file)
    try #require(files.directAlignment(file) > 0, "\(data) takes direct writes")
  }

  /// The successor: looks at the front of some parts, which differs from write to write, writes over
  /// the end of every part, pauses, and looks again. How many blocks the dead process changed.
  private func succeed(
    _ files: LinuxFileSystem, _ data: String, _ count: Int, _ partByteCount: Int
  ) throws -> Int {
    let file = try files.open(data, .writeDirect)
    defer { files.close(file) }
    let size = AlignedBuffer.pageByteCount
    var memory = AlignedBuffer(byteCount: size)
    let looked = (0..<count).filter { $0 % max(1, count / 16) == 0 }.map { $0 * partByteCount }
    let ends = (1...count).map { $0 * partByteCount - size }
    func first(_ offset: Int) throws -> UInt8 {
      _ = try files.read(file, into: &memory, 0..<size, at: offset)
      return memory.bytes(0..<size).byte(at: 0)
    }
    let before = try looked.map(first)
    memory.fill(0..<size, with: UInt8(ascii: "s"))
    for offset in ends { try files.write(file, from: memory, 0..<size, at: offset) }
    try files.syncData(file)
    Thread.sleep(forTimeInterval: LeaseExperimentTests.patience)
    let after = try looked.map(first)
    var changed = zip(before, after).count { $0 != $1 }
    for offset in ends {
      _ = try files.read(file, into: &memory, 0..<size, at: offset)
      if !memory.bytes(0..<size).isAll(UInt8(ascii: "s"), in: 0..<size) { changed += 1 }
    }
    return changed
  }
}
