import PenstockArchive
import PenstockCore
import Testing

@Suite struct DurableFrontierTests {
  @Test func `the lock file's text names process and lease`() {
    let holder = LeaseHolder(text: Array("pid=1234 epoch=00000000000000ff\n".utf8))
    #expect(holder?.process == 1234)
    #expect(holder?.epoch == 255)
  }

  @Test(arguments: [
    "", "pid=", "pid=1 epoch=", "pid=x epoch=0000000000000001\n", "pid=1 epoch=00000000000001\n",
    "pid=99999999999 epoch=0000000000000001\n", "pid=1  epoch=0000000000000001\n",
  ])
  func `a text that is not whole names nobody`(text: String) {
    #expect(LeaseHolder(text: Array(text.utf8)) == nil)
  }

  @Test func `a page counts under its lease only, and 0 says nothing yet`() throws {
    let store = try TestStore()
    func frontier() -> DurableFrontier {
      DurableFrontier.read(store.layout, store.store, LogNumber(0))
    }
    #expect(frontier().epoch == nil)
    #expect(!frontier().isRunning)
    try store.publish(0, 9, epoch: 4)
    #expect(frontier().sequence == SequenceNumber(9))
    #expect(frontier().isRunning)
    try store.hold(0, epoch: 4, process: 0)
    #expect(frontier().sequence == SequenceNumber(9))
    #expect(!frontier().isRunning)
    try store.hold(0, epoch: 5)
    #expect(frontier().sequence == nil)
    #expect(frontier().epoch == 5)
    try store.publish(0, 0, epoch: 5)
    #expect(frontier().writer == System.processIdentifier)
    #expect(!frontier().isRunning)
  }

  @Test func `a missing live folder is a failure that says so`() throws {
    let store = try TestStore()
    removeFolder(store.layout.live)
    let error = #expect(throws: ReadError.self) { try store.read() }
    #expect(error?.description.contains(store.layout.live) == true)
    guard case .failed? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }
}
