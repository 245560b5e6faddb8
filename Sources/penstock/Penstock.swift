// The program. Roles of a running store go around the argument parser: they are started by the
// host, and every page they do not touch is memory they do not cost.

import ArgumentParser
internal import CShims
internal import PenstockBench
internal import PenstockCore

/// Entry point.
@main
enum Penstock {
  static func main() {
    let arguments = CommandLine.arguments
    if arguments.count > 1, arguments[1] == "role" {
      Role.run(Array(arguments.dropFirst(2)))
    }
    if arguments.count > 1, arguments[1] == "generate" {
      penstock_exit(Load.run(Array(arguments.dropFirst(2))))
    }
    PenstockCommand.runProgram()
  }
}

/// `penstock`.
struct PenstockCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "penstock",
    abstract: "A durable event and log store.",
    discussion: """
      Takes events in over UDP and TCP, acknowledges them when they are on stable storage, keeps \
      the fresh ones in a journal that is plain text and archives the rest.
      """,
    version: "0.1.0",
    subcommands: [
      Serve.self, Seal.self, Reload.self, Send.self, QueryCommand.self, TailCommand.self,
      ExportCommand.self,
      ImportCommand.self,
      SnapshotCommand.self, StreamsCommand.self, VerifyCommand.self, StatusCommand.self,
      Retention.self, Erase.self,
      Bench.self,
    ])
}
