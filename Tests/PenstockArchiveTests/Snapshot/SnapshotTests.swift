import Foundation
import PenstockArchive
import PenstockCore
import Synchronization
import Testing

@Suite struct SnapshotTests {
  private static func line(_ index: Int, second: Int? = nil) -> String {
    let time = Timestamp(seconds: 1_763_000_000 + Int64(second ?? index), nanoseconds: 0)
    return "\(time.text) s/\(index % 3) -\tpayload \(index)"
  }

  private func take<Files: LinkingFileSystem>(_ files: Files, _ store: TestStore, to path: String)
    throws -> SnapshotResult
  {
    try Snapshot.take(files, store.layout, store.store, to: path)
  }

  /// The events of a copy, which is checked to be whole and proved.
  private func events(_ path: String, _ what: String = "") throws -> [TestEvent] {
    let reader = try StoreReader(LinuxFileSystem(), StoreLayout(root: path))
    let found = try reader.verify { _ in }
    #expect(found.problems.isEmpty, "\(what): \(found.problems)")
    #expect(found.notes.isEmpty, "\(what): \(found.notes)")
    var query = Query()
    query.leavesProvisionalOut = true
    var cursor = try reader.read(query)
    var events: [TestEvent] = []
    var event = StoredEvent()
    while try cursor.next(&event) { events.append(TestEvent(event)) }
    #expect(cursor.report.provisionalCount == 0, "\(what)")
    #expect(cursor.report.damageCount == 0, "\(what)")
    return events
  }

  private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  /// A store with tables, sealed segments and an open one, in two logs.
  private func mixedStore() throws -> (TestStore, [TestEvent]) {
    let store = try TestStore()
    for part in 0..<4 {
      for number: UInt8 in [0, 1] {
        try store.log(number).append((0..<5).map { Self.line(part * 20 + $0, second: $0) })
        try store.log(number).append([Self.line(part * 20 + 9)])
        if part < 3 {
          try store.log(number).startSegment()
          try store.log(number).prove()
        }
      }
      if part == 1 { try store.archive() }
    }
    return (store, try store.read().events)
  }

  @Test func `a copy has the tables, the segments and every event, and is all proved`() throws {
    let (store, expected) = try mixedStore()
    let path = store.folder.path + "-copy"
    defer { removeFolder(path) }
    let result = try take(store.files, store, to: path)
    #expect(try events(path) == expected)
    #expect(result.archivedEventCount + result.liveEventCount == expected.count)
    #expect(result.logs.map(\.log) == [LogNumber(0), LogNumber(1)])
    #expect(result.logs.allSatisfy { $0.through == SequenceNumber(24) })
    #expect(result.linkedByteCount > 0 && result.copiedByteCount > 0)
    #expect(!exists(path + ".partial"))
    #expect(!exists(path + "/snapshot.lock"))
    // Every segment with events can be archived, and recovery has nothing to carry over.
    let layout = StoreLayout(root: path)
    for log in [LogNumber(0), LogNumber(1)] {
      let manifest = try Manifest.read(store.files, layout)
      let recovered = try Recovery.run(
        store.files, layout, store: store.store, log: log,
        archivedThrough: manifest.archivedThrough(log),
        coveredThrough: manifest.coveredThrough(log), segmentByteCount: 1 << 20)
      #expect(recovered.eventsRecovered == 0 && recovered.damage.isEmpty)
      #expect(recovered.nextSequence > SequenceNumber(24))
    }
    try TestStore.archive(layout, store.store)
    #expect(try events(path) == expected)
    // The original is as it was.
    #expect(try store.read().events == expected)
  }

  @Test func `on another file system everything is copied`() throws {
    let (store, expected) = try mixedStore()
    let path = "/dev/shm/penstock-copy-\(store.store.text)"
    defer { removeFolder(path) }
    let result = try take(store.files, store, to: path)
    #expect(result.linkedByteCount == 0)
    #expect(try events(path) == expected)
  }

  @Test func `beside a writer nothing beyond the frontier is taken`() throws {
    let store = try TestStore()
    let log = store.log(0)
    for index in 0..<4 { try log.append([Self.line(index)]) }
    try store.publish(0, 3)
    let path = store.folder.path + "-copy"
    defer { removeFolder(path) }
    let result = try take(store.files, store, to: path)
    #expect(try events(path).map(\.line) == (0..<3).map { Self.line($0) })
    #expect(result.logs.map(\.through) == [SequenceNumber(3)])
    #expect(result.damage.isEmpty)
  }

  @Test func `of an empty store, and of one with prepared segments only, there is a copy`() throws {
    for prepares in [false, true] {
      let store = try TestStore()
      if prepares { try store.log(0).startSegment() }
      let path = store.folder.path + "-copy"
      defer { removeFolder(path) }
      #expect(try take(store.files, store, to: path).logs.isEmpty)
      #expect(try events(path).isEmpty)
    }
  }

  @Test func `what is known of producers comes along, whatever of the copy is archived`() throws {
    let store = try TestStore()
    let log = store.log(0)
    try log.append([Self.line(0), "#produced epoch=5 counter=1 first=1 count=1 name=a"])
    try log.append([Self.line(1), "#produced epoch=5 counter=2 first=2 count=1 name=a"])
    let path = store.folder.path + "-copy"
    defer { removeFolder(path) }
    _ = try take(store.files, store, to: path)
    let layout = StoreLayout(root: path)
    try TestStore.archive(layout, store.store)
    let manifest = try Manifest.read(store.files, layout)
    #expect(manifest.coveredThrough(LogNumber(0)) == SequenceNumber(2))
    let recovered = try Recovery.run(
      store.files, layout, store: store.store, log: LogNumber(0),
      archivedThrough: manifest.archivedThrough(LogNumber(0)),
      coveredThrough: manifest.coveredThrough(LogNumber(0)), segmentByteCount: 1 << 20)
    #expect(
      String(decoding: recovered.producers, as: UTF8.self)
        == "#producers floor=0 count=1\n#producer epoch=5 name=a 2:2:1 1:1:1 below=0\n")
  }

  @Test func `a recovered log is copied as it counts`() throws {
    let store = try TestStore()
    let log = store.log(0)
    try log.append([Self.line(0)])
    try log.append([Self.line(1)])
    try log.recoverLastBatch([Self.line(1)])
    try log.append([Self.line(2)])
    let expected = try store.read().events
    #expect(expected.count == 3)
    let path = store.folder.path + "-copy"
    defer { removeFolder(path) }
    _ = try take(store.files, store, to: path)
    #expect(try events(path) == expected)
  }

  @Test(arguments: 0..<10)
  func `random stores are copied whole`(seed: UInt64) throws {
    var random = TestRandom(seed: seed)
    let (store, expected) = try TestStore.random(&random)
    try store.archive()
    let path = store.folder.path + "-copy"
    defer { removeFolder(path) }
    _ = try take(store.files, store, to: path)
    #expect(try events(path, "seed \(seed)") == expected, "seed \(seed)")
  }

  @Test(arguments: [false, true])
  func `whatever is archived and joined meanwhile, each event is there once`(copies: Bool) throws {
    var opens = 1
    while true {
      let store = try TestStore()
      var lines: [String] = []
      for part in 0..<6 {
        try store.log(0).append([Self.line(part)])
        lines.append(Self.line(part))
        try store.log(0).startSegment()
        try store.log(0).prove()
        // Tables of like size, which a pass of the archiver joins.
        if part < 3 { try store.archive() }
      }
      let path =
        copies ? "/dev/shm/penstock-copy-\(store.store.text)" : store.folder.path + "-copy"
      defer { removeFolder(path) }
      let count = Mutex(0)
      let (layout, identifier, at) = (store.layout, store.store, opens)
      let files = HookedFiles { _ in
        let number = count.withLock { value in
          value += 1
          return value
        }
        // At one moment, and once more a little later.
        guard number == at || number == at + 5 else { return }
        guard var archiver = try? Archiver(LinuxFileSystem(), layout, store: identifier) else {
          return
        }
        if number == at, (try? archiver.pass()) != nil { return }
        while let step = try? archiver.merge(now: .latest), step != .nothing {}
      }
      let result = try take(files, store, to: path)
      #expect(try events(path, "open \(opens)").map(\.line) == lines, "open \(opens)")
      #expect(result.damage.isEmpty)
      let tables = Set(try Manifest.read(store.files, StoreLayout(root: path)).tables.map(\.name))
      #expect(try tableFiles(path) == tables, "open \(opens): no table without a name")
      if count.withLock({ $0 }) < opens { break }
      opens += 1
    }
    #expect(opens > 10)
  }

  private func tableFiles(_ path: String) throws -> Set<String> {
    let archive = path + "/archive"
    var found: Set<String> = []
    for folder in try FileManager.default.contentsOfDirectory(atPath: archive) {
      let names =
        (try? FileManager.default.contentsOfDirectory(atPath: archive + "/" + folder)) ?? []
      for name in names { found.insert(folder + "/" + name) }
    }
    return found
  }

  @Test func `what is lost is told, and the rest is copied`() throws {
    let (store, expected) = try mixedStore()
    let table = try #require(try Manifest.read(store.files, store.layout).tables.first)
    try store.files.unlink(store.layout.archive + "/" + table.name)
    let path = store.folder.path + "-copy"
    defer { removeFolder(path) }
    let result = try take(store.files, store, to: path)
    #expect(result.damage.count == 1)
    #expect(result.damage.first?.contains(table.name) == true)
    #expect(
      result.archivedEventCount + result.liveEventCount == expected.count - Int(table.eventCount))
  }

  @Test func `a segment that is missing is told, and read past`() throws {
    let store = try TestStore()
    for part in 0..<3 {
      try store.log(0).append([Self.line(part)])
      try store.log(0).startSegment()
    }
    try store.log(0).prove()
    try store.files.unlink(store.log(0).path(2))
    let path = store.folder.path + "-copy"
    defer { removeFolder(path) }
    let result = try take(store.files, store, to: path)
    #expect(!result.damage.isEmpty)
    #expect(result.liveEventCount == 2)
  }
}
