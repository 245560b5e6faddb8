import Foundation
import Testing

/// Expiring and erasing under a running daemon, and without one.
@Suite(.serialized) struct RetentionServeTests {
  private func put(_ store: ServedStore, _ days: [Int]) throws {
    for day in days {
      let date = "2026-01-0\(day)T12:00:0"
      try store.put([
        "\(date)0.000000000Z keep/a -\tday \(day)", "\(date)1.000000000Z drop/b -\tday \(day)",
      ])
    }
  }

  @Test func `tables whose time has come go by themselves`() throws {
    let store = try ServedStore()
    try store.start(shards: 1, "--retain", "3d")
    try store.put(["- new -\tfresh"])
    try put(store, [1, 2, 3])
    #expect(try store.run("seal").status == 0)
    try store.wait("nothing expired") {
      try store.run("query", "--format", "raw").lines == ["fresh"]
    }
    let plan = try store.run("retention", "--dry-run", "--retain", "1ns")
    #expect(plan.status == 0 && plan.output.contains("1 of 1 table are due"), "\(plan.output)")
    #expect(store.stop() == 0)
  }

  @Test func `erased streams are gone at once, also from the files`() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    try put(store, [1, 2, 3])
    #expect(try store.run("seal").status == 0)
    try put(store, [4])
    let erased = try store.run("erase", "--stream", "drop/*", "--before", "2026-01-03")
    #expect(erased.status == 0, "\(erased.errors)")
    let left = ["keep/a", "keep/a", "keep/a", "drop/b", "keep/a", "drop/b"]
    func streams() throws -> [String] {
      try store.run("query").lines.map { String($0.split(separator: " ")[1]) }
    }
    #expect(try streams() == left)
    try store.wait("the tables were not written anew") {
      try store.run("status", "--format", "json").output.contains("\"archived_events\":4")
    }
    #expect(try streams() == left)
    #expect(try store.run("verify").status == 0)
    #expect(store.stop() == 0)
    #expect(try streams() == left)
    let again = try store.run("erase", "--stream", "*", "--before", "2026-01-02")
    #expect(again.status == 0, "\(again.errors)")
    #expect(try streams() == Array(left.dropFirst()))
    #expect(try store.run("erase", "--stream", "[", "--before", "now").status == 2)
    #expect(try store.run("erase", "--stream", "a", "--before", "soon").status == 2)
  }
}
