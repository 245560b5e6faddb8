import Foundation
import PenstockArchive
import PenstockCore
import Testing

@Suite struct EventTextTests {
  private func write(_ line: String, _ format: EventFormat) throws -> String {
    let folder = try TestFolder()
    let file = try LinuxFileSystem().open(folder.path + "/out", .create)
    defer { LinuxFileSystem().close(file) }
    var output = OutputBuffer(file)
    var text = EventText(format)
    text.write(StoredEvent(line: line, log: 3, sequence: 42), to: &output)
    try output.flush()
    return String(decoding: try folder.bytes(of: "out"), as: UTF8.self)
  }

  private let time = "2026-11-21T03:47:52.123456789Z"

  @Test func `text is the line as it stands`() throws {
    let line = "\(time) a\\sb t k=v\\s _escaped=\tone\\ntwo"
    #expect(try write(line, .text) == line + "\n")
  }

  @Test func `ndjson has its keys in order`() throws {
    let line = "\(time) syslog/web-1 sshd facility=auth severity=info _id=0000002a\tFailed \"x\""
    #expect(
      try write(line, .ndjson)
        == "{\"time\":\"\(time)\",\"stream\":\"syslog/web-1\",\"type\":\"sshd\","
        + "\"id\":\"0000002a\",\"attributes\":{\"facility\":\"auth\",\"severity\":\"info\"},"
        + "\"payload\":\"Failed \\\"x\\\"\",\"shard\":3,\"sequence\":42}\n")
  }

  @Test func `what an event does not have is empty, and its id is left out`() throws {
    #expect(
      try write("\(time) s -\t", .ndjson)
        == "{\"time\":\"\(time)\",\"stream\":\"s\",\"type\":\"\",\"attributes\":{},"
        + "\"payload\":\"\",\"shard\":3,\"sequence\":42}\n")
  }

  @Test func `repeated keys become one array where the first stands`() throws {
    let json = try write("\(time) s - a=1 b=2 a=3 c= a=\\s\t", .ndjson)
    #expect(json.contains("\"attributes\":{\"a\":[\"1\",\"3\",\" \"],\"b\":\"2\",\"c\":\"\"}"))
  }

  @Test func `escapes of names and payload are undone`() throws {
    let json = try write(
      "\(time) a\\sb\\\\c t\\tx k\\e\\s=v\\n _escaped=\tone\\ntwo\\0\\\\", .ndjson)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    #expect(object["stream"] as? String == "a b\\c")
    #expect(object["type"] as? String == "t\tx")
    #expect(object["attributes"] as? [String: String] == ["k= ": "v\n"])
    #expect(object["payload"] as? String == "one\ntwo\0\\")
    #expect(try write("\(time) s - _escaped=\tone\\ntwo", .raw) == "one\ntwo\n")
  }

  @Test func `a backslash in a payload that is not escaped is itself`() throws {
    let json = try write("\(time) s -\tC:\\new", .ndjson)
    #expect(json.contains("\"payload\":\"C:\\\\new\""))
    #expect(try write("\(time) s -\tC:\\new", .raw) == "C:\\new\n")
  }

  @Test(arguments: 0..<30) func `any payload comes back through another parser`(seed: UInt64) throws
  {
    var random = TestRandom(seed: seed)
    let alphabet: [UInt8] = seed % 2 == 0 ? Array(0...255) : Array("ab\"\\\n\t\0 é漢".utf8)
    let payload = random.bytes(Int.random(in: 0...200, using: &random), from: alphabet)
    var event = StoredEvent(line: "\(time) s - _escaped=\t")
    event.bytes += Escape.encode(payload.rawSpan, .payload)
    event.fields.payload = event.fields.payload.lowerBound..<event.bytes.count
    let folder = try TestFolder()
    let file = try LinuxFileSystem().open(folder.path + "/out", .create)
    defer { LinuxFileSystem().close(file) }
    var output = OutputBuffer(file)
    var text = EventText(.ndjson)
    text.write(event, to: &output)
    try output.flush()
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(try folder.bytes(of: "out"))) as? [String: Any])
    if let base64 = object["payload_base64"] as? String {
      #expect(Data(base64Encoded: base64).map([UInt8].init) == payload, "seed \(seed)")
      #expect(String(validating: payload, as: UTF8.self) == nil)
    } else {
      #expect((object["payload"] as? String).map { Array($0.utf8) } == payload, "seed \(seed)")
    }
  }
}
