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

  @OptionGroup var options: BenchOptions

  func run() throws {
    try options.measure { try JournalSuite($0).measure { Progress.show($0) } }
  }
}
