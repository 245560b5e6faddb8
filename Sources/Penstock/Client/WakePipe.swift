// Wakes a thread that waits for its connections.

internal import CShims
internal import PenstockCore

/// A pipe whose one end a thread waits for among its connections.
final class WakePipe: Sendable {
  /// What the thread waits for.
  let descriptor: Int32
  private let writeEnd: Int32

  init() throws(StoreError) {
    var readEnd: Int32 = -1
    var writeEnd: Int32 = -1
    let result = unsafe penstock_pipe(&readEnd, &writeEnd)
    guard result == 0 else {
      throw .failed("a client needs a pipe: \(System.message(for: -result))")
    }
    descriptor = readEnd
    self.writeEnd = writeEnd
  }

  deinit {
    _ = penstock_close(descriptor)
    _ = penstock_close(writeEnd)
  }

  /// Wakes the thread, or keeps it from falling asleep.
  func wake() {
    var byte: UInt8 = 0
    _ = unsafe penstock_write(writeEnd, &byte, 1)
  }

  /// Takes one waking back.
  func take() { _ = penstock_read_byte(descriptor) }
}
