import Penstock
import Testing

/// The code of the article of this name.
@Suite struct Tables {
  @Test func example() throws {
    let folder = try StoreFolder()
    _ = try folder.open()
    let path = folder.path + "/visits.table"

    // snippet
    let writer = TableWriter(path: path, group: "host", indexes: ["city"])
    try writer.add(
      TableEvent(
        key: "shop", time: 1_000, type: "visit", attributes: [.init("city", "Oslo")],
        payload: Array("anna".utf8)))
    let count = try writer.finish()
    // end
    #expect(count == 1)

    // snippet
    let table = try TableReader(path: path)
    try table.scan(index: "city", value: "Oslo") { event in
      print(event.key, event.time)
      return true
    }
    try table.forEachPayload(of: "shop") { time, payload in
      print(time, payload.byteCount)
      return true
    }
    // end
    #expect(try table.count(index: "city", value: "Oslo") == 1)
  }
}
