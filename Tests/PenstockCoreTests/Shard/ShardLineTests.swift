import CShims
import Foundation
import PenstockCore
import Testing

/// The line protocol's end of a connection.
@Suite struct ShardLineTests {
  /// The octets of a count nobody means are not skipped, and not taken for requests either, whether
  /// they come with it or later.
  @Test(arguments: Backend.available, [false, true])
  func `nothing behind a refusal that closes the connection is stored`(
    _ backend: Backend, _ isCut: Bool
  ) throws {
    let shard = try TestShard(backend)
    let client = shard.connect(.line)
    #expect(Wire.write(client, "PUT 11\n- s T\tgood\nPUT \(Request.skippedByteCountMax + 1)\n"))
    if isCut { usleep(20_000) }
    _ = Wire.write(client, "PUT 10\n- s T\tbad\n")
    var said: [UInt8] = []
    while case let more = Wire.read(client), !more.isEmpty { said += more }
    let answers = String(decoding: said, as: UTF8.self).split(separator: "\n")
    #expect(answers.count == 2)
    #expect(answers.first?.hasPrefix("OK shard=0 first=") == true)
    #expect(answers.last?.hasPrefix("ERR too-large") == true)
    _ = penstock_close(client)
    shard.stop()
    #expect(try shard.payloads() == ["good"])
  }
}
