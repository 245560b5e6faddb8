// The backends a test runs on, and what it takes to have one.

import CShims
import PenstockCore

/// A backend of the I/O seam.
enum Backend: String, CaseIterable, Sendable {
  case ring, poll

  /// Those that work here: a container may refuse io_uring.
  static let available: [Backend] = {
    let limits = Limits.small
    let memory = ShardMemory(limits)
    guard (try? Ring(memory, limits)) != nil else {
      print("io_uring is refused here: its tests are skipped")
      return [.poll]
    }
    return [.ring, .poll]
  }()

  var choice: BackendChoice { self == .ring ? .ring : .poll }
}

extension Limits {
  /// Few and small buffers, so that a test meets every limit.
  static var small: Limits {
    var limits = Limits()
    limits.streamBufferCount = 4
    limits.streamBufferByteCount = 8192
    limits.datagramBufferCount = 8
    limits.connectionCountMax = 64
    limits.carryByteCount = 2048
    limits.largeSlotCount = 2
    limits.middleSlotCount = 2
    limits.middleSlotByteCount = 8192
    return limits
  }
}

/// Two connected stream sockets.
struct SocketPair {
  let near: Int32
  let far: Int32

  init() {
    var ends: [Int32] = [-1, -1]
    let result = unsafe ends.withUnsafeMutableBufferPointer {
      unsafe penstock_socket_pair($0.baseAddress)
    }
    precondition(result == 0)
    near = ends[0]
    far = ends[1]
  }

  func closeFar() { _ = penstock_close(far) }
}

/// Blocking bytes on a descriptor.
enum Wire {
  static func write(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
    unsafe bytes.withUnsafeBytes {
      unsafe penstock_write(descriptor, $0.baseAddress, $0.count) == 0
    }
  }

  static func write(_ descriptor: Int32, _ text: String) -> Bool {
    write(descriptor, Array(text.utf8))
  }

  /// What arrives next, at most `count` bytes; empty at the end.
  static func read(_ descriptor: Int32, _ count: Int = 65_536) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: count)
    let received = unsafe buffer.withUnsafeMutableBytes {
      unsafe penstock_read(descriptor, $0.baseAddress, $0.count)
    }
    return received > 0 ? Array(buffer[..<Int(received)]) : []
  }
}
