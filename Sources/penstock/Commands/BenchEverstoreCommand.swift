// `penstock bench everstore`.

import ArgumentParser
internal import PenstockBench
internal import PenstockCore

struct BenchEverstore: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "everstore",
    abstract: "Measure transactions and reads over Everstore's protocol.",
    discussion: """
      Starts 'penstock serve' on a store in --data, loads it over loopback, and removes it again.
      """)

  @OptionGroup var options: BenchOptions

  func run() throws {
    try options.measure { try EverstoreSuite($0).measure { Progress.show($0) } }
  }
}

/// What benchmarks of a served store have in common.
struct BenchOptions: ParsableArguments {
  @Flag(help: "Little of everything: to see that it works.")
  var quick = false

  @Option(help: "Folder on the file system to measure.")
  var data = "."

  @Option(help: "Rounds, 1 to 100.")
  var rounds = 3

  func validate() throws {
    guard (1...100).contains(rounds) else { throw ValidationError("--rounds takes 1 to 100") }
  }

  /// Measures in a folder that is gone afterwards, and prints what was found.
  func measure(_ body: (ArchiveOptions) throws -> ArchiveFindings) throws {
    let folder = data + "/penstock-bench-\(System.processIdentifier)"
    Interruption.watch()
    defer { ScratchFolder.remove(folder) }
    do {
      guard let program = Machine.realPath("/proc/self/exe") else {
        throw BenchFailure("cannot find this program again: /proc is not mounted")
      }
      try LinuxFileSystem().makeDirectory(folder)
      var options = ArchiveOptions(program: program, folder: Machine.realPath(folder) ?? folder)
      options.isQuick = quick
      options.rounds = rounds
      let findings = try body(options)
      Progress.show(nil)
      print(findings.text)
      print(findings.barText)
    } catch {
      Progress.show(nil)
      throw CommandFailure("\(error)")
    }
  }
}
