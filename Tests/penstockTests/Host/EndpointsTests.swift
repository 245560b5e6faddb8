import Foundation
import PenstockArchive
import PenstockCore
import Testing
import penstock

struct EndpointsTests {
  private let list = [
    Endpoint(name: "syslog-udp", url: "syslog+udp://127.0.0.1:5514", shard: 0),
    Endpoint(name: "syslog-udp", url: "syslog+udp://127.0.0.1:5514", shard: 1),
    Endpoint(name: "line-unix", url: "line+unix:///a \"b\"\\\u{1}\n/ü", shard: 0),
  ]

  @Test func `the file is what the golden text says`() {
    #expect(
      Endpoints.text(Array(list.prefix(2)))
        == """
        [{"name":"syslog-udp","url":"syslog+udp://127.0.0.1:5514","shard":0},
         {"name":"syslog-udp","url":"syslog+udp://127.0.0.1:5514","shard":1}]

        """)
    #expect(Endpoints.text([]) == "[]\n")
  }

  @Test func `any JSON reader reads it, ours as well`() throws {
    let text = Endpoints.text(list)
    let read = try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]])
    #expect(read.map { $0["url"] as? String } == list.map(\.url))
    #expect(
      ListedEndpoint.read(Array(text.utf8)).map {
        Endpoint(name: $0.name, url: $0.url, shard: $0.shard)
      } == list)
  }

  @Test func `writing replaces what was there and leaves nothing beside it`() throws {
    let store = try ServedStore()
    let layout = StoreLayout(root: store.folder)
    try FileManager.default.createDirectory(
      atPath: layout.run, withIntermediateDirectories: false)
    // A writer that was killed left its file behind.
    try Data("half".utf8).write(to: URL(fileURLWithPath: layout.endpoints + ".new"))
    for count in [3, 1, 0] {
      try Endpoints.write(Array(list.prefix(count)), layout)
      let bytes = try Data(contentsOf: URL(fileURLWithPath: layout.endpoints))
      #expect(String(decoding: bytes, as: UTF8.self) == Endpoints.text(Array(list.prefix(count))))
    }
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: layout.run) == ["endpoints.json"])
  }
}
