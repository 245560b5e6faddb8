import Foundation
import PenstockArchive
import PenstockCore
import Testing

/// Where a snapshot is built: what stands in the way, and what is left when it fails.
@Suite struct SnapshotFolderTests {
  private func store() throws -> TestStore {
    let store = try TestStore()
    for index in 0..<3 {
      let time = Timestamp(seconds: 1_763_000_000 + Int64(index), nanoseconds: 0)
      try store.log(0).append(["\(time.text) s -\t\(index)"])
      if index == 1 {
        try store.log(0).startSegment()
        try store.log(0).prove()
        try store.archive()
      }
    }
    return store
  }

  private func take(_ store: TestStore, to path: String) throws {
    _ = try Snapshot.take(store.files, store.layout, store.store, to: path)
  }

  private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  private func said(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test func `an empty folder is used, a full one and a foreign one are not touched`() throws {
    let store = try store()
    let folder = try TestFolder()
    let path = folder.path + "/copy"
    try store.files.makeDirectory(path)
    try take(store, to: path + "/")
    #expect(said { try take(store, to: path) }.contains("is not empty"))
    let other = folder.path + "/other"
    try store.files.makeDirectory(other + ".partial")
    try store.write("mine", to: other + ".partial/file")
    #expect(said { try take(store, to: other) }.contains("move it away"))
    #expect(exists(other + ".partial/file") && !exists(other))
    #expect(said { try take(store, to: store.layout.root + "/copy") }.contains("in the store"))
    #expect(said { try take(store, to: folder.path + "/no/such") }.contains("No such file"))
    try store.write("a file", to: folder.path + "/file")
    #expect(said { try take(store, to: folder.path + "/file") }.contains("Not a directory"))
  }

  @Test func `what a killed snapshot left is taken over, one at work is not`() throws {
    let store = try store()
    let folder = try TestFolder()
    let path = folder.path + "/copy"
    let files = store.files
    try files.makeDirectory(path + ".partial")
    try files.makeDirectory(path + ".partial/live")
    try store.write("", to: path + ".partial/snapshot.lock")
    try store.write("half", to: path + ".partial/live/00-0000000000000001.log")
    let lock = try files.open(path + ".partial/snapshot.lock", .write)
    #expect(try files.lock(lock, waiting: 0))
    #expect(said { try take(store, to: path) }.contains("another snapshot"))
    #expect(exists(path + ".partial/live/00-0000000000000001.log"))
    files.close(lock)
    try take(store, to: path)
    #expect(!exists(path + ".partial"))
    let reader = try StoreReader(files, StoreLayout(root: path))
    #expect(try reader.verify { _ in }.problems.isEmpty)
  }

  @Test(arguments: [
    Fault(code: 5, isLasting: false), Fault(code: 5, isLasting: false, effect: .done),
    Fault(code: System.noSpace, isLasting: true),
  ])
  func `whichever operation fails, there is a whole copy or none`(_ fault: Fault) throws {
    let store = try store()
    let expected = try store.read().events
    let folder = try TestFolder()
    var failed = 0
    for number in 1..<1000 {
      let path = folder.path + "/copy-\(number)"
      let files = FaultyFiles(at: number, fault)
      let isTaken: Bool
      do throws(SnapshotError) {
        _ = try Snapshot.take(files, store.layout, store.store, to: path)
        isTaken = true
      } catch {
        isTaken = false
        failed += 1
      }
      #expect(files.openCount == 0, "operation \(number): every file is closed")
      if !fault.isLasting {
        #expect(exists(path) == isTaken, "operation \(number)")
        #expect(!exists(path + ".partial"), "operation \(number): nothing is left")
      }
      // On a disk that takes nothing at all, a folder that has its name keeps it: it is whole.
      if !exists(path) { try take(store, to: path) }
      let reader = try StoreReader(store.files, StoreLayout(root: path))
      let found = try reader.verify { _ in }
      #expect(found.problems.isEmpty && found.notes.isEmpty, "operation \(number)")
      var cursor = try reader.read(Query())
      var events: [TestEvent] = []
      var event = StoredEvent()
      while try cursor.next(&event) { events.append(TestEvent(event)) }
      #expect(events == expected, "operation \(number)")
      if files.injected.isEmpty { break }
    }
    #expect(failed > 20)
  }
}
