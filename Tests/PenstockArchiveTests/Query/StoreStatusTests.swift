import PenstockArchive
import PenstockCore
import Testing

@Suite struct StoreStatusTests {
  private func status(_ store: TestStore) throws -> StoreStatus {
    try StoreStatus(store.files, store.layout, store.store)
  }

  @Test func `segments are counted by what they hold`() throws {
    let store = try TestStore()
    let log = store.log(0)
    try log.append(["2026-11-21T03:47:52.500000000Z s -\tx"])
    try log.startSegment()
    try log.append([])
    try log.startSegment()
    try log.startSegment()
    let status = try status(store)
    #expect(status.shards.count == 1)
    #expect(status.shards.first?.activeSegment == SegmentNumber(2))
    #expect(status.shards.first?.preparedSegmentCount == 2)
    #expect(status.sealedSegmentCount == 1)
    #expect(status.liveByteCount == 2 << 20)
    #expect(status.freeByteCount > 0)
    #expect(status.shards.first?.frontier.isRunning == false)
    #expect(status.shards.first?.counters == nil)
  }

  @Test func `counters and listeners come from the page and the endpoints`() throws {
    let store = try TestStore()
    try store.log(0).append(["2026-11-21T03:47:52.500000000Z s -\tx"])
    try store.publish(0, 1)
    try store.write(
      """
      [{"name":"line-tcp","url":"line+tcp://127.0.0.1:6930","shard":0},
       {"name":"x\\u0041","url":"syslog+udp://[::1]:5514","shard":0,"more":[1,{"a":null}]}]
      """, to: store.layout.endpoints)
    var statistics = Statistics(
      try SharedPage(
        creating: store.layout.statisticsPage(store.store, LogNumber(0)), magic: Statistics.magic,
        boot: System.bootIdentifier(), epoch: 1, valueCount: Statistics.valueCount))
    statistics[.backend] = 2
    statistics[.connectionsOpen] = 5
    statistics[1, .dropped] = 77
    let shard = try #require(try status(store).shards.first)
    #expect(shard.frontier.writer == System.processIdentifier)
    #expect(shard.frontier.sequence == SequenceNumber(1))
    #expect(shard.backend == "poll")
    #expect(shard[.connectionsOpen] == 5)
    #expect(shard.listeners.map(\.name) == ["line-tcp", "xA"])
    #expect(shard.listeners.map { $0[.dropped] } == [0, 77])
  }

  @Test(arguments: [
    "", "[", "{}", "[{}]", "[1]", "[{\"url\":1,\"shard\":0}]", "[{\"url\":\"a\",\"shard\":0}",
    "[{\"url\":\"a\",\"shard\":\"0\"}]", "[{\"url\":\"a\\", "[{\"url\":\"\\u12\",\"shard\":0}]",
    "[{\"url\":\"a\",\"shard\":0}] x", "[{\"url\":\"a\",\"shard\":99999999999999999999}]",
  ])
  func `a document that is none lists nothing`(document: String) {
    #expect(ListedEndpoint.read(Array(document.utf8)).isEmpty)
  }

  @Test func `deep nesting is refused and not followed`() {
    let deep = Array(String(repeating: "[", count: 100_000).utf8)
    #expect(JSONValue.read(deep) == nil)
  }
}
