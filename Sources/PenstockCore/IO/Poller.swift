// The fallback backend, for machines where io_uring is refused: epoll for sockets, and one thread
// that writes and syncs batches in order, so that never more than one barrier is open.
//
// Receives are armed once and read into the same buffers the ring would fill; the shard sees no
// difference. A killed process's lock falls when its writer's last write has returned, because
// the thread keeps the process's descriptors open until then.
//
// Owns unsafe memory: the C writer, and the addresses of the shard's buffers, which outlive it.

internal import CShims
internal import Glibc

/// Queued I/O by epoll and a writer thread.
@safe
package struct Poller: IO, ~Copyable {
  private let epoll: Int32
  private let writer: OpaquePointer
  private let streamBase: UnsafeMutableRawPointer
  private let datagramBase: UnsafeMutableRawPointer
  private let commitBase: UnsafeMutableRawPointer
  private let answerBase: UnsafeMutableRawPointer
  private let limits: Limits
  /// Without io_uring, which this backend is there to do without.
  package let files = LinuxFileSystem(queuesReads: false)

  private var freeStreams: FixedQueue<UInt16>
  private var freeDatagrams: FixedQueue<UInt16>
  private var ready: FixedQueue<Completion>
  /// Sends the kernel had no room for; they complete with 0 bytes after a pause.
  private var refusedSends: FixedQueue<Completion>
  /// Readiness waiting to become a completion.
  private var tokens: Table<UInt64>
  /// Descriptor by connection, listener or control token: epoll reports tokens only.
  private var armed: Table<Armed>
  private var kept: Table<Int32>

  private struct Armed: BitwiseCopyable {
    var descriptor: Int32 = -1
    var token: UInt64 = 0
    var isAdded = false
  }

  private static let fileSlotCount = 16
  private static let writerToken = UInt64.max
  private static let datagramsAtOnce = 64
  /// Readiness taken from epoll at once.
  private static let tokenCount: Int32 = 256
  /// Pause before a refused send is tried again, in nanoseconds.
  private static let sendPause: Int64 = 1_000_000
  /// Descriptors epoll can know at once: the usual limit of open files, with room.
  private static let descriptorCountMax = 65_536

  package init(_ memory: borrowing ShardMemory, _ limits: Limits) throws(BackendError) {
    let epoll = penstock_epoll_open()
    guard epoll >= 0 else { throw BackendError(code: -epoll) }
    var started: OpaquePointer?
    let result = unsafe penstock_writer_start(&started)
    guard result == 0, let writer = unsafe started else {
      _ = penstock_close(epoll)
      throw BackendError(code: -result)
    }
    self.epoll = epoll
    unsafe self.writer = writer
    unsafe streamBase = memory.streams.address(0..<memory.streams.byteCount)
    unsafe datagramBase = memory.datagrams.address(0..<memory.datagrams.byteCount)
    unsafe commitBase = memory.commits.address(0..<memory.commits.byteCount)
    unsafe answerBase = memory.answers.address(0..<memory.answers.byteCount)
    self.limits = limits
    freeStreams = FixedQueue(capacity: limits.streamBufferCount, repeating: 0)
    for index in 0..<limits.streamBufferCount { freeStreams.append(UInt16(index)) }
    freeDatagrams = FixedQueue(capacity: limits.datagramBufferCount, repeating: 0)
    for index in 0..<limits.datagramBufferCount { freeDatagrams.append(UInt16(index)) }
    ready = FixedQueue(
      capacity: 4 * limits.connectionCountMax + 512,
      repeating: Completion(token: Token(raw: 0), result: 0))
    refusedSends = FixedQueue(
      capacity: limits.connectionCountMax, repeating: Completion(token: Token(raw: 0), result: 0))
    tokens = Table(count: Int(Poller.tokenCount), repeating: 0)
    armed = Table(count: Poller.descriptorCountMax, repeating: Armed())
    kept = Table(count: Poller.fileSlotCount, repeating: -1)
    arm(unsafe penstock_writer_event(writer), Poller.writerToken)
  }

  deinit {
    unsafe penstock_writer_stop(writer)
    for slot in 0..<kept.count where kept[slot] >= 0 { _ = penstock_close(kept[slot]) }
    _ = penstock_close(epoll)
  }

  private mutating func arm(_ descriptor: Int32, _ token: UInt64) {
    let index = Int(descriptor)
    var entry = armed[index]
    entry.descriptor = descriptor
    entry.token = token
    // epoll reports the descriptor; the table knows what it was armed for.
    let data = UInt64(UInt32(bitPattern: descriptor))
    var result = penstock_epoll_arm(epoll, descriptor, entry.isAdded, data)
    if result == -ENOENT { result = penstock_epoll_arm(epoll, descriptor, false, data) }
    entry.isAdded = result == 0
    armed[index] = entry
    if result < 0 { finish(Completion(token: Token(raw: token), result: result)) }
  }

  private mutating func finish(_ completion: Completion) { ready.append(completion) }

  package mutating func accept(_ listener: Socket, token: Token) {
    _ = penstock_set_nonblocking(listener.descriptor, true)
    arm(listener.descriptor, token.raw)
  }

  package mutating func connect(_ path: String) -> Socket? {
    let descriptor = unsafe penstock_connect_unix_at_once(path)
    guard descriptor >= 0 else { return nil }
    return Socket(descriptor: descriptor)
  }

  package mutating func connectPackets(_ path: String) -> Socket? {
    let descriptor = unsafe penstock_connect_packets_at_once(path)
    return descriptor >= 0 ? Socket(descriptor: descriptor) : nil
  }

  package mutating func lend(_ socket: Socket, over link: Socket, _ range: ByteRange) -> Bool {
    unsafe penstock_send_packet(
      link.descriptor, answerBase + range.lowerBound, range.count, socket.descriptor) >= 0
  }

  package mutating func receive(_ socket: Socket, token: Token) {
    guard !freeStreams.isEmpty else {
      finish(Completion(token: token, result: -ENOBUFS))
      return
    }
    arm(socket.descriptor, token.raw)
  }

  package mutating func receiveDatagrams(_ socket: Socket, token: Token) {
    arm(socket.descriptor, token.raw)
  }

  package mutating func send(_ socket: Socket, _ range: ByteRange, token: Token) {
    let sent = unsafe penstock_send(
      socket.descriptor, answerBase + range.lowerBound, range.count)
    if sent == Int64(-EAGAIN) {
      // The peer does not read: try again after a pause. The shard's deadline ends this.
      refusedSends.append(Completion(token: token, result: 0))
      return
    }
    finish(Completion(token: token, result: Int32(truncatingIfNeeded: sent)))
  }

  package mutating func watch(_ socket: Socket, token: Token) { arm(socket.descriptor, token.raw) }

  package mutating func close(_ socket: Socket) {
    let index = Int(socket.descriptor)
    let entry = armed[index]
    // What was armed ends, as it does on the ring.
    if entry.token != 0 {
      finish(Completion(token: Token(raw: entry.token), result: -ECANCELED))
    }
    armed[index] = Armed()
    penstock_shut_down(socket.descriptor)
    _ = penstock_close(socket.descriptor)
  }

  package mutating func finishSending(_ socket: Socket) {
    penstock_finish_sending(socket.descriptor)
  }

  package mutating func keep(_ file: File, in slot: FileSlot) throws(FileError) {
    if kept[slot.index] >= 0 { _ = penstock_close(kept[slot.index]) }
    kept[slot.index] = file.descriptor
  }

  package mutating func commit(
    _ slot: FileSlot, _ range: ByteRange, at offset: Int, token: Token
  ) {
    let result = unsafe penstock_writer_submit(
      writer, kept[slot.index], commitBase + range.lowerBound, range.count, Int64(offset),
      token.raw)
    if result < 0 { finish(Completion(token: token, result: result)) }
  }

  package mutating func giveBack(_ buffer: Int, to pool: BufferPool) {
    if pool == .streams {
      freeStreams.append(UInt16(buffer))
    } else {
      freeDatagrams.append(UInt16(buffer))
    }
  }

  package mutating func submitAndWait(count: Int, timeoutNanoseconds: Int64) throws(FileError) {
    var timeout = ready.isEmpty && count > 0 ? timeoutNanoseconds : 0
    if !refusedSends.isEmpty {
      timeout = timeout < 0 ? Poller.sendPause : min(timeout, Poller.sendPause)
    }
    let found = unsafe withUnsafeMutablePointer(to: &tokens[0]) {
      unsafe penstock_epoll_wait(epoll, $0, Poller.tokenCount, timeout)
    }
    if found < 0 { throw FileError(.read, "epoll", code: 0 - found) }
    while !refusedSends.isEmpty {
      finish(refusedSends.first)
      refusedSends.removeFirst()
    }
    for index in 0..<Int(found) {
      let descriptor = Int(tokens[index])
      let entry = armed[descriptor]
      guard entry.token != 0 else { continue }
      armed[descriptor].token = 0
      become(entry)
    }
  }

  /// Turns the readiness of one descriptor into completions.
  private mutating func become(_ entry: Armed) {
    if entry.token == Poller.writerToken {
      var result = penstock_write_result()
      while unsafe penstock_writer_next(writer, &result) {
        finish(Completion(token: Token(raw: result.token), result: result.result))
      }
      arm(entry.descriptor, Poller.writerToken)
      return
    }
    let token = Token(raw: entry.token)
    switch token.kind {
    case .accept:
      let accepted = penstock_accept(entry.descriptor)
      if accepted == -EAGAIN {
        arm(entry.descriptor, entry.token)
      } else {
        if accepted >= 0, Int(accepted) < armed.count { armed[Int(accepted)] = Armed() }
        finish(Completion(token: token, result: accepted))
      }
    case .receive: becomeReceive(entry, token)
    case .datagram: becomeDatagrams(entry, token)
    default: finish(Completion(token: token, result: 0))
    }
  }

  private mutating func becomeReceive(_ entry: Armed, _ token: Token) {
    guard !freeStreams.isEmpty else {
      finish(Completion(token: token, result: -ENOBUFS))
      return
    }
    let buffer = Int(freeStreams.first)
    let start = buffer * limits.streamBufferByteCount
    let received = unsafe penstock_receive(
      entry.descriptor, streamBase + start, limits.streamBufferByteCount)
    if received == Int64(-EAGAIN) {
      arm(entry.descriptor, entry.token)
      return
    }
    var completion = Completion(token: token, result: Int32(truncatingIfNeeded: received))
    if received > 0 {
      freeStreams.removeFirst()
      completion.buffer = buffer
      completion.payload = start..<(start + Int(received))
    }
    finish(completion)
  }

  private mutating func becomeDatagrams(_ entry: Armed, _ token: Token) {
    let limit = min(Poller.datagramsAtOnce, freeDatagrams.count)
    guard limit > 0 else {
      finish(Completion(token: token, result: -ENOBUFS))
      return
    }
    var buffers: InlineArray<64, UInt16> = .init(repeating: 0)
    var pointers: InlineArray<64, UnsafeMutableRawPointer?> = unsafe .init(repeating: nil)
    var counts: InlineArray<64, UInt32> = .init(repeating: 0)
    var segments: InlineArray<64, UInt32> = .init(repeating: 0)
    for index in 0..<limit {
      let buffer = freeDatagrams.first
      freeDatagrams.removeFirst()
      buffers[index] = buffer
      unsafe pointers[index] = datagramBase + Int(buffer) * limits.datagramBufferByteCount
    }
    let received = unsafe withUnsafeMutablePointer(to: &pointers[0]) { pointers in
      unsafe withUnsafeMutablePointer(to: &counts[0]) { counts in
        unsafe withUnsafeMutablePointer(to: &segments[0]) { segments in
          unsafe penstock_receive_datagrams(
            entry.descriptor, pointers, limits.datagramBufferByteCount, Int32(limit), counts,
            segments)
        }
      }
    }
    for index in 0..<limit {
      guard index < Int(received) else {
        freeDatagrams.append(buffers[index])
        continue
      }
      let buffer = Int(buffers[index])
      let start = buffer * limits.datagramBufferByteCount
      finish(
        Completion(
          token: token, result: Int32(counts[index]), buffer: buffer,
          payload: start..<(start + Int(counts[index])),
          segmentByteCount: Int(segments[index]), hasMore: true))
    }
    if received < 0 {
      finish(Completion(token: token, result: received))
    } else {
      arm(entry.descriptor, entry.token)
    }
  }

  package mutating func nextCompletion() -> Completion? {
    guard !ready.isEmpty else { return nil }
    let completion = ready.first
    ready.removeFirst()
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
