// The io_uring backend: one ring, its fixed-file table, two rings of receive buffers.
//
// Sockets stay ordinary descriptors; files that are written, and the lease, live in the fixed-file
// table only. A write is linked to its fdatasync. The write posts a completion only when it failed,
// and the kernel then posts none for the sync it cancels: so either one ends the commit.
//
// Owns unsafe memory: the C ring on the heap, and the addresses of the shard's buffers, which
// outlive it (`ShardMemory` is destroyed after the ring in `Shard`).

internal import CShims
internal import Glibc

/// Queued I/O by io_uring.
@safe
package struct Ring: IO, ~Copyable {
  private let ring: OpaquePointer
  private let streamBase: UnsafeMutableRawPointer
  private let datagramBase: UnsafeMutableRawPointer
  private let commitBase: UnsafeMutableRawPointer
  private let answerBase: UnsafeMutableRawPointer
  private let limits: Limits
  package let files = LinuxFileSystem()
  private let hasRegisteredMemory: Bool

  private var reaped: Table<penstock_completion>
  private var reapedNext = 0
  private var reapedCount = 0

  /// Which flags the kernel accepted, for the start-up line.
  package let flagsDescription: String

  private static let entryCount: UInt32 = 1024
  private static let completionCount: UInt32 = 8192
  private static let fileSlotCount: UInt32 = 16
  private static let streamGroup: UInt16 = 0
  private static let datagramGroup: UInt16 = 1

  /// Opens a ring with the best flags the kernel takes.
  /// - Throws: why io_uring cannot be used here, with the remedy.
  package init(_ memory: borrowing ShardMemory, _ limits: Limits) throws(BackendError) {
    let base = penstock_setup_submit_all()
    let attempts: [(UInt32, String)] = [
      (
        base | penstock_setup_single_issuer() | penstock_setup_defer_taskrun(),
        "single-issuer defer-taskrun"
      ),
      (base | penstock_setup_coop_taskrun(), "coop-taskrun"),
      (base, "plain"),
    ]
    var opened: OpaquePointer?
    var name = ""
    var code: Int32 = 0
    for (flags, description) in attempts {
      code = unsafe penstock_ring_open(Ring.entryCount, Ring.completionCount, flags, &opened)
      name = description
      if code != -EINVAL { break }
    }
    guard code == 0, let ring = unsafe opened else { throw BackendError(code: -code) }
    func give(_ result: Int32) throws(BackendError) {
      if result < 0 {
        unsafe penstock_ring_close(ring)
        throw BackendError(code: -result)
      }
    }
    try give(unsafe penstock_ring_register_slots(ring, Ring.fileSlotCount))
    let streams = unsafe memory.streams.address(0..<memory.streams.byteCount)
    let datagrams = unsafe memory.datagrams.address(0..<memory.datagrams.byteCount)
    let commits = unsafe memory.commits.address(0..<memory.commits.byteCount)
    try give(
      unsafe penstock_ring_add_buffers(
        ring, Ring.streamGroup, streams, UInt32(limits.streamBufferByteCount),
        UInt32(limits.streamBufferCount)))
    try give(
      unsafe penstock_ring_add_buffers(
        ring, Ring.datagramGroup, datagrams, UInt32(limits.datagramBufferByteCount),
        UInt32(limits.datagramBufferCount)))
    // Pinning is a gain, not a need: without the right to lock memory, writes pin their own pages.
    hasRegisteredMemory =
      unsafe penstock_ring_register_memory(ring, commits, memory.commits.byteCount) == 0
    unsafe self.ring = ring
    unsafe streamBase = streams
    unsafe datagramBase = datagrams
    unsafe commitBase = commits
    unsafe answerBase = memory.answers.address(0..<memory.answers.byteCount)
    self.limits = limits
    flagsDescription = name
    reaped = Table(count: 512, repeating: penstock_completion())
  }

  deinit { unsafe penstock_ring_close(ring) }

  private func must(_ result: Int32) {
    precondition(result == 0, "the submission queue is full although it was flushed")
  }

  package mutating func accept(_ listener: Socket, token: Token) {
    must(unsafe penstock_ring_accept(ring, listener.descriptor, token.raw))
  }

  package mutating func connect(_ path: String) -> Socket? {
    let descriptor = unsafe penstock_connect_unix_at_once(path)
    guard descriptor >= 0 else { return nil }
    _ = penstock_set_nonblocking(descriptor, false)
    return Socket(descriptor: descriptor)
  }

  package mutating func connectPackets(_ path: String) -> Socket? {
    let descriptor = unsafe penstock_connect_packets_at_once(path)
    guard descriptor >= 0 else { return nil }
    _ = penstock_set_nonblocking(descriptor, false)
    return Socket(descriptor: descriptor)
  }

  package mutating func lend(_ socket: Socket, over link: Socket, _ range: ByteRange) -> Bool {
    unsafe penstock_send_packet(
      link.descriptor, answerBase + range.lowerBound, range.count, socket.descriptor) >= 0
  }

  package mutating func receive(_ socket: Socket, token: Token) {
    must(unsafe penstock_ring_receive(ring, socket.descriptor, Ring.streamGroup, token.raw))
  }

  package mutating func receiveDatagrams(_ socket: Socket, token: Token) {
    must(
      unsafe penstock_ring_receive_datagrams(
        ring, socket.descriptor, Ring.datagramGroup, token.raw))
  }

  package mutating func send(_ socket: Socket, _ range: ByteRange, token: Token) {
    must(
      unsafe penstock_ring_send(
        ring, socket.descriptor, answerBase + range.lowerBound, UInt32(range.count), token.raw))
  }

  package mutating func watch(_ socket: Socket, token: Token) {
    must(unsafe penstock_ring_poll(ring, socket.descriptor, token.raw))
  }

  package mutating func close(_ socket: Socket) {
    // Operations hold their own reference: shutting down ends them, closing frees the number.
    penstock_shut_down(socket.descriptor)
    _ = penstock_close(socket.descriptor)
  }

  package mutating func finishSending(_ socket: Socket) {
    penstock_finish_sending(socket.descriptor)
  }

  package mutating func keep(_ file: File, in slot: FileSlot) throws(FileError) {
    let result = unsafe penstock_ring_set_slot(ring, UInt32(slot.index), file.descriptor)
    _ = penstock_close(file.descriptor)
    if result < 0 { throw FileError(.open, "fixed file slot \(slot.index)", code: -result) }
  }

  package mutating func commit(
    _ slot: FileSlot, _ range: ByteRange, at offset: Int, token: Token
  ) {
    let writeToken = Token(.commitWrite, slot: token.slot, generation: token.generation)
    must(
      unsafe penstock_ring_write_and_sync(
        ring, UInt32(slot.index), commitBase + range.lowerBound, UInt32(range.count),
        UInt64(offset), hasRegisteredMemory, writeToken.raw, token.raw))
  }

  package mutating func giveBack(_ buffer: Int, to pool: BufferPool) {
    let group = pool == .streams ? Ring.streamGroup : Ring.datagramGroup
    unsafe penstock_ring_return_buffer(ring, group, UInt16(buffer))
  }

  package mutating func submitAndWait(count: Int, timeoutNanoseconds: Int64) throws(FileError) {
    unsafe penstock_ring_publish_buffers(ring, Ring.streamGroup)
    unsafe penstock_ring_publish_buffers(ring, Ring.datagramGroup)
    let result = unsafe penstock_ring_submit_and_wait(ring, UInt32(count), timeoutNanoseconds)
    // A full completion queue only means: take completions first.
    if result < 0, result != -EBUSY { throw FileError(.write, "io_uring", code: -result) }
  }

  package mutating func nextCompletion() -> Completion? {
    if reapedNext == reapedCount {
      reapedNext = 0
      reapedCount = Int(unsafe penstock_ring_reap(ring, reapedStorage(), UInt32(reaped.count)))
      if reapedCount == 0 { return nil }
    }
    let raw = reaped[reapedNext]
    reapedNext &+= 1
    return translate(raw)
  }

  private mutating func reapedStorage() -> UnsafeMutablePointer<penstock_completion> {
    unsafe withUnsafeMutablePointer(to: &reaped[0]) { unsafe $0 }
  }

  @inline(__always)
  private func translate(_ raw: penstock_completion) -> Completion {
    let token = Token(raw: raw.token)
    var completion = Completion(token: token, result: raw.result)
    completion.hasMore = penstock_completion_has_more(raw.flags)
    switch token.kind {
    case .commitWrite:
      // A write that reports success here was short: it broke the link.
      completion.token = Token(.commit, slot: token.slot, generation: token.generation)
      completion.result = raw.result < 0 ? raw.result : -EIO
    case .receive:
      guard penstock_completion_has_buffer(raw.flags) else { break }
      let buffer = Int(penstock_completion_buffer(raw.flags))
      let start = buffer &* limits.streamBufferByteCount
      completion.buffer = buffer
      completion.payload = start..<(start &+ Int(max(raw.result, 0)))
    case .datagram:
      guard penstock_completion_has_buffer(raw.flags) else { break }
      let buffer = Int(penstock_completion_buffer(raw.flags))
      completion.buffer = buffer
      let start = buffer &* limits.datagramBufferByteCount
      var header = penstock_datagram()
      let result = unsafe penstock_ring_datagram(
        datagramBase + start, UInt32(max(raw.result, 0)), &header)
      guard result == 0 else {
        completion.result = -EINVAL
        break
      }
      let payload = start &+ Int(header.payload_offset)
      completion.payload = payload..<(payload &+ Int(header.payload_count))
      completion.segmentByteCount = Int(header.segment_count)
    case .accept, .send, .control, .cancel, .commit, nil: break
    }
    return completion
  }

  package mutating func takeControl(_ control: Socket) -> ControlReading {
    ControlReading(penstock_read_byte(control.descriptor))
  }

  package func droppedBuffers(_ socket: Socket) -> Int {
    max(0, Int(penstock_dropped_buffers(socket.descriptor)))
  }

  package func now() -> Timestamp { System.now() }
  package func monotonicNanoseconds() -> Int64 { System.monotonicNanoseconds() }
}

extension ControlReading {
  /// What `penstock_read_byte` returned.
  init(_ result: Int32) {
    switch result {
    case 0...255: self = .byte(UInt8(result))
    case -EAGAIN: self = .empty
    default: self = .end
    }
  }
}

/// Why a backend cannot be used.
package struct BackendError: Error, Equatable, Sendable, CustomStringConvertible {
  package var code: Int32
  package init(code: Int32) { self.code = code }

  package var description: String {
    let remedy: String
    switch code {
    case EPERM:
      remedy =
        "allow io_uring_setup in the container's seccomp profile, or set "
        + "kernel.io_uring_disabled=0"
    case ENOSYS: remedy = "the kernel lacks io_uring, or a seccomp profile hides it"
    case ENOMEM: remedy = "raise the limit of locked memory (LimitMEMLOCK)"
    default: remedy = "Linux 6.1 or later is needed"
    }
    return "io_uring is refused: \(System.message(for: code)); \(remedy)"
  }
}
