import Foundation
import Testing

/// Real log lines in, the same bytes out.
@Suite(
  .serialized, .enabled(if: SharedFiles.root != nil, "the folder shared is not beside the package"))
struct CorpusTests {
  /// The lines of every corpus, without their LF, repeated until there are `count`.
  private func lines(_ count: Int) throws -> [[UInt8]] {
    let root = try #require(SharedFiles.root).appendingPathComponent("corpora")
    let names = try FileManager.default.subpathsOfDirectory(atPath: root.path)
      .filter { $0.hasSuffix(".log") }.sorted()
    var all: [[UInt8]] = []
    for name in names {
      all += SharedFiles.bytes("corpora/" + name).split(separator: 0x0A).map { Array($0) }
    }
    try #require(all.count > 10_000)
    return (0..<count).map { all[$0 % all.count] }
  }

  private static let lineCount = 200_000
  /// Lines in one PUT.
  private static let putCount = 500

  @Test(arguments: Backend.allCases)
  func `200,000 lines come out byte for byte, live and archived`(_ io: Backend) throws {
    let store = try ServedStore()
    try store.start(
      shards: 2, io: io, listeners: [ServedStore.lineListener] + ServedStore.syslogListeners)
    let lines = try lines(CorpusTests.lineCount)
    let half = lines.count / 2
    // One half by the line protocol, the other as syslog frames.
    let session = try LineSession(Wire(tcp: store.ports["line-tcp"] ?? 0))
    var expected: [UInt8] = []
    for start in stride(from: 0, to: half, by: CorpusTests.putCount) {
      var body: [UInt8] = []
      for line in lines[start..<(start + CorpusTests.putCount)] {
        body += Array("- corpus/put -\t".utf8) + line + [0x0A]
        expected += line + [0x0A]
      }
      try session.wire.send(Array("PUT \(body.count)\n".utf8) + body)
      #expect(try session.receipt()?.count == CorpusTests.putCount)
    }
    var messages: [UInt8] = []
    let wire = try Wire(tcp: store.ports["syslog-tcp"] ?? 0)
    for start in stride(from: half, to: lines.count, by: CorpusTests.putCount) {
      var frames: [UInt8] = []
      for line in lines[start..<(start + CorpusTests.putCount)] {
        let message = Array("<134>1 - corpus app - - - ".utf8) + line
        frames += Array("\(message.count) ".utf8) + message
        messages += message + [0x0A]
      }
      try wire.send(frames)
    }
    wire.finish()
    #expect(try wire.readToEnd().isEmpty)
    for isArchived in [false, true] {
      if isArchived {
        let sealed = try store.run("seal")
        #expect(sealed.status == 0, "\(sealed.errors)")
      }
      #expect(try raw(store, "corpus/put") == expected, "archived: \(isArchived)")
      #expect(try raw(store, "syslog/corpus") == messages, "archived: \(isArchived)")
    }
    #expect(try store.run("verify").status == 0)
  }

  private func raw(_ store: ServedStore, _ stream: String) throws -> [UInt8] {
    let path = store.folder + "/out"
    let result = try store.shell(
      "$PENSTOCK query --data $DATA --stream \(stream) --format raw > \(path)")
    #expect(result.status == 0)
    return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
  }
}
