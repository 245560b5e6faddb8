import Foundation
import Testing

@Suite struct BenchEverstoreTests {
  @Test func `transactions and reads are measured, and nothing stays behind`() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("penstock-test-" + UUID().uuidString).path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let result = try ServedStore.run(["bench", "everstore", "--quick", "--data", folder])
    #expect(result.status == 0, "\(result.errors)")
    for line in ["one event a transaction", "300 × 120 written", "10 × 12,000 opened, read"] {
      #expect(result.output.contains(line), "\(result.output)")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
  }
}
