// `penstock bench archive`: reading tables, opening large stores, what an event costs in the archive
// and beside it.

import ArgumentParser
internal import CShims
internal import PenstockBench
internal import PenstockCore

struct BenchArchive: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "archive",
    abstract: "Measure the archive: scans, opening, overhead, writes, and ingest beside it.",
    discussion: """
      Measures all parts, or those that are named: scan, opening, overhead, amplification, beside. \
      With --sustained it does nothing but hold a rate for that many seconds beside the archiver, \
      which writes some 250 bytes an event beside --data.
      """)

  @Flag(help: "Little of everything: to see that it works.")
  var quick = false

  @Option(name: .customLong("part"), help: "A part to measure; may be given more than once.")
  var parts: [String] = []

  @Option(help: "Hold --rate for so many seconds, 1 to 3,600.")
  var sustained: Double?

  @Option(help: "Events a second to hold, 1,000 to 10,000,000.")
  var rate = 1_000_000

  @Option(help: "Folder on the file system to measure.")
  var data = "."

  @Option(help: "Rounds, 1 to 100.")
  var rounds = 3

  func run() throws {
    let chosen = try checked()
    let folder = data + "/penstock-bench-\(System.processIdentifier)"
    Interruption.watch()
    defer { ScratchFolder.remove(folder) }
    do {
      guard let program = Machine.realPath("/proc/self/exe") else {
        throw BenchFailure("cannot find this program again: /proc is not mounted")
      }
      try LinuxFileSystem().makeDirectory(folder)
      let root = Machine.realPath(folder) ?? folder
      var options = ArchiveOptions(program: program, folder: root)
      options.isQuick = quick
      options.rounds = rounds
      if let sustained {
        var run = ArchiveSustained(options, rate: rate, seconds: sustained)
        let findings = try run.measure { Progress.show($0) }
        tell(findings)
        return
      }
      for part in chosen {
        Progress.show("measuring: \(part.rawValue)")
        options.folder = root + "/" + part.rawValue
        tell(try part.measure(options))
      }
    } catch {
      Progress.show(nil)
      throw CommandFailure("\(error)")
    }
  }

  private func tell(_ findings: ArchiveFindings) {
    Progress.show(nil)
    print(findings.text)
    print(findings.barText)
    flushOutput()
  }

  private func checked() throws -> [ArchivePart] {
    guard (1...100).contains(rounds) else { throw ValidationError("--rounds takes 1 to 100") }
    guard (1000...10_000_000).contains(rate) else {
      throw ValidationError("--rate takes 1,000 to 10,000,000")
    }
    if let sustained, !(1...3600).contains(sustained) {
      throw ValidationError("--sustained takes 1 to 3,600")
    }
    let all = ArchivePart.allCases
    let chosen = try parts.map { name in
      guard let part = ArchivePart(rawValue: name) else {
        let names = all.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("--part takes one of \(names), not '\(name)'")
      }
      return part
    }
    return chosen.isEmpty ? all : chosen
  }
}

/// One line that changes, on a terminal.
enum Progress {
  static func show(_ text: String?) {
    guard penstock_is_terminal(2) else { return }
    let line = Array("\r\u{1B}[K\(text ?? "")".utf8)
    _ = unsafe line.withUnsafeBytes { unsafe penstock_write(2, $0.baseAddress, $0.count) }
  }
}
