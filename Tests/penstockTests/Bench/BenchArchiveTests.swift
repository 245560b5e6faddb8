import Foundation
import Testing

@Suite struct BenchArchiveTests {
  private func run(_ words: [String]) throws -> ProgramResult {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("penstock-test-" + UUID().uuidString).path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let result = try ServedStore.run(["bench", "archive", "--data", folder] + words)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    return result
  }

  @Test(arguments: [
    ("scan", ["fast tables, forward", "thorough, type alarm, backward", "≥ 10 M events/s"]),
    ("opening", ["opening a store of 300 tables", "≤ 1000 ms", "≤ 50 ms"]),
    ("overhead", ["thorough: an event", "a posting of 16 values", "≤ 3 bytes"]),
    ("amplification", ["2 days", "times an event is written", "≤ 5 times"]),
    ("beside", ["10 k events/s, p99", "200 k events/s, archived meanwhile", "≤ 2 times"]),
  ])
  func `a part is measured, told with its bars, and leaves nothing behind`(
    _ part: String, _ lines: [String]
  ) throws {
    let result = try run(["--quick", "--part", part])
    #expect(result.status == 0, "\(result.errors)")
    for line in lines { #expect(result.output.contains(line), "\(result.output)") }
  }

  @Test func `a rate is held for a while, and the lag told`() throws {
    let result = try run(["--sustained", "2", "--rate", "5000"])
    #expect(result.status == 0, "\(result.errors)")
    for line in ["after 1 s", "events durable", "ns an ingested event", "≤ 96 MB"] {
      #expect(result.output.contains(line), "\(result.output)")
    }
  }

  @Test(arguments: [
    ["--rounds", "0"], ["--part", "nothing"], ["--sustained", "0"], ["--rate", "1"],
  ])
  func `what cannot be measured is refused`(_ arguments: [String]) throws {
    #expect(try ServedStore.run(["bench", "archive"] + arguments).status == 2)
  }
}
