import Foundation
import Testing

@Suite struct SendTests {
  /// Runs a shell line in which $PENSTOCK is the program and $TO a server's address.
  private func shell(_ line: String, to url: String) throws -> ProgramResult {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", line]
    process.environment = ProcessInfo.processInfo.environment.merging([
      "PENSTOCK": ServedStore.program.path, "TO": url,
    ]) { $1 }
    return try ServedStore.capture(process)
  }

  private func url(_ server: FakeServer) -> String { "line+tcp://127.0.0.1:\(server.port)" }

  @Test func `lines sent to a daemon are acknowledged and read back`() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    let result = try shell(
      "seq 1 5000 | $PENSTOCK send --to $TO --stream numbers --type count --batch 7 --window 3",
      to: "line+tcp://127.0.0.1:\(store.port)")
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output == "sent 5000, acknowledged 5000\n")
    let read = try store.run("query", "--stream", "numbers", "--format", "raw")
    #expect(read.status == 0, "\(read.errors)")
    #expect(read.lines == (1...5000).map { "\($0)" })
  }

  @Test func `every byte of the input is in a payload`() throws {
    let server = FakeServer { connection in
      try connection.sayHello()
      let lines = try connection.readPut()
      #expect(lines == "- app - _escaped=\ta\\0b\\\\\n- app -\t\n- app -\t\\ \r\n- app -\tlast\n")
      connection.write("OK shard=0 first=1 count=4\n")
    }
    let result = try shell(
      #"printf 'a\0b\\\n\n\\ \r\nlast' | $PENSTOCK send --to $TO --stream app"#, to: url(server))
    #expect(result.output == "sent 4, acknowledged 4\n" && result.status == 0, "\(result.errors)")
    try server.finish()
  }

  @Test func `what is typed is sent before the input ends`() throws {
    let server = FakeServer { connection in
      try connection.sayHello()
      #expect(try connection.readPut() == "- stdin -\tfirst\n")
      connection.write("OK shard=0 first=1 count=1\n")
      #expect(connection.isSilent(milliseconds: 200))
      #expect(try connection.readPut() == "- stdin -\tsecond\n")
      connection.write("OK shard=0 first=2 count=1\n")
      // The client is still waiting for the end of its input.
      _ = connection.readAll()
    }
    let result = try shell(
      "(echo first; sleep 0.6; echo second) | $PENSTOCK send --to $TO", to: url(server))
    #expect(result.output == "sent 2, acknowledged 2\n" && result.status == 0, "\(result.errors)")
    try server.finish()
  }

  @Test func `refused events end in status 1 with the reason`() throws {
    let store = try ServedStore()
    try store.start(shards: 1)
    let result = try shell(
      "seq 1 3 | $PENSTOCK send --to $TO --stream /journal",
      to: "line+tcp://127.0.0.1:\(store.port)")
    #expect(result.status == 1)
    #expect(result.output == "sent 3, acknowledged 0\n")
    #expect(result.errors.contains("journal"), "\(result.errors)")
  }

  @Test func `a connection that is lost says how many were acknowledged`() throws {
    let server = FakeServer { connection in
      try connection.sayHello()
      _ = try connection.readPut()
      connection.write("OK shard=0 first=1 count=2\n")
      _ = try connection.readPut()
    }
    let result = try shell("seq 1 10 | $PENSTOCK send --to $TO --batch 2", to: url(server))
    #expect(result.status == 1)
    #expect(result.output.hasSuffix(", acknowledged 2\n"), "\(result.output)")
    #expect(result.errors.contains("was lost"), "\(result.errors)")
  }

  @Test func `a connection lost while nothing is typed is noticed at once`() throws {
    let server = FakeServer { connection in
      try connection.sayHello()
      _ = try connection.readPut()
      connection.write("OK shard=0 first=1 count=1\n")
    }
    let result = try shell(
      "(echo one; sleep 3) | timeout 2 $PENSTOCK send --to $TO; echo $?",
      to: url(server))
    #expect(result.output == "sent 1, acknowledged 1\n1\n", "\(result.output) \(result.errors)")
  }

  @Test func `a line too long to store is passed over and counted`() throws {
    let server = FakeServer { connection in
      try connection.sayHello()
      #expect(try connection.readPut() == "- stdin -\tbefore\n- stdin -\tafter\n")
      connection.write("OK shard=0 first=1 count=2\n")
    }
    let result = try shell(
      "file=$(mktemp); (echo before; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo after) "
        + "> $file; $PENSTOCK send --to $TO < $file; status=$?; rm $file; exit $status",
      to: url(server))
    #expect(result.status == 1)
    #expect(result.output == "sent 2, acknowledged 2\n", "\(result.errors)")
    #expect(result.errors.contains("1 lines were not sent, first line 2"), "\(result.errors)")
  }

  @Test(arguments: [
    "--to syslog+tcp://127.0.0.1:1", "--window 0", "--batch 0", "--stream ''",
    "--to line+tcp://127.0.0.1:0",
  ])
  func `arguments that make no sense are refused`(_ arguments: String) throws {
    let result = try shell("$PENSTOCK send \(arguments) < /dev/null", to: "")
    #expect(result.status == 2 && result.output == "", "\(result.errors)")
  }

  @Test func `without a server there is an error that says what to do`() throws {
    let result = try shell(
      "$PENSTOCK send --to line+unix:///nonexistent/line.sock < /dev/null", to: "")
    #expect(result.status == 1)
    #expect(result.errors.contains("start 'penstock serve'"), "\(result.errors)")
  }
}
