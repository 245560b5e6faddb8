import CShims
import PenstockCore
import Testing

/// What every conformer of the queued seam does. The same checks run on each.
@Suite struct ContractTests {
  /// Waits for the next completion, at most two seconds.
  private func next<Machine: IO & ~Copyable>(_ io: inout Machine) throws -> Completion {
    let deadline = io.monotonicNanoseconds() + 2_000_000_000
    while io.monotonicNanoseconds() < deadline {
      if let completion = io.nextCompletion() { return completion }
      try io.submitAndWait(count: 1, timeoutNanoseconds: 100_000_000)
    }
    throw ContractFailure("nothing completed within two seconds")
  }

  private struct ContractFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
  }

  // MARK: - Streams

  private func receives<Machine: IO & ~Copyable>(
    _ io: inout Machine, _ memory: borrowing ShardMemory
  ) throws {
    let pair = SocketPair()
    for round in 0..<20 as Range<UInt8> {
      io.receive(Socket(descriptor: pair.near), token: Token(.receive, slot: 3, generation: 7))
      let sent = [UInt8](repeating: round, count: 100)
      #expect(Wire.write(pair.far, sent))
      let completion = try next(&io)
      #expect(completion.token == Token(.receive, slot: 3, generation: 7))
      #expect(completion.result == 100)
      let bytes = memory.streams.bytes(completion.payload).array()
      #expect(bytes == sent)
      io.giveBack(completion.buffer, to: .streams)
    }
    io.receive(Socket(descriptor: pair.near), token: Token(.receive, slot: 3))
    pair.closeFar()
    #expect(try next(&io).result == 0)
    io.close(Socket(descriptor: pair.near))
  }

  @Test(arguments: Backend.available)
  func `a receive completes once with the bytes, and with 0 at the end`(_ backend: Backend) throws {
    let memory = ShardMemory(.small)
    if backend == .ring {
      var io = try Ring(memory, .small)
      try receives(&io, memory)
    } else {
      var io = try Poller(memory, .small)
      try receives(&io, memory)
    }
  }

  private func runsOut<Machine: IO & ~Copyable>(_ io: inout Machine) throws {
    let pairs = (0..<6).map { _ in SocketPair() }
    for (slot, pair) in pairs.enumerated() {
      #expect(Wire.write(pair.far, "x"))
      io.receive(Socket(descriptor: pair.near), token: Token(.receive, slot: slot))
    }
    var held: [Int] = []
    var refused = 0
    for _ in pairs {
      let completion = try next(&io)
      if completion.result == -105 { refused += 1 } else { held.append(completion.buffer) }
    }
    #expect(held.count == 4)
    #expect(refused == 2)
    #expect(Set(held).count == 4)
    for buffer in held { io.giveBack(buffer, to: .streams) }
    for pair in pairs {
      pair.closeFar()
      io.close(Socket(descriptor: pair.near))
    }
  }

  @Test(arguments: Backend.available)
  func `a receive that finds no buffer says so`(_ backend: Backend) throws {
    let memory = ShardMemory(.small)
    if backend == .ring {
      var io = try Ring(memory, .small)
      try runsOut(&io)
    } else {
      var io = try Poller(memory, .small)
      try runsOut(&io)
    }
  }

  private func sends<Machine: IO & ~Copyable>(
    _ io: inout Machine, _ memory: inout ShardMemory
  ) throws {
    let pair = SocketPair()
    memory.answers.copy("OK first\n", to: 100)
    io.send(Socket(descriptor: pair.near), 100..<109, token: Token(.send, slot: 1))
    #expect(try next(&io).result == 9)
    #expect(Wire.read(pair.far) == Array("OK first\n".utf8))
    pair.closeFar()
    io.send(Socket(descriptor: pair.near), 100..<109, token: Token(.send, slot: 1))
    #expect(try next(&io).result < 0)
    io.close(Socket(descriptor: pair.near))
  }

  @Test(arguments: Backend.available)
  func `a send takes the bytes of its range, and fails when the peer is gone`(_ backend: Backend)
    throws
  {
    var memory = ShardMemory(.small)
    if backend == .ring {
      var io = try Ring(memory, .small)
      try sends(&io, &memory)
    } else {
      var io = try Poller(memory, .small)
      try sends(&io, &memory)
    }
  }

  // MARK: - Datagrams

  private func receivesDatagrams<Machine: IO & ~Copyable>(
    _ io: inout Machine, _ memory: borrowing ShardMemory
  ) throws {
    let socket = unsafe penstock_bind_udp("127.0.0.1", 0, 1 << 20, 0)
    #expect(socket >= 0)
    let sender = unsafe penstock_connect_udp(
      "127.0.0.1", UInt16(penstock_bound_port(socket)))
    io.receiveDatagrams(Socket(descriptor: socket), token: Token(.datagram, slot: 2))
    var received: [[UInt8]] = []
    var isArmed = true
    for index in 0..<40 {
      #expect(Wire.write(sender, "datagram \(index)"))
      if !isArmed {
        io.receiveDatagrams(Socket(descriptor: socket), token: Token(.datagram, slot: 2))
      }
      let completion = try next(&io)
      isArmed = completion.hasMore
      guard completion.buffer >= 0 else { continue }
      var offset = completion.payload.lowerBound
      while offset < completion.payload.upperBound {
        let end = min(offset + completion.segmentByteCount, completion.payload.upperBound)
        received.append(memory.datagrams.bytes(offset..<end).array())
        offset = end
      }
      io.giveBack(completion.buffer, to: .datagrams)
    }
    #expect(received == (0..<40).map { Array("datagram \($0)".utf8) })
    _ = penstock_close(sender)
    io.close(Socket(descriptor: socket))
  }

  @Test(arguments: Backend.available)
  func `datagrams come one after the other, each whole`(_ backend: Backend) throws {
    let memory = ShardMemory(.small)
    if backend == .ring {
      var io = try Ring(memory, .small)
      try receivesDatagrams(&io, memory)
    } else {
      var io = try Poller(memory, .small)
      try receivesDatagrams(&io, memory)
    }
  }

  // MARK: - Commits

  private func commits<Machine: IO & ~Copyable>(
    _ io: inout Machine, _ memory: inout ShardMemory, _ folder: TestFolder
  ) throws {
    let files = LinuxFileSystem()
    let path = folder.path + "/segment"
    let file = try files.open(path, .create)
    try files.allocate(file, byteCount: 65_536)
    try io.keep(file, in: FileSlot(1))
    memory.commits.fill(0..<4096, with: 0x61)
    memory.commits.fill(4096..<12_288, with: 0x62)
    io.commit(FileSlot(1), 0..<4096, at: 4096, token: Token(.commit, slot: 0))
    io.commit(FileSlot(1), 4096..<12_288, at: 8192, token: Token(.commit, slot: 1))
    var slots: Set<Int> = []
    for _ in 0..<2 {
      let completion = try next(&io)
      #expect(completion.result == 0)
      slots.insert(completion.token.slot)
    }
    #expect(slots == [0, 1])
    let bytes = try folder.bytes(of: "segment")
    #expect(bytes[4096..<8192].allSatisfy { $0 == 0x61 })
    #expect(bytes[8192..<16_384].allSatisfy { $0 == 0x62 })
    #expect(bytes[16_384] == 0)
  }

  @Test(arguments: Backend.available)
  func `commits write their ranges and complete once each`(_ backend: Backend) throws {
    var memory = ShardMemory(.small)
    let folder = try TestFolder()
    if backend == .ring {
      var io = try Ring(memory, .small)
      try commits(&io, &memory, folder)
    } else {
      var io = try Poller(memory, .small)
      try commits(&io, &memory, folder)
    }
  }

  private func failsToCommit<Machine: IO & ~Copyable>(
    _ io: inout Machine, _ folder: TestFolder
  ) throws {
    let files = LinuxFileSystem()
    files.close(try files.open(folder.path + "/segment", .create))
    // Open for reading only: the write has to fail.
    try io.keep(try files.open(folder.path + "/segment", .read), in: FileSlot(1))
    io.commit(FileSlot(1), 0..<4096, at: 0, token: Token(.commit, slot: 2))
    let completion = try next(&io)
    #expect(completion.token == Token(.commit, slot: 2))
    #expect(completion.result == -9, "the write's own error, not that of the cancelled sync")
  }

  @Test(arguments: Backend.available)
  func `a commit whose write fails completes with the write's error`(_ backend: Backend) throws {
    let memory = ShardMemory(.small)
    let folder = try TestFolder()
    if backend == .ring {
      var io = try Ring(memory, .small)
      try failsToCommit(&io, folder)
    } else {
      var io = try Poller(memory, .small)
      try failsToCommit(&io, folder)
    }
  }

  // MARK: - Control

  private func watches<Machine: IO & ~Copyable>(_ io: inout Machine) throws {
    var readEnd: Int32 = -1
    var writeEnd: Int32 = -1
    #expect(unsafe penstock_pipe(&readEnd, &writeEnd) == 0)
    #expect(penstock_set_nonblocking(readEnd, true) == 0)
    let control = Socket(descriptor: readEnd)
    #expect(io.takeControl(control) == .empty)
    io.watch(control, token: Token(.control, slot: 0))
    #expect(Wire.write(writeEnd, "ST"))
    #expect(try next(&io).token.kind == .control)
    #expect(io.takeControl(control) == .byte(UInt8(ascii: "S")))
    #expect(io.takeControl(control) == .byte(UInt8(ascii: "T")))
    #expect(io.takeControl(control) == .empty)
    io.watch(control, token: Token(.control, slot: 0))
    _ = penstock_close(writeEnd)
    #expect(try next(&io).token.kind == .control)
    #expect(io.takeControl(control) == .end)
    _ = penstock_close(readEnd)
  }

  @Test(arguments: Backend.available)
  func `a watched pipe tells of bytes and of its end`(_ backend: Backend) throws {
    let memory = ShardMemory(.small)
    if backend == .ring {
      var io = try Ring(memory, .small)
      try watches(&io)
    } else {
      var io = try Poller(memory, .small)
      try watches(&io)
    }
  }

  private func accepts<Machine: IO & ~Copyable>(_ io: inout Machine) throws {
    let listener = unsafe penstock_listen_tcp("127.0.0.1", 0, 16, 0)
    let port = UInt16(penstock_bound_port(listener))
    io.accept(Socket(descriptor: listener), token: Token(.accept, slot: 5))
    let client = unsafe penstock_connect_tcp("127.0.0.1", port)
    let completion = try next(&io)
    #expect(completion.token == Token(.accept, slot: 5))
    #expect(completion.result >= 0)
    io.receive(Socket(descriptor: completion.result), token: Token(.receive, slot: 0))
    #expect(Wire.write(client, "hello"))
    #expect(try next(&io).result == 5)
    _ = penstock_close(client)
    io.close(Socket(descriptor: completion.result))
    _ = penstock_close(listener)
  }

  @Test(arguments: Backend.available)
  func `an accepted connection receives`(_ backend: Backend) throws {
    let memory = ShardMemory(.small)
    if backend == .ring {
      var io = try Ring(memory, .small)
      try accepts(&io)
    } else {
      var io = try Poller(memory, .small)
      try accepts(&io)
    }
  }
}
