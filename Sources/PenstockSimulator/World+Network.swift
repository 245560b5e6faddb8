// Sockets of the shard's side: what is queued on them, and how it comes to an end.

internal import PenstockCore

extension World {
  /// Moves something between clients and shard; false when there is nothing to move.
  func moveNetwork() -> Bool {
    let first = random.below(4)
    for kind in 0..<4 {
      switch (first + kind) % 4 {
      case 0: if acceptOne() { return true }
      case 1: if receiveOne() { return true }
      case 2: if sendOne() { return true }
      default: if receiveDatagram() || watchControl() { return true }
      }
    }
    return false
  }

  private func acceptOne() -> Bool {
    for (index, accept) in queues.accepts.enumerated() {
      guard let descriptor = network.backlog[accept.listener]?.first else { continue }
      network.backlog[accept.listener]?.removeFirst()
      network.connections[descriptor]?.isAccepted = true
      queues.accepts.remove(at: index)
      complete(accept.token, descriptor)
      return true
    }
    return false
  }

  private func receiveOne() -> Bool {
    guard !queues.receives.isEmpty else { return false }
    let start = random.below(queues.receives.count)
    for distance in queues.receives.indices {
      let index = (start + distance) % queues.receives.count
      let receive = queues.receives[index]
      guard let connection = network.connections[receive.descriptor] else { continue }
      if connection.isReset || connection.isClosed {
        queues.receives.remove(at: index)
        complete(receive.token, connection.isReset ? -104 : 0)
        return true
      }
      guard !connection.toShard.isEmpty else {
        guard connection.hasEnded else { continue }
        queues.receives.remove(at: index)
        complete(receive.token, 0)
        return true
      }
      queues.receives.remove(at: index)
      deliver(receive.descriptor, receive.token)
      return true
    }
    return false
  }

  private func deliver(_ descriptor: Int32, _ token: Token) {
    guard let buffer = queues.freeStreams.popLast() else { return complete(token, -105) }
    let waiting = network.connections[descriptor]?.toShard ?? []
    let most = min(waiting.count, limits.streamBufferByteCount)
    let count = random.chance(30) ? most : random.within(1...most)
    let start = buffer * limits.streamBufferByteCount
    memory?.receive(waiting[..<count], at: start)
    network.connections[descriptor]?.toShard.removeFirst(count)
    var completion = Completion(token: token, result: Int32(count), buffer: buffer)
    completion.payload = start..<(start + count)
    queues.ready.append(completion)
  }

  private func sendOne() -> Bool {
    guard !queues.sends.isEmpty else { return false }
    let send = queues.sends.remove(at: random.below(queues.sends.count))
    guard let connection = network.connections[send.descriptor], !connection.isReset,
      !connection.isClosed
    else {
      complete(send.token, -32)
      return true
    }
    let bytes = memory?.answer(send.range) ?? []
    let count = random.chance(70) ? bytes.count : random.within(1...max(1, bytes.count))
    network.connections[send.descriptor]?.toClient += bytes[..<count]
    complete(send.token, Int32(count))
    return true
  }

  private func receiveDatagram() -> Bool {
    for (index, receive) in queues.datagrams.enumerated() {
      guard let waiting = network.datagrams[receive.listener], !waiting.isEmpty else { continue }
      guard let buffer = queues.freeDatagrams.popLast() else {
        queues.datagrams.remove(at: index)
        complete(receive.token, -105)
        return true
      }
      // Late ones overtake.
      let bytes =
        network.datagrams[receive.listener]?.remove(at: random.below(waiting.count)) ?? []
      let start = buffer * limits.datagramBufferByteCount + 64
      memory?.datagram(bytes, at: start)
      var completion = Completion(
        token: receive.token, result: Int32(bytes.count), buffer: buffer,
        segmentByteCount: bytes.count, hasMore: true)
      completion.payload = start..<(start + bytes.count)
      queues.ready.append(completion)
      return true
    }
    return false
  }

  private func watchControl() -> Bool {
    guard let token = queues.watch, !controlBytes.isEmpty || hostIsGone else { return false }
    queues.watch = nil
    complete(token, 1)
    return true
  }
}
