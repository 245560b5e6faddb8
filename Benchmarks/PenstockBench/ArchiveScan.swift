// Reading tables that lie in the page cache, on one core: every event of a stream, and those of
// one value of an index.
//
// Events are log lines of 100 bytes a few microseconds apart. Each is touched whole: the sum of the
// words of its payload, mixed with its time, goes into a sum that has to be the same in both
// directions. Time is that of the processor, so that what a shared machine does meanwhile counts
// less.

internal import LoadGenerator
internal import Penstock
internal import PenstockArchive
internal import PenstockCore

/// Scans of tables, timed.
struct ArchiveScan {
  private let folder: String
  private let eventCount: Int
  private let rounds: Int

  /// Bytes of a payload.
  private static let payloadByteCount = 100
  /// Events a second that have to be read, and found by an index.
  private static let scanRateMin = 10.0
  private static let indexRateMin = 5.0
  /// Every second event is of this type; it is found everywhere.
  private static let commonType = "request"
  /// One event in sixteen is of this type, in bursts: most blocks have none.
  private static let burstType = "alarm"
  /// Events of a burst.
  private static let burstCount = 4_000

  init(_ options: ArchiveOptions) {
    folder = options.folder
    eventCount = options.isQuick ? 64_000 : 2_000_000
    rounds = options.isQuick ? 1 : options.rounds
  }

  /// What scans found.
  private struct Found: Equatable {
    var count = 0
    var hash: UInt64 = 0

    /// Payloads have eight bytes at least.
    @inline(__always)
    mutating func take(_ time: Int64, _ payload: RawSpan) {
      count &+= 1
      let sum = unsafe payload.withUnsafeBytes { bytes in
        var sum: UInt64 = 0
        let last = bytes.count &- 8
        for offset in stride(from: 0, to: last, by: 8) {
          sum &+= unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        }
        return unsafe sum &+ bytes.loadUnaligned(fromByteOffset: last, as: UInt64.self) &<< 1
      }
      hash &+= (UInt64(bitPattern: time) ^ sum) &* 0x9E37_79B9_7F4A_7C15
    }
  }

  // MARK: - Tables

  private func write(_ effort: TableEffort) throws -> String {
    let path = folder + "/\(effort)"
    var dice = Dice(state: 42)
    var table = try ArchiveTable(path: path, indexes: ["type"], effort: effort)
    var moment: UInt64 = 0
    for number in 0..<eventCount {
      moment += UInt64(dice.below(5_000))
      let isBurst = number / ArchiveScan.burstCount % 16 == 7
      let other = number % 2 == 0 ? ArchiveScan.commonType : "login"
      let type = isBurst ? ArchiveScan.burstType : other
      try table.add(
        nanoseconds: moment, type: type, attributes: "severity=info",
        payload: ArchiveScan.payload(number, &dice))
    }
    _ = try table.finish()
    return path
  }

  private static func payload(_ number: Int, _ dice: inout Dice) -> [UInt8] {
    let address = "192.0.2.\(dice.below(250))"
    let text =
      number % 2 == 0
      ? "GET /api/v1/orders/\(dice.below(1_000_000)) from \(address) status 200 bytes "
        + "\(dice.below(100_000)) micros \(dice.below(20_000)) agent mobile, cache miss, region north"
      : "session \(number) opened for user deploy from \(address) port \(dice.below(60_000)) "
        + "by key number \(dice.below(40)), limits taken from the profile of the host"
    let bytes = Array(text.utf8.prefix(payloadByteCount))
    return bytes + Array(repeating: UInt8(ascii: "."), count: payloadByteCount - bytes.count)
  }

  // MARK: - Measuring

  func measure() throws -> ArchiveFindings {
    var findings = ArchiveFindings()
    for effort in [TableEffort.fast, .thorough] {
      let path = try write(effort)
      let table = try Penstock.TableReader(path: path)
      try measure(table, "\(effort) tables", nil, eventCount, &findings)
      for type in [ArchiveScan.commonType, ArchiveScan.burstType] {
        let count = try table.count(index: "type", value: type)
        try measure(table, "\(effort), type \(type)", type, count, &findings)
      }
      try LinuxFileSystem().unlink(path)
    }
    return findings
  }

  private func measure(
    _ table: Penstock.TableReader, _ name: String, _ type: String?, _ count: Int,
    _ findings: inout ArchiveFindings
  ) throws {
    var sums: [Found] = []
    for order in [Penstock.TableReader.Order.forward, .backward] {
      var rates: [Double] = []
      for _ in 0...rounds {
        try Interruption.check()
        let start = bench_processor_nanoseconds()
        let found = try scan(table, type, order)
        let elapsed = Double(bench_processor_nanoseconds() - start)
        guard found.count == count else {
          throw BenchFailure("\(name): \(found.count) events were found instead of \(count)")
        }
        sums.append(found)
        rates.append(Double(count) / elapsed * 1000)
      }
      // The first round has what is read brought into memory.
      guard let spread = Spread(Array(rates.dropFirst())) else { continue }
      let way = order == .forward ? "forward" : "backward"
      findings.add(
        "\(name), \(way)", "\(Decimal.text(spread.median, digits: 2)) M events/s",
        "(\(Decimal.text(spread.least, digits: 2)) … \(Decimal.text(spread.most, digits: 2)))",
        "\(count) events, hash \(Hexadecimal.text(sums[0].hash, digits: 16))")
      findings.judge(
        "\(type == nil ? "scan" : "index scan"): \(name), \(way)", spread.median,
        atLeast: type == nil ? ArchiveScan.scanRateMin : ArchiveScan.indexRateMin,
        unit: "M events/s")
    }
    guard sums.allSatisfy({ $0 == sums[0] }) else {
      throw BenchFailure("\(name): forward and backward give different events")
    }
  }

  private func scan(
    _ table: Penstock.TableReader, _ type: String?, _ order: Penstock.TableReader.Order
  ) throws -> Found {
    var found = Found()
    try table.forEachPayload(
      of: String(decoding: ArchiveTable.stream, as: UTF8.self),
      index: type.map { TableEvent.Attribute("type", $0) }, order: order
    ) { time, payload in
      found.take(time, payload)
      return true
    }
    return found
  }
}
