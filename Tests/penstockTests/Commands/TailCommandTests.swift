import Foundation
import Testing

@Suite(.serialized) struct TailCommandTests {
  private func line(_ index: Int) -> String { "- app/t - n=\(index)\tevent \(index)" }

  private func numbers(_ text: String) -> [Int] {
    text.split(separator: "\n").compactMap { Int($0.split(separator: " ").last ?? "") }
  }

  @Test func `the newest come last, in order of time`() throws {
    let store = try ServedStore()
    try store.start()
    for index in 0..<30 { try store.put([line(index)]) }
    #expect(numbers(try store.run("tail").output) == Array(20..<30))
    #expect(numbers(try store.run("tail", "-n", "3").output) == [27, 28, 29])
    #expect(try store.run("tail", "-n", "0").output.isEmpty)
  }

  @Test func `a follow goes on through kills and restarts, and shows everything once`() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    for index in 0..<5 { try store.put([line(index)]) }
    let path = store.folder + "/tail.out"
    #expect(FileManager.default.createFile(atPath: path, contents: nil))
    let tail = Process()
    tail.executableURL = ServedStore.program
    tail.arguments = ["tail", "-n", "2", "-f", "--data", store.data]
    tail.standardOutput = FileHandle(forWritingAtPath: path)
    try tail.run()
    defer { tail.terminate() }
    func shown() throws -> [Int] { numbers(try String(contentsOfFile: path, encoding: .utf8)) }
    try store.wait("the last two show") { try shown() == [3, 4] }
    for index in 5..<10 { try store.put([line(index)]) }
    try store.wait("what comes shows") { try shown() == Array(3..<10) }
    _ = try store.shell(
      "pid=$(sed -n 's/^pid=\\([0-9]*\\) .*/\\1/p' $DATA/live/00.lock); kill -9 $pid")
    try store.wait("the shard is back") {
      (try? store.put([line(10)])) != nil
    }
    try store.wait("what comes after a kill shows") { try shown() == Array(3...10) }
    store.stop()
    try store.start(shards: 1)
    for index in 11..<20 { try store.put([line(index)]) }
    try store.wait("what comes after a restart shows") { try shown() == Array(3..<20) }
    #expect(tail.isRunning)
    tail.terminate()
    tail.waitUntilExit()
    #expect(tail.terminationReason == .uncaughtSignal)
  }

  @Test func `a follower whose reader leaves ends by itself`() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    try store.put([line(0)])
    let result = try store.shell(
      "timeout 10 $PENSTOCK tail -f --data $DATA | head -n 1; echo ${PIPESTATUS[0]}")
    #expect(numbers(result.lines.first ?? "") == [0])
    #expect(result.lines.last == "0")
  }
}
