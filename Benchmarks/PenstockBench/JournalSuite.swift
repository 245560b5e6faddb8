// What journals take: `penstock bench journals`.
//
//     small      commits of one event each, with a condition, 64 in flight
//     large      commits of 120 events each
//     million    one event to each of a million journals, then killed, and opened again
//
// The device's own barrier stands beside them: a commit of one event cannot be quicker than that, and
// 64 in flight share each.

internal import CShims
internal import PenstockCore

/// Measures journals.
package struct JournalSuite {
  private let options: ArchiveOptions
  private let journalCount: Int

  private static let smallEventsMin = 150_000.0
  private static let largeEventsMin = 3_000_000.0
  private static let millionSecondsMax = 10.0
  private static let reopenSecondsMax = 2.0
  /// Requests without an answer on the connection that makes the journals: fewer than a shard lets
  /// one connection have.
  private static let window = 3000

  package init(_ options: ArchiveOptions) {
    self.options = options
    journalCount = options.isQuick ? 20_000 : 1_000_000
  }

  /// Runs everything, `say` being told what it is at.
  package func measure(_ say: (String) -> Void) throws -> ArchiveFindings {
    var findings = ArchiveFindings()
    say("commits of one event")
    let small = try commits(connections: 6, events: 1, window: 16)
    findings.add("one event a commit, 96 in flight", "\(Int(small)) events/s")
    findings.judge(
      "one event a commit", small, atLeast: JournalSuite.smallEventsMin, unit: "events/s")
    say("commits of 120 events")
    let large = try commits(connections: 6, events: 120, window: 64)
    findings.add("120 events a commit", "\(Int(large)) events/s")
    findings.judge(
      "120 events a commit", large, atLeast: JournalSuite.largeEventsMin, unit: "events/s")
    say("\(journalCount) journals")
    try million(&findings)
    return findings
  }

  // MARK: - Commits

  /// Durable events a second, the middle of some rounds.
  private func commits(connections: Int, events: Int, window: Int) throws -> Double {
    var rates: [Double] = []
    for _ in 0..<(options.isQuick ? 1 : options.rounds) {
      try Interruption.check()
      var plan = LoadPlan(.commit)
      plan.connections = connections
      plan.eventsPerPut = events
      plan.window = window
      plan.measuredMilliseconds = options.isQuick ? 300 : 2000
      var load = try ArchiveLoad.start(
        program: options.program, folder: options.folder + "/run", plan, serving: [])
      let outcome = Result { try load.finishSending() }
      try load.stop()
      let result = try outcome.get()
      guard result[.refused] == 0 else {
        throw BenchFailure("a commit was refused: \(result.refusal ?? "")")
      }
      rates.append(
        Double(result[.acknowledgedMeasured]) * 1000 / Double(plan.measuredMilliseconds))
    }
    return Spread(rates)?.median ?? 0
  }

  // MARK: - A million journals

  private func million(_ findings: inout ArchiveFindings) throws {
    let folder = options.folder + "/million"
    let served = try ServedStore.start(program: options.program, folder: folder)
    let shard = try served.role("shard").processIdentifier
    penstock_signal(try served.role("archiver").processIdentifier, ArchiveLoad.sigstop)
    let began = System.monotonicNanoseconds()
    try makeJournals(try served.port(of: "line-tcp"))
    let seconds = Double(System.monotonicNanoseconds() - began) / 1e9
    let byteCount = Int(penstock_resident_bytes(shard, false))
    for role in served.roles() { penstock_signal(role.processIdentifier, 9) }
    try served.stop(keepsStore: true)
    let opened = System.monotonicNanoseconds()
    let again = try ServedStore.start(program: options.program, folder: folder)
    let reopen = Double(System.monotonicNanoseconds() - opened) / 1e9
    try again.stop()
    findings.add(
      "\(journalCount) journals", "\(Decimal.text(seconds, digits: 2)) s",
      "the shard then takes \(byteCount >> 20) MiB",
      "open again in \(Decimal.text(reopen, digits: 2)) s")
    findings.judge(
      "making \(journalCount) journals", seconds, atMost: JournalSuite.millionSecondsMax, unit: "s")
    findings.judge(
      "opening them again after kill -9", reopen, atMost: JournalSuite.reopenSecondsMax, unit: "s")
  }

  /// Commits one event to each journal, and waits for all answers.
  private func makeJournals(_ port: UInt16) throws {
    let socket = unsafe penstock_connect_tcp("127.0.0.1", port)
    guard socket >= 0 else { throw BenchFailure("cannot connect: \(System.message(for: -socket))") }
    defer { _ = penstock_close(socket) }
    var answers = [UInt8](repeating: 0, count: 64 << 10)
    var sent = 0
    var answered = 0
    while answered < journalCount {
      if sent < journalCount, sent - answered < JournalSuite.window / 2 {
        var requests: [UInt8] = []
        for number in sent..<min(sent + JournalSuite.window / 2, journalCount) {
          let line = "- /journals/\(number) Made\t{}\n"
          requests += Array("COMMIT \(line.utf8.count) if-unchanged@0\n\(line)".utf8)
        }
        sent = min(sent + JournalSuite.window / 2, journalCount)
        let status = unsafe requests.withUnsafeBytes {
          unsafe penstock_write(socket, $0.baseAddress, $0.count)
        }
        guard status == 0 else { throw BenchFailure("the shard does not read") }
      }
      let count = unsafe answers.withUnsafeMutableBytes {
        unsafe penstock_read(socket, $0.baseAddress, $0.count)
      }
      guard count > 0 else { throw BenchFailure("the shard closed the connection") }
      for byte in answers[..<Int(count)] where byte == UInt8(ascii: "\n") { answered += 1 }
      guard answers[0] != UInt8(ascii: "E") else {
        throw BenchFailure(String(decoding: answers.prefix(200), as: UTF8.self))
      }
    }
  }
}
