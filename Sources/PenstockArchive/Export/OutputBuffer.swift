// Bytes on their way out of a command: collected in one buffer, written in large pieces.
//
// Nothing is written before the buffer is full or flushed, so a follower flushes after each round
// and an export costs one system call for a quarter of a megabyte. The first failure is kept: from
// then on everything put in is dropped, and the owner learns of it at the next check.

internal import CShims
package import PenstockCore

/// Why output ended early.
package enum OutputError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Nobody reads any more: the reader of the pipe has left. Not a failure of ours.
  case closedPipe
  case failed(FileError)

  package var description: String {
    switch self {
    case .closedPipe: "the reader of the output has left"
    case .failed(let error): error.description
    }
  }
}

/// A buffered writer to a file, pipe or terminal, which stays its opener's.
package struct OutputBuffer: ~Copyable {
  private let descriptor: Int32
  private var memory: AlignedBuffer
  private var used = 0
  private var failure: OutputError?
  /// Bytes put in so far.
  package private(set) var byteCount = 0

  /// Large enough that system calls do not count, small enough for the second cache.
  package static let capacityDefault = 256 << 10
  package static let standardOutput = File(descriptor: 1)

  /// Makes a write to a pipe nobody reads fail instead of ending the process. A command calls it
  /// first.
  package static func ignoreClosedPipes() { penstock_ignore_write_signals() }

  package init(_ file: File, capacity: Int = capacityDefault) {
    descriptor = file.descriptor
    memory = AlignedBuffer(byteCount: capacity)
  }

  /// Appends bytes.
  @inline(__always)
  package mutating func put(_ bytes: RawSpan) {
    let count = bytes.byteCount
    if count > memory.byteCount &- used { return putLarge(bytes) }
    memory.copy(bytes, to: used)
    used &+= count
    byteCount &+= count
  }

  /// Appends one byte.
  @inline(__always)
  package mutating func put(_ byte: UInt8) {
    if used == memory.byteCount { drain() }
    memory.store(byte, at: used)
    used &+= 1
    byteCount &+= 1
  }

  /// Appends text known at compile time.
  @inline(__always)
  package mutating func put(_ text: StaticString) {
    let count = text.utf8CodeUnitCount
    if count > memory.byteCount &- used { drain() }
    memory.copy(text, to: used)
    used &+= count
    byteCount &+= count
  }

  /// Appends text; for cold paths.
  package mutating func put(text: String) { put(Array(text.utf8).rawSpan) }

  /// Appends a number in decimal.
  package mutating func put(decimal value: UInt64) {
    if memory.byteCount &- used < 20 { drain() }
    var digitCount = 1
    var rest = value
    while rest >= 10 {
      rest /= 10
      digitCount &+= 1
    }
    rest = value
    var offset = used &+ digitCount
    used = offset
    byteCount &+= digitCount
    repeat {
      offset &-= 1
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
      memory.store(Byte.zero &+ UInt8(truncatingIfNeeded: digit), at: offset)
      rest = quotient
    } while rest > 0
  }

  private mutating func putLarge(_ bytes: RawSpan) {
    byteCount &+= bytes.byteCount
    var offset = 0
    while offset < bytes.byteCount {
      if used == memory.byteCount { drain() }
      let end = min(bytes.byteCount, offset + memory.byteCount - used)
      memory.copy(bytes.extracting(offset..<end), to: used)
      used += end - offset
      offset = end
    }
  }

  private mutating func drain() {
    if failure == nil, used > 0 {
      let result = unsafe penstock_write_out(descriptor, memory.address(0..<used), used)
      if result == -System.brokenPipe {
        failure = .closedPipe
      } else if result < 0 {
        let path = System.path(ofDescriptor: descriptor) ?? "descriptor \(descriptor)"
        failure = .failed(FileError(.write, path, code: -result))
      }
    }
    used = 0
  }

  /// Writes what is collected.
  package mutating func flush() throws(OutputError) {
    drain()
    try check()
  }

  /// Throws what went wrong since the start, if anything did.
  package func check() throws(OutputError) {
    if let failure { throw failure }
  }

  /// Whether the other end of a pipe is gone, without writing to it.
  package var isClosed: Bool { penstock_is_closed(descriptor) }
}
