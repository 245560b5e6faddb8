import Foundation
import Penstock
import Synchronization
import Testing

/// Transactions of tasks.
@Suite(.ownThreads) struct AsyncTransactionTests {
  private struct Refused: Error {}

  /// Runs tasks on one thread: whoever blocks it keeps the others from running.
  private final class OneThread: TaskExecutor {
    private let queue = DispatchQueue(label: "penstock.one-thread")

    func enqueue(_ job: consuming ExecutorJob) {
      let job = UnownedJob(job)
      queue.async { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
  }

  /// Tasks whose transactions were put together and are not durable yet.
  private final class Waiting: Sendable {
    private let counts = Mutex((now: 0, most: 0))

    var countMax: Int { counts.withLock { $0.most } }

    func begin() {
      counts.withLock { counts in
        counts.now += 1
        counts.most = max(counts.most, counts.now)
      }
    }

    func end() { counts.withLock { $0.now -= 1 } }
  }

  @Test func `an inner transaction that throws drops only itself, wherever it awaits`()
    async throws
  {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try await store.writer()
    let position = try await writer.head(of: "/o/1").at
    let (value, receipt) = try await writer.transaction(since: position) { tx in
      try tx.put(stream: "/o/1", type: "A", payload: "1")
      await #expect(throws: Refused.self) {
        try await tx.transaction { inner in
          try inner.put(stream: "/o/1", type: "B", payload: "2")
          try inner.ifUnchanged("/o/1", after: 0)
          await Task.yield()
          try await inner.transaction { try $0.put(stream: "/o/1", type: "C", payload: "3") }
          throw Refused()
        }
      }
      return try await tx.transaction { inner in
        await Task.yield()
        try inner.put(stream: "/o/1", type: "D", payload: "4")
        return 7
      }
    }
    #expect(value == 7 && receipt?.count == 2)
    #expect(try store.read().map(\.type) == ["A", "D"])
    #expect(try await writer.head(of: "/o/1").last == receipt?.sequence.map { $0 + 1 })
    #expect(try await writer.transaction { _ in 8 }.receipt == nil)
    try writer.close()
  }

  @Test func `a transaction that throws stores nothing, and one that ended takes nothing`()
    async throws
  {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try await store.writer()
    await #expect(throws: Refused.self) {
      try await writer.transaction { tx in
        try tx.put(stream: "s", payload: "never")
        await Task.yield()
        throw Refused()
      }
    }
    var kept: Transaction?
    try await writer.transaction { tx in
      kept = tx
      try tx.put(stream: "s", payload: "once")
    }
    let ended = try #require(kept)
    #expect(throws: StoreError.closed) { try ended.put(stream: "s", payload: "late") }
    #expect(try store.read().map(\.text) == ["once"])
    try writer.close()
    await #expect(throws: StoreError.closed) {
      try await writer.transaction { try $0.put(stream: "s", payload: "closed") }
    }
  }

  /// What a task was told is no news to `flush` and `close`.
  @Test func `a conflict is its own task's`() async throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try await store.writer()
    let position = try await writer.head(of: "/o/1").at
    let first = try await writer.put(stream: "/o/1", type: "A", payload: [])
    let error = await #expect(throws: StoreError.self) {
      try await writer.transaction(since: position) { tx in
        try tx.put(stream: "/o/1", type: "A", payload: "")
      }
    }
    guard case .conflict(let conflict) = error else {
      Issue.record("\(error as Any)")
      return
    }
    #expect(conflict.position == first.sequence && conflict.type == "A")
    try writer.flush()
    try writer.close()
  }

  @Test func `the thread of a task is free while its transaction becomes durable`() async throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try await store.writer()
    let waiting = Waiting()
    try await withTaskExecutorPreference(OneThread()) {
      try await withThrowingTaskGroup { group in
        for number in 0..<100 {
          group.addTask {
            try await writer.transaction { tx in
              try tx.put(stream: "/o/\(number)", payload: "x")
              waiting.begin()
            }
            waiting.end()
          }
        }
        try await group.waitForAll()
      }
    }
    #expect(waiting.countMax > 1)
    #expect(try store.read(stream: "/o/*").count == 100)
    try writer.close()
  }

  /// Together they are many times what is sent at once.
  @Test func `tasks wait for room one and all`() async throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    let writer = try await store.writer()
    let payload = [UInt8](repeating: 0x78, count: 20_000)
    let sequences = try await withThrowingTaskGroup { group in
      for number in 0..<400 {
        group.addTask {
          try await writer.transaction { tx in
            try tx.put(stream: "/o/\(number)", payload: payload)
            try tx.put(stream: "/p/\(number)", payload: "")
          }.receipt
        }
      }
      var sequences: Set<UInt64> = []
      while let receipt = try await group.next() {
        #expect(receipt?.count == 2)
        if let sequence = receipt?.sequence { sequences.insert(sequence) }
      }
      return sequences
    }
    #expect(sequences.count == 400)
    #expect(try store.read(stream: "/o/*").count == 400)
    try writer.close()
  }
}
