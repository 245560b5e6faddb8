// The third conformer of the I/O seam: queued operations end up in the world, which completes them.

internal import PenstockCore

/// A shard's simulated kernel.
struct SimulatedMachine: IO, ~Copyable {
  typealias Files = SimulatedFiles

  private let world: World
  let files: SimulatedFiles

  init(_ world: World, _ memory: borrowing ShardMemory) {
    self.world = world
    files = SimulatedFiles(world.disk, process: world.process)
    world.memory = KernelMemory(memory)
    world.queues.freeStreams = Array(0..<world.limits.streamBufferCount)
    world.queues.freeDatagrams = Array(0..<world.limits.datagramBufferCount)
  }

  mutating func accept(_ listener: Socket, token: Token) {
    world.queues.accepts.append((Int(listener.descriptor), token))
  }

  /// There is one shard in a world.
  mutating func connect(_ path: String) -> Socket? { nil }

  /// There is no reader in a world.
  mutating func connectPackets(_ path: String) -> Socket? { nil }

  mutating func lend(_ socket: Socket, over link: Socket, _ range: ByteRange) -> Bool { false }

  mutating func receive(_ socket: Socket, token: Token) {
    world.queues.receives.append((socket.descriptor, token))
  }

  mutating func receiveDatagrams(_ socket: Socket, token: Token) {
    world.queues.datagrams.append((Int(socket.descriptor), token))
  }

  mutating func send(_ socket: Socket, _ range: ByteRange, token: Token) {
    world.queues.sends.append((socket.descriptor, range, token))
  }

  mutating func watch(_ socket: Socket, token: Token) { world.queues.watch = token }

  mutating func close(_ socket: Socket) {
    world.network.connections[socket.descriptor]?.isClosed = true
  }

  mutating func finishSending(_ socket: Socket) {}

  mutating func keep(_ file: File, in slot: FileSlot) throws(FileError) {
    let inode: Int? = world.disk.with {
      $0.openFiles.removeValue(forKey: file.descriptor)?.inode
    }
    guard let inode else { throw World.died }
    world.queues.slots[slot.index] = inode
  }

  mutating func commit(_ slot: FileSlot, _ range: ByteRange, at offset: Int, token: Token) {
    world.commit(slot, range, at: offset, token: token)
  }

  mutating func giveBack(_ buffer: Int, to pool: BufferPool) {
    let isThere =
      pool == .streams
      ? world.queues.freeStreams.contains(buffer) : world.queues.freeDatagrams.contains(buffer)
    if isThere { world.finding = Finding("buffer \(buffer) of \(pool) is given back twice") }
    switch pool {
    case .streams: world.queues.freeStreams.append(buffer)
    case .datagrams: world.queues.freeDatagrams.append(buffer)
    }
  }

  mutating func submitAndWait(count: Int, timeoutNanoseconds: Int64) throws(FileError) {
    try world.run(count: count, timeoutNanoseconds: timeoutNanoseconds)
  }

  mutating func nextCompletion() -> Completion? { world.nextCompletion() }

  mutating func takeControl(_ control: Socket) -> ControlReading {
    if !world.controlBytes.isEmpty { return .byte(world.controlBytes.removeFirst()) }
    return world.hostIsGone ? .end : .empty
  }

  func droppedBuffers(_ socket: Socket) -> Int {
    world.network.dropped[Int(socket.descriptor)] ?? 0
  }

  func now() -> Timestamp { world.wallTime }
  func monotonicNanoseconds() -> Int64 { world.now }
}
