import Foundation
import Testing

@Suite struct BenchJournalsTests {
  @Test func `commits and a lot of journals are measured, and nothing stays behind`() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("penstock-test-" + UUID().uuidString).path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let result = try ServedStore.run(["bench", "journals", "--quick", "--data", folder])
    #expect(result.status == 0, "\(result.errors)")
    for line in ["one event a commit", "120 events a commit", "20000 journals", "≤ 2 s"] {
      #expect(result.output.contains(line), "\(result.output)")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
  }
}
