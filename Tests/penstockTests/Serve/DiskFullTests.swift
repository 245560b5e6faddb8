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
}
