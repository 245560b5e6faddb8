// The C prototype that stands beside our figures: what this machine can do when nothing but
// receive, copy, checksum and commit is left. Built with gcc from its folder, run with the same
// load, one round of ours, one of its.
//
// It commits into one file of 4 GiB that was written before and wraps inside it; ours takes fresh
// segments, keeps them and archives them. It never answers over a text protocol, keeps no ledger
// and serves one process only: a ceiling, not a peer.

internal import CShims
internal import LoadGenerator
internal import PenstockCore

/// The end-to-end prototype, built.
package struct CeilingPrototype: Sendable {
  private let binary: String
  private let folder: String

  /// What one run of it printed.
  package struct Output: Equatable, Sendable {
    package var values: [String: Double] = [:]

    /// Reads "key=number" and "key=number%" words; other words are passed over.
    package init(text: String) {
      for word in text.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
        let pair = word.split(separator: "=", maxSplits: 1)
        guard pair.count == 2 else { continue }
        let number = pair[1].hasSuffix("%") ? pair[1].dropLast() : pair[1]
        if let value = Double(number) { values[String(pair[0])] = value }
      }
    }
  }

  /// Where the prototype's sources are: `given`, or `../shared/ceiling` beside the working folder
  /// or beside the package the program was built in.
  package static func locate(given: String?) -> String? {
    var candidates = given.map { [$0] } ?? ["../shared/ceiling"]
    if given == nil, let program = Machine.realPath("/proc/self/exe") {
      // PACKAGE/.build…/TRIPLE/CONFIGURATION/penstock
      let parts = program.split(separator: "/", omittingEmptySubsequences: false)
      if let build = parts.lastIndex(where: { $0.hasPrefix(".build") }) {
        candidates.append(parts[..<build].joined(separator: "/") + "/../shared/ceiling")
      }
    }
    return candidates.first { unsafe penstock_kind($0 + "/e2e.c") == 2 }
  }

  /// Builds it and writes its file, 4 GiB, into `folder`, which is made.
  package static func build(sources: String, folder: String) throws(BenchFailure)
    -> CeilingPrototype
  {
    do {
      try LinuxFileSystem().makeDirectory(folder)
    } catch {
      throw BenchFailure("\(error)")
    }
    let binary = folder + "/e2e"
    var compiler = try ChildProcess.start([
      "/usr/bin/env", "gcc", "-O3", "-march=native", "-w", "-o", binary, sources + "/e2e.c",
    ])
    guard try compiler.wait(milliseconds: 60_000) == 0 else {
      throw BenchFailure("gcc does not build \(sources)/e2e.c")
    }
    let prototype = CeilingPrototype(binary: binary, folder: folder)
    _ = try prototype.run(["tcp", "octet", "fsync", "1", "0"], milliseconds: 0, batch: [])
    return prototype
  }

  /// Runs one load against it.
  package func run(_ words: [String], milliseconds: Int, batch: [String]) throws(BenchFailure)
    -> Output
  {
    let seconds = Decimal.text(Double(milliseconds) / 1000, digits: 1)
    var process = try ChildProcess.start(
      [binary] + words + [seconds, "1", folder] + batch, readsOutput: true)
    guard let status = try process.wait(milliseconds: milliseconds + 60_000) else {
      throw BenchFailure("the C prototype did not end")
    }
    guard status == 0 else { throw BenchFailure("the C prototype ended with status \(status)") }
    return Output(text: process.outputText)
  }
}
