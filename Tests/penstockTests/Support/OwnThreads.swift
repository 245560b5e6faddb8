// Tests that are tasks, on threads of their own: most tests here block, and the few threads tasks have in
// common would leave them waiting for minutes.

import Foundation
import Testing

/// Runs the tasks of a test apart from those of others.
final class TestExecutor: TaskExecutor, @unchecked Sendable {
  static let shared = TestExecutor()

  private let condition = NSCondition()
  private var jobs: [UnownedJob] = []
  private var next = 0

  private init() {
    for _ in 0..<8 { Thread.detachNewThread { self.run() } }
  }

  func enqueue(_ job: consuming ExecutorJob) {
    condition.lock()
    jobs.append(UnownedJob(job))
    condition.signal()
    condition.unlock()
  }

  private func run() {
    while true {
      condition.lock()
      while next == jobs.count { condition.wait() }
      let job = jobs[next]
      next += 1
      if next == jobs.count {
        jobs.removeAll(keepingCapacity: true)
        next = 0
      }
      condition.unlock()
      unsafe job.runSynchronously(on: asUnownedTaskExecutor())
    }
  }
}

/// A trait of suites whose tests await something.
struct OwnThreads: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await withTaskExecutorPreference(TestExecutor.shared) { try await function() }
  }
}

extension Trait where Self == OwnThreads {
  static var ownThreads: Self { OwnThreads() }
}
