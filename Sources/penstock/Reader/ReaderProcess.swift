// The reader as a process: answers READ, FOLLOW and COPY on connections that shards lend it.
//
//     shard ── connection and request ──▶ loop ─▶ a thread ─▶ answer ─▶ client
//       ◀───────────── "BACK" ─────────────────────┘
//
// The loop takes requests and does nothing else. Each is answered on a thread of its own, in
// straight lines: it waits for the disk and for its client. Reads beyond some at once wait their turn,
// oldest first, and while they do, who takes an answer too slowly loses its place (LentConnection);
// beyond a limit requests are refused. Nothing here
// touches a log but to read it, so that a reader may end at any moment: the host starts another, and
// clients come back.

internal import CShims
internal import Penstock
internal import PenstockArchive
internal import PenstockCore
internal import Synchronization

/// Runs the reader in this process.
enum ReaderProcess {
  /// Reads at once: more would only share the processors and the disk.
  static let readCountMax = 8
  /// Requests at once, those that wait and those that follow included: each costs a thread's stack.
  static let requestCountMax = 512
  /// Index entries one read may hold, as StoreReader has it: 5 MB for each read.
  static let indexEntryCountMax = 1 << 17
  /// Shards that may be connected: as many as there can be, and their successors.
  private static let linkCountMax = 2 * HostOptions.shardCountMax
  private static let packetByteCountMax = 8 << 10

  /// Runs until the control pipe ends or says stop; the exit status.
  static func run(
    layout: StoreLayout, store: StoreIdentifier, control: Int32, listener: Int32, tokens: String?
  ) -> Int32 {
    penstock_ignore_write_signals()
    _ = penstock_set_nonblocking(control, true)
    _ = penstock_set_nonblocking(listener, true)
    let access = tokens.map { ReaderAccess($0) }
    let desk = ReaderDesk(layout, access)
    var links: [ShardLink] = []
    while true {
      let descriptors = [control, listener] + links.map(\.descriptor)
      let ready = wait(descriptors)
      if ready[0] {
        let byte = penstock_read_byte(control)
        guard byte == -System.again || byte == Int32(ControlByte.reload) else { return 0 }
        if byte > 0 { access?.reload() }
      }
      for (index, link) in links.enumerated() where ready[index + 2] { receive(link, desk) }
      for link in links where link.hasEnded { desk.forget(link) }
      links.removeAll(where: \.hasEnded)
      guard ready[1], links.count < linkCountMax else { continue }
      let accepted = penstock_accept(listener)
      if accepted >= 0 { links.append(ShardLink(accepted)) }
    }
  }

  /// Waits until one of them can be read, or has ended; which.
  private static func wait(_ descriptors: [Int32]) -> [Bool] {
    let wanted = [UInt8](repeating: UInt8(PENSTOCK_POLL_READ), count: descriptors.count)
    var ready = [UInt8](repeating: 0, count: descriptors.count)
    _ = unsafe descriptors.withUnsafeBufferPointer { descriptors in
      unsafe wanted.withUnsafeBufferPointer { wanted in
        unsafe ready.withUnsafeMutableBufferPointer { ready in
          unsafe penstock_poll(
            descriptors.baseAddress, wanted.baseAddress, ready.baseAddress,
            Int32(descriptors.count), -1)
        }
      }
    }
    return ready.map { $0 != 0 }
  }

  /// Takes the requests of a shard that are there.
  private static func receive(_ link: ShardLink, _ desk: ReaderDesk) {
    var packet = [UInt8](repeating: 0, count: packetByteCountMax)
    while true {
      var lent: Int32 = -1
      let count = unsafe packet.withUnsafeMutableBytes {
        unsafe penstock_receive_packet(link.descriptor, $0.baseAddress, $0.count, &lent)
      }
      if count == Int64(-System.again) { return }
      guard count > 0 else {
        // An empty packet is none of a shard's, and may bring a descriptor all the same.
        if lent >= 0 { _ = penstock_close(lent) }
        return link.end()
      }
      guard lent >= 0 else { continue }
      guard
        let connection = LentConnection(
          lent, Array(packet.prefix(Int(count))), link, desk.waiting)
      else {
        _ = penstock_close(lent)
        continue
      }
      desk.take(connection)
    }
  }
}

/// Hands requests to threads.
final class ReaderDesk: Sendable {
  private struct State {
    var requestCount = 0
    var readCount = 0
    /// Reads that wait for their turn.
    var queue: [LentConnection] = []
    /// What reads used before, with what they know of the manifest.
    var idleReaders: [ReaderBox] = []
  }

  /// A store's reader that goes from thread to thread, and is used by one at a time.
  private struct ReaderBox: @unchecked Sendable {
    let reader: StoreReader<LinuxFileSystem>
  }

  private let layout: StoreLayout
  /// The tokens that are asked for; nil asks for none.
  private let access: ReaderAccess?
  private let state = Mutex(State())
  /// How many reads wait for their turn, for those that keep them waiting.
  let waiting = ReadQueueLength()

  init(_ layout: StoreLayout, _ access: ReaderAccess?) {
    self.layout = layout
    self.access = access
  }

  /// Answers a request now, in its turn, or with a refusal.
  func take(_ lent: LentConnection) {
    let isRead = lent.isRead
    let turn: Turn = state.withLock { state in
      guard state.requestCount < ReaderProcess.requestCountMax else { return .refuse }
      state.requestCount += 1
      guard isRead else { return .now }
      guard state.readCount < ReaderProcess.readCountMax else {
        state.queue.append(lent)
        waiting.set(state.queue.count)
        return .later
      }
      state.readCount += 1
      return .now
    }
    switch turn {
    case .now: start(lent, isRead: isRead)
    case .later: break
    case .refuse: refuse(lent, "busy", "the reader has all it can do; try again")
    }
  }

  private enum Turn { case now, later, refuse }

  /// Requests of a shard that has ended and that wait are not answered any more.
  func forget(_ link: ShardLink) {
    let left = state.withLock { state in
      let left = state.queue.filter { $0.link === link }
      state.queue.removeAll { $0.link === link }
      waiting.set(state.queue.count)
      state.requestCount -= left.count
      return left
    }
    for lent in left { lent.giveBack(failed: true) }
  }

  private func start(_ lent: LentConnection, isRead: Bool) {
    do {
      // Nobody waits for its end: the process ends without.
      _ = try LibraryThread { [self] in run(lent, isRead: isRead) }
    } catch {
      refuse(lent, "busy", "the reader could not start a thread; try again")
      finish(isRead: isRead)
    }
  }

  private func refuse(_ lent: LentConnection, _ code: String, _ text: String) {
    lent.giveBack(failed: (try? lent.send("ERR \(code)\(lent.tag) \(text)\n")) == nil)
  }

  private func run(_ first: LentConnection, isRead: Bool) {
    var next: LentConnection? = first
    while let lent = next {
      answer(lent)
      next = finish(isRead: isRead)
    }
  }

  private func answer(_ lent: LentConnection) {
    let box = state.withLock { $0.idleReaders.popLast() }
    do throws(ReadError) {
      let reader: StoreReader<LinuxFileSystem>
      if let box {
        reader = box.reader
      } else {
        reader = try StoreReader(LinuxFileSystem(), layout)
      }
      reader.indexEntryCountMax = ReaderProcess.indexEntryCountMax
      let isDone = Answers(reader: reader, access: access).answer(lent)
      let used = ReaderBox(reader: reader)
      state.withLock { state in
        if state.idleReaders.count < ReaderProcess.readCountMax { state.idleReaders.append(used) }
      }
      lent.giveBack(failed: !isDone)
    } catch {
      refuse(lent, "unreadable", error.description)
    }
  }

  /// Books the end of a request; the read whose turn it is, if the request was one.
  @discardableResult
  private func finish(isRead: Bool) -> LentConnection? {
    state.withLock { state in
      state.requestCount -= 1
      guard isRead else { return nil }
      if !state.queue.isEmpty {
        defer { waiting.set(state.queue.count) }
        return state.queue.removeFirst()
      }
      state.readCount -= 1
      return nil
    }
  }
}
