// The load generator's process: connects, runs the C loop, prints its report.

internal import CShims
internal import LoadGenerator
internal import PenstockCore

/// `penstock generate`: what a benchmark starts. Not for people.
package enum Load {
  /// Runs to its end; the exit status.
  package static func run(_ words: [String]) -> Int32 {
    do {
      let plan = try LoadPlan(words: words)
      let sockets = try connect(plan)
      defer { for socket in sockets { _ = penstock_close(socket) } }
      write(LoadResult.connectedLine, to: 1)
      let result = try drive(plan, sockets)
      write(result.text, to: 1)
      return 0
    } catch {
      write("\(error)\n", to: 2)
      return 1
    }
  }

  private static func write(_ text: String, to descriptor: Int32) {
    let bytes = Array(text.utf8)
    _ = unsafe bytes.withUnsafeBytes {
      unsafe penstock_write(descriptor, $0.baseAddress, $0.count)
    }
  }

  private static func connect(_ plan: LoadPlan) throws(BenchFailure) -> [Int32] {
    var sockets: [Int32] = []
    for _ in 0..<(plan.kind.isDatagram ? 1 : plan.connections) {
      let socket =
        plan.kind.isDatagram
        ? unsafe penstock_connect_udp(plan.host, plan.port)
        : unsafe penstock_connect_tcp(plan.host, plan.port)
      guard socket >= 0 else {
        for other in sockets { _ = penstock_close(other) }
        throw BenchFailure(
          "cannot connect to \(plan.host):\(plan.port): \(System.message(for: -socket))")
      }
      sockets.append(socket)
      if plan.kind == .segments {
        let result = penstock_segment_sends(socket, Int32(LOAD_MESSAGE_BYTES))
        if result < 0 {
          throw BenchFailure("this kernel segments no sends: \(System.message(for: -result))")
        }
      }
    }
    return sockets
  }

  /// Runs the plan on connected sockets.
  package static func drive(_ plan: LoadPlan, _ sockets: [Int32]) throws(BenchFailure)
    -> LoadResult
  {
    var counts = [UInt64](repeating: 0, count: Int(LOAD_BUCKET_COUNT))
    var refusal = [CChar](repeating: 0, count: 200)
    var raw = unsafe load_result()
    let status = unsafe sockets.withUnsafeBufferPointer { sockets in
      unsafe counts.withUnsafeMutableBufferPointer { counts in
        unsafe refusal.withUnsafeMutableBufferPointer { refusal in
          unsafe raw.latencies = counts.baseAddress
          unsafe raw.refusal = refusal.baseAddress
          unsafe raw.refusal_capacity = refusal.count
          var request = unsafe load_plan()
          unsafe request.kind = plan.kind.number
          unsafe request.sockets = sockets.baseAddress
          unsafe request.socket_count = Int32(sockets.count)
          unsafe request.rate = UInt64(plan.rate)
          unsafe request.events_per_put = UInt32(plan.eventsPerPut)
          unsafe request.window = UInt32(plan.window)
          unsafe request.warmup_ns = Int64(plan.warmupMilliseconds) * 1_000_000
          unsafe request.measured_ns = Int64(plan.measuredMilliseconds) * 1_000_000
          unsafe request.sleeps = plan.sleeps
          unsafe request.seed = UInt64(bitPattern: Int64(plan.seed))
          return unsafe load_run(&request, &raw)
        }
      }
    }
    guard status == 0 else {
      throw BenchFailure("the load generator failed: \(System.message(for: -status))")
    }
    var result = LoadResult()
    unsafe result[.sent] = raw.events_sent
    unsafe result[.bytes] = raw.bytes_sent
    unsafe result[.acknowledged] = raw.events_acknowledged
    unsafe result[.acknowledgedMeasured] = raw.events_in_window
    unsafe result[.refused] = raw.units_refused
    unsafe result[.failedSends] = raw.sends_failed
    unsafe result[.late] = raw.latenesses_over_1ms
    unsafe result[.connectionsLost] = UInt64(max(0, raw.connections_lost))
    unsafe result[.sending] = UInt64(max(0, raw.sending_ns))
    unsafe result[.processor] = UInt64(max(0, raw.processor_ns))
    let text = refusal.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    if !text.isEmpty { result.refusal = String(decoding: text, as: UTF8.self) }
    result.latencies = Histogram(counts: counts)
    return result
  }
}
