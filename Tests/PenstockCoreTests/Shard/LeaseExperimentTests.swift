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
  /// Writes on their way at once: what keeps the disk busy for long after a kill, and what the
  /// fallback's queue takes.
  private static func partCount(_ backend: Backend) -> Int { backend == .ring ? 24 : 16 }
  private static func partByteCount(_ backend: Backend) -> Int {
    backend == .ring ? 4 << 20 : 1 << 20
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
    var changed: Int
    /// Writes the disk had before it when the lease was won; 0 where that cannot be told.
    var inFlight: Int
  }

  @Test(arguments: Backend.available)
  func `after a kill no write lands behind the successor's first`(_ backend: Backend) throws {
    let folder = try TestFolder()
    var waits: [Int64] = []
    var early = 0
    for run in 0..<LeaseExperimentTests.runCount {
      let outcome = try kill(backend, isKept: true, in: folder)
      #expect(outcome.changed == 0, "run \(run) on \(backend)")
      waits.append(outcome.waited)
      if outcome.inFlight >= LeaseExperimentTests.partCount(backend) / 2 { early += 1 }
    }
    waits.sort()
    func milliseconds(_ part: Double) -> Double {
      Double(waits[min(waits.count - 1, Int(Double(waits.count) * part))]) / 1e6
    }
    print(
      "lease on \(backend): \(waits.count) kills with \(LeaseExperimentTests.partCount(backend)) "
        + "writes of \(LeaseExperimentTests.partByteCount(backend) >> 10) KiB on their way, no block "
        + "changed behind it; won while most were on their way: \(early); from kill to lease "
        + "\(milliseconds(0.5)) ms median, \(milliseconds(1)) ms at most")
  }

  /// The same with a descriptor like any other: what the experiment is to see can be seen. Whether
  /// the disk lets a late write land behind a later one is its own affair; that the lock is won
  /// while they are on their way is what the lease prevents. Only in long runs, since a quick disk
  /// may hide it in a few, and on a machine with nothing else to write.
  @Test(.enabled(if: Backend.available.contains(.ring) && runCount >= 100))
  func `an ordinary lock is won while writes are on their way`() throws {
    let folder = try TestFolder()
    var early = 0
    var changed = 0
    for _ in 0..<LeaseExperimentTests.runCount {
      let outcome = try kill(.ring, isKept: false, in: folder)
      if outcome.inFlight >= LeaseExperimentTests.partCount(.ring) / 2 { early += 1 }
      changed += outcome.changed
    }
    print(
      "ordinary lock on ring: won while most writes were on their way in \(early) of "
        + "\(LeaseExperimentTests.runCount) kills; \(changed) blocks changed behind it")
    #expect(early > 0, "the experiment sees writes on their way")
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
    let inFlight = try writesInFlight(data)
    let changed = try succeed(files, data, count, size)
    files.close(lease.file)
    process.waitUntilExit()
    return Outcome(waited: waited, changed: changed, inFlight: inFlight)
  }

  /// Writes the disk that holds a file has not finished, as the kernel counts them.
  private func writesInFlight(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    guard let device = attributes[.systemNumber] as? Int else { return 0 }
    let name = "/sys/dev/block/\(device >> 8 & 0xFFF):\(device & 0xFF)/inflight"
    guard let text = System.contents(ofFile: name, byteCountMax: 8192) else { return 0 }
    let words = String(decoding: text, as: UTF8.self).split { $0 == " " || $0 == "\n" }
    return words.count > 1 ? Int(words[1]) ?? 0 : 0
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
