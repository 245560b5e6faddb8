// Reads the lines of runs where they stand, and checks them.
//
// A segment is opened when it is met, and stays readable when the archiver unlinks it: so journals that
// were written lately are read where they stand, at the cost of the page cache, and not from compressed
// tables. What is archived is let go after a while, when it is too much, when the disk has little room,
// and when something is to be erased.

internal import PenstockCore

/// Reads runs of one log through descriptors that stay open.
struct RunReader<Files: FileSystem>: ~Copyable {
  /// A segment that is open.
  private struct Held {
    var file: File
    var byteCount: Int
    /// When it was first seen to be archived, in nanoseconds.
    var archivedAt: Int64?
  }

  private let files: Files
  private let layout: StoreLayout
  private let log: LogNumber
  private var held: [UInt64: Held] = [:]
  private var newest: UInt64?
  private var memory = AlignedBuffer(byteCount: 64 << 10)
  private let archivedByteCountMax: Int

  /// Segments kept open at once, of this log: descriptors.
  private static var countMax: Int { 256 }
  /// Bytes of archived segments kept open, of all logs: disk space that is given back later.
  private static var archivedByteCountMax: Int { 512 << 20 }
  /// How long a segment stays open once it is archived, in nanoseconds: expired events are to be gone.
  private static var archivedNanoseconds: Int64 { 3_600_000_000_000 }

  /// - Parameter width: logs that share the limit of bytes.
  init(_ files: Files, _ layout: StoreLayout, _ log: LogNumber, width: Int) {
    self.files = files
    self.layout = layout
    self.log = log
    archivedByteCountMax = RunReader.archivedByteCountMax / width
  }

  deinit {
    for segment in held.values { files.close(segment.file) }
  }

  /// Opens a segment that was just met.
  mutating func hold(_ segment: UInt64) {
    guard segment != newest else { return }
    newest = segment
    _ = try? file(segment)
  }

  /// Lets go of segments that were archived: of all, or of what is too old and too much.
  /// - Returns: the newest segment that was let go.
  mutating func release(through archived: SegmentNumber, all: Bool, _ now: Int64) -> UInt64? {
    var released: UInt64?
    var byteCount = 0
    for number in held.keys.filter({ $0 <= archived.value }).sorted(by: >) {
      guard var segment = held[number] else { continue }
      let since = segment.archivedAt ?? now
      byteCount += segment.byteCount
      if all || released != nil || byteCount > archivedByteCountMax
        || now - since >= RunReader.archivedNanoseconds
      {
        released = max(released ?? 0, number)
        files.close(segment.file)
        held[number] = nil
      } else {
        segment.archivedAt = since
        held[number] = segment
      }
    }
    return released
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
    if let known = held[segment] { return known.file }
    if held.count >= RunReader.countMax, let oldest = held.keys.min(),
      let gone = held.removeValue(forKey: oldest)
    {
      files.close(gone.file)
    }
    let name = SegmentName(log: log, number: SegmentNumber(segment))
    let file = try files.open(layout.segment(name), .read)
    held[segment] = Held(file: file, byteCount: (try? files.byteCount(file)) ?? 0)
    return file
  }
}
