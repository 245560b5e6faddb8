// Windows with reads on their way, on real files: what is seen is what a window without them sees.

import PenstockCore
import Testing

/// Real files of which queued reads fail, or end early: the descriptors it gives out are those of a
/// folder, and only its own `read` knows the file behind each.
private final class RefusingFiles: FileSystem {
  private let files = LinuxFileSystem()
  private let path: String
  /// Bytes the file is said to have beyond those it has.
  private let extra: Int
  private let refuses: Bool

  init(path: String, refuses: Bool, extra: Int = 0) {
    self.path = path
    self.refuses = refuses
    self.extra = extra
  }

  var queuesReads: Bool { true }

  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> File {
    guard refuses else { return try files.open(path, mode) }
    return try files.open(String(path.dropLast(path.split(separator: "/").last?.count ?? 0)), .read)
  }

  func byteCount(_ file: File) throws(FileError) -> Int {
    let real = try files.open(path, .read)
    defer { files.close(real) }
    return try files.byteCount(real) + extra
  }

  func read(_ file: File, into memory: inout AlignedBuffer, _ range: ByteRange, at offset: Int)
    throws(FileError) -> Int
  {
    let real = try files.open(path, .read)
    defer { files.close(real) }
    return try files.read(real, into: &memory, range, at: offset)
  }

  func close(_ file: File) { files.close(file) }
  func directAlignment(_ file: File) -> Int { files.directAlignment(file) }
  func dropCache(_ file: File) { files.dropCache(file) }

  func list(_ path: String) throws(FileError) -> [String] { try files.list(path) }
  func makeDirectory(_ path: String) throws(FileError) { try files.makeDirectory(path) }
  func rename(_ path: String, to other: String) throws(FileError) {
    try files.rename(path, to: other)
  }
  func unlink(_ path: String) throws(FileError) { try files.unlink(path) }
  func syncDirectory(_ path: String) throws(FileError) { try files.syncDirectory(path) }
  func space(_ path: String) throws(FileError) -> (free: Int, total: Int) { try files.space(path) }
  func write(_ file: File, from memory: borrowing AlignedBuffer, _ range: ByteRange, at offset: Int)
    throws(FileError)
  { try files.write(file, from: memory, range, at: offset) }
  func syncData(_ file: File) throws(FileError) { try files.syncData(file) }
  func syncFile(_ file: File) throws(FileError) { try files.syncFile(file) }
  func allocate(_ file: File, byteCount: Int) throws(FileError) {
    try files.allocate(file, byteCount: byteCount)
  }
  func truncate(_ file: File, byteCount: Int) throws(FileError) {
    try files.truncate(file, byteCount: byteCount)
  }
  func lock(_ file: File, waiting milliseconds: Int) throws(FileError) -> Bool {
    try files.lock(file, waiting: milliseconds)
  }
}

struct ReadAheadTests {
  private let folder: TestFolder
  private var path: String { folder.path + "/f" }

  init() throws { folder = try TestFolder() }

  private func write(_ bytes: [UInt8], to path: String) throws {
    let files = LinuxFileSystem()
    let file = try files.open(path, .createIfMissing)
    defer { files.close(file) }
    try files.truncate(file, byteCount: 0)
    var memory = AlignedBuffer(byteCount: max(1, bytes.count))
    memory.copy(bytes.rawSpan, to: 0)
    try files.write(file, from: memory, 0..<bytes.count, at: 0)
    try files.syncFile(file)
  }

  private static let pattern = (0..<(5 << 20)).map {
    UInt8(truncatingIfNeeded: ($0 &* 0x9E37_79B9) >> 16)
  }

  private func pattern(_ count: Int) -> [UInt8] { Array(ReadAheadTests.pattern[..<count]) }

  private static let counts = [1, 61, 193, 254, 4096, 65_536, 65_537, 200_000, 458_752, 500_000]

  /// Whether the window shows the bytes of the file; by checksum, which is quick without optimising.
  private func holds<Files: FileSystem>(
    _ window: borrowing FileWindow<Files>, _ range: ByteRange, of bytes: [UInt8]
  ) -> Bool {
    window.bytes(range).checksum() == bytes.rawSpan.extracting(range).checksum()
  }

  /// Walks through the file mostly forward, and compares every byte the window says it holds.
  private func walk<Files: FileSystem>(
    _ window: inout FileWindow<Files>, _ bytes: [UInt8], seed: UInt64, jumps percent: Int
  ) throws {
    var random = TestRandom(seed: seed)
    var offset = 0
    for step in 0..<200 {
      if offset >= bytes.count || random.chance(percent) {
        offset = Int.random(in: 0..<bytes.count, using: &random)
      }
      let wanted = ReadAheadTests.counts.randomElement(using: &random) ?? 1
      let end = try window.hold(offset, count: wanted)
      let least = min(offset + wanted, bytes.count)
      try #require(end >= least && end <= bytes.count, "step \(step) at \(offset), seed \(seed)")
      let same = holds(window, offset..<end, of: bytes)
      try #require(same, "step \(step): \(offset)..<\(end), seed \(seed)")
      offset = random.chance(50) ? end : min(end, offset + wanted)
    }
  }

  @Test(arguments: [0, 1, 4096, 458_752, 458_753, 5 << 20, 5_000_001], [true, false])
  func `any part of a file is read, in any order`(_ count: Int, _ pastCache: Bool) throws {
    let bytes = pattern(count)
    try write(bytes, to: path)
    for queues in [true, false] {
      var window = FileWindow(
        LinuxFileSystem(queuesReads: queues), readsPastCache: pastCache, readsAhead: true)
      for seed in UInt64(1)...4 {
        try window.open(path)
        #expect(window.fileByteCount == count)
        if count == 0 {
          #expect(try window.hold(0) == 0)
        } else {
          try walk(&window, bytes, seed: seed, jumps: seed % 2 == 0 ? 10 : 0)
          // The widest look there is, with reads on their way.
          #expect(try window.hold(0, count: 1 << 20) >= min(1 << 20, count))
          let same = holds(window, 0..<min(1 << 20, count), of: bytes)
          #expect(same)
        }
        try window.checkReadable()
      }
    }
  }

  @Test func `what a queued read did not give is read again`() throws {
    let bytes = pattern(3_000_001)
    try write(bytes, to: path)
    let refusing = RefusingFiles(path: path, refuses: true)
    var window = FileWindow(refusing, readsPastCache: false, readsAhead: true)
    try window.open(path)
    try walk(&window, bytes, seed: 7, jumps: 5)
    try window.checkReadable()
  }

  @Test func `a file that is shorter than it was ends where it ends`() throws {
    let bytes = pattern(2_000_000)
    try write(bytes, to: path)
    let lying = RefusingFiles(path: path, refuses: false, extra: 1_000_000)
    var window = FileWindow(lying, readsPastCache: true, readsAhead: true)
    try window.open(path)
    var offset = 0
    while offset < window.fileByteCount {
      let end = try window.hold(offset, count: min(4096, window.fileByteCount - offset))
      guard end > offset else { break }
      let same = holds(window, offset..<end, of: bytes)
      #expect(same)
      offset = end
    }
    #expect(offset == bytes.count)
    #expect(window.fileByteCount == bytes.count)
  }

  @Test func `memory does not grow with the file`() throws {
    let files = LinuxFileSystem()
    var window = FileWindow(files, readsPastCache: true, readsAhead: true)
    let least = window.memoryByteCount
    #expect(least <= 2 << 20)
    for byteCount in [4 << 20, 64 << 20] {
      try write([], to: path)
      let file = try files.open(path, .write)
      try files.truncate(file, byteCount: byteCount)
      files.close(file)
      try window.open(path)
      var offset = 0
      while offset < byteCount { offset = try window.hold(offset) }
      #expect(window.memoryByteCount == least)
    }
  }

  /// Segments with batches of all sizes, some of them damaged.
  private func damagedSegment(_ random: inout TestRandom) -> [UInt8] {
    var writer = TestSegmentWriter()
    var batches: [TestBatch] = []
    for number in UInt64(1)...12 {
      let size = [10, 4000, 60_000, 470_000, 900_000].randomElement(using: &random) ?? 10
      batches.append(
        TestBatch(
          number: number, first: number, durable: number > 2 ? number - 2 : 0,
          payloads: [String(repeating: "x", count: size)]))
    }
    var bytes = writer.segment(
      1, batches, filler: random.chance(50) ? Byte.lineFeed : Byte.null)
    bytes += Array(repeating: Byte.lineFeed, count: Int.random(in: 0..<2_000_000, using: &random))
    for _ in 0..<Int.random(in: 0...3, using: &random) {
      bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 0x20
    }
    return bytes
  }

  @Test(arguments: UInt64(1)...12)
  func `a segment reads the same with reads on their way and without`(_ seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let layout = StoreLayout(root: folder.path)
    try LinuxFileSystem().makeDirectory(layout.live)
    let name = SegmentName(log: LogNumber(0), number: SegmentNumber(1))
    try write(damagedSegment(&random), to: layout.segment(name))
    func scan(queues: Bool, pastCache: Bool) throws -> SegmentScan {
      var scanner = SegmentScanner(
        LinuxFileSystem(queuesReads: queues), layout, store: TestSegmentWriter.store,
        readsPastCache: pastCache, keepsEvery: true)
      return try scanner.scan(name)
    }
    let plain = try scan(queues: false, pastCache: false)
    #expect(try scan(queues: true, pastCache: true) == plain)
    #expect(try scan(queues: false, pastCache: true) == plain)
  }
}
