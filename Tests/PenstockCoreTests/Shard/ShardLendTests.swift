import CShims
import PenstockCore
import Testing

/// Connections that a shard lends to the reader, which is the test here.
@Suite struct ShardLendTests {
  @Test(
    "nothing more is sent on a lent connection that its shard ended", arguments: Backend.available)
  func ended(_ backend: Backend) throws {
    var limits = Limits.small
    limits.progressDeadlineNanoseconds = 200_000_000
    let shard = try TestShard(backend, limits: limits, hasReader: true)
    let listener = unsafe penstock_listen_packets(shard.layout.readerSocket, 8)
    try #require(listener >= 0)
    defer { _ = penstock_close(listener) }
    let client = CommitTests.Client(shard)
    // Half a request stands behind the one that is answered: it is not waited for for ever.
    client.send("FOLLOW *\nHEL")
    let link = try accept(listener)
    defer { _ = penstock_close(link) }
    let (words, lent) = try receive(link)
    try #require(lent >= 0)
    defer { _ = penstock_close(lent) }
    #expect(words.hasPrefix("LEND ") && words.hasSuffix("\nFOLLOW *"))
    #expect(send(lent) == 1)
    shard.wait("the shard has ended it") { shard.counter(.connectionsTimedOut) == 1 }
    shard.wait("nothing can be sent") { send(lent) == -Int64(EPIPE) }
    #expect(send(lent) == -Int64(EPIPE))
    shard.stop()
  }

  private let EPIPE = 32

  private func send(_ socket: Int32) -> Int64 {
    let byte: [UInt8] = [10]
    return unsafe byte.withUnsafeBytes { unsafe penstock_send(socket, $0.baseAddress, 1) }
  }

  private func accept(_ listener: Int32) throws -> Int32 {
    var descriptor = listener
    try #require(unsafe penstock_wait_readable(&descriptor, 1, 10_000) > 0)
    let link = penstock_accept(listener)
    try #require(link >= 0)
    return link
  }

  /// A packet and the descriptor that came with it.
  private func receive(_ link: Int32) throws -> (words: String, descriptor: Int32) {
    var descriptor = link
    try #require(unsafe penstock_wait_readable(&descriptor, 1, 10_000) > 0)
    var bytes = [UInt8](repeating: 0, count: 8192)
    var lent: Int32 = -1
    let count = unsafe bytes.withUnsafeMutableBytes {
      unsafe penstock_receive_packet(link, $0.baseAddress, $0.count, &lent)
    }
    try #require(count > 0)
    return (String(decoding: bytes.prefix(Int(count)), as: UTF8.self), lent)
  }
}
