// Sockets without a kernel: byte streams that arrive in pieces, resets, and datagrams that come late,
// twice or never.

internal import PenstockCore

/// One connection between a client of the simulation and the shard.
struct SimulatedConnection {
  var listener: Int
  /// Bytes on their way to the shard, and to the client.
  var toShard: [UInt8] = []
  var toClient: [UInt8] = []
  var isAccepted = false
  /// The client has sent all it will.
  var hasEnded = false
  var isReset = false
  /// The shard has closed its side.
  var isClosed = false
}

/// All sockets of a simulation.
struct SimulatedNetwork {
  /// Connections by descriptor.
  var connections: [Int32: SimulatedConnection] = [:]
  /// Connections nobody has accepted yet, by listener.
  var backlog: [Int: [Int32]] = [:]
  /// Datagrams that have arrived, by listener.
  var datagrams: [Int: [[UInt8]]] = [:]
  var dropped: [Int: Int] = [:]
  private var nextDescriptor: Int32 = 1000

  /// Datagrams one socket holds; more are dropped and counted.
  static let datagramCountMax = 32

  /// A new connection to a listener.
  mutating func connect(_ listener: Int) -> Int32 {
    let descriptor = nextDescriptor
    nextDescriptor += 1
    connections[descriptor] = SimulatedConnection(listener: listener)
    backlog[listener, default: []].append(descriptor)
    return descriptor
  }

  mutating func sendDatagram(_ bytes: [UInt8], to listener: Int) {
    guard datagrams[listener, default: []].count < SimulatedNetwork.datagramCountMax else {
      dropped[listener, default: 0] += 1
      return
    }
    datagrams[listener, default: []].append(bytes)
  }

  /// The shard is dead: connections are reset; what waits to be accepted waits for its successor,
  /// as the host keeps the listening sockets.
  mutating func resetAccepted() {
    for descriptor in connections.keys where connections[descriptor]?.isAccepted == true {
      connections[descriptor]?.isReset = true
    }
  }

  /// The machine has lost power.
  mutating func resetAll() {
    for descriptor in connections.keys { connections[descriptor]?.isReset = true }
    backlog = [:]
    datagrams = [:]
  }
}
