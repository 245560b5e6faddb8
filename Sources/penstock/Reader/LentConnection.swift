// A client's connection that a shard has lent, for the time of one answer.
//
// It is written to without waiting in the kernel: what the client does not take is tried again when
// there is room. A client that does not take a stretch of an answer in time is let go, however many
// bytes of it it took: reads have few places, and one that is taken byte by byte would keep its place
// from others for ever. While reads wait for a place there is less time. The shard gets the connection
// back in every case; after a failure it is shut down first, so that the client sees its end, in the
// middle of an answer, and the shard too.

internal import CShims
internal import PenstockArchive
package import PenstockCore
internal import Synchronization

/// The connection to one shard; closed once nobody needs it any more.
package final class ShardLink: Sendable {
  let descriptor: Int32
  private let ended = Atomic(false)

  package init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit { _ = penstock_close(descriptor) }

  /// The shard has ended: nobody waits for what is sent on its connections.
  var hasEnded: Bool { ended.load(ordering: .relaxed) }
  func end() { ended.store(true, ordering: .relaxed) }

  /// Gives a connection back. A shard that takes no word for too long loses the whole link, and with it
  /// all it has lent: one that it was not told of would be lent for ever.
  package func giveBack(
    _ name: LentName, within nanoseconds: Int64 = LentConnection.stretchNanoseconds
  ) {
    let words = Array("BACK \(name.slot) \(name.generation)\n".utf8)
    let deadline = System.monotonicNanoseconds() + nanoseconds
    while !hasEnded, System.monotonicNanoseconds() < deadline {
      let sent = unsafe words.withUnsafeBytes {
        unsafe penstock_send_packet(descriptor, $0.baseAddress, $0.count, -1)
      }
      if sent > 0 { return }
      guard sent == Int64(-System.again) else { break }
      System.sleep(nanoseconds: 1_000_000)
    }
    penstock_shut_down(descriptor)
  }
}

/// Reads that wait for a place.
final class ReadQueueLength: Sendable {
  private let count = Atomic(0)

  var isZero: Bool { count.load(ordering: .relaxed) == 0 }
  func set(_ value: Int) { count.store(value, ordering: .relaxed) }
}

/// Why an answer ended early.
enum LentFailure: Error {
  /// The client has left, does not read, or its shard has ended.
  case gone
}

/// One lent connection and the request to answer on it. Used by one thread.
package final class LentConnection: Sendable {
  let link: ShardLink
  let name: LentName
  /// The request line without its tag.
  let line: [UInt8]
  /// Whose rights count; nil when the shard does not say.
  let grant: LentGrant?
  /// " tag=…", or nothing.
  let tag: String
  /// Whether it is a READ, which has one of few places.
  let isRead: Bool
  private let descriptor: Int32
  private let waiting: ReadQueueLength

  /// Bytes of an answer that have their time together: a chunk of events.
  static let stretchByteCount = AnswerChunk.byteCountTarget
  /// A client that takes longer than this for a stretch is let go, in nanoseconds: 2 KB a second.
  package static let stretchNanoseconds: Int64 = 30_000_000_000
  /// The same of a READ while others wait for its place: 21 KB a second, and no read waits longer for
  /// clients that take nothing.
  static let contendedStretchNanoseconds: Int64 = 3_000_000_000
  /// One wait for room, in nanoseconds: how late the end of a shard is noticed.
  private static let waitNanoseconds: Int64 = 500_000_000

  /// - Parameters:
  ///   - packet: what the shard sent with the descriptor.
  ///   - waiting: reads that wait for a place.
  init?(
    _ descriptor: Int32, _ packet: [UInt8], _ link: ShardLink, _ waiting: ReadQueueLength
  ) {
    let span = packet.rawSpan
    let end = span.nearIndex(of: Byte.lineFeed, from: 0, to: packet.count)
    guard end < packet.count, let name = LentName(span, 0..<end),
      let (lineEnd, _) = RequestTag.split(span, (end + 1)..<packet.count)
    else { return nil }
    self.link = link
    self.name = name
    self.descriptor = descriptor
    grant = LentGrant(String(decoding: packet[..<end], as: UTF8.self))
    line = Array(packet[(end + 1)..<lineEnd])
    isRead = line.starts(with: "READ ".utf8)
    self.waiting = waiting
    tag = String(decoding: packet[lineEnd...], as: UTF8.self)
  }

  /// Gives the connection back to its shard. Called once, at the end.
  func giveBack(failed: Bool) {
    if failed { penstock_shut_down(descriptor) }
    _ = penstock_close(descriptor)
    link.giveBack(name)
  }

  /// Whether nobody is there to read an answer.
  var isClosed: Bool { link.hasEnded || penstock_is_closed(descriptor) }

  func send(_ text: String) throws(LentFailure) {
    let bytes = Array(text.utf8)
    var memory = AlignedBuffer(byteCount: bytes.count)
    memory.copy(bytes.rawSpan, to: 0)
    try send(memory, 0..<bytes.count)
  }

  func send(_ memory: borrowing AlignedBuffer, _ range: ByteRange) throws(LentFailure) {
    var start = range.lowerBound
    try transfer(range.count) { count in
      let sent = unsafe penstock_send(
        descriptor, memory.address(start..<(start + count)), count)
      if sent > 0 { start += Int(sent) }
      return sent
    }
  }

  /// Sends bytes of a file, without taking them into this process.
  func send(_ file: File, _ range: ByteRange) throws(LentFailure) {
    var start = range.lowerBound
    _ = penstock_limit_send_wait(descriptor, 1)
    defer { _ = penstock_limit_send_wait(descriptor, 0) }
    try transfer(range.count) { count in
      let sent = penstock_send_file(descriptor, file.descriptor, Int64(start), count)
      if sent > 0 { start += Int(sent) }
      return sent
    }
  }

  /// Calls `body` until it has taken `byteCount` bytes, a stretch at a time.
  private func transfer(_ byteCount: Int, _ body: (Int) -> Int64) throws(LentFailure) {
    var left = byteCount
    // Where the stretch ends, in bytes that are left then.
    var stretchEnd = max(0, byteCount - LentConnection.stretchByteCount)
    var begun = System.monotonicNanoseconds()
    while left > 0 {
      let sent = body(left)
      if sent > 0 {
        left -= Int(sent)
        if left <= stretchEnd {
          stretchEnd = max(0, left - LentConnection.stretchByteCount)
          begun = System.monotonicNanoseconds()
          continue
        }
      } else if sent != Int64(-System.again) {
        throw .gone
      }
      guard System.monotonicNanoseconds() - begun < stretchPatience, !link.hasEnded else {
        throw .gone
      }
      if sent > 0 { continue }
      var descriptor = descriptor
      var wanted = UInt8(PENSTOCK_POLL_WRITE)
      var ready: UInt8 = 0
      _ = unsafe penstock_poll(
        &descriptor, &wanted, &ready, 1, LentConnection.waitNanoseconds)
      if Int32(ready) & Int32(PENSTOCK_POLL_ENDED) != 0 { throw .gone }
    }
  }

  /// How long the client may take for a stretch now, in nanoseconds.
  private var stretchPatience: Int64 {
    isRead && !waiting.isZero
      ? LentConnection.contendedStretchNanoseconds : LentConnection.stretchNanoseconds
  }
}
