// Reads the lines of runs where they stand, and checks them.

internal import PenstockCore

/// Reads runs of one log through descriptors that stay open.
struct RunReader<Files: FileSystem>: ~Copyable {
  private let files: Files
  private let layout: StoreLayout
  private let log: LogNumber
  private var open: [UInt64: File] = [:]
  private var memory = AlignedBuffer(byteCount: 64 << 10)

  /// Segments kept open at once.
  private static var openCountMax: Int { 64 }

  init(_ files: Files, _ layout: StoreLayout, _ log: LogNumber) {
    self.files = files
    self.layout = layout
    self.log = log
  }

  deinit {
    for file in open.values { files.close(file) }
  }

  /// Lets go of segments that are archived, so that their room is free.
  mutating func close(through archived: SegmentNumber) {
    for (segment, file) in open where segment <= archived.value {
      files.close(file)
      open[segment] = nil
    }
  }

  /// Lends the lines of a run; false when they are not there any more, because they were archived.
  mutating func read(_ run: JournalRun, _ body: (RawSpan) -> Void) throws(ReadError) -> Bool {
    let count = Int(run.byteCount)
    if memory.byteCount < count { memory = AlignedBuffer(byteCount: 2 * count) }
    do throws(FileError) {
      let file = try file(run.segment)
      for attempt in 0..<2 {
        // The page cache may hold what stood there before the shard wrote past it.
        if attempt > 0 { files.dropCache(file) }
        guard try files.read(file, into: &memory, 0..<count, at: Int(run.offset)) == count,
          memory.bytes(0..<count).checksum() == run.checksum
        else { continue }
        body(memory.bytes(0..<count))
        return true
      }
    } catch {
      guard error.code == System.notFound else { throw .failed(error) }
    }
    return false
  }

  private mutating func file(_ segment: UInt64) throws(FileError) -> File {
    if let file = open[segment] { return file }
    if open.count >= RunReader.openCountMax, let oldest = open.keys.min(),
      let file = open.removeValue(forKey: oldest)
    {
      files.close(file)
    }
    let name = SegmentName(log: log, number: SegmentNumber(segment))
    let file = try files.open(layout.segment(name), .read)
    open[segment] = file
    return file
  }
}
