import CShims
import Foundation
import PenstockBench
import PenstockCore
import Testing

/// The load generator against servers that only listen.
@Suite struct LoadTests {
  private func generate(_ plan: LoadPlan) throws -> LoadResult {
    let run = try ServedStore.run(["generate"] + plan.words)
    #expect(run.status == 0, "\(run.errors)")
    return try LoadResult(text: run.output)
  }

  private func plan(_ kind: LoadPlan.Kind, port: UInt16, rate: Int) -> LoadPlan {
    var plan = LoadPlan(kind)
    plan.port = port
    plan.rate = rate
    plan.warmupMilliseconds = 50
    plan.measuredMilliseconds = 250
    return plan
  }

  @Test(arguments: [0, 20_000])
  func `octet-counted messages are whole, of one size, and distinct`(_ rate: Int) throws {
    let received = Box<[UInt8]>([])
    let server = FakeServer { connection in received.value = connection.readAll() }
    let result = try generate(plan(.octet, port: server.port, rate: rate))
    try server.finish()
    let frame = 4 + LoadPlan.messageByteCount
    #expect(result[.sent] > 600)
    #expect(received.value.count == Int(result[.sent]) * frame)
    #expect(UInt64(received.value.count) == result[.bytes])
    var distinct: Set<ArraySlice<UInt8>> = []
    for start in stride(from: 0, to: min(received.value.count, 1000 * frame), by: frame) {
      let bytes = received.value[start..<(start + frame)]
      #expect(bytes.starts(with: Array("200 <".utf8)))
      #expect(!bytes.contains(10))
      distinct.insert(bytes)
    }
    #expect(distinct.count > 400)
    if rate > 0 { #expect((3000...6001).contains(result[.sent])) }
  }

  @Test func `newline-framed messages end where their line does`() throws {
    let received = Box<[UInt8]>([])
    let server = FakeServer { connection in received.value = connection.readAll() }
    let result = try generate(plan(.newline, port: server.port, rate: 10_000))
    try server.finish()
    let lines = received.value.split(separator: 10, omittingEmptySubsequences: false)
    #expect(lines.count == Int(result[.sent]) + 1 && lines.last?.isEmpty == true)
    #expect(lines.dropLast().allSatisfy { $0.count == LoadPlan.messageByteCount - 1 })
  }

  @Test func `PUTs follow the grammar and each receipt counts`() throws {
    let server = FakeServer { connection in
      var number = 0
      while let put = try? connection.readPut() {
        let lines = Array(put.utf8).split(separator: 10)
        #expect(lines.count == 4)
        for line in lines {
          let bytes = Array(line)
          #expect(throws: Never.self) { try EventLine(bytes.rawSpan, 0..<bytes.count) }
        }
        connection.write("OK shard=0 first=\(number) count=4\n")
        number += 4
      }
    }
    var wanted = plan(.line, port: server.port, rate: 4000)
    wanted.eventsPerPut = 4
    let result = try generate(wanted)
    try server.finish()
    #expect((600...1204).contains(result[.sent]))
    #expect(result[.acknowledged] == result[.sent] && result[.refused] == 0)
    #expect(result.latencies.total * 4 == result[.acknowledgedMeasured])
    #expect(result[.acknowledgedMeasured] < result[.sent])
  }

  @Test func `a saturated window never holds more than it may`() throws {
    let server = FakeServer { connection in
      for _ in 0..<8 { _ = try connection.readPut() }
      #expect(connection.isSilent(milliseconds: 100))
      while true {
        connection.write("OK shard=0 first=1 count=1\n")
        guard (try? connection.readPut()) != nil else { return }
      }
    }
    var wanted = plan(.line, port: server.port, rate: 0)
    wanted.window = 8
    _ = try generate(wanted)
    try server.finish()
  }

  @Test func `a stalled server is charged for the queue it causes`() throws {
    // It answers at once but for one pause of 150 ms in 300: events due meanwhile wait up to it.
    let server = FakeServer { connection in
      var answered = 0
      while (try? connection.readPut()) != nil {
        answered += 1
        if answered == 100 { usleep(150_000) }
        connection.write("OK shard=0 first=1 count=1\n")
      }
    }
    var wanted = plan(.line, port: server.port, rate: 1000)
    wanted.warmupMilliseconds = 0
    wanted.measuredMilliseconds = 300
    wanted.sleeps = true
    let result = try generate(wanted)
    try server.finish()
    let late = try #require(result.latencies.percentile(0.9))
    #expect(late > 60_000_000, "p90 \(late)")
    #expect(result[.acknowledged] == result[.sent])
  }

  @Test func `refusals are counted and the first is told`() throws {
    let server = FakeServer { connection in
      while (try? connection.readPut()) != nil { connection.write("ERR full no room\n") }
    }
    let result = try generate(plan(.line, port: server.port, rate: 1000))
    try server.finish()
    #expect(result[.refused] == result[.sent] && result[.acknowledged] == 0)
    #expect(result.refusal == "ERR full no room")
  }

  @Test func `a server that hangs up ends the run`() throws {
    let server = FakeServer { connection in _ = try connection.read(1000) }
    let result = try generate(plan(.octet, port: server.port, rate: 0))
    #expect(result[.connectionsLost] == 1)
  }

  @Test(arguments: [LoadPlan.Kind.datagrams, .segments])
  func `datagrams come at their rate, each one message`(_ kind: LoadPlan.Kind) throws {
    let socket = unsafe penstock_bind_udp("127.0.0.1", 0, 32 << 20, 0)
    defer { _ = penstock_close(socket) }
    let wanted = plan(kind, port: UInt16(penstock_bound_port(socket)), rate: 20_000)
    let received = Box(0)
    let isEnded = Box(false)
    let done = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      var buffer = [UInt8](repeating: 0, count: 70_000)
      while !isEnded.value || penstock_await(socket, false, 0) > 0 {
        guard penstock_await(socket, false, 20) > 0 else { continue }
        let count = unsafe buffer.withUnsafeMutableBytes {
          unsafe penstock_receive(socket, $0.baseAddress, $0.count)
        }
        #expect(count % Int64(LoadPlan.messageByteCount) == 0 && buffer[0] == UInt8(ascii: "<"))
        received.value += Int(count) / LoadPlan.messageByteCount
      }
      done.signal()
    }
    let result = try generate(wanted)
    isEnded.value = true
    done.wait()
    #expect((3000...6001).contains(result[.sent]))
    #expect(received.value == Int(result[.sent]))
  }

  @Test func `nothing listening is an error`() throws {
    let run = try ServedStore.run(["generate"] + plan(.octet, port: 1, rate: 0).words)
    #expect(run.status == 1 && run.errors.contains("cannot connect"))
  }
}

/// A value two threads hand over.
final class Box<Value: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var held: Value
  init(_ value: Value) { held = value }
  var value: Value {
    get { lock.withLock { held } }
    set { lock.withLock { held = newValue } }
  }
}
