import Foundation
import Testing

@Suite struct BenchRecoveryTests {
  @Test func `a log is written, recovered and measured, and nothing stays behind`() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("penstock-test-" + UUID().uuidString).path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let result = try ServedStore.run([
      "bench", "recovery", "--data", folder, "--rounds", "2", "--segment", "4MiB",
    ])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("GB/s of open segments"))
    #expect(result.output.contains("in 2 rounds"))
    for line in ["reading ", "writing ", "drive ", "start "] {
      #expect(result.output.contains(line), "\(result.output)")
    }
    #expect(result.output.contains("≥ 1 GB/s"))
    #expect(result.output.contains("≤ 500 ms"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
  }

  @Test(arguments: [
    ["--rounds", "0"], ["--segment", "1MiB"], ["--segment", "many"], ["--io", "ring"],
  ])
  func `what cannot be measured is refused`(_ arguments: [String]) throws {
    #expect(try ServedStore.run(["bench", "recovery"] + arguments).status == 2)
  }
}
