import PenstockCore
import Testing

struct SegmentPreparationTests {
  private let name = SegmentName(log: LogNumber(3), number: SegmentNumber(0x1f))
  private let store = StoreIdentifier(high: 1, low: 2)

  private func prepare<Files: FileSystem>(
    _ files: Files, _ layout: StoreLayout, byteCount: Int, isFilled: Bool, room: Int = 0
  ) throws -> SegmentHeader {
    try SegmentPreparation.prepare(
      files, layout, name: name, store: store, byteCount: byteCount, isFilled: isFilled,
      room: room, salt: 7)
  }

  @Test(arguments: [0, 4096, 16384], [true, false])
  func `a prepared segment is header, LF and filler, all of it durable`(
    _ alignment: Int, _ isFilled: Bool
  ) throws {
    let log = TestLog(alignment: alignment)
    let header = try prepare(log.files, log.layout, byteCount: 100_000, isFilled: isFilled)
    let expected = max(4096, alignment)
    #expect(header.alignment == expected)
    #expect(header.byteCount == (100_000 + expected - 1) / expected * expected)
    #expect(header.salt == 7)
    let after = log.restarted(.dropsAll)
    let bytes = try #require(after.files.bytes(log.layout.segment(name)))
    #expect(bytes.count == header.byteCount)
    #expect(SegmentHeader.read(bytes.rawSpan) == .header(header))
    #expect(bytes.isAll(Byte.lineFeed, in: SegmentHeader.textByteCount..<expected))
    let filler = isFilled ? Byte.lineFeed : Byte.null
    #expect(bytes.isAll(filler, in: expected..<bytes.count))
    #expect(log.files.openCount == 0)
  }

  @Test func `a segment has room for what it is asked to hold`() throws {
    let log = TestLog()
    let header = try prepare(log.files, log.layout, byteCount: 1, isFilled: true, room: 9000)
    #expect(header.byteCount == 4 * 4096)
  }

  @Test func `a name that is taken stays as it is`() throws {
    let log = TestLog()
    log.files.put(log.layout.segment(name), [1, 2, 3])
    let error = #expect(throws: FileError.self) {
      try prepare(log.files, log.layout, byteCount: 8192, isFilled: true)
    }
    #expect(error?.code == System.exists)
    #expect(log.files.bytes(log.layout.segment(name)) == [1, 2, 3])
  }

  @Test func `without room nothing is created`() throws {
    let log = TestLog()
    log.files.setFreeByteCount(8191)
    let error = #expect(throws: FileError.self) {
      try prepare(log.files, log.layout, byteCount: 8192, isFilled: true)
    }
    #expect(error?.code == System.noSpace)
    #expect(log.files.bytes(log.layout.segment(name)) == nil)
  }

  @Test func `whatever fails, the file left behind counts as empty and takes no space`() throws {
    for operation in 1... {
      let log = TestLog()
      log.files.fail(.once(operation))
      let header = try? prepare(log.files, log.layout, byteCount: 8192, isFilled: true)
      if log.files.operationCount < operation { return }
      #expect(log.files.openCount == 0)
      guard header == nil else { continue }
      let bytes = log.files.bytes(log.layout.segment(name)) ?? []
      // The last two are the header's: it may have been seen, and the segment be in use.
      let isBeforeHeader = operation <= operationCount() - 2
      #expect(bytes.isEmpty == isBeforeHeader, "operation \(operation)")
    }
  }

  /// Operations of a preparation that nothing disturbs.
  private func operationCount() -> Int {
    let other = TestLog()
    other.files.fail(.never)
    _ = try? prepare(other.files, other.layout, byteCount: 8192, isFilled: true)
    return other.files.operationCount
  }

  /// A shard takes whatever has a header: also what a preparer left that was killed right after
  /// writing it.
  @Test(arguments: [true, false])
  func `a segment whose header can be seen has a durable name`(_ isFilled: Bool) throws {
    var seenCount = 0
    for operation in 1... {
      let log = TestLog()
      log.files.fail(.from(operation))
      let header = try? prepare(log.files, log.layout, byteCount: 8192, isFilled: isFilled)
      let path = log.layout.segment(name)
      if let bytes = log.files.bytes(path), case .header = SegmentHeader.read(bytes.rawSpan) {
        seenCount += 1
        #expect(log.restarted(.dropsAll).files.bytes(path) != nil, "operation \(operation)")
      }
      if header != nil { break }
    }
    // Seen before the preparation was through, and after it.
    #expect(seenCount >= 2)
  }

  @Test func `a crash at any operation leaves a segment that is empty or ready`() throws {
    for operation in 1... {
      let log = TestLog()
      log.files.fail(.from(operation))
      let header = try? prepare(log.files, log.layout, byteCount: 8192, isFilled: true)
      for seed in UInt64(0)..<4 {
        let after = log.restarted(.random(seed: seed))
        var scanner = SegmentScanner(
          after.files, after.layout, store: store, readsPastCache: true, keepsEvery: true)
        guard after.files.bytes(log.layout.segment(name)) != nil else { continue }
        let scan = try scanner.scan(name)
        #expect(scan.items.isEmpty, "operation \(operation), seed \(seed)")
        #expect(scan.verdict == .use || scan.verdict == .empty)
      }
      if header != nil { return }
    }
  }

  /// A shard may be in the segment when the header's sync fails: what it wrote has to be found.
  @Test(arguments: [4096, 16384], [true, false])
  func `when a header is lost the first batch tells the salt`(
    _ alignment: Int, _ isFilled: Bool
  ) throws {
    let log = TestLog(alignment: alignment)
    log.files.fail(.never)
    let header = try prepare(log.files, log.layout, byteCount: 100_000, isFilled: isFilled)
    let count = log.files.operationCount
    let other = TestLog(alignment: alignment)
    // The last operation is the header's sync.
    other.files.fail(.once(count))
    #expect(throws: FileError.self) {
      try prepare(other.files, other.layout, byteCount: 100_000, isFilled: isFilled)
    }
    let bytes = try #require(other.restarted(.dropsAll).files.bytes(log.layout.segment(name)))
    #expect(bytes.count == header.byteCount)
    let isLineFeeds = bytes.isAll(Byte.lineFeed, in: 0..<header.alignment)
    #expect(isLineFeeds)
  }

  @Test(arguments: [true, false])
  func `on the real file system a segment is prepared and scanned`(_ isFilled: Bool) throws {
    let folder = try TestFolder()
    let files = LinuxFileSystem()
    let layout = StoreLayout(root: folder.path)
    try files.makeDirectory(layout.live)
    let header = try prepare(files, layout, byteCount: 3 << 20, isFilled: isFilled)
    #expect(header.byteCount >= 3 << 20)
    for readsPastCache in [true, false] {
      var scanner = SegmentScanner(
        files, layout, store: store, readsPastCache: readsPastCache, keepsEvery: true)
      let scan = try scanner.scan(name)
      #expect(scan.verdict == .use)
      #expect(scan.items.isEmpty)
      #expect(scan.byteCount == header.byteCount)
    }
  }
}
