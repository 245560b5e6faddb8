// What has to be said before any figure: machine, kernel, file system, and what a barrier costs.

internal import CShims
internal import LoadGenerator
internal import PenstockCore

/// The conditions of a measurement.
package struct Machine: Equatable, Sendable {
  package var processor: String
  package var processorCount: Int
  package var memoryByteCount: Int
  package var kernel: String
  /// Type, device and options of the file system the stores lie on.
  package var fileSystem: String
  package var freeByteCount: Int
  /// Median time of a write past the cache with its fdatasync, in microseconds.
  package var barrier4KiB: Double
  package var barrier512KiB: Double

  /// Looks at the machine, with the stores in `folder`.
  package static func look(folder: String) -> Machine {
    Machine(
      processor: field("model name", in: "/proc/cpuinfo") ?? "unknown",
      processorCount: System.processorCount,
      memoryByteCount: (field("MemTotal", in: "/proc/meminfo").flatMap {
        Int($0.split(separator: " ").first ?? "")
      } ?? 0) << 10,
      kernel: firstLine("/proc/sys/kernel/osrelease"),
      fileSystem: fileSystem(of: folder),
      freeByteCount: (try? LinuxFileSystem().space(folder).free) ?? 0,
      barrier4KiB: barrier(folder, 4 << 10), barrier512KiB: barrier(folder, 512 << 10))
  }

  private static func barrier(_ folder: String, _ byteCount: Int) -> Double {
    let result = unsafe bench_barrier(folder + "/barrier", byteCount, 101)
    return result < 0 ? -1 : Double(result) / 1000
  }

  private static func text(_ path: String) -> String {
    String(decoding: System.contents(ofFile: path) ?? [], as: UTF8.self)
  }

  private static func firstLine(_ path: String) -> String {
    String(text(path).split(separator: "\n").first ?? "unknown")
  }

  private static func field(_ name: String, in path: String) -> String? {
    for line in text(path).split(separator: "\n") where line.hasPrefix(name) {
      guard let colon = line.firstIndex(of: ":") else { continue }
      return String(line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" })
    }
    return nil
  }

  /// A path without links, absolute.
  package static func realPath(_ path: String) -> String? {
    var buffer = [CChar](repeating: 0, count: 4096)
    let result = unsafe buffer.withUnsafeMutableBufferPointer {
      unsafe bench_real_path(path, $0.baseAddress, $0.count)
    }
    guard result == 0 else { return nil }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The mount that holds `folder`: the longest mount point it lies under.
  private static func fileSystem(of folder: String) -> String {
    mount(of: realPath(folder) ?? folder, in: text("/proc/self/mountinfo"))
  }

  /// Type, device and options of the mount that holds `path`, as `mountinfo` (proc(5)) says.
  package static func mount(of path: String, in mountinfo: String) -> String {
    var best = (length: -1, text: "unknown")
    for line in mountinfo.split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard let dash = fields.firstIndex(of: "-"), fields.count > dash + 3, fields.count > 5
      else { continue }
      let point = String(fields[4])
      let isAbove = path == point || path.hasPrefix(point == "/" ? "/" : point + "/")
      guard isAbove, point.utf8.count >= best.length else { continue }
      best = (
        point.utf8.count,
        "\(fields[dash + 1]) on \(fields[dash + 2]) (\(fields[5]),\(fields[dash + 3]))"
      )
    }
    return best.text
  }
}

/// Numbers as text, without a formatter.
package enum Decimal {
  /// `value` with `digits` digits behind the point.
  package static func text(_ value: Double, digits: Int) -> String {
    guard value.isFinite else { return "-" }
    var factor = 1.0
    for _ in 0..<digits { factor *= 10 }
    let scaled = (value.magnitude * factor).rounded()
    guard scaled < 9e15 else { return "\(value)" }
    let whole = UInt64(scaled) / UInt64(factor)
    let rest = UInt64(scaled) % UInt64(factor)
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard digits > 0 else { return sign + "\(whole)" }
    let tail = "\(rest)"
    return sign + "\(whole)." + String(repeating: "0", count: digits - tail.utf8.count) + tail
  }
}

/// Folders a benchmark made.
package enum ScratchFolder {
  /// Removes a folder and all in it; what cannot be removed stays.
  package static func remove(_ path: String) { _ = unsafe bench_remove_tree(path) }
}
