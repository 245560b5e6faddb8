import Foundation
import Penstock
import PenstockArchive
import PenstockCore
import Testing

/// A store inside a program looks after its archive as a daemon does.
@Suite struct StoreArchiveTests {
  private func tables(_ folder: StoreFolder) throws -> [TableEntry] {
    try Manifest.read(LinuxFileSystem(), StoreLayout(root: folder.path)).tables
  }

  private func files(_ folder: StoreFolder) throws -> Int {
    let names = try FileManager.default.subpathsOfDirectory(atPath: folder.path + "/archive")
    return names.filter { $0.hasSuffix(".table") || $0.hasSuffix(".merging") }.count
  }

  private func liveByteCount(_ folder: StoreFolder) throws -> Int {
    let live = folder.path + "/live"
    return try FileManager.default.contentsOfDirectory(atPath: live).reduce(0) { sum, name in
      let attributes = try? FileManager.default.attributesOfItem(atPath: live + "/" + name)
      return sum + (attributes?[.size] as? Int ?? 0)
    }
  }

  /// Decides about the archive as `penstock serve` does.
  private func settle(_ folder: StoreFolder, _ change: (inout ArchiveSettings) -> Void) throws {
    var settings = ArchiveSettings()
    change(&settings)
    try settings.write(LinuxFileSystem(), StoreLayout(root: folder.path))
  }

  @Test func `tables are joined when there are enough of them`() throws {
    let folder = try StoreFolder()
    let store = try folder.open { $0.liveByteCountMax = nil }
    let writer = try store.writer()
    let texts = (0..<4).map { "\($0)" }
    for text in texts {
      try writer.put(stream: "s", payload: text)
      #expect(try store.archive())
    }
    #expect(try tables(folder).count == 1)
    #expect(try files(folder) == 1)
    #expect(try store.read().map(\.text) == texts)
  }

  @Test func `no join is begun for somebody whose time is over`() throws {
    let folder = try StoreFolder()
    let store = try folder.open { $0.liveByteCountMax = nil }
    let writer = try store.writer()
    for number in 0..<5 {
      try writer.put(stream: "s", payload: "\(number)")
      while try !store.archive(within: 0) { usleep(1000) }
    }
    #expect(try tables(folder).count == 5)
    #expect(try store.archive())
    #expect(try tables(folder).count < 5)
    #expect(try store.read().map(\.text) == ["0", "1", "2", "3", "4"])
  }

  @Test func `tables go when their time has come`() throws {
    let folder = try StoreFolder()
    let store = try folder.open { $0.liveByteCountMax = nil }
    try settle(folder) { $0.retainByteCount = 1 }
    let writer = try store.writer()
    try writer.put(stream: "s", payload: "old")
    #expect(try store.archive())
    #expect(try tables(folder).isEmpty)
    #expect(try files(folder) == 0)
    try settle(folder) { $0.retainByteCount = nil }
    try writer.put(stream: "s", payload: "new")
    #expect(try store.archive())
    #expect(try store.read().map(\.text) == ["new"])
  }

  @Test func `what archives by itself joins as well, and makes way for a request`() throws {
    let folder = try StoreFolder()
    let store = try folder.open {
      $0.segmentByteCount = 4 << 20
      $0.liveByteCountMax = 32 << 20
    }
    try settle(folder) { $0.retainByteCount = 64 << 20 }
    let writer = try store.writer()
    let payload = [UInt8](repeating: 65, count: 10_000)
    let deadline = Date() + 60
    var joined = false
    while !joined, Date() < deadline {
      for _ in 0..<2000 { try writer.put(stream: "s", payload: payload, .written) }
      try writer.flush()
      // Joins are for when nothing waits.
      while try liveByteCount(folder) > 16 << 20, Date() < deadline { usleep(1000) }
      for _ in 0..<300 where !joined {
        usleep(1000)
        joined = try tables(folder).contains { $0.mergeCount > 0 }
      }
    }
    #expect(joined, "no tables were joined")
    // That it is at work just now is not "another process".
    for _ in 0..<2000 { try writer.put(stream: "s", payload: payload, .written) }
    #expect(try store.archive())
  }

  @Test func `the archive is one archiver's at a time`() throws {
    let folder = try StoreFolder()
    let store = try folder.open { $0.liveByteCountMax = nil }
    let writer = try store.writer()
    try writer.put(stream: "s", payload: "")
    let lock = try #require(
      try ArchiveLock.take(LinuxFileSystem(), StoreLayout(root: folder.path)))
    #expect(throws: Penstock.StoreError.self) { try store.archive() }
    LinuxFileSystem().close(lock)
    #expect(try store.archive())
  }
}
