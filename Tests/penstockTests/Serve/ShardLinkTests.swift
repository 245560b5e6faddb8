import CShims
import PenstockCore
import Testing
import penstock

/// The reader's side of what connects it to a shard.
@Suite struct ShardLinkTests {
  /// Takes what there is; whether it came to the end.
  private func drain(_ socket: Int32) -> Bool {
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = unsafe bytes.withUnsafeMutableBytes {
        unsafe penstock_receive(socket, $0.baseAddress, $0.count)
      }
      if count <= 0 { return count == 0 }
    }
  }

  @Test("a shard that takes no word loses the link, and so learns that nothing is lent any more")
  func stuck() throws {
    var ends: [Int32] = [-1, -1]
    try #require(unsafe penstock_socket_pair(&ends) == 0)
    let (shard, reader) = (ends[0], ends[1])
    defer { _ = penstock_close(shard) }
    let link = ShardLink(reader)
    let name = try #require(lent("BACK 1 2"))
    link.giveBack(name)
    #expect(!drain(shard), "a link whose words are taken stays")
    let filler = [UInt8](repeating: 10, count: 64 << 10)
    while unsafe filler.withUnsafeBytes({
      unsafe penstock_send_packet(reader, $0.baseAddress, $0.count, -1)
    }) > 0 {}
    link.giveBack(name, within: 20_000_000)
    #expect(drain(shard))
  }

  private func lent(_ text: String) -> LentName? {
    let bytes = Array(text.utf8)
    return LentName(bytes.rawSpan, 0..<bytes.count)
  }

  @Test("what comes with a packet that is none is closed")
  func empty() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    let link = unsafe penstock_connect_packets_at_once(store.data + "/run/reader.sock")
    try #require(link >= 0)
    defer { _ = penstock_close(link) }
    var ends: [Int32] = [-1, -1]
    try #require(unsafe penstock_socket_pair(&ends) == 0)
    defer { _ = penstock_close(ends[0]) }
    #expect(penstock_send_packet(link, nil, 0, ends[1]) == 0)
    _ = penstock_close(ends[1])
    try store.wait("the descriptor was kept") { drain(ends[0]) }
    #expect(store.stop() == 0)
  }
}
