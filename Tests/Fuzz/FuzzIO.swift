// The queued half of the I/O seam for one connection: it is accepted, its bytes arrive in pieces,
// it ends, and the shard is told to stop. Everything succeeds; the clock moves on with every turn, so that
// nothing waits for long.

import PenstockCore

/// What the outside sees of a shard; outlives it.
final class FuzzMachine {
  static let listener = Socket(descriptor: 100)
  static let connection = Socket(descriptor: 101)
  static let control = Socket(descriptor: 102)

  let files = MemoryFileSystem()
  /// Bytes the connection has not sent yet.
  private var bytes: ArraySlice<UInt8>
  private var random: TestRandom?
  /// The event lines of durable batches.
  private(set) var lines: [[UInt8]] = []
  /// How many of them there were when the connection had sent everything and was about to end.
  private(set) var linesBeforeEnd = 0
  /// The answers.
  fileprivate(set) var sent: [UInt8] = []

  /// - Parameter cuts: seed of the pieces the bytes arrive in; with 0 they are as large as fits.
  init(_ bytes: [UInt8], cuts: UInt64) {
    self.bytes = bytes[...]
    random = cuts == 0 ? nil : TestRandom(seed: cuts)
  }

  fileprivate var hasSentAll: Bool { bytes.isEmpty }

  /// The next piece, of at most `countMax` bytes; empty at the end.
  fileprivate func nextPiece(countMax: Int) -> ArraySlice<UInt8> {
    var count = countMax
    // Many small pieces, some large ones.
    if let next = random?.next() {
      count = min(countMax, 1 + Int(next % (next % 5 == 0 ? 1024 : 9)))
    }
    defer { bytes = bytes.dropFirst(count) }
    return bytes.prefix(count)
  }

  /// Turns a commit takes: now and then so many that every batch fills up meanwhile.
  fileprivate func nextDelay() -> Int {
    guard let next = random?.next() else { return 0 }
    return Int(next % 5 == 0 ? 40 : next % 6)
  }

  /// The connection was silent for long; it ends now.
  fileprivate func noteSilence() { linesBeforeEnd = lines.count }

  fileprivate func take(batch: RawSpan) {
    guard let line = BatchLine(batch, at: 0), line.isIntact(in: batch, at: 0) else {
      preconditionFailure("finding: a batch that is not valid is written")
    }
    let start = BatchLine.textByteCount
    let content = batch.extracting(start..<(start + Int(line.byteCount)))
    var cursor = BatchContent(firstSequence: line.firstSequence)
    var count = 0
    while let (_, range) = cursor.next(in: content) {
      lines.append(content.extracting(range).array())
      count += 1
    }
    require(count == Int(line.eventCount), "a batch counts other events than it holds")
  }
}

/// The backend.
@safe
struct FuzzIO: IO, ~Copyable {
  private let machine: FuzzMachine
  private let streams: UnsafeMutableRawPointer
  private let commits: UnsafeMutableRawPointer
  private let answers: UnsafeMutableRawPointer
  private let limits: Limits

  private var queued: [Completion] = []
  private var ready: ArraySlice<Completion> = []
  private var freeBuffers: [Int]
  private var isReceiving: Token?
  private var controlToken: Token?
  private var hasAccepted = false
  private var hasEnded = false
  private var hasStopped = false
  /// Commits that are under way: the turns each still takes, the first one first.
  private var commitsUnderWay: [(turns: Int, completion: Completion)] = []
  /// Turns to wait with the end of the stream, so that what was received is dealt with.
  private var silence = 40
  private var clock: Int64 = 1_000_000_000

  init(_ machine: FuzzMachine, _ memory: borrowing ShardMemory, _ limits: Limits) {
    self.machine = machine
    self.limits = limits
    unsafe streams = memory.streams.address(0..<memory.streams.byteCount)
    unsafe commits = memory.commits.address(0..<memory.commits.byteCount)
    unsafe answers = memory.answers.address(0..<memory.answers.byteCount)
    freeBuffers = Array(0..<limits.streamBufferCount)
  }

  var files: MemoryFileSystem { machine.files }

  // MARK: - Sockets

  mutating func accept(_ listener: Socket, token: Token) {
    guard !hasAccepted else { return }
    hasAccepted = true
    queued.append(Completion(token: token, result: FuzzMachine.connection.descriptor))
  }

  mutating func connect(_ path: String) -> Socket? { nil }

  mutating func connectPackets(_ path: String) -> Socket? { nil }

  mutating func lend(_ socket: Socket, over link: Socket, _ range: ByteRange) -> Bool { false }

  mutating func receive(_ socket: Socket, token: Token) { isReceiving = token }

  mutating func receiveDatagrams(_ socket: Socket, token: Token) {}

  mutating func send(_ socket: Socket, _ range: ByteRange, token: Token) {
    // Half of it, so that the rest has to be sent as well.
    let count = (range.count + 1) / 2
    let bytes = unsafe UnsafeRawBufferPointer(start: answers + range.lowerBound, count: count)
    unsafe machine.sent.append(contentsOf: bytes)
    queued.append(Completion(token: token, result: Int32(count)))
  }

  mutating func watch(_ socket: Socket, token: Token) { controlToken = token }

  mutating func close(_ socket: Socket) {
    hasEnded = true
    isReceiving = nil
  }

  mutating func finishSending(_ socket: Socket) {}

  mutating func takeControl(_ control: Socket) -> ControlReading {
    guard hasEnded, !hasStopped else { return .empty }
    hasStopped = true
    return .byte(UInt8(ascii: "T"))
  }

  func droppedBuffers(_ socket: Socket) -> Int { 0 }

  // MARK: - Files

  mutating func keep(_ file: File, in slot: FileSlot) throws(FileError) {}

  mutating func commit(_ slot: FileSlot, _ range: ByteRange, at offset: Int, token: Token) {
    let batch = unsafe RawSpan(
      _unsafeStart: commits + range.lowerBound, byteCount: range.count)
    machine.take(batch: batch)
    commitsUnderWay.append((machine.nextDelay(), Completion(token: token, result: 0)))
  }

  mutating func giveBack(_ buffer: Int, to pool: BufferPool) { freeBuffers.append(buffer) }

  // MARK: - Turns

  mutating func submitAndWait(count: Int, timeoutNanoseconds: Int64) throws(FileError) {
    // Time passes only where nothing else happens: no commit takes so long that a deadline ends it.
    if count > 0, queued.isEmpty, isReceiving == nil, commitsUnderWay.isEmpty {
      clock += max(1000, timeoutNanoseconds)
    }
    clock += 1000
    if let first = commitsUnderWay.first {
      commitsUnderWay[0].turns -= 1
      if first.turns <= 0 { queued.append(commitsUnderWay.removeFirst().completion) }
    }
    if let token = isReceiving, !waitsWithEnd(), let buffer = freeBuffers.popLast() {
      isReceiving = nil
      queued.append(received(token, buffer))
    }
    if hasEnded, !hasStopped, let token = controlToken {
      controlToken = nil
      queued.append(Completion(token: token, result: 0))
    }
    ready = queued[...]
    queued = []
  }

  /// Whether all was sent, and the end has to wait.
  private mutating func waitsWithEnd() -> Bool {
    guard machine.hasSentAll, silence > 0 else { return false }
    guard commitsUnderWay.isEmpty else { return true }
    silence -= 1
    clock += 1_000_000
    if silence == 0 { machine.noteSilence() }
    return silence > 0
  }

  private mutating func received(_ token: Token, _ buffer: Int) -> Completion {
    let piece = machine.nextPiece(countMax: limits.streamBufferByteCount)
    let start = buffer * limits.streamBufferByteCount
    for (index, byte) in piece.enumerated() {
      unsafe streams.storeBytes(of: byte, toByteOffset: start + index, as: UInt8.self)
    }
    var completion = Completion(token: token, result: Int32(piece.count), buffer: buffer)
    completion.payload = start..<(start + piece.count)
    return completion
  }

  mutating func nextCompletion() -> Completion? { ready.popFirst() }

  func now() -> Timestamp { Timestamp(seconds: 1_795_233_600, nanoseconds: 5) }
  func monotonicNanoseconds() -> Int64 { clock }
}
