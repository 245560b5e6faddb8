// Small facts asked of the kernel: clocks, randomness, error texts, processor counts.

internal import CShims
internal import Glibc

/// Facts of the running system.
package enum System {
  package static let wouldBlock = EWOULDBLOCK
  package static let noSpace = ENOSPC
  package static let exists = EEXIST
  package static let notFound = ENOENT
  package static let again = EAGAIN
  package static let addressInUse = EADDRINUSE
  package static let brokenPipe = EPIPE
  package static let inputOutputError = EIO
  package static let fileTooLarge = EFBIG

  /// Whether a read failed because the device cannot read those bytes, now or ever: a damaged
  /// medium, a failed integrity check.
  package static func isUnreadableBlock(_ code: Int32) -> Bool {
    [EIO, ENODATA, EILSEQ, EBADMSG, EUCLEAN].contains(code)
  }

  /// The kernel's text for an error number.
  package static func message(for code: Int32) -> String {
    guard let text = unsafe strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text) + " (errno \(code))"
  }

  /// The wall clock.
  package static func now() -> Timestamp {
    var nanoseconds: UInt32 = 0
    let seconds = unsafe penstock_realtime_seconds(&nanoseconds)
    return Timestamp(seconds: seconds, nanoseconds: nanoseconds)
  }

  /// A clock that never steps, in nanoseconds from some start.
  package static func monotonicNanoseconds() -> Int64 { penstock_monotonic_nanoseconds() }

  /// 64 random bits from the kernel.
  package static func random() -> UInt64 {
    var value: UInt64 = 0
    let result = unsafe withUnsafeMutableBytes(of: &value) {
      unsafe penstock_random($0.baseAddress, $0.count)
    }
    precondition(result == 0, "the kernel gives no random numbers")
    return value
  }

  /// Sleeps for `nanoseconds`.
  package static func sleep(nanoseconds: Int64) { penstock_sleep(nanoseconds) }

  /// Processors this process may run on.
  package static var processorCount: Int { Int(penstock_processor_count()) }

  package static var processIdentifier: Int32 { getpid() }

  /// The path a descriptor was opened by, as far as the kernel still knows it.
  package static func path(ofDescriptor descriptor: Int32) -> String? {
    target(ofLink: "/proc/self/fd/\(descriptor)")
  }

  /// The path as it is understood in any working folder; itself when this one has no name.
  package static func absolutePath(_ path: String) -> String {
    guard !path.hasPrefix("/"), let folder = target(ofLink: "/proc/self/cwd") else { return path }
    return folder + "/" + path
  }

  private static func target(ofLink link: String) -> String? {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe readlink(link, &buffer, buffer.count)
    guard count > 0 else { return nil }
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// 64 bits that tell the file or folder at `path` from every other there is; nil when it is not
  /// there.
  package static func identity(ofFile path: String) -> UInt64? {
    var device: UInt64 = 0
    var inode: UInt64 = 0
    guard unsafe penstock_file_identity(path, &device, &inode) == 0 else { return nil }
    // Device numbers are small: their bits and those of an inode do not meet.
    return device << 40 ^ device >> 24 ^ inode
  }

  /// A small file's whole text; nil when it cannot be read or is larger than `byteCountMax`.
  package static func contents(ofFile path: String, byteCountMax: Int = 1 << 20) -> [UInt8]? {
    let files = LinuxFileSystem()
    guard let file = try? files.open(path, .read) else { return nil }
    defer { files.close(file) }
    var memory = AlignedBuffer(byteCount: byteCountMax)
    guard let count = try? files.read(file, into: &memory, 0..<byteCountMax, at: 0),
      count < byteCountMax
    else { return nil }
    return memory.bytes(0..<count).array()
  }

  /// The kernel's name for this boot, as 128 bits: shared pages of an earlier boot do not count.
  package static func bootIdentifier() -> StoreIdentifier {
    let text = contents(ofFile: "/proc/sys/kernel/random/boot_id", byteCountMax: 4096) ?? []
    let digits = text.filter { $0 != Byte.dash && $0 != Byte.lineFeed }
    return StoreIdentifier(text: String(decoding: digits, as: UTF8.self))
      ?? StoreIdentifier(high: 0, low: 0)
  }
}
