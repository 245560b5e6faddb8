import Foundation
import PenstockArchive
import PenstockCore
import Testing

/// What goes in by each format, and comes out again.
@Suite struct ImporterTests {
  private func time(_ second: Int) -> String {
    Timestamp(seconds: 1_763_000_000 + Int64(second), nanoseconds: 0).text
  }

  private func said(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch {
      return "\(error)"
    }
  }

  // MARK: - NDJSON

  @Test func `an object's fields become stream, time, type, id and attributes`() throws {
    let store = try ImportedStore()
    let lines = [
      #"{"ts":"2026-11-21T03:47:52.5Z","app":{"name":"web"},"level":"info","n":1,"id":"0000002a"}"#,
      #"{"ts":1795232873,"app":{"name":"a b"},"level":null,"x":[1,{"ts":2}],"id":17,"n":"é\t\u00e9"}"#,
      "",
      #" { "ts" : 1795232874125 , "app" : {"name":"web","name":"last"} , "n":true } "#,
    ]
    var options = ImportOptions.ndjson("app/{app.name}", type: "level")
    options.id = "id"
    options.attributes = ["n"]
    let report = try store.run([store.file(lines: lines)], options)
    #expect(report.tables.eventCount == 3 && report.badCount == 0)
    #expect(
      try store.lines()
        == [
          "2026-11-21T03:47:52.500000000Z app/web info _id=0000002a n=1\t" + lines[0],
          "2026-11-21T03:47:53.000000000Z app/a\\sb - _id=46a4d07c n=é\\té\t" + lines[1],
          "2026-11-21T03:47:54.125000000Z app/last - n=true\t"
            + lines[3].trimmingCharacters(in: CharacterSet(charactersIn: " ")),
        ].map { line in
          // A payload keeps the blanks before it.
          line.replacingOccurrences(of: "\t{ \"ts\"", with: "\t { \"ts\"")
        })
    #expect(try store.problems().isEmpty)
  }

  @Test func `a name with a dot is found as it stands, too`() throws {
    let store = try ImportedStore()
    let line = #"{"ts":1795232873,"k.v":"plain","k":{"w":"deep"}}"#
    try store.run([store.file(lines: [line])], .ndjson("{k.v}/{k.w}"))
    #expect(try store.lines().first?.contains(" plain/deep - \t") == false)
    #expect(try store.lines().first?.contains(" plain/deep -\t") == true)
  }

  @Test func `what an export wrote comes out of an import as it went in`() throws {
    var random = TestRandom(seed: 7)
    var shape = ModelShape()
    shape.eventCount = 300
    shape.span = 40 * 86_400 * 1_000_000_000
    let lines = try ModelEvent.random(shape, &random).map {
      String(decoding: $0.line, as: UTF8.self)
    }
    let extra = [
      "\(time(1)) s/x - k=a k=b _escaped=\tone\\ntwo\\0\\\\",
      "\(time(2)) s/x T _id=0000002a e\\ey=1 sp=a\\sb\t\\ plain \" \u{7}",
      "\(time(3)) s/y - _malformed=x\t",
    ]
    let store = try ImportedStore()
    let source = try exported(lines.filter { !$0.contains(" /") } + extra, store)
    try store.run([source], ImportOptions(format: .ndjson))
    let once = try store.export(.ndjson)
    let other = try ImportedStore()
    try other.run([other.file(once)], ImportOptions(format: .ndjson))
    #expect(try other.export(.ndjson).split(separator: "\n").count > 100)
    #expect(try other.export(.text) == store.export(.text))
    // Of one that was imported in order of time also the positions are the same.
    let third = try ImportedStore()
    try third.run([third.file(try other.export(.ndjson))], ImportOptions(format: .ndjson))
    #expect(try third.export(.ndjson) == other.export(.ndjson))
    func plain(_ text: String) -> [Substring] {
      text.split(separator: "\n").map { $0.prefix(upTo: $0.range(of: ",\"shard\"")!.lowerBound) }
    }
    #expect(
      try plain(String(decoding: store.folder.bytes(of: "input-1"), as: UTF8.self)).sorted()
        == plain(once).sorted())
    #expect(try store.problems().isEmpty)
  }

  /// The lines as an export writes them.
  private func exported(_ lines: [String], _ store: ImportedStore) throws -> ImportSource {
    let path = store.folder.path + "/lines"
    let files = LinuxFileSystem()
    let file = try files.open(path, .create)
    defer { files.close(file) }
    var output = OutputBuffer(file)
    var text = EventText(.ndjson)
    for line in lines { text.write(StoredEvent(line: line), to: &output) }
    try output.flush()
    return try store.file(store.folder.bytes(of: "lines"))
  }

  @Test func `bytes that are not text survive as base64`() throws {
    let store = try ImportedStore()
    let payloads: [[UInt8]] = [[0xFF], [0xFF, 0], [0xC3, 0x28, 10], Array(0...255)]
    for payload in payloads { try store.run([store.file(payload)], .text("b", time: "now")) }
    let other = try ImportedStore()
    let once = try store.export(.ndjson)
    #expect(once.contains("payload_base64"))
    try other.run([other.file(once)], ImportOptions(format: .ndjson))
    #expect(try other.events().map(\.bytes) == store.events().map(\.bytes))
  }

  @Test(arguments: [
    ("{", "a string was expected"), ("[]", "an object"), ("{}", "'time'"), ("null", "an object"),
    (#"{"time":"2026-11-21T03:47:52.500000000Z","stream":"s","payload":"x","more":1}"#, "'more'"),
    (#"{"time":"2026-11-21T03:47:52.5Z","stream":"s","payload":"x"}"#, "'time'"),
    (#"{"time":"2026-11-21T03:47:52.500000000Z","payload":"x"}"#, "'stream'"),
    (#"{"time":"2026-11-21T03:47:52.500000000Z","stream":"s"}"#, "'payload'"),
    (#"{"time":"2026-11-21T03:47:52.500000000Z","stream":"/j","payload":""}"#, "journals"),
    (#"{"time":"2026-11-21T03:47:52.500000000Z","stream":"_penstock/j","payload":""}"#, "own"),
    (#"{"time":"2026-11-21T03:47:52.500000000Z","stream":"s","payload_base64":"A"}"#, "base64"),
    (
      #"{"time":"2026-11-21T03:47:52.500000000Z","stream":"s","payload":"","attributes":{"_id":""}}"#,
      "attributes"
    ),
    (
      #"{"time":"2026-11-21T03:47:52.500000000Z","stream":"s","payload":"","attributes":{"a":1}}"#,
      "attributes"
    ),
  ])
  func `an object that is no exported event is refused with what is wrong`(
    _ line: String, _ word: String
  ) throws {
    let store = try ImportedStore()
    let text = said {
      try store.run([store.file(lines: [line])], ImportOptions(format: .ndjson))
    }
    #expect(text.contains(":1: ") && text.contains(word), "\(text)")
    #expect(try store.lines().isEmpty)
  }

  // MARK: - CSV

  @Test func `csv has a header, quotes, and line ends in quotes`() throws {
    let store = try ImportedStore()
    let text =
      "\u{FEFF}when,\"the, \"\"name\"\"\",value\r\n"
      + "2026-11-21T00:00:01Z,a,1\r\n\r\n"
      + "2026-11-21T00:00:02Z,\"b\"\"c\",\"x\r\ny\"\n"
      + "2026-11-21T00:00:03Z,it\"s,"
    var options = ImportOptions.csv(#"s/{the, "name"}"#, time: "when")
    options.type = "value"
    #expect(try store.run([store.file(text)], options).tables.eventCount == 3)
    let lines = try store.lines()
    #expect(
      lines == [
        "2026-11-21T00:00:01.000000000Z s/a 1\t2026-11-21T00:00:01Z,a,1",
        "2026-11-21T00:00:02.000000000Z s/b\"c x\r\\ny _escaped=\t"
          + "2026-11-21T00:00:02Z,\"b\"\"c\",\"x\r\\ny\"",
        "2026-11-21T00:00:03.000000000Z s/it\"s -\t2026-11-21T00:00:03Z,it\"s,",
      ])
  }

  @Test func `bad records are told with file and line, and what follows is read`() throws {
    let store = try ImportedStore()
    let source = try store.file(
      "t,v\n2026-11-21,1\nnoon,2\n2026-11-21,\"3\n2026-11-22,4\n2026-11-23,\"5\"x\n2026-11-24,6,7\n"
        + "2026-11-25,\"a\nb\"\n2026-11-26,8,9\n")
    let options = ImportOptions.csv("s", time: "t")
    let refused = said { try store.run([source], options, badCountMax: 3) }
    #expect(refused.contains("more than 3") && refused.contains(":3: "), "\(refused)")
    #expect(try store.lines().isEmpty && store.tableFiles().isEmpty)
    let report = try store.run([source], options, badCountMax: 9)
    #expect(report.bad.map { Int($0.split(separator: ":")[1]) ?? 0 } == [3, 4, 6, 7, 10])
    // The quote of line 4 ends where line 6 begins one: reading goes on behind line 4.
    #expect(report.tables.eventCount == 3)
    let twice = said { try store.run([store.file("a,b\n1,2\n")], options) }
    #expect(twice.contains("no column 't'"))
  }

  @Test func `a quote that is never closed is one bad line`() throws {
    let store = try ImportedStore()
    let rest = (0..<2000).map { "2026-11-21T00:00:00Z,\($0)" }
    let source = try store.file(lines: ["t,v", "2026-11-21,\"open"] + rest)
    let report = try store.run([source], .csv("s", time: "t"), badCountMax: 1)
    #expect(report.bad.count == 1 && report.bad[0].contains(":2: a quoted field is not closed"))
    #expect(report.tables.eventCount == 2000)
    // Also when it is not the end of the file that ends the search.
    let long = (0..<60_000).map { "2026-11-21T00:00:00Z,\($0)" }
    let other = try store.run(
      [store.file(lines: ["t,v", "2026-11-21,\"open"] + long)], .csv("s", time: "t"), badCountMax: 1
    )
    #expect(other.bad.count == 1 && other.tables.eventCount == 60_000)
  }

  // MARK: - Text

  @Test func `each line of text is a payload, as it stands`() throws {
    let store = try ImportedStore()
    var options = ImportOptions.text("web", time: "2026-01-01T00:00:00Z+1ms")
    options.type = "a b"
    try store.run([store.file("one\r\n\ntwo\0\\n\nlast")], options)
    #expect(
      try store.lines() == [
        "2026-01-01T00:00:00.000000000Z web a\\sb\tone\r",
        "2026-01-01T00:00:00.001000000Z web a\\sb\t",
        "2026-01-01T00:00:00.002000000Z web a\\sb _escaped=\ttwo\\0\\\\n",
        "2026-01-01T00:00:00.003000000Z web a\\sb\tlast",
      ])
    try store.run(
      [store.file("2025-01-01T00:00:00Z x\n2024-01-01 00:00:00 y\n")], .text("w", time: "rfc3339"))
    #expect(
      try store.lines().prefix(2) == [
        "2024-01-01T00:00:00.000000000Z w -\t2024-01-01 00:00:00 y",
        "2025-01-01T00:00:00.000000000Z w -\t2025-01-01T00:00:00Z x",
      ])
    #expect(
      said { try store.run([store.file("x\n")], .text("w", time: "rfc3339")) }
        .contains(":1: it does not begin with a time"))
  }

  @Test func `lines beyond a mebibyte are refused, with their numbers`() throws {
    let store = try ImportedStore()
    let long = String(repeating: "x", count: (1 << 20) + 1)
    let much = String(repeating: "y", count: 5 << 20)
    // Fits as a line, but not with what stands before the payload.
    let almost = String(repeating: "z", count: 1 << 20)
    let source = try store.file(
      lines: ["a", long, "b", much, "c", almost, String(repeating: "w", count: 900 << 10)])
    let report = try store.run([source], .text("w", time: "now"), badCountMax: 3)
    #expect(report.bad.map { $0.split(separator: ":")[1] } == ["2", "4", "6"])
    #expect(report.tables.eventCount == 4)
    #expect(
      said { try store.run([source], .text("w", time: "now"), badCountMax: 2) }
        .contains(":2: longer than 1048576 bytes"))
    let csv = try store.file(lines: ["t,v", "2026-11-21,\(much)", "2026-11-21,1"])
    let other = try store.run([csv], .csv("s", time: "t"), badCountMax: 1)
    #expect(other.bad.count == 1 && other.tables.eventCount == 1)
    #expect(try store.problems().isEmpty)
  }

  // MARK: - Hostile JSON

  @Test(arguments: [
    "", "{\"ts\":1}x", "{\"ts\":1,}", "{\"ts\":01}", "{\"ts\":1.}", "{\"ts\":.5}", "{\"ts\":+1}",
    "{\"ts\":1 \"a\":2}", "{ts:1}", "{\"ts\":1,\"a\":\"\\x\"}", "{\"ts\":1,\"a\":\"\\u12\"}",
    "{\"ts\":1,\"a\":\"\u{1}\"}", "{\"ts\":1,\"a\":\"open}", "{\"ts\":tru}", "{\"ts\":{}}",
    "{\"ts\":[1]}", "{\"ts\":true}", "{\"ts\":null}", "{\"a\":1}", "{\"ts\":\"\\ud800\"}",
    "{\"ts\":1,\"a\":[1,2}", "{\"ts\":1e}", "{\"ts\":1,\"a\":-}", "{\"ts\":\"x\"}", "\"ts\"",
  ])
  func `what is not JSON, or has no time, is refused`(_ line: String) throws {
    let store = try ImportedStore()
    let good = #"{"ts":1795232873}"#
    let report = try store.run(
      [store.file(lines: [good, line, good])], .ndjson("s"), badCountMax: 1)
    // An empty line is none.
    #expect(report.badCount == (line.isEmpty ? 0 : 1), "\(report.bad)")
    #expect(report.bad.allSatisfy { $0.contains(":2: ") })
    #expect(report.tables.eventCount == 2)
  }

  @Test func `nesting is bounded, and bytes that are not UTF-8 are refused`() throws {
    let store = try ImportedStore()
    func nested(_ depth: Int) -> String {
      "{\"ts\":1,\"a\":" + String(repeating: "[", count: depth)
        + String(repeating: "]", count: depth) + "}"
    }
    #expect(
      try store.run([store.file(lines: [nested(63)])], .ndjson("s")).tables.eventCount == 1)
    for depth in [64, 65, 500_000] {
      let text = said { try store.run([store.file(lines: [nested(depth)])], .ndjson("s")) }
      #expect(text.contains("nested too deeply"), "\(depth)")
    }
    let path = String(repeating: "{\"a\":", count: 100_000)
    #expect(
      said { try store.run([store.file(lines: [path])], .ndjson("{a.a.a}")) }
        .contains("nested too deeply"))
    let bytes = Array("{\"ts\":1,\"a\":\"".utf8) + [0xC3, 0x28] + Array("\"}\n".utf8)
    #expect(
      said { try store.run([store.file(bytes)], .ndjson("s")) }.contains("not well-formed UTF-8"))
  }

  @Test func `streams nobody may write to are refused`() throws {
    let store = try ImportedStore()
    for name in ["/j", "_penstock/x", "", String(repeating: "x", count: 1025)] {
      let line = "{\"ts\":1,\"s\":\"\(name)\"}"
      #expect(
        said { try store.run([store.file(lines: [line])], .ndjson("{s}")) }.contains(
          ":1: the stream"),
        "\(name.prefix(20))")
    }
    #expect(
      said { try store.run([store.file(lines: ["{\"ts\":1}"])], .ndjson("{s}")) }
        .contains("no field 's'"))
    #expect(
      said { try store.run([ImportSource(path: "/nowhere")], .ndjson("s")) }.contains("/nowhere"))
    #expect(
      said { try store.run([ImportSource(path: "/tmp")], .ndjson("s")) }.contains("directory"))
  }
}
