// A client of Everstore's protocol that keeps some transactions in flight on each of its connections:
//
//     write    NEW_TRANSACTION → COMMIT                    one journal after the other
//     read     NEW_TRANSACTION → READ, ROLLBACK

internal import CShims
internal import PenstockCore

/// What is asked for.
struct EverstorePlan {
  var connections = 6
  /// Transactions in flight on each connection.
  var window = 16
  var journals: Int
  /// Events of each commit; 0 reads.
  var eventsPerCommit = 0
  /// Commits, over all journals in turn, or journals read.
  var transactions: Int
}

/// Runs plans.
final class EverstoreLoad {
  private let plan: EverstorePlan
  private var connections: [EverstoreBenchConnection] = []
  private var started = 0
  private var finished = 0
  private var eventCount = 0
  private let events: [UInt8]

  private init(_ plan: EverstorePlan, _ port: UInt16) throws {
    self.plan = plan
    let event = "{\"number\":1234567,\"name\":\"an organization that has a name\"}"
    events = Array(
      [String](repeating: event, count: max(plan.eventsPerCommit, 1)).joined(separator: "\n").utf8)
    for _ in 0..<plan.connections {
      connections.append(try EverstoreBenchConnection(port, window: plan.window))
    }
  }

  /// Runs a plan.
  /// - Returns: events written or read, and seconds.
  static func run(_ plan: EverstorePlan, _ port: UInt16) throws -> (events: Int, seconds: Double) {
    let load = try EverstoreLoad(plan, port)
    let began = System.monotonicNanoseconds()
    try load.run()
    return (load.eventCount, Double(System.monotonicNanoseconds() - began) / 1e9)
  }

  private func run() throws {
    for connection in connections {
      for slot in 0..<plan.window { start(connection, slot) }
    }
    while finished < plan.transactions {
      try Interruption.check()
      for connection in connections { try connection.send() }
      try wait()
      for connection in connections {
        try connection.receive { answer, body in try take(answer, body, connection) }
      }
    }
  }

  private func wait() throws {
    let descriptors = connections.map(\.descriptor)
    let wanted = connections.map {
      UInt8(PENSTOCK_POLL_READ) | ($0.hasOutput ? UInt8(PENSTOCK_POLL_WRITE) : 0)
    }
    var ready = [UInt8](repeating: 0, count: descriptors.count)
    let count = unsafe descriptors.withUnsafeBufferPointer { descriptors in
      unsafe wanted.withUnsafeBufferPointer { wanted in
        unsafe ready.withUnsafeMutableBufferPointer { ready in
          unsafe penstock_poll(
            descriptors.baseAddress, wanted.baseAddress, ready.baseAddress,
            Int32(descriptors.count), 10_000_000_000)
        }
      }
    }
    guard count > 0 else { throw BenchFailure("Everstore's server does not answer") }
  }

  private func start(_ connection: EverstoreBenchConnection, _ slot: Int) {
    guard started < plan.transactions else { return }
    let name = Array("/org_\(started % plan.journals)".utf8)
    started += 1
    connection.names[slot] = name
    connection.put(4, slot, [UInt32(name.count)], name)
  }

  private func take(
    _ answer: EverstoreBenchAnswer, _ body: RawSpan, _ connection: EverstoreBenchConnection
  ) throws {
    let slot = Int(answer.request)
    let name = connection.names[slot]
    switch answer.type {
    case 4:
      let size = UInt32(truncatingIfNeeded: body.word(at: 0))
      let transaction = UInt32(truncatingIfNeeded: body.word(at: 4))
      if plan.eventsPerCommit > 0 {
        connection.put(
          5, slot, [UInt32(name.count), 4, UInt32(events.count), transaction], name,
          Array("Made".utf8), events)
      } else {
        connection.put(7, slot, [UInt32(name.count), 0, size], name)
        connection.put(6, slot, [UInt32(name.count), transaction], name)
      }
    case 5:
      guard body.byte(at: 0) == 1 else { throw BenchFailure("a commit met a conflict") }
      eventCount += plan.eventsPerCommit
      finished += 1
      start(connection, slot)
    case 7:
      eventCount += body.count(of: Byte.lineFeed, from: 4)
      if answer.properties & 1 == 0, body.byteCount > 4 { eventCount += 1 }
    case 6:
      finished += 1
      start(connection, slot)
    default: throw BenchFailure("Everstore's server answered with an error")
    }
  }
}

struct EverstoreBenchAnswer {
  var type: UInt32
  var request: UInt32
  var properties: UInt32
}

/// One connection.
final class EverstoreBenchConnection {
  let descriptor: Int32
  var names: [[UInt8]]
  private var output: [UInt8] = []
  private var sent = 0
  private var input = [UInt8](repeating: 0, count: 1 << 20)
  private var start = 0
  private var end = 0

  init(_ port: UInt16, window: Int) throws {
    descriptor = unsafe penstock_connect_tcp("127.0.0.1", port)
    guard descriptor >= 0 else {
      throw BenchFailure("cannot connect: \(System.message(for: -descriptor))")
    }
    names = Array(repeating: [], count: window)
    // The greeting has no header.
    var greeting: [UInt8] = [0, 0, 0]
    let count = unsafe greeting.withUnsafeMutableBytes {
      unsafe penstock_read(descriptor, $0.baseAddress, 3)
    }
    guard count == 3 else { throw BenchFailure("Everstore's server does not greet") }
  }

  deinit { _ = penstock_close(descriptor) }

  var hasOutput: Bool { sent < output.count }

  func put(_ type: UInt32, _ slot: Int, _ numbers: [UInt32], _ parts: [UInt8]...) {
    let size = 4 * numbers.count + parts.reduce(0) { $0 + $1.count }
    for number in [type, UInt32(size), UInt32(slot), 0, 0] + numbers {
      for shift in stride(from: UInt32(0), to: 32, by: 8) {
        output.append(UInt8(truncatingIfNeeded: number >> shift))
      }
    }
    for part in parts { output += part }
  }

  func send() throws {
    while sent < output.count {
      let from = sent
      let count = unsafe output.withUnsafeBytes { bytes in
        unsafe penstock_send(
          descriptor, bytes.baseAddress.map { unsafe $0 + from }, bytes.count - from)
      }
      if count == Int64(-System.again) { return }
      guard count > 0 else { throw BenchFailure("Everstore's server closed the connection") }
      sent += Int(count)
    }
    output.removeAll(keepingCapacity: true)
    sent = 0
  }

  /// Takes the answers that are there.
  func receive(_ body: (EverstoreBenchAnswer, RawSpan) throws -> Void) throws {
    let from = end
    let count = unsafe input.withUnsafeMutableBytes { bytes in
      unsafe penstock_receive(
        descriptor, bytes.baseAddress.map { unsafe $0 + from }, bytes.count - from)
    }
    if count == Int64(-System.again) { return }
    guard count > 0 else { throw BenchFailure("Everstore's server closed the connection") }
    end += Int(count)
    let bytes = input
    let span = bytes.rawSpan
    while end - start >= 20 {
      let size = Int(UInt32(truncatingIfNeeded: span.word(at: start + 4)))
      guard end - start >= 20 + size else { break }
      let answer = EverstoreBenchAnswer(
        type: UInt32(truncatingIfNeeded: span.word(at: start)),
        request: UInt32(truncatingIfNeeded: span.word(at: start + 8)),
        properties: UInt32(truncatingIfNeeded: span.word(at: start + 12)))
      let first = start + 20
      start = first + size
      try body(answer, span.extracting(first..<start))
    }
    keepRest()
  }

  private func keepRest() {
    if start == end {
      start = 0
      end = 0
    } else if end == input.count || start > input.count / 2 {
      input.replaceSubrange(0..<(end - start), with: input[start..<end])
      end -= start
      start = 0
    }
  }
}

extension RawSpan {
  /// How many bytes from `offset` on are `wanted`.
  fileprivate func count(of wanted: UInt8, from offset: Int) -> Int {
    unsafe withUnsafeBytes { bytes in
      var count = 0
      for index in offset..<bytes.count where unsafe bytes[index] == wanted { count += 1 }
      return count
    }
  }
}
