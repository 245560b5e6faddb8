// Starting a role: the same program again, with its sockets passed (sd_listen_fds(3)) and a pipe
// it watches. Its end of the pipe reads "T" for stop, "S" for seal, and the end of the pipe when
// the host is gone.

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
    isIdle: Bool = false
  ) -> Result<RoleProcess, FileError> {
    var readEnd: Int32 = -1
    var writeEnd: Int32 = -1
    let piped = unsafe penstock_pipe(&readEnd, &writeEnd)
    guard piped == 0 else {
      return .failure(FileError(.open, "control pipe", code: -piped))
    }
    defer { _ = penstock_close(readEnd) }
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
