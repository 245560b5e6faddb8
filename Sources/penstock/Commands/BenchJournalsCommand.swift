// `penstock bench journals`.

import ArgumentParser
internal import PenstockBench
internal import PenstockCore

struct BenchJournals: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "journals",
    abstract: "Measure commits to journals: small ones, large ones, a million journals.",
    discussion: """
      Starts 'penstock serve' on a store in --data, loads it over loopback, and removes it again. The \
      last part kills the store and opens it anew.
      """)

  @Flag(help: "Little of everything: to see that it works.")
  var quick = false

  @Option(help: "Folder on the file system to measure.")
  var data = "."

  @Option(help: "Rounds, 1 to 100.")
  var rounds = 3

  func run() throws {
    guard (1...100).contains(rounds) else { throw ValidationError("--rounds takes 1 to 100") }
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
      let findings = try JournalSuite(options).measure { Progress.show($0) }
      Progress.show(nil)
      print(findings.text)
      print(findings.barText)
    } catch {
      Progress.show(nil)
      throw CommandFailure("\(error)")
    }
  }
}
