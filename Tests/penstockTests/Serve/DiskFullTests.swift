import Foundation
import Testing

/// A full disk stops acknowledging, says so, loses nothing, and goes on when there is room. On a
/// small file system of its own, where the machine lets the tests mount one.
@Suite(.serialized) struct DiskFullTests {
  /// A small ext4 in a file, mounted; nil where that is not allowed.
  private final class SmallDisk {
    let path: String
    private let image: String

    init?(megabytes: Int) {
      let base = FileManager.default.temporaryDirectory
        .appendingPathComponent("penstock-test-disk-" + UUID().uuidString).path
      path = base
      image = base + ".image"
      guard geteuid() == 0,
        SmallDisk.shell(
          """
          mkdir \(path) && truncate -s \(megabytes)M \(image) &&
          mkfs.ext4 -q -m 0 -O ^has_journal \(image) && mount -o loop \(image) \(path)
          """)
      else {
        remove()
        return nil
      }
    }

    deinit {
      if !SmallDisk.shell("umount \(path)") { _ = SmallDisk.shell("sleep 1; umount -l \(path)") }
      remove()
    }

    private func remove() {
      _ = SmallDisk.shell("rmdir \(path)")
      try? FileManager.default.removeItem(atPath: image)
    }

    static func shell(_ line: String) -> Bool {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments = ["-c", "PATH=$PATH:/usr/sbin:/sbin; " + line]
      process.standardError = FileHandle.nullDevice
      guard (try? process.run()) != nil else { return false }
      process.waitUntilExit()
      return process.terminationStatus == 0
    }
  }

  @Test(.enabled(if: geteuid() == 0, "mounting needs root"), arguments: Backend.allCases)
  func `a full disk stops the receipts and loses nothing`(_ io: Backend) throws {
    guard let disk = SmallDisk(megabytes: 48) else {
      print("skipped: no small file system could be mounted here")
      return
    }
    let ballast = disk.path + "/ballast"
    try #require(SmallDisk.shell("head -c 14000000 /dev/zero > \(ballast)"))
    let store = try ServedStore(folder: disk.path + "/store")
    try store.start(shards: 1, io: io)
    // What cannot be compressed fills a disk even when it is archived.
    let writers = Writers(port: store.ports["line-tcp"] ?? 0, count: 4, paddingByteCount: 20_000)
    try store.wait("the preparer says that the disk is full: \(store.said)") {
      store.said.contains("no segments are prepared")
    }
    var seen = -1
    try store.wait("the receipts stop") {
      defer { seen = writers.acknowledgedEvents }
      Thread.sleep(forTimeInterval: 1)
      return writers.acknowledgedEvents == seen
    }
    try store.wait("the shard says that it has no segment: \(store.said)") {
      store.said.contains("shard 0: there is no prepared segment to write to")
    }
    #expect(try store.run("status").output.contains("STALLED: no segment to write to"))
    // A shard that is killed now has no room to recover into; it tries again until there is.
    ServedStore.signal(try #require(try store.roles()["shard 0"]), 9)
    Thread.sleep(forTimeInterval: 1)
    try #require(SmallDisk.shell("rm \(ballast)"))
    try store.wait("the receipts come again: \(store.said)") { writers.acknowledgedEvents > seen }
    let puts = writers.finish()
    try store.check(puts, "after a full disk, \(io)")
    #expect(store.stop() == 0)
    try store.check(puts, "stopped, \(io)")
    let verified = try store.run("verify")
    #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
  }

  /// Whoever filled the disk, to the last block: the host starts, the shard recovers, everything is
  /// read, without anybody's help; receipts come again by themselves when there is room.
  @Test(.enabled(if: geteuid() == 0, "mounting needs root"), arguments: Backend.allCases)
  func `a disk filled to the last block is started from without help`(_ io: Backend) throws {
    guard let disk = SmallDisk(megabytes: 64) else {
      print("skipped: no small file system could be mounted here")
      return
    }
    // What the daemon says goes elsewhere.
    let store = try ServedStore()
    try FileManager.default.createDirectory(
      atPath: disk.path + "/data", withIntermediateDirectories: false)
    try FileManager.default.createSymbolicLink(
      atPath: store.data, withDestinationPath: disk.path + "/data")
    try store.start(shards: 1, io: io)
    let listener = "line+tcp://127.0.0.1:\(store.port)"
    let writers = Writers(port: UInt16(store.port), count: 4, paddingByteCount: 5000)
    let reserve = store.data + "/reserve"
    try store.wait("a reserve is held: \(store.said)") {
      let attributes = try? FileManager.default.attributesOfItem(atPath: reserve)
      return attributes?[.size] as? Int ?? 0 >= 4 << 20
    }
    try store.wait("there is something to lose") { writers.acknowledgedEvents > 200 }
    let ballast = disk.path + "/ballast"
    #expect(!SmallDisk.shell("cat /dev/zero > \(ballast)"), "the disk is full")
    try store.wait("the preparer says that the disk is full: \(store.said)") {
      store.said.contains("no segments are prepared")
    }
    #expect(try store.run("status").output.contains("it is FULL"))
    store.kill()
    #expect(!SmallDisk.shell("cat /dev/zero >> \(ballast)"), "the disk is full to the last block")
    try store.start(shards: 1, io: io, listeners: [listener])
    try store.wait("the shard serves again: \(store.said.suffix(2000))") {
      store.said.components(separatedBy: "shard 0: serving from segment").count > 2
    }
    #expect(!store.said.contains("cannot start"), "\(store.said.suffix(2000))")
    let seen = writers.acknowledgedEvents
    #expect(try store.run("query").lines.count >= seen)
    try #require(SmallDisk.shell("rm \(ballast)"))
    try store.wait("the receipts come again: \(store.said.suffix(2000))") {
      writers.acknowledgedEvents > seen + 200
    }
    let puts = writers.finish()
    try store.check(puts, "after a disk filled to the last block, \(io)")
    try store.wait("it is said that there is room again: \(store.said.suffix(2000))") {
      store.said.contains("there is room again")
    }
    #expect(store.stop() == 0)
    let verified = try store.run("verify")
    #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
  }
}
