import Foundation
import Testing

@Suite struct BenchCompressTests {
  @Test func `lines made here are measured where there are no log files, and nothing stays`() throws
  {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("penstock-test-" + UUID().uuidString).path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let result = try ServedStore.run([
      "bench", "compress", "--data", folder, "--rounds", "1", "--quick", "--corpora", folder,
    ])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("holds no folder loghub"))
    for name in ["made: syslog", "made: json", "made: noise"] {
      #expect(result.output.contains(name))
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
  }

  @Test func `rounds have to be some`() throws {
    #expect(try ServedStore.run(["bench", "compress", "--rounds", "0"]).status == 2)
  }
}
