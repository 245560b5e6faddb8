// One client of Everstore's protocol: its bytes in and out, its transactions, its read in progress.

internal import CShims
internal import PenstockArchive
internal import PenstockCore

/// A transaction that is open.
struct EverstoreTransaction {
  /// The journal (JournalIndex.number).
  var journal: UInt64
  /// What the transaction saw of the journal's log.
  var position: SequenceNumber
}

/// What the sessions of one server share: how much they may hold together.
final class EverstoreLimits {
  /// Sessions that hold a buffer for a large message.
  fileprivate(set) var largeCount = 0
  /// Transactions that are open.
  var transactionCount = 0

  /// Largest commit, in bytes of event lines.
  let octetCountMax: Int
  /// Largest message, in bytes: one such commit, and its types and names.
  let messageByteCountMax: Int
  /// Most buffers for messages beyond 64 KiB: 71 MB of them.
  let largeCountMax: Int

  private static let largeByteCountMax = 71 << 20
  /// Time a message beyond 64 KiB may take to come, in nanoseconds: its buffer is wanted by others.
  static let largeNanoseconds: Int64 = 30_000_000_000
  /// Most transactions that are open: 40 bytes each, 10 MB.
  static let transactionCountMax = 262_144

  init(octetCountMax: Int) {
    self.octetCountMax = octetCountMax
    messageByteCountMax = octetCountMax + (64 << 10)
    largeCountMax = EverstoreLimits.largeByteCountMax / messageByteCountMax
  }

  var hasLargeRoom: Bool { largeCount < largeCountMax }
}

/// A client's connection.
final class EverstoreSession {
  let descriptor: Int32
  private let limits: EverstoreLimits
  private var input = AlignedBuffer(byteCount: EverstoreSession.inputByteCountMin)
  private var start = 0
  private var end = 0
  var output = TextBuffer(byteCount: 64 << 10)
  private var sent = 0
  private(set) var transactions: [UInt32: EverstoreTransaction] = [:]
  /// A READ whose parts are not all written.
  var read: EverstoreRead?
  /// The client will send no more, or was refused.
  private(set) var hasEnded = false
  /// What it may do.
  var grant: Grant
  /// Commits on their way.
  var commitCount = 0
  /// The next message waits until the index holds what its log acknowledged.
  private(set) var isHeld = false
  /// When the client last sent something, and when its large message began to come.
  private(set) var heardAt: Int64
  private var largeAt: Int64?
  /// The next message is large, and as many as may be are on their way.
  private(set) var waitsForRoom = false

  private static let inputByteCountMin = 64 << 10
  /// Output beyond which a client is not read, and a READ waits, in bytes.
  static let outputByteCountMax = 256 << 10
  /// Silence after which a client without a transaction gives its place to others when all are taken,
  /// in nanoseconds.
  static let idleNanoseconds: Int64 = 60_000_000_000
  /// Transactions one client may have open.
  static let transactionCountMax = 65_536

  init(_ descriptor: Int32, wantsAuth: Bool, _ limits: EverstoreLimits, _ now: Int64) {
    self.descriptor = descriptor
    self.limits = limits
    heardAt = now
    grant = wantsAuth ? .none : .everything
    for byte in EverstoreHeader.greeting(wantsAuth: wantsAuth) { output.put(byte) }
  }

  deinit {
    _ = penstock_close(descriptor)
    limits.transactionCount -= transactions.count
    if largeAt != nil { limits.largeCount -= 1 }
  }

  var hasOutput: Bool { sent < output.byteCount }
  /// Whether its requests are taken now.
  var isReady: Bool { read == nil && output.byteCount - sent < EverstoreSession.outputByteCountMax }
  /// Whether it is over: nothing comes, nothing is to go.
  var isOver: Bool { hasEnded && read == nil && !hasOutput && commitCount == 0 && !hasMessage }

  /// Whether nobody would miss it: it has nothing open, and was not heard of for a while.
  func isIdle(_ now: Int64) -> Bool {
    transactions.isEmpty && read == nil && commitCount == 0 && !hasOutput && start == end
      && now - heardAt >= EverstoreSession.idleNanoseconds
  }

  /// Whether its large message takes longer than it may, of the time since it was read at all.
  func isLate(_ now: Int64, readSince: Int64) -> Bool {
    guard let largeAt, !hasMessage else { return false }
    return now - max(largeAt, readSince) >= EverstoreLimits.largeNanoseconds
  }

  /// Takes nothing more from it; what it is told still goes out.
  func refuse() {
    hasEnded = true
    start = end
  }

  func drop() {
    hasEnded = true
    start = end
    read = nil
    output.removeAll()
    sent = 0
  }

  // MARK: - In

  /// Takes the bytes that are there.
  func receive(_ now: Int64) {
    makeRoom(now)
    guard end < input.byteCount else { return }
    let count = unsafe penstock_receive(
      descriptor, input.address(end..<input.byteCount), input.byteCount - end)
    if count > 0 {
      end += Int(count)
      heardAt = now
    } else if count != Int64(-System.again) {
      hasEnded = true
      if count < 0 { drop() }
    }
  }

  private func makeRoom(_ now: Int64) {
    if start == end {
      start = 0
      end = 0
    } else if input.byteCount - end < input.byteCount / 2, start > 0 {
      moveDown()
    }
    waitsForRoom = false
    guard end == input.byteCount, let header, input.byteCount < wholeByteCount(header) else {
      return
    }
    if largeAt == nil {
      guard limits.hasLargeRoom else {
        waitsForRoom = true
        return
      }
      limits.largeCount += 1
      largeAt = now
    }
    moveDown()
    input.grow(to: limits.messageByteCountMax + (64 << 10), keeping: end)
  }

  private func moveDown() {
    input.move(start..<end, to: 0)
    end -= start
    start = 0
  }

  /// Gives a large buffer back when nothing large in it waits.
  private func shrink(_ now: Int64) {
    guard largeAt != nil else { return }
    largeAt = now
    guard end - start <= EverstoreSession.inputByteCountMin else { return }
    var small = AlignedBuffer(byteCount: EverstoreSession.inputByteCountMin)
    small.copy(input.bytes(start..<end), to: 0)
    end -= start
    start = 0
    input = small
    limits.largeCount -= 1
    largeAt = nil
  }

  private var header: EverstoreHeader? {
    end - start >= EverstoreHeader.byteCount ? EverstoreHeader(input, at: start) : nil
  }

  private func wholeByteCount(_ header: EverstoreHeader) -> Int {
    EverstoreHeader.byteCount + Int(header.byteCount)
  }

  /// Whether a whole message is there.
  var hasMessage: Bool { header.map { end - start >= wholeByteCount($0) } ?? false }

  /// Lends the next message, header and body; false when none is whole, or when `body` does not take
  /// it: then it is held. A message that is too large ends the session.
  func next(_ now: Int64, _ body: (EverstoreHeader, RawSpan, ByteRange) -> Bool) -> Bool {
    isHeld = false
    guard let header else { return false }
    guard header.byteCount <= limits.messageByteCountMax else {
      put(error: .unknown, header)
      refuse()
      return false
    }
    guard hasMessage else { return false }
    let first = start + EverstoreHeader.byteCount
    let range = first..<(first + Int(header.byteCount))
    let message = EverstoreBytes(input, range)
    let startBefore = start
    start = range.upperBound
    guard body(header, message.bytes.rawSpan, 0..<message.bytes.count) else {
      start = startBefore
      isHeld = true
      return false
    }
    shrink(now)
    return true
  }

  // MARK: - Transactions

  /// Opens a transaction; false when too many are open.
  func open(_ number: UInt32, _ transaction: EverstoreTransaction) -> Bool {
    guard transactions.count < EverstoreSession.transactionCountMax,
      limits.transactionCount < EverstoreLimits.transactionCountMax
    else { return false }
    limits.transactionCount += 1
    transactions[number] = transaction
    return true
  }

  /// Ends a transaction.
  @discardableResult
  func close(_ number: UInt32) -> EverstoreTransaction? {
    guard let transaction = transactions.removeValue(forKey: number) else { return nil }
    limits.transactionCount -= 1
    return transaction
  }

  // MARK: - Out

  func put(
    _ type: EverstoreType, _ request: UInt32, worker: UInt32, properties: UInt32 = 0,
    _ numbers: [UInt32], byte: UInt8? = nil, payloadByteCount: Int = 0
  ) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(EverstoreHeader.byteCount + 4 * numbers.count + 1)
    let size = UInt32(4 * numbers.count + (byte == nil ? 0 : 1) + payloadByteCount)
    for number in [type.rawValue, size, request, properties, worker] + numbers {
      for shift in stride(from: UInt32(0), to: 32, by: 8) {
        bytes.append(UInt8(truncatingIfNeeded: number >> shift))
      }
    }
    if let byte { bytes.append(byte) }
    if sent == output.byteCount {
      output.removeAll()
      sent = 0
    }
    output.put(bytes.rawSpan)
  }

  func put(error: EverstoreError, _ header: EverstoreHeader) {
    put(.error, header.request, worker: header.worker, [error.rawValue])
  }

  /// Sends what the kernel takes.
  func send() {
    while sent < output.byteCount {
      let count = unsafe penstock_send(
        descriptor, output.memory.address(sent..<output.byteCount), output.byteCount - sent)
      guard count >= 0 else {
        if count != Int64(-System.again) { drop() }
        return
      }
      sent += Int(count)
    }
    output.removeAll()
    sent = 0
  }
}

/// A message's bytes, taken out of the buffer: what is done with them may change the session.
private struct EverstoreBytes {
  let bytes: [UInt8]

  init(_ memory: borrowing AlignedBuffer, _ range: ByteRange) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(range.count)
    memory.bytes(range).append(to: &bytes)
    self.bytes = bytes
  }
}

/// A READ that is answered part by part.
final class EverstoreRead {
  private let header: EverstoreHeader
  private let worker: UInt32
  private let text: JournalTextReader<LinuxFileSystem>
  private var part = TextBuffer(byteCount: 2 * EverstoreRead.partByteCount)

  /// Bytes of a part, as Everstore's buffers had them.
  static let partByteCount = (64 << 10) - 24

  init(_ header: EverstoreHeader, worker: UInt32, _ text: JournalTextReader<LinuxFileSystem>) {
    self.header = header
    self.worker = worker
    self.text = text
  }

  /// Writes parts while the client takes them; true at the end.
  func advance(_ session: EverstoreSession) -> Bool {
    do {
      while session.output.byteCount < EverstoreSession.outputByteCountMax {
        // One part ahead: the last one must not be empty when there were others, or adapters lose
        // what they have.
        if try text.next(&part, upTo: 2 * EverstoreRead.partByteCount) {
          write(session, 0..<EverstoreRead.partByteCount, hasMore: true)
          part.removeFirst(EverstoreRead.partByteCount)
          continue
        }
        while part.byteCount > 2 * EverstoreRead.partByteCount {
          write(session, 0..<EverstoreRead.partByteCount, hasMore: true)
          part.removeFirst(EverstoreRead.partByteCount)
        }
        part.removeLast()
        if part.byteCount > EverstoreRead.partByteCount {
          let half = part.byteCount / 2
          write(session, 0..<half, hasMore: true)
          part.removeFirst(half)
        }
        write(session, 0..<part.byteCount, hasMore: false)
        return true
      }
      return false
    } catch {
      ShardProcess.say("everstore", "a journal cannot be read: \(error)")
      session.put(error: .unreadable, header)
      return true
    }
  }

  private func write(_ session: EverstoreSession, _ range: ByteRange, hasMore: Bool) {
    session.put(
      .read, header.request, worker: worker,
      properties: hasMore ? EverstoreHeader.hasMore : 0, [UInt32(range.count)],
      payloadByteCount: range.count)
    part.copy(range, to: &session.output)
  }
}
