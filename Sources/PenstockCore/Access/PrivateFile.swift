// Small files that hold secrets: read only when others cannot read them.

internal import CShims
internal import Glibc

/// A small file that nobody but its owner and its group may read.
package enum PrivateFile {
  /// Why it was not read: what happened, to what, and what to do.
  package struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
  }

  /// Modes that let others in.
  private static let othersMask: mode_t = 0o007

  /// The file's bytes.
  /// - Parameter byteCountMax: largest size that is taken, in bytes.
  package static func read(_ path: String, byteCountMax: Int) throws(Fault) -> [UInt8] {
    // Without waiting: a pipe of this name must not hold up who asks.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw Fault("cannot open \(path): \(System.message(for: errno))")
    }
    defer { _ = penstock_close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw Fault("cannot look at \(path): \(System.message(for: errno))")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw Fault("\(path) is not a regular file; secrets are read from one")
    }
    guard status.st_mode & othersMask == 0 else {
      throw Fault("\(path) holds secrets and others may use it; run 'chmod o-rwx \(path)'")
    }
    var bytes = [UInt8](repeating: 0, count: byteCountMax + 1)
    let count = unsafe bytes.withUnsafeMutableBytes {
      unsafe penstock_read_at(descriptor, $0.baseAddress, $0.count, 0)
    }
    guard count >= 0 else {
      throw Fault("cannot read \(path): \(System.message(for: Int32(-count)))")
    }
    guard count <= Int64(byteCountMax) else {
      throw Fault("\(path) has more than the \(byteCountMax) bytes that are read of it")
    }
    return Array(bytes.prefix(Int(count)))
  }
}
