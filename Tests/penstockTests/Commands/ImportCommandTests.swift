import Foundation
import Testing

@Suite(.serialized) struct ImportCommandTests {
  private func write(_ text: String, _ name: String, _ store: ServedStore) throws -> String {
    let path = store.folder + "/" + name
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    return path
  }

  @Test func `files become a store, which is made, queried, exported and served`() throws {
    let store = try ServedStore()
    let objects = (0..<500).map {
      "{\"ts\":\(1_795_232_872 + $0),\"service\":\"svc\($0 % 3)\",\"level\":\"info\",\"n\":\($0)}"
    }
    let file = try write(objects.joined(separator: "\n"), "app.ndjson", store)
    let result = try store.run(
      "import", "--format", "ndjson", "--stream", "app/{service}", "--time", "ts", "--type",
      "level", file)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("500 events of"))
    #expect(try store.run("query", "--format", "raw").lines == objects)
    #expect(try store.run("query", "--stream", "app/svc1", "--type", "info").lines.count == 167)
    #expect(try store.run("verify").output.hasPrefix("ok: 0 segments"))
    #expect(try !store.run("status").output.contains("shard 255"))
    try store.start(shards: 2)
    try store.put(["- live/s -\tone"])
    #expect(try store.run("seal").status == 0)
    #expect(try store.run("query").lines.count == 501)
    #expect(try store.run("tail", "-n", "3").lines.count == 3)
    #expect(try !store.run("status").output.contains("shard 255"))
    store.kill()
    try store.start(shards: 2)
    #expect(try store.run("query").lines.count == 501)
    #expect(store.stop() == 0)
    #expect(try store.run("verify").status == 0)
  }

  @Test func `a daemon's archive is not touched, and who has it is said`() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    let archiver = try #require(try store.roles()["archiver"])
    let file = try write("a\n", "a.txt", store)
    var result = ProgramResult(status: 0, output: "", errors: "")
    // The archiver takes the lock a moment after its start.
    try store.wait("the archiver has the lock: \(result)") {
      result = try store.run("import", "--format", "text", "--stream", "s", "--time", "now", file)
      return result.status == 1
    }
    #expect(result.errors.contains("process \(archiver) archives or imports into"))
    #expect(result.errors.contains("stop 'penstock serve'"))
    store.stop()
    #expect(
      try store.run("import", "--format", "text", "--stream", "s", "--time", "now", file).status
        == 0)
  }

  @Test func `standard input is read, and an export is taken as it is`() throws {
    let store = try ServedStore()
    let made = try store.shell(
      "seq 3000 | $PENSTOCK import --data $DATA --format text --stream numbers"
        + " --time 2026-01-01T00:00:00Z+1h")
    #expect(made.status == 0, "\(made.errors)")
    let copied = try store.shell(
      """
      set -e -o pipefail
      $PENSTOCK export --data $DATA --format ndjson --out - \
        | $PENSTOCK import --data $FOLDER/other --format ndjson -
      for format in text ndjson; do
        $PENSTOCK export --data $DATA --format $format --out $FOLDER/a 2>/dev/null
        $PENSTOCK export --data $FOLDER/other --format $format --out $FOLDER/b 2>/dev/null
        cmp $FOLDER/a $FOLDER/b
      done
      $PENSTOCK query --data $FOLDER/other --format raw | cmp - <(seq 3000)
      """)
    #expect(copied.status == 0, "\(copied.errors) \(copied.output)")
  }

  @Test func `bad lines are told, and only as many as are allowed are left out`() throws {
    let store = try ServedStore()
    let lines = (0..<40).map { $0 % 2 == 0 ? "{\"ts\":1795232872}" : "bad \($0)" }
    let file = try write(lines.joined(separator: "\n"), "x.ndjson", store)
    let arguments = ["import", "--format", "ndjson", "--stream", "s", "--time", "ts", file]
    let refused = try ServedStore.run(arguments + ["--data", store.data])
    #expect(refused.status == 1)
    #expect(refused.errors.contains("\(file):2: not JSON"))
    let few = try ServedStore.run(arguments + ["--data", store.data, "--max-errors", "19"])
    #expect(few.status == 1 && few.errors.contains("more than 19"))
    #expect(try store.run("query").lines.isEmpty)
    let enough = try ServedStore.run(arguments + ["--data", store.data, "--max-errors", "20"])
    #expect(enough.status == 0, "\(enough.errors)")
    #expect(enough.errors.contains("\(file):2: ") && enough.errors.contains("10 more lines"))
    #expect(enough.output.contains("20 lines left out"))
    #expect(try store.run("query").lines.count == 20)
  }

  @Test func `a command line that does not say what to do is refused`() throws {
    let store = try ServedStore()
    for arguments in [
      ["--format", "xml"], ["--format", "csv"], ["--format", "ndjson", "--stream", "s"],
      ["--format", "text", "--stream", "s", "--time", "noon"],
      ["--format", "text", "--stream", "s", "--time", "now", "--bucket", "1"],
      ["--format", "text", "--stream", "s", "--time", "now", "--max-errors", "-1"],
      ["--format", "text", "--stream", "/s", "--time", "now"],
    ] {
      let result = try ServedStore.run(["import", "--data", store.data] + arguments)
      #expect(result.status == 2, "\(arguments): \(result.errors)")
    }
    let none = try store.run(
      "import", "--format", "csv", "--stream", "s", "--time", "t", "/nowhere.csv")
    #expect(none.status == 1 && none.errors.contains("/nowhere.csv"))
  }
}
