// Starting a role: the same program again, with its sockets passed (sd_listen_fds(3)) and a pipe
// it watches. Its end of the pipe reads "T" for stop, "S" for seal, "R" for reload, and the end of the
// pipe when the host is gone; a role that is told a secret finds it in front of them.

internal import CShims
internal import PenstockCore

/// A role's process, and the host's end of its pipe.
struct RoleProcess {
  var processIdentifier: Int32
  /// Write end of the control pipe.
  var control: Int32

  /// Starts `penstock role ARGUMENTS…`. The control pipe's read end is the first passed descriptor.
  static func start(
    arguments: [String], descriptors: [Int32] = [], names: [String] = [], processor: Int32 = -1,
    isIdle: Bool = false, secret: [UInt8] = []
  ) -> Result<RoleProcess, FileError> {
    var readEnd: Int32 = -1
    var writeEnd: Int32 = -1
    let piped = unsafe penstock_pipe(&readEnd, &writeEnd)
    guard piped == 0 else {
      return .failure(FileError(.open, "control pipe", code: -piped))
    }
    defer { _ = penstock_close(readEnd) }
    // A pipe that is empty holds it, so that nobody is waited for.
    _ = unsafe secret.withUnsafeBytes { unsafe penstock_write(writeEnd, $0.baseAddress, $0.count) }
    let words = ["penstock", "role"] + arguments
    let passed = [readEnd] + descriptors
    let listed = (["control"] + names).joined(separator: ":")
    let identifier = spawn(words, passed, listed, processor, isIdle)
    guard identifier > 0 else {
      _ = penstock_close(writeEnd)
      return .failure(FileError(.open, "process \(arguments.first ?? "")", code: -identifier))
    }
    return .success(RoleProcess(processIdentifier: identifier, control: writeEnd))
  }

  private static func spawn(
    _ words: [String], _ descriptors: [Int32], _ names: String, _ processor: Int32, _ isIdle: Bool
  ) -> Int32 {
    // The C strings live until the call has returned; the child copies what it needs.
    let storage = words.map { Array($0.utf8CString) }
    let joined = storage.flatMap { $0 }
    return unsafe joined.withUnsafeBufferPointer { text in
      guard let base = text.baseAddress else { return -1 }
      var offset = 0
      var pointers: [UnsafePointer<CChar>?] = unsafe storage.map { word in
        defer { offset += word.count }
        return unsafe base + offset
      }
      unsafe pointers.append(nil)
      return unsafe pointers.withUnsafeBufferPointer { arguments in
        unsafe descriptors.withUnsafeBufferPointer { passed in
          unsafe names.withCString { names in
            var request = unsafe penstock_spawn(
              path: nil, arguments: arguments.baseAddress, descriptor_names: names,
              descriptors: passed.baseAddress, descriptor_count: Int32(passed.count),
              processor: processor, idle: isIdle)
            return unsafe "/proc/self/exe".withCString { path in
              unsafe request.path = path
              return unsafe penstock_spawn(&request)
            }
          }
        }
      }
    }
  }

  /// Sends one control byte; a role that is gone does not mind.
  func send(_ byte: UInt8) {
    var value = byte
    _ = unsafe penstock_write(control, &value, 1)
  }

  func closeControl() { _ = penstock_close(control) }
  func kill() { penstock_signal(processIdentifier, 9) }
}

/// What the processes of one store tell each other apart from clients by: made anew with each start of
/// the host, and handed on through control pipes, where no list of processes shows it.
enum PeerSecret {
  /// Hexadecimal digits: 256 bits.
  static let byteCount = 64

  static func make() -> [UInt8] {
    Array((0..<4).map { _ in Hexadecimal.text(System.random(), digits: 16) }.joined().utf8)
  }

  /// Takes it from the control pipe, where it stands first.
  static func receive(_ control: Int32) throws(CommandFailure) -> [UInt8] {
    var secret: [UInt8] = []
    while secret.count < byteCount {
      let byte = penstock_read_byte(control)
      guard let value = UInt8(exactly: byte) else {
        throw CommandFailure("the control pipe holds no secret")
      }
      secret.append(value)
    }
    return secret
  }
}
