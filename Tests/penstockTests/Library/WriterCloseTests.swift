import Foundation
import Penstock
import Synchronization
import Testing

/// Writers that are closed while others write.
@Suite struct WriterCloseTests {
  @Test func `what is refused because a writer was closed is not stored`() throws {
    let folder = try StoreFolder()
    let store = try folder.open()
    for round in 0..<30 {
      let writer = try store.writer(.number(0))
      let refused = Mutex<[String]>([])
      let group = DispatchGroup()
      let begun = DispatchSemaphore(value: 0)
      for thread in 0..<6 {
        group.enter()
        Thread.detachNewThread {
          defer { group.leave() }
          var number = 0
          while true {
            let payload = "\(round) \(thread) \(number)"
            do {
              try writer.put(stream: "s", payload: payload)
              if number == 0 { begun.signal() }
              number += 1
            } catch {
              #expect(error as? StoreError == .closed)
              refused.withLock { $0.append(payload) }
              return
            }
          }
        }
      }
      for _ in 0..<6 { begun.wait() }
      try writer.close()
      group.wait()
      let refusals = refused.withLock { Set($0) }
      #expect(refusals.count == 6)
      let stored = try store.read(stream: "s").map(\.text).filter { refusals.contains($0) }
      try #require(stored.isEmpty, "\(stored)")
    }
  }
}
