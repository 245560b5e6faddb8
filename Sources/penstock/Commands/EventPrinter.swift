// Events on standard output, and what is said when a read ends.

import ArgumentParser
import PenstockArchive
import PenstockCore

/// Writes events to standard output: in large pieces, on a terminal in small ones so that the
/// first lines show while the rest is still looked for.
struct EventPrinter: ~Copyable {
  private var text: EventText
  private var output: OutputBuffer
  private(set) var count = 0

  init(_ format: EventFormat) {
    text = EventText(format)
    output = OutputBuffer(
      OutputBuffer.standardOutput,
      capacity: Console.isOutputTerminal ? 4096 : OutputBuffer.capacityDefault)
  }

  /// Whether the reader of the pipe has left.
  var isClosed: Bool { output.isClosed }

  mutating func print(_ event: borrowing StoredEvent) throws(OutputError) {
    text.write(event, to: &output)
    count += 1
    // Whether somebody still reads is looked at now and then, not for every line.
    if count & 0x3F == 0 { try output.check() }
  }

  mutating func flush() throws(OutputError) { try output.flush() }
}

/// What has to be said about a read beyond its events.
struct ReadEnding {
  let report: ReadReport
  init(_ report: ReadReport) { self.report = report }

  /// Says what was provisional and what was damaged, on standard error; ends the command with
  /// `incomplete` when bytes were left out.
  func tell() throws {
    if report.provisionalCount > 0 {
      let count = Readable.count(report.provisionalCount)
      Console.say(
        report.leavesProvisionalOut
          ? "penstock: left out \(count) provisional event(s), not yet proved durable: start the "
            + "daemon, which decides about them, and run this again"
          : "penstock: \(count) of these events are provisional: they are not yet proved durable, "
            + "which only a daemon can do")
    }
    for note in report.damage { Console.say("penstock: damaged: \(note)") }
    if report.damageCount > report.damage.count {
      Console.say("penstock: … and \(report.damageCount - report.damage.count) places more")
    }
    if report.damageCount > 0 {
      Console.say("penstock: run 'penstock verify' for a full report")
      throw ExitStatus.incomplete.code
    }
  }
}
