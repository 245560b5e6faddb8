// Recovery that fails or crashes at every one of its operations, and is run again.

import PenstockCore
import Testing

struct RecoveryCrashTests {
  /// A log with everything recovery has to do: an archived segment, rot, a provisional batch and a
  /// torn tail with a valid batch behind it.
  private static func busyLog() -> (log: TestLog, events: [TestEvent]) {
    let log = TestLog()
    var writer = TestSegmentWriter()
    let durable: [UInt64] = [0, 1, 2, 3, 3, 4, 4, 4]
    let batches = durable.enumerated().map { index, durable in
      TestBatch(
        number: UInt64(index + 1), first: UInt64(index + 1), durable: durable,
        payloads: ["event \(index + 1)"])
    }
    log.put(1, writer.segment(1, [batches[0]]))
    log.put(2, writer.segment(2, Array(batches[1...5]), blockCount: 7))
    log.put(3, writer.segment(3, Array(batches[6...7]), blockCount: 4))
    log.flip(bit: 2, of: 2 * 4096 + 60, in: 2)
    log.flip(bit: 5, of: 4096 + 100, in: 3)
    let events = [2, 4, 5, 6].map { TestEvent(sequence: $0, payload: "event \($0)") }
    return (log, events)
  }

  @discardableResult
  private func recover(_ log: TestLog) throws -> Recovered {
    try log.recover(archivedThrough: 1, coveredThrough: 1)
  }

  @Test func `the busy log recovers as the tests below expect`() throws {
    let (log, events) = RecoveryCrashTests.busyLog()
    let recovered = try recover(log)
    #expect(try log.events(after: 1) == events)
    #expect(recovered.damage.map(\.kind) == [.rot, .tailPossiblyAcknowledged])
    #expect(recovered.eventsRecovered == 2)
  }

  @Test func `an operation that fails once is reported or survived, and a retry recovers`() throws {
    for operation in 1... {
      let (log, events) = RecoveryCrashTests.busyLog()
      log.files.fail(.once(operation))
      var isSettled = false
      do {
        _ = try recover(log)
        isSettled = log.files.operationCount < operation
      } catch let error as LogError {
        #expect("\(error)".contains("failed"), "operation \(operation)")
      }
      #expect(log.files.openCount == 0, "operation \(operation)")
      log.files.fail(.never)
      #expect(try log.events(after: 1) == events, "operation \(operation)")
      let recovered = try recover(log)
      #expect(try log.events(after: 1) == events, "operation \(operation)")
      #expect(recovered.nextSequence.value > 1 << 24)
      if isSettled { return }
    }
  }

  @Test(arguments: [
    MemoryFileSystem.PowerCut.keepsAll, .dropsAll, .random(seed: 1), .random(seed: 2),
    .random(seed: 3), .random(seed: 4), .random(seed: 5), .random(seed: 6),
  ])
  func `a crash at any operation, with any loss of what was not synced, changes nothing`(
    _ cut: MemoryFileSystem.PowerCut
  ) throws {
    for operation in 1... {
      let (log, events) = RecoveryCrashTests.busyLog()
      log.files.fail(.from(operation))
      var isDone = false
      do {
        _ = try recover(log)
        isDone = true
      } catch is LogError {}
      let after = log.restarted(cut)
      let what: Comment = "operation \(operation), \(cut)"
      #expect(try after.events(after: 1) == events, what)
      let recovered = try recover(after)
      #expect(try after.events(after: 1) == events, what)
      #expect(recovered.damage.filter { $0.kind == .rot }.count <= 1, what)
      #expect(try after.view(after: 1).damage.allSatisfy { $0.kind == .rot }, what)
      #expect(after.files.openCount == 0, what)
      if isDone, log.files.operationCount < operation { return }
    }
  }

  @Test func `crash upon crash, each at another operation, keeps every event once`() throws {
    for seed in UInt64(1)...60 {
      var random = TestRandom(seed: seed)
      var (log, events) = RecoveryCrashTests.busyLog()
      for round in 0..<12 {
        log.files.fail(.from(Int.random(in: 1...90, using: &random)))
        _ = try? recover(log)
        log = log.restarted(.random(seed: random.next()))
        #expect(try log.events(after: 1) == events, "seed \(seed), round \(round)")
      }
      try recover(log)
      #expect(try log.events(after: 1) == events, "seed \(seed)")
    }
  }

  @Test func `a full disk is an error with its cause, and a retry with room recovers`() throws {
    let (log, events) = RecoveryCrashTests.busyLog()
    log.files.setFreeByteCount(4096)
    let error = #expect(throws: LogError.self) { try recover(log) }
    guard case .file(let cause)? = error else { return }
    #expect(cause.code == System.noSpace)
    #expect(log.files.paths.filter { $0.hasSuffix(".log") }.count == 2)
    #expect(try log.events(after: 1) == events)
    log.files.setFreeByteCount(1 << 30)
    try recover(log)
    #expect(try log.events(after: 1) == events)
  }

  @Test func `a disk that fills up at any write is an error, and a retry recovers`() throws {
    for operation in 1... {
      let (log, events) = RecoveryCrashTests.busyLog()
      log.files.fail(.once(operation), code: System.noSpace)
      var isDone = false
      do {
        _ = try recover(log)
        isDone = true
      } catch let error as LogError {
        guard case .file(let cause) = error else { throw error }
        #expect(cause.code == System.noSpace)
      }
      log.files.fail(.never)
      try recover(log)
      #expect(try log.events(after: 1) == events, "operation \(operation)")
      if isDone { return }
    }
  }
}
