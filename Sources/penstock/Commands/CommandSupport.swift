// What the commands share: failures, quantities, output.

import ArgumentParser
internal import CShims
internal import Glibc
internal import PenstockCore

/// A command that could not do its work; exit status 1.
struct CommandFailure: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// Sizes and durations as people write them.
enum Quantity {
  /// "65536", "64KiB", "4MiB", "1GiB".
  static func bytes(_ text: String) -> Int? {
    for (suffix, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)]
    where text.hasSuffix(suffix) {
      guard let number = Int(text.dropLast(suffix.count)), number >= 0 else { return nil }
      let (product, overflow) = number.multipliedReportingOverflow(by: factor)
      return overflow ? nil : product
    }
    return nil
  }

  /// "500ms", "30s", "15m", "2h", "1d" in nanoseconds.
  static func nanoseconds(_ text: String) -> Int64? {
    let units: [(String, Int64)] = [
      ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
      ("d", 86_400_000_000_000),
    ]
    for (suffix, factor) in units where text.hasSuffix(suffix) {
      guard let number = Int64(text.dropLast(suffix.count)), number >= 0 else { continue }
      let (product, overflow) = number.multipliedReportingOverflow(by: factor)
      return overflow ? nil : product
    }
    return nil
  }
}

/// Hands what was printed to the kernel, for readers that wait for it.
func flushOutput() { _ = fflush(nil) }

/// One host serves a store at a time.
enum HostLock {
  /// Takes the store's host lock or says who has it.
  static func acquire(_ layout: StoreLayout) throws -> File {
    let files = LinuxFileSystem()
    let path = layout.run + "/host.lock"
    do {
      let file = try files.open(path, .createIfMissing)
      guard try files.lock(file, waiting: 0) else {
        let holder = System.contents(ofFile: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
        files.close(file)
        throw CommandFailure(
          "another penstock serves this store (\(holder.prefix { $0 != "\n" })); stop it first")
      }
      let bytes = Array("pid=\(System.processIdentifier)\n".utf8)
      var memory = AlignedBuffer(byteCount: bytes.count)
      memory.copy(bytes.rawSpan, to: 0)
      try files.write(file, from: memory, 0..<bytes.count, at: 0)
      try files.truncate(file, byteCount: bytes.count)
      return file
    } catch let error as FileError {
      throw CommandFailure("cannot lock the store: \(error)")
    }
  }
}
