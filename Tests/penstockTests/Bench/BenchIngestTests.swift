import Foundation
import Testing

@Suite struct BenchIngestTests {
  @Test func `a run measures a real store and leaves nothing behind`() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("penstock-test-" + UUID().uuidString).path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let run = try ServedStore.run([
      "bench", "ingest", "--case", "line 10 k/s", "--seconds", "0.3", "--rounds", "1",
      "--no-ceiling", "--data", folder, "--json", folder + "/figures.json",
    ])
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.contains("skipped: no C prototype"))
    #expect(run.output.contains("ack p50 ≤ 150 µs"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["figures.json"])
    let bytes = try #require(FileManager.default.contents(atPath: folder + "/figures.json"))
    let object = try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
    let cases = try #require(object["cases"] as? [[String: Any]])
    let rounds = try #require(cases.first?["penstock"] as? [[String: Double]])
    let figures = try #require(rounds.first)
    let sent = try #require(figures["sent"])
    #expect(sent > 1000)
    #expect(figures["stored"] == sent && figures["lost"] == 0 && figures["refused"] == 0)
    #expect(try #require(figures["ackMicroseconds50"]) > 0)
    #expect(try #require(figures["shardPeakMegabytes"]) > 1)
  }

  @Test(arguments: [
    ["--case", "no such case"], ["--seconds", "0"], ["--rounds", "0"], ["--io", "psychic"],
    ["--ceiling", "/nonexistent"], ["--data", "/nonexistent"],
  ])
  func `what cannot be measured is refused`(_ arguments: [String]) throws {
    let run = try ServedStore.run(["bench", "ingest", "--no-ceiling"] + arguments)
    #expect(run.status != 0 && !run.errors.isEmpty, "\(run.output)")
  }
}
