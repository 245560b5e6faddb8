// A session of the line protocol with one shard: requests go out without waiting, answers come in
// their order.

internal import CShims
internal import PenstockCore

/// The line protocol's answer to a commit.
enum CommitAnswer: Equatable {
  /// Stored: the last event's number.
  case stored(last: UInt64)
  case conflict
  /// What the transaction saw is further back than the shard remembers.
  case tooOld
  /// The shard has no room for so large a request now; nothing was done.
  case busy
  case refused
  /// The session has ended: it was done or not.
  case unavailable

  /// Reads an answer's line, which is `range` of `span`.
  init(_ span: RawSpan, _ range: Range<Int>) {
    if span.hasBytes("CONFLICT ", at: range.lowerBound) {
      self = .conflict
    } else if span.hasBytes("ERR too-old", at: range.lowerBound) {
      self = .tooOld
    } else if span.hasBytes("ERR busy", at: range.lowerBound) {
      self = .busy
    } else if span.hasBytes("OK shard=", at: range.lowerBound) {
      // OK shard=<number> first=<number> count=<number>
      let shardEnd = span.nearIndex(
        of: Byte.space, from: range.lowerBound + 9, to: range.upperBound)
      let firstEnd = span.nearIndex(
        of: Byte.space, from: min(shardEnd + 1, range.upperBound), to: range.upperBound)
      guard
        let first = CommitAnswer.number(
          span, min(shardEnd + 1, firstEnd)..<firstEnd, "first="),
        let count = CommitAnswer.number(
          span, min(firstEnd + 1, range.upperBound)..<range.upperBound, "count="),
        count > 0
      else {
        self = .refused
        return
      }
      self = .stored(last: UInt64(first) + UInt64(count) - 1)
    } else {
      self = span.hasBytes("ERR unavailable", at: range.lowerBound) ? .unavailable : .refused
    }
  }

  private static func number(_ span: RawSpan, _ range: Range<Int>, _ key: StaticString) -> Int? {
    guard span.hasBytes(key, at: range.lowerBound) else { return nil }
    let start = range.lowerBound + key.utf8CodeUnitCount
    return start < range.upperBound ? span.decimal(start..<range.upperBound) : nil
  }
}

/// A session with one shard, and who waits in it.
final class ShardSession<Waiter> {
  private let path: String
  private(set) var descriptor: Int32 = -1
  private var output: [UInt8] = []
  private var sent = 0
  private var input: [UInt8] = []
  private var buffer = [UInt8](repeating: 0, count: 64 << 10)
  private var waiting: [(waiter: Waiter, byteCount: Int)] = []
  /// Bytes of the requests that are not answered.
  private var askedByteCount = 0
  private var firstWaiting = 0
  private var triedAt: Int64 = 0
  private var failed = false

  /// Requests without an answer, in bytes, beyond which no more are taken: some slots' worth.
  private static var askedByteCountMax: Int { 8 << 20 }
  /// Pause between two attempts to connect, in nanoseconds.
  private static var retryNanoseconds: Int64 { 20_000_000 }

  /// Said first, when clients need tokens; its answer is nobody's.
  private let hello: [UInt8]
  private var isGreeted = true

  /// - Parameter secret: what the shard takes this process for one of the store's by; may be empty.
  init(_ path: String, secret: [UInt8]) {
    self.path = path
    hello = secret.isEmpty ? [] : Array("HELLO penstock/1 token=".utf8) + secret + [Byte.lineFeed]
  }

  deinit { if descriptor >= 0 { _ = penstock_close(descriptor) } }

  var isConnected: Bool { descriptor >= 0 }
  var hasOutput: Bool { sent < output.count }
  var hasRoom: Bool { askedByteCount < ShardSession.askedByteCountMax }

  /// Connects when there is no session.
  func connect() {
    guard descriptor < 0 else { return }
    let now = System.monotonicNanoseconds()
    guard now - triedAt >= ShardSession.retryNanoseconds else { return }
    triedAt = now
    descriptor = unsafe penstock_connect_unix_at_once(path)
    guard descriptor >= 0 else { return }
    // What was asked meanwhile goes behind it: those who asked wait in that order.
    output = hello + output
    isGreeted = hello.isEmpty
  }

  /// Queues a request.
  func ask(_ request: [UInt8], _ waiter: Waiter) {
    if sent == output.count {
      output.removeAll(keepingCapacity: true)
      sent = 0
    }
    output += request
    waiting.append((waiter, request.count))
    askedByteCount += request.count
  }

  /// Sends what the kernel takes.
  func send() {
    while descriptor >= 0, sent < output.count {
      let start = sent
      let count = unsafe output.withUnsafeBytes { bytes in
        unsafe penstock_send(
          descriptor, bytes.baseAddress.map { unsafe $0 + start }, bytes.count - start)
      }
      guard count >= 0 else {
        if count != Int64(-System.again) { failed = true }
        return
      }
      sent += Int(count)
    }
  }

  /// Takes the answers that are there; all that wait are unavailable when the session ends.
  func receive(_ body: (Waiter, CommitAnswer) -> Void) {
    guard descriptor >= 0 else { return }
    while !failed {
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe penstock_receive(descriptor, $0.baseAddress, $0.count)
      }
      if count == Int64(-System.again) { break }
      guard count > 0 else {
        failed = true
        break
      }
      input += buffer[..<Int(count)]
      if count < buffer.count { break }
    }
    let bytes = input
    let span = bytes.rawSpan
    var start = 0
    if !isGreeted {
      let end = span.firstIndex(of: Byte.lineFeed, from: 0, to: bytes.count)
      if end < bytes.count {
        isGreeted = true
        start = end + 1
      }
    }
    while isGreeted, firstWaiting < waiting.count {
      let end = span.nearIndex(of: Byte.lineFeed, from: start, to: bytes.count)
      guard end < bytes.count else { break }
      let (waiter, byteCount) = waiting[firstWaiting]
      body(waiter, CommitAnswer(span, start..<end))
      askedByteCount -= byteCount
      firstWaiting += 1
      start = end + 1
    }
    input.removeFirst(start)
    if firstWaiting == waiting.count || firstWaiting > 4096 {
      waiting.removeFirst(firstWaiting)
      firstWaiting = 0
    }
    if failed { end(body) }
  }

  private func end(_ body: (Waiter, CommitAnswer) -> Void) {
    _ = penstock_close(descriptor)
    descriptor = -1
    failed = false
    let left = waiting[firstWaiting...]
    waiting = []
    firstWaiting = 0
    askedByteCount = 0
    output = []
    sent = 0
    input = []
    for (waiter, _) in left { body(waiter, .unavailable) }
  }
}
