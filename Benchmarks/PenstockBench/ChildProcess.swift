// Processes a benchmark starts: with their output in a pipe or a file, awaited with a deadline,
// and gone with the benchmark.

internal import CShims
internal import LoadGenerator
package import PenstockCore
internal import Synchronization

/// A started process.
package struct ChildProcess: ~Copyable {
  package let processIdentifier: Int32
  /// The read end of its standard output, or -1.
  private let output: Int32
  private var received: [UInt8] = []
  private var status: Int32?

  /// Starts `words[0]`, which stands for a path.
  /// - Parameter errors: path of a file for what it says on standard error, or nil.
  package static func start(
    _ words: [String], processor: Int? = nil, readsOutput: Bool = false, errors: File? = nil
  ) throws(BenchFailure) -> ChildProcess {
    var readEnd: Int32 = -1
    var writeEnd: Int32 = -1
    if readsOutput {
      let piped = unsafe penstock_pipe(&readEnd, &writeEnd)
      guard piped == 0 else { throw BenchFailure("no pipe: \(System.message(for: -piped))") }
    }
    let identifier = spawn(
      words, output: readsOutput ? writeEnd : errors?.descriptor ?? -1,
      errors: errors?.descriptor ?? 2, processor: Int32(processor ?? -1))
    if writeEnd >= 0 { _ = penstock_close(writeEnd) }
    guard identifier > 0 else {
      if readEnd >= 0 { _ = penstock_close(readEnd) }
      throw BenchFailure("cannot start \(words[0]): \(System.message(for: -identifier))")
    }
    return ChildProcess(identifier, output: readEnd)
  }

  private init(_ identifier: Int32, output: Int32) {
    processIdentifier = identifier
    self.output = output
  }

  deinit {
    if output >= 0 { _ = penstock_close(output) }
    if status == nil {
      penstock_signal(processIdentifier, 9)
      _ = bench_wait(processIdentifier, 10_000)
    }
  }

  /// Sends SIGTERM.
  package func terminate() { penstock_signal(processIdentifier, 15) }

  /// Waits for its end: the exit status, 128 + the signal that ended it, or nil when the time is
  /// over. What it writes meanwhile is read.
  package mutating func wait(milliseconds: Int) throws(BenchFailure) -> Int32? {
    let deadline = System.monotonicNanoseconds() + Int64(milliseconds) * 1_000_000
    while status == nil {
      let result = bench_wait(processIdentifier, 0)
      if result >= 0 {
        status = result
        while read(timeout: 0) == .some {}
        break
      }
      guard System.monotonicNanoseconds() < deadline else { return nil }
      try Interruption.check()
      if read(timeout: 2) != .some { System.sleep(nanoseconds: 2_000_000) }
    }
    return status
  }

  /// Waits until it has written `text`; false when it ended or the time is over.
  package mutating func waitForOutput(_ text: String, milliseconds: Int) throws(BenchFailure)
    -> Bool
  {
    let deadline = System.monotonicNanoseconds() + Int64(milliseconds) * 1_000_000
    while !outputText.contains(text) {
      let left = (deadline - System.monotonicNanoseconds()) / 1_000_000
      guard left > 0 else { return false }
      try Interruption.check()
      if read(timeout: Int32(min(left, 100))) == .end { return false }
    }
    return true
  }

  /// What it has written so far.
  package var outputText: String { String(decoding: received, as: UTF8.self) }

  private enum Reading { case some, nothing, end }

  /// Reads once, waiting up to `timeout` milliseconds.
  private mutating func read(timeout: Int32) -> Reading {
    guard output >= 0, penstock_await(output, false, timeout) > 0 else { return .nothing }
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    let count = unsafe buffer.withUnsafeMutableBytes {
      unsafe penstock_read(output, $0.baseAddress, $0.count)
    }
    guard count > 0 else { return .end }
    received += buffer[..<Int(count)]
    return .some
  }

  private static func spawn(_ words: [String], output: Int32, errors: Int32, processor: Int32)
    -> Int32
  {
    let joined = words.flatMap { Array($0.utf8CString) }
    return unsafe joined.withUnsafeBufferPointer { text in
      guard let base = text.baseAddress else { return -22 }
      var offset = 0
      var pointers: [UnsafePointer<CChar>?] = unsafe words.map { word in
        defer { offset += word.utf8CString.count }
        return unsafe base + offset
      }
      unsafe pointers.append(nil)
      return unsafe pointers.withUnsafeBufferPointer { arguments in
        var request = unsafe LoadGenerator.bench_start(
          path: base, arguments: arguments.baseAddress, output: output, errors: errors,
          processor: processor)
        return unsafe bench_start(&request)
      }
    }
  }
}

/// SIGINT and SIGTERM end a benchmark through its clean-up.
package enum Interruption {
  private static let descriptor = Atomic<Int32>(-1)

  /// From here on the signals only end waits.
  package static func watch() {
    let signals: [Int32] = [2, 15, -1]
    let opened = unsafe signals.withUnsafeBufferPointer {
      unsafe penstock_signal_descriptor($0.baseAddress)
    }
    descriptor.store(opened, ordering: .relaxed)
  }

  /// Throws when a signal came.
  package static func check() throws(BenchFailure) {
    let watched = descriptor.load(ordering: .relaxed)
    if watched >= 0, penstock_next_signal(watched) != 0 { throw BenchFailure("interrupted") }
  }

  /// Sleeps, unless a signal comes.
  package static func sleep(milliseconds: Int) throws(BenchFailure) {
    let end = System.monotonicNanoseconds() + Int64(milliseconds) * 1_000_000
    while true {
      try check()
      let left = end - System.monotonicNanoseconds()
      guard left > 0 else { return }
      System.sleep(nanoseconds: min(left, 100_000_000))
    }
  }
}
